#!/usr/bin/env python3
"""GitLab's branch rules: gitlab/branch-rules.py PROJECT-ID, with `glab` logged in as a maintainer.

May be run again: what is protected already is changed in place, and no moment is without protection. GitLab requires the
whole pipeline, so every job of .gitlab-ci.yml (values, render, gate) is a required check.

Where more than one rule matches a branch, GitLab follows the one that allows most. Others are somebody's own, and are left
as they are; one that opens the branch is named, and is an error.
"""

import fnmatch
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
SOMEBODY = ("user_id", "group_id", "deploy_key_id", "member_role_id")
PAGE, PAGES = 100, 100


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__.splitlines()[0])
    project = f"projects/{sys.argv[1]}"
    asked("PUT", project, MERGES)
    branches = f"{project}/protected_branches"
    rules = every(branches)
    found = [it for it in rules if it["name"] == BRANCH]
    if found:
        asked("PATCH", f"{branches}/{BRANCH}", RULES | changes(found[0]))
    else:
        levels = {"push_access_level": NOBODY, "merge_access_level": MAINTAINERS}
        asked("POST", branches, {"name": BRANCH} | levels | RULES)
    wrong = [f"{it['name']}: {', '.join(more)}" for it in rules if it["name"] != BRANCH and (more := opens(it))]
    if wrong:
        print(f"these rules match {BRANCH} too, and allow more; take them away or narrow them:", *wrong, sep="\n", file=sys.stderr)
    # The last, since without Premium it is refused.
    asked("POST", f"{project}/approvals", APPROVALS)
    return 1 if wrong else 0


def every(path):
    """All of a list, whose pages are of a size."""
    found = []
    for page in range(1, PAGES + 1):
        part = asked("GET", f"{path}?per_page={PAGE}&page={page}")
        found += part
        if len(part) < PAGE:
            return found
    raise SystemExit(f"{path} has more than {PAGES} pages")


def opens(rule):
    """What another rule allows for the branch that its own does not. An owner's approval is required by any of them."""
    if not fnmatch.fnmatchcase(BRANCH, rule["name"]):
        return []
    ways = {
        "push": any(above(it, NOBODY) for it in rule["push_access_levels"]),
        "merge": any(above(it, MAINTAINERS) for it in rule["merge_access_levels"]),
        "force push": rule["allow_force_push"],
    }
    return [way for way, open_to_more in ways.items() if open_to_more]


def above(level, least):
    """Of somebody by name, or of a role below: role 0 is nobody."""
    if any(level.get(key) for key in SOMEBODY):
        return True
    role = level["access_level"]
    return role != NOBODY and (least == NOBODY or role < least)


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
    sys.exit(main())
