#!/usr/bin/env python3
"""Stands in for `glab api` and the GitLab behind it: one project, whose protected branches are in the file $GITLAB.

It does what GitLab's documentation says of these requests, and refuses every other. What was asked, and whether `main` was
protected afterwards, is written down in the same file.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PROJECT = "projects/7"
BRANCHES = f"{PROJECT}/protected_branches"
SETTINGS = {"only_allow_merge_if_pipeline_succeeds", "merge_method", "squash_option"}
APPROVALS = {"reset_approvals_on_push", "merge_requests_author_approval"}
RULES = {"code_owner_approval_required", "allow_force_push"}
PROTECT = RULES | {"name", "push_access_level", "merge_access_level"}
LEVELS = {"allowed_to_push": "push_access_levels", "allowed_to_merge": "merge_access_levels"}


class Refused(Exception):
    """A status, and what it says."""


class GitLab:
    def __init__(self, state):
        self.state, self.branches = state, state["branches"]

    def answer(self, method, path, query, body):
        if (method, path) == ("PUT", PROJECT):
            return self.noted("settings", body, SETTINGS)
        if (method, path) == ("POST", f"{PROJECT}/approvals"):
            return self.noted("approvals", body, APPROVALS)
        if (method, path) == ("GET", BRANCHES):
            size, page = (int(query.get(key, [default])[0]) for key, default in (("per_page", "20"), ("page", "1")))
            # More than that it does not give, whatever was asked for.
            size = min(size, 100)
            return self.branches[(page - 1) * size : page * size]
        if (method, path) == ("POST", BRANCHES):
            return self.protect(body)
        name = path.removeprefix(f"{BRANCHES}/")
        if name != path and method in ("PATCH", "DELETE"):
            branch = next((it for it in self.branches if it["name"] == name), None)
            if branch is None:
                raise Refused(404, "404 Not found")
            return self.change(branch, body) if method == "PATCH" else self.branches.remove(branch)
        raise Refused(404, "404 Not Found")

    def noted(self, key, body, known):
        refuse_unknown(body, known)
        self.state[key] = self.state.get(key, {}) | body
        return body

    def protect(self, body):
        refuse_unknown(body, PROTECT)
        if any(it["name"] == body["name"] for it in self.branches):
            raise Refused(409, f"Protected branch '{body['name']}' already exists")
        # Without a level, maintainers.
        push, merge = (self.level(body.get(f"{it}_access_level", 40)) for it in ("push", "merge"))
        branch = {"name": body["name"], "push_access_levels": [push], "merge_access_levels": [merge]}
        self.branches.append(branch | {key: body.get(key, False) for key in RULES})
        return self.branches[-1]

    def change(self, branch, body):
        refuse_unknown(body, RULES | set(LEVELS))
        for field, key in LEVELS.items():
            for change in body.get(field, []):
                self.change_level(branch[key], change)
        branch.update({key: value for key, value in body.items() if key in RULES})
        return branch

    def change_level(self, levels, change):
        if "id" not in change:
            if any(it["access_level"] == change["access_level"] and it["user_id"] is None for it in levels):
                raise Refused(422, "Access level has already been taken")
            levels.append(self.level(change["access_level"]))
            return
        [level] = [it for it in levels if it["id"] == change["id"]]
        if change.get("_destroy"):
            levels.remove(level)
        else:
            level["access_level"] = change["access_level"]

    def level(self, access):
        self.state["last_id"] += 1
        return {"id": self.state["last_id"], "access_level": access, "user_id": None, "group_id": None}


def refuse_unknown(body, known):
    unknown = set(body) - known
    if unknown:
        raise Refused(400, f"{', '.join(sorted(unknown))}: unknown")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["api"])
    parser.add_argument("path")
    parser.add_argument("--method", required=True)
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--input", choices=["-"])
    given = parser.parse_args()
    file = Path(os.environ["GITLAB"])
    state = json.loads(file.read_text(encoding="utf-8"))
    asked = urlsplit(given.path)
    # A body is JSON only where that is said.
    read = given.input and "Content-Type: application/json" in given.header
    body = json.loads(sys.stdin.read()) if read else {}
    code = 0
    try:
        if given.method == state.get("refuses"):
            raise Refused(403, "403 Forbidden")
        print(json.dumps(GitLab(state).answer(given.method, asked.path, parse_qs(asked.query), body)))
    except Refused as refused:
        status, message = refused.args
        print(json.dumps({"message": message}))
        print(f"glab: {message} (HTTP {status})", file=sys.stderr)
        code = 1
    protected = any(it["name"] == "main" for it in state["branches"])
    state["asked"].append([given.method, asked.path, protected])
    file.write_text(json.dumps(state), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
