"""GitLab's branch rules get there from whatever a project has, and at no moment without protection."""

import json
import os

from programs import failure, stand_in

MAINTAINERS = {"id": 11, "access_level": 40, "user_id": None, "group_id": None}
DEVELOPERS = {**MAINTAINERS, "id": 12, "access_level": 30}
SOMEONE = {**MAINTAINERS, "id": 13, "user_id": 5}
DEPLOY_KEY = {**MAINTAINERS, "id": 14, "deploy_key_id": 6}
NOBODY = {**MAINTAINERS, "id": 15, "access_level": 0}


def branch(name, push, merge):
    rules = {"allow_force_push": True, "code_owner_approval_required": False}
    return {"name": name, "push_access_levels": push, "merge_access_levels": merge, **rules}


BEFORE = {
    "nothing": [],
    "others of like names": [branch("maintenance", [DEVELOPERS], [DEVELOPERS]), branch("main-*", [DEVELOPERS], [])],
    "GitLab's own rule": [branch("main", [MAINTAINERS], [{**MAINTAINERS, "id": 16}])],
    "developers, a user and a key": [branch("main", [DEVELOPERS, SOMEONE, DEPLOY_KEY], [SOMEONE, DEVELOPERS])],
    "nobody at all": [branch("main", [], [NOBODY])],
}


class Project:
    """What the stand-in for GitLab knows."""

    def __init__(self, tree, folder, branches, refuses=None):
        self.program = tree.folder / "ci/gitlab/branch-rules.py"
        self.file, programs = folder / "gitlab.json", folder / "gitlab-bin"
        self.write({"branches": branches, "asked": [], "last_id": 100, "refuses": refuses})
        stand_in(programs, "glab")
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "GITLAB": str(self.file)}

    def write(self, state):
        self.file.write_text(json.dumps(state), encoding="utf-8")

    def state(self):
        return json.loads(self.file.read_text(encoding="utf-8"))

    def ruled(self):
        return failure([self.program, "7"], env=self.environment)


def right(state):
    """Nobody pushes, maintainers merge, owners approve, a pipeline must be green."""
    [main] = [it for it in state["branches"] if it["name"] == "main"]
    for key, wanted in (("push_access_levels", 0), ("merge_access_levels", 40)):
        levels = [(it["access_level"], it["user_id"], it.get("deploy_key_id")) for it in main[key]]
        if levels != [(wanted, None, None)]:
            yield f"{key} are {levels}"
    if main["allow_force_push"] or not main["code_owner_approval_required"]:
        yield f"the rules are {main}"
    if state.get("settings", {}).get("only_allow_merge_if_pipeline_succeeds") is not True:
        yield f"the project's settings are {state.get('settings')}"
    if state.get("approvals", {}).get("merge_requests_author_approval") is not False:
        yield f"approvals are {state.get('approvals')}"


def never_open(branches, asked):
    """`main` was protected all the time, from when it first was."""
    before = any(it["name"] == "main" for it in branches)
    for method, path, protected in asked:
        if before and not protected:
            yield f"{method} {path} left main without protection"
        before = before or protected


# Rules that match `main` too: their name, who may push and who may merge, whether by force, and what is said of it.
BESIDE = [
    ("*", [DEVELOPERS], [DEVELOPERS], False, "*: push, merge"),
    ("ma*", [NOBODY], [SOMEONE], False, "ma*: merge"),
    ("*n", [MAINTAINERS], [MAINTAINERS], False, "*n: push"),
    ("m*n", [DEPLOY_KEY], [NOBODY], False, "m*n: push"),
    ("main*", [NOBODY], [MAINTAINERS], True, "main*: force push"),
]
HARMLESS = [
    ("*", [NOBODY], [MAINTAINERS], False),
    ("ma*", [], [NOBODY], False),
    ("release-*", [DEVELOPERS], [DEVELOPERS], True),
]
# More than a page of them, before the one that counts.
MANY = [branch(f"release-{number}", [DEVELOPERS], [DEVELOPERS]) for number in range(120)]


def beside(tally, tree, folder):
    """GitLab follows the rule that allows most, so another one can leave `main` open."""
    own = BEFORE["GitLab's own rule"]
    for name, push, merge, force, said in BESIDE:
        for some in ([], MANY):
            project = Project(tree, folder, [*own, *some, branch(name, push, merge) | {"allow_force_push": force}])
            tally.refused(f"branch rules: {name} beside, after {len(some)} others", project.ruled(), said)
            tally.check(f"branch rules: {name} beside, and main's own are set", right(project.state()))
    project = Project(tree, folder, [*own, branch("*", [DEVELOPERS], [])], refuses="POST")
    said = project.ruled()
    tally.refused("branch rules: approvals without Premium", said, "403 Forbidden")
    tally.refused("branch rules: approvals without Premium, and * beside", said, "*: push")
    others = [branch(name, push, merge) | {"allow_force_push": force} for name, push, merge, force in HARMLESS]
    project = Project(tree, folder, [*MANY, *own, *others])
    tally.check("branch rules: others that open nothing", [*project.ruled(), *right(project.state())])


def check(tally, tree, folder):
    beside(tally, tree, folder)
    for name, branches in BEFORE.items():
        project = Project(tree, folder, branches)
        tally.check(f"branch rules: from {name}", [*project.ruled(), *right(project.state())])
        first = project.state()
        tally.check(f"branch rules: from {name}, never open", never_open(branches, first["asked"]))
        again = [*project.ruled(), *right(project.state())]
        again += [] if project.state()["branches"] == first["branches"] else ["the second time changed something"]
        tally.check(f"branch rules: from {name}, and again", again)
    others = Project(tree, folder, BEFORE["others of like names"])
    others.ruled()
    kept = [it for it in others.state()["branches"] if it["name"] != "main"]
    tally.check("branch rules: other branches stay", [] if kept == BEFORE["others of like names"] else [f"now {kept}"])
    for method in ("PUT", "GET", "PATCH"):
        project = Project(tree, folder, BEFORE["GitLab's own rule"], refuses=method)
        tally.refused(f"branch rules: GitLab refuses {method}", project.ruled(), "403 Forbidden")
    open_for_a_while = [["DELETE", "projects/7/protected_branches/main", False], ["POST", "projects/7/protected_branches", True]]
    found = never_open(BEFORE["GitLab's own rule"], open_for_a_while)
    tally.refused("branch rules: a protection taken away first", found, "left main without protection")
