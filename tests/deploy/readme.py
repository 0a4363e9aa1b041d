"""The commands that the tree's READMEs show: each is typed by a test as it stands, or said to be typed by none.

The six steps type the blocks that `manual.PLAYED` names. What is typed here: everything else that needs no cluster and no
account. Of the others, which deploy/README.md lists as not checked, `sluice` itself reads its words, and paths are looked up.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

import manual
import yaml
from programs import failure, stand_in

# The last for its runbooks.
READMES = ("README.md", "infrastructure/terraform/README.md", "infrastructure/crossplane/README.md", "dashboards/README.md")
READMES += ("dashboards/rules.yaml",)
# What a command in backquotes begins with; a name alone is no command.
PROGRAMS = {"argocd", "cargo", "cp", "docker", "gcloud", "gh", "git", "glab", "grep", "helm", "kubectl", "make", "mkdir"}
PROGRAMS |= {"mlflow", "mv", "perl", "rm", "sed", "sluice", "terraform"}
# What other checks of the project run.
ELSEWHERE = {
    "cargo xtask image",
    "cargo xtask image --gpu",
    "cargo xtask test-deploy",
    "cargo xtask test-deploy --only gate",
    "cargo xtask test-deploy --only six-steps",
    "cargo test -p tests cluster",
    "terraform fmt",
}
# What a mention in the text may lack, and a command may not.
UNFINISHED = ("required arguments were not provided", "a value is required for")
USAGE = 2
# The registry, hosts and buckets of the examples, where nobody listens; and what Prometheus puts in a runbook.
NOWHERE = [(r"https?://[\w.{}-]*example\.com|\bURL\b", "http://127.0.0.1:9"), (r"gs://", "file:///nowhere/")]
NOWHERE += [(r"\{\{ \$labels\.\w+ \}\}", "NAME")]
IMAGE = "registry.example.com/ml/sluice"
PINS = [f"sha256:{digit * 64}" for digit in "ab"]
# The blocks that are typed here, by what is in them.
PIN, GITHUB, GITLAB, PUSH, RULES, SCRIPTS = TYPED = (
    "xargs perl",
    "mkdir -p .github",
    "mkdir -p .gitlab",
    "git push -u origin main",
    "ci/gitlab/branch-rules.py PROJECT-ID",
    "ci/values.sh && ci/render.sh",
)
NEW_MODEL = "cp -r models/fraud-detection models/NAME && cp -r staging/fraud-detection staging/NAME"
LOOKED_FOR = "grep -rE --exclude-dir=.git 'example.com|acme|ml-serving|ml-engineers|slack|europe-west4' ."


class Manual:
    """The READMEs, by their path."""

    def __init__(self, folder):
        self.texts = {name: (folder / name).read_text(encoding="utf-8") for name in READMES}
        self.text = self.texts["README.md"]
        self.told = set(spans(self.text.partition("Not checked")[2].partition("Known limits")[0]))

    def blocks(self):
        return [block.strip() for text in self.texts.values() for block in manual.blocks(text)]

    def typed(self):
        """What tests type: blocks, and commands within the text."""
        parts = [*manual.PLAYED.values(), *TYPED]
        return {manual.block(self.text, part) for part in parts}

    def others(self):
        """Commands that no test types, each as one line, and whether it stands in a block."""
        typed = self.typed()
        for block in self.blocks():
            if block not in typed:
                yield from ((command, True) for command in commands(block))
        for text in self.texts.values():
            for span in spans(re.sub(r"```.*?```", "", text, flags=re.S)):
                words = span.split()
                if len(words) > 1 and words[0] in PROGRAMS and span not in (NEW_MODEL, LOOKED_FOR):
                    yield span, False


def spans(text):
    return [re.sub(r"\s+", " ", it) for it in re.findall(r"`([^`]+)`", text)]


def commands(block):
    """Each command of a block, whole, in one line."""
    joined = re.sub(r"(\\|\|)\n\s*", lambda found: found[1].strip("\\") + " ", block)
    for line in joined.splitlines():
        yield from re.split(r"\s(?:&&|\|)\s+", re.sub(r"\s+#\s.*", "", line).strip())


def inner(command):
    """What a command hands on to be run: in a pod, or for each line."""
    return re.sub(r"^xargs -I\{\} ", "", command)


def unrun(shown):
    """Commands that no test types, and that the list of what is not checked does not name."""
    for command, _ in shown.others():
        start = " ".join(inner(command).split()[:2])
        known = command in ELSEWHERE or inner(command).split()[0] == "sluice" or rendering(command)
        if not known and start not in shown.told:
            yield f"no test runs `{command}`, and nobody says so"


def rendering(command):
    """The folder that a command renders."""
    found = re.match(r"kubectl kustomize (\S+)$", command) or re.match(r"kubectl apply -k (\S+)$", command)
    return found and found[1]


def rendered(tree, shown, kubectl):
    for command, _ in shown.others():
        folder = rendering(command)
        if folder:
            yield from failure([kubectl, "kustomize", folder], cwd=tree.folder)


def read(tree, shown, program):
    """Each line with `sluice` in it, as the program itself reads its words: nothing listens where it is sent."""
    count = 0
    for command, whole in [*shown.others(), *((it, True) for block in shown.typed() for it in commands(block))]:
        words = re.sub(r".* -- (?=sluice )", "", inner(command))
        if words.split()[0] != "sluice":
            continue
        count += 1
        for pattern, nowhere in NOWHERE:
            words = re.sub(pattern, nowhere, words)
        environment = {**os.environ, "SLUICE_ADMIN_URL": "http://127.0.0.1:9"}
        command = [program, *shlex.split(words)[1:]]
        done = subprocess.run(command, cwd=tree.folder, env=environment, capture_output=True, text=True, timeout=60)
        unfinished = not whole and any(it in done.stderr for it in UNFINISHED)
        if done.returncode == USAGE and not unfinished:
            yield f"sluice does not take `{words}`: {done.stderr.strip()}"
    if not count:
        yield "no README shows sluice"


def paths(tree, shown):
    """Files that a command names, of those that lie in the tree."""
    tops = {it.name for it in tree.folder.iterdir() if it.is_dir()}
    for command, _ in shown.others():
        for word in command.split():
            path = word.strip("'\"")
            if path.split("/")[0] in tops and "/" in path and not (tree.folder / path).exists():
                yield f"`{command}`: there is no {path}"


def objects(tree, shown, kubectl):
    """Names of a cluster's objects: those that the tree renders, or asks for."""
    whole = tree.kustomize(kubectl, "fraud-detection", "production")
    for deployment in re.findall(r"exec deploy/(\S+)", shown.text):
        if f"name: {deployment}\n" not in whole:
            yield f"nothing is named {deployment}"
    for label, value in re.findall(r"([\w./]+)=([\w-]+)", "".join(re.findall(r" -l (\S+)", shown.text))):
        if f"{label}: {value}\n" not in whole:
            yield f"no object has {label}: {value}"
    [policy] = [it for it in yaml.safe_load_all(whole) if it["kind"] == "NetworkPolicy"]
    [(label, value)] = re.findall(r"kubectl label namespace NAME (\S+)=(\w+)", shown.text)
    asked = {"matchExpressions": [{"key": label, "operator": "In", "values": [value]}]}
    if {"namespaceSelector": asked} not in policy["spec"]["ingress"][0]["from"]:
        yield f"the NetworkPolicy does not ask for {label}={value}"
    [port] = set(re.findall(r"\{model\}-model-serving\.ml-staging\.svc:(\d+)", shown.text))
    services = {it["metadata"]["name"]: it for it in yaml.safe_load_all(whole) if it["kind"] == "Service"}
    ports = {it["name"]: it["port"] for it in services["fraud-detection-model-serving"]["spec"]["ports"]}
    if ports["http"] != int(port):
        yield f"the Service has no HTTP at port {port}"


class Typist:
    """Types blocks of the README in the tree, which is a clone of a bare repository, with one's own programs."""

    def __init__(self, tree, shown, given, folder):
        self.tree, self.shown, self.origin = tree, shown, folder / "origin.git"
        programs, self.gitlab = folder / "readme-bin", folder / "readme-gitlab.json"
        stand_in(programs, "helm")
        stand_in(programs, "glab")
        for name in ("kubectl", "sluice"):
            (programs / name).symlink_to(vars(given)[name])
        who = {f"GIT_{role}_{key}": "ml@example.com" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
        self.environment = {**os.environ, **who, "PATH": f"{programs}:{os.environ['PATH']}", "GITLAB": str(self.gitlab)}
        self.gitlab.write_text('{"branches": [], "asked": [], "last_id": 100}', encoding="utf-8")
        self.run("git", "init", "--quiet", "--bare", "--initial-branch=main", self.origin)
        self.run("git", "init", "--quiet", "--initial-branch=main")
        self.run("git", "remote", "add", "origin", self.origin)

    def run(self, *command):
        subprocess.run(command, cwd=self.tree.folder, env=self.environment, check=True, capture_output=True, timeout=60)

    def block(self, part, examples=None):
        return self.script(manual.filled(manual.block(self.shown.text, part), examples or {}))

    def script(self, script):
        return failure(["bash", "-euo", "pipefail", "-c", script], cwd=self.tree.folder, env=self.environment)

    def pinned(self, digest):
        """After the README's own command, everything that starts the image says its digest."""
        yield from self.block(PIN, {"sha256:…": digest})
        found = []
        for path in sorted(it for it in self.tree.folder.rglob("*") if it.suffix in (".yaml", ".yml") and it.is_file()):
            for name in re.findall(r"\S*ml/sluice[:@]\S*", path.read_text(encoding="utf-8")):
                found.append(str(path.relative_to(self.tree.folder)))
                if name != f"{IMAGE}:0.1.0@{digest}":
                    yield f"{found[-1]} says {name}"
        starts = ("base/model-serving-deployment.yaml", "base/model-serving-witness.yaml", "ci/gitlab/.gitlab-ci.yml")
        yield from (f"{it} names no image" for it in starts if it not in found)

    def placed(self):
        """After the README's own commands, the hosts find what is theirs."""
        yield from self.block(GITHUB)
        yield from self.block(GITLAB)
        for path in (".github/workflows/pull-request.yaml", ".github/workflows/report.yaml", ".github/CODEOWNERS"):
            yield from [] if (self.tree.folder / path).is_file() else [f"{path} is not there"]
        for path in (".gitlab-ci.yml", ".gitlab/CODEOWNERS"):
            yield from [] if (self.tree.folder / path).is_file() else [f"{path} is not there"]

    def pushed(self):
        yield from self.block(PUSH)
        there = subprocess.run(
            ["git", "ls-tree", "-r", "--name-only", "main"], cwd=self.origin, capture_output=True, text=True, timeout=60
        ).stdout.splitlines()
        for path in (".github/CODEOWNERS", ".gitlab-ci.yml", "base/release.pub", "ci/gate.sh"):
            yield from [] if path in there else [f"{path} was not pushed"]

    def new_model(self, kubectl):
        """A copy under another name is a model."""
        yield from self.script(NEW_MODEL.replace("NAME", "another"))
        for folder in ("models/another", "staging/another"):
            for path in (self.tree.folder / folder).glob("*.yaml"):
                text = path.read_text(encoding="utf-8").replace("fraud-detection", "another")
                path.write_text(re.sub(r"stable:\n.*\n", "", text), encoding="utf-8")
            yield from failure([kubectl, "kustomize", folder], cwd=self.tree.folder)
        self.tree.build_dependencies()
        text = self.tree.helm("another", "production")
        yield from [] if "name: another-model-serving" in text else ["nothing is named after it"]


def planted(tally, tree, line, check, expected, fenced=True):
    """A README with one more line in it is refused by that check."""
    path = tree.folder / "README.md"
    whole = path.read_text(encoding="utf-8")
    shown = f"```sh\n{line}\n```" if fenced else f"`{line}`"
    path.write_text(f"{shown}\n{whole}", encoding="utf-8")
    tally.refused(f"README: {line}", check(Manual(tree.folder)), expected)
    path.write_text(whole, encoding="utf-8")


def check(tally, tree, given, folder):
    shown = Manual(tree.folder)
    tally.check("READMEs: each command is typed by a test, or said not to be", unrun(shown))
    tally.check("READMEs: sluice takes the words of each line", read(tree, shown, given.sluice))
    tally.check("READMEs: paths in commands are there", paths(tree, shown))
    tally.check("READMEs: what is rendered renders", rendered(tree, shown, given.kubectl))
    tally.check("README: names of objects are those of the tree", objects(tree, shown, given.kubectl))
    for line in ("make deploy", "git reset --hard main", "kubectl kustomize elsewhere --enable-helm", "ci/gate.sh main"):
        planted(tally, tree, line, unrun, f"`{line}`")
    planted(tally, tree, "git push --force", unrun, "`git push --force`", fenced=False)
    sluice = lambda now: read(tree, now, given.sluice)
    planted(tally, tree, "kubectl -n ml exec deploy/a -- sluice abort --now fraud-detection", sluice, "--now")
    planted(tally, tree, "sluice check values.yaml", sluice, "--registry")
    planted(tally, tree, "sluice check FILE --stagin URL", sluice, "--stagin", fenced=False)
    planted(tally, tree, "kubectl apply -f argocd/apps.yaml", lambda now: paths(tree, now), "argocd/apps.yaml")
    typist = Typist(tree, shown, given, folder)
    tally.check("README: what is to be changed is found", typist.script(LOOKED_FOR))
    tally.check("README: the image is pinned by what it shows", typist.pinned(PINS[0]))
    tally.check("README: pipelines and owners get where the hosts look", typist.placed())
    tally.check("README: and a later image is pinned there, too", typist.pinned(PINS[1]))
    tally.check("README: the tree is pushed", typist.pushed())
    tally.check("README: GitLab's rules", typist.block(RULES, {"PROJECT-ID": 7}))
    tally.check("README: the pull request's scripts", typist.block(SCRIPTS))
    tally.check("README: a new model", typist.new_model(given.kubectl))
