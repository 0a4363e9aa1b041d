#!/usr/bin/env python3
"""GitLab's branch rules: gitlab/branch-rules.py PROJECT-ID, with `glab` logged in as a maintainer.

May be run again: what is protected already is changed in place, and no moment is without protection. GitLab requires the
whole pipeline, so every job of .gitlab-ci.yml (values, render, gate) is a required check.
"""

import json
import subprocess
import sys

BRANCH = "main"
# A tech lead's approval comes from CODEOWNERS.
NOBODY, MAINTAINERS = 0, 40
RULES = {"code_owner_approval_required": True, "allow_force_push": False}
MERGES = {"only_allow_merge_if_pipeline_succeeds": True, "merge_method": "ff", "squash_option": "always"}
APPROVALS = {"reset_approvals_on_push": True, "merge_requests_author_approval": False}
# A level is of a role where it is of none of these.
SOMEBODY = ("user_id", "group_id", "deploy_key_id")


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__.splitlines()[0])
    project = f"projects/{sys.argv[1]}"
    asked("PUT", project, MERGES)
    branches = f"{project}/protected_branches"
    # A search, since that of what is not there is an empty answer, and no failure among others.
    found = [it for it in asked("GET", f"{branches}?search={BRANCH}&per_page=100") if it["name"] == BRANCH]
    if found:
        asked("PATCH", f"{branches}/{BRANCH}", RULES | changes(found[0]))
    else:
        levels = {"push_access_level": NOBODY, "merge_access_level": MAINTAINERS}
        asked("POST", branches, {"name": BRANCH} | levels | RULES)
    asked("POST", f"{project}/approvals", APPROVALS)


def changes(branch):
    """From who may push and merge to nobody and maintainers."""
    return {
        "allowed_to_push": only(NOBODY, branch["push_access_levels"]),
        "allowed_to_merge": only(MAINTAINERS, branch["merge_access_levels"]),
    }


def only(wanted, levels):
    """The changes that leave one level, of that role: GitLab adds what has no id, and takes away what is to be destroyed."""
    kept = [it["id"] for it in levels if it["access_level"] == wanted and not any(it.get(key) for key in SOMEBODY)][:1]
    added = [] if kept else [{"access_level": wanted}]
    return added + [{"id": it["id"], "_destroy": True} for it in levels if it["id"] not in kept]


def asked(method, path, body=None):
    command = ["glab", "api", "--method", method, path]
    if body is not None:
        command += ["--header", "Content-Type: application/json", "--input", "-"]
    done = subprocess.run(command, input=json.dumps(body), stdout=subprocess.PIPE, text=True, timeout=60)
    if done.returncode:
        raise SystemExit(f"{method} {path}: glab ended with {done.returncode}: {done.stdout}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
