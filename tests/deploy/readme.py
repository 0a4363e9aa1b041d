"""The commands that the tree's README shows: each is run by a test, or said to be run by none."""

import re

from programs import failure

# What tests run, here and in the six steps, and what only looks.
RUN = ("sed", "mkdir", "cp", "ci/values.sh", "ci/render.sh", "ci/gate.sh", "ci/gitlab/branch-rules.py")
RUN += ("git switch", "git commit", "git revert", "sluice push", "sluice bump", "mlflow artifacts", "kubectl kustomize")
DIGEST = "sha256:" + "0123456789abcdef" * 4


def blocks(text):
    """The shell's blocks, as they would be typed: indented with the list that they are in."""
    return [re.sub(r"(?m)^ {3}", "", it) if it.startswith("   ") else it for it in re.findall(r"```sh\n(.*?)```", text, re.S)]


def commands(text):
    """The programs of those blocks, with their words."""
    for block in blocks(text):
        joined = re.sub(r"(\\|\|)\n", r"\1 ", block).replace("\\ ", "")
        for line in joined.splitlines():
            for command in re.split(r"\s(?:&&|\|)\s", line.partition("  #")[0]):
                words = [it for it in command.split() if not re.match(r"[A-Z_]+=", it)]
                if words:
                    yield " ".join(words)


def unrun(text):
    """Commands that neither a test runs, nor the list of what is not checked names."""
    told = text.partition("Not checked")[2]
    for command in commands(text):
        known = any(f"{command} ".startswith(f"{it} ") for it in RUN)
        if not known and f"`{' '.join(command.split()[:2])}`" not in told and not command.startswith("xargs "):
            yield f"no test runs `{command}`, and nobody says so"


def typed(tree, text, part):
    """Runs the one block that has `part`, in the tree."""
    [block] = [it for it in blocks(text) if part in it]
    lines = [line for line in block.splitlines() if not re.match(r"(gh|ci/gitlab/branch-rules\.py) ", line)]
    script = "\n".join(lines).replace("DIGEST=sha256:…", f"DIGEST={DIGEST}")
    return failure(["bash", "-euc", script], cwd=tree.folder)


def pinned(tree, text):
    """After the README's own command, everything that starts the image says its digest."""
    yield from typed(tree, text, "sed -i")
    for path in sorted(it for it in tree.folder.rglob("*") if it.suffix in (".yaml", ".yml") and it.is_file()):
        for name in re.findall(r"\S*ml/sluice[:@]\S*", path.read_text(encoding="utf-8")):
            if not name.endswith(f":0.1.0@{DIGEST}"):
                yield f"{path.relative_to(tree.folder)} says {name}"


def placed(tree, text):
    """After the README's own commands, the hosts find what is theirs."""
    yield from typed(tree, text, "mkdir -p .github")
    yield from typed(tree, text, "mkdir -p .gitlab")
    for path in (".github/workflows/pull-request.yaml", ".github/workflows/report.yaml", ".github/CODEOWNERS"):
        yield from [] if (tree.folder / path).is_file() else [f"{path} is not there"]
    for path in (".gitlab-ci.yml", ".gitlab/CODEOWNERS"):
        yield from [] if (tree.folder / path).is_file() else [f"{path} is not there"]


def check(tally, tree):
    text = (tree.folder / "README.md").read_text(encoding="utf-8")
    tally.check("README: each command is run, or said not to be", unrun(text))
    planted = "```sh\nmake deploy\n```\n" + text
    tally.refused("README: a command that nobody runs", unrun(planted), "`make deploy`")
    tally.check("README: the image is pinned by what it shows", pinned(tree, text))
    tally.check("README: pipelines and owners get where the hosts look", placed(tree, text))
