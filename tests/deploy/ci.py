#!/usr/bin/env python3
"""The pipelines are valid, name what is required, and are red when a command is."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

import branch_rules
import in_docker
import readme
from programs import failure, stand_in
from tally import Tally
from tree import Tree, arguments

# Stands in for `sluice`: writes down how it was called, and fails for a file that holds the word.
STUB = """#!/bin/sh
echo "$@" >> "$CALLS"
if [ "$1" = check ]; then echo "<checked/>"; fi
if [ "$1" = check ] && grep -q refuse-me "$2"; then exit 1; fi
"""
REQUIRED = ["values", "render", "gate"]
PRODUCTION, STAGING = (f"models/fraud-detection/values-{it}.yaml" for it in ("production", "staging"))


class Repository:
    """A clone of the tree on a branch, with the stub in place of sluice."""

    def __init__(self, tree, folder):
        self.folder, self.calls = tree.folder, folder / "calls"
        program = folder / "bin/sluice"
        program.parent.mkdir()
        program.write_text(STUB, encoding="utf-8")
        program.chmod(0o755)
        hosts = ("GITHUB_ACTIONS", "GITLAB_CI")
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in hosts},
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "REGISTRY_URL": "http://mlflow",
            "STAGING_URL": "http://{model}.staging",
            "STATUS_URL": "http://{model}.{environment}",
        }
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("tree")

    def git(self, *words):
        author = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        done = subprocess.run(["git", *author, *words], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def append(self, path, line):
        file = self.folder / path
        file.write_text(file.read_text(encoding="utf-8") + f"# {line}\n", encoding="utf-8")

    def script(self, *words, host=None):
        """What a script complains about, and how it called sluice."""
        self.calls.write_text("", encoding="utf-8")
        environment = {**self.environment, **({host: "true"} if host else {})}
        problems = failure(words, cwd=self.folder, env=environment)
        calls = self.calls.read_text(encoding="utf-8").splitlines()
        return problems, [re.sub(r"--merged \S+/merged\.yaml", "--merged FILE", call) for call in calls]


def same(said, expected):
    return [] if said == expected else [f"{said}, and {expected} was expected"]


def gate(tally, repository):
    """The gate from a first bump to its rollback."""
    start = repository.git("rev-parse", "HEAD")
    ask = ["ci/gate.sh", start]
    tally.check("gate: nothing changed, nothing asked", same(repository.script(*ask), ([], [])))
    repository.append(STAGING, "one")
    repository.commit("staging")
    checked = "--registry http://mlflow --public-key base/release.pub"
    staging = f"check {STAGING} {checked}"
    tally.check("gate: staging does not ask staging", same(repository.script(*ask), ([], [staging])))
    repository.append(PRODUCTION, "two")
    repository.commit("production")
    production = f"check {PRODUCTION} {checked} --staging http://fraud-detection.staging --merged FILE"
    tally.check("gate: production asks staging", same(repository.script(*ask), ([], [production, staging])))
    annotated = [f"{it} --format github" for it in (production, staging)]
    tally.check("gate: annotations on GitHub", same(repository.script(*ask, host="GITHUB_ACTIONS"), ([], annotated)))
    filed = [f"{it} --format junit" for it in (production, staging)]
    tally.check("gate: JUnit on GitLab", same(repository.script(*ask, host="GITLAB_CI"), ([], filed)))
    tally.check("gate: a file for each report", reports(repository))
    repository.append(PRODUCTION, "refuse-me")
    bad = repository.commit("bad")
    problems, calls = repository.script(*ask)
    tally.check("gate: all are asked after a refusal", same(calls, [production, staging]))
    tally.refused("gate: a version that check refuses", problems, "2 values files changed, 1 refused")
    repository.git("revert", "--no-edit", "HEAD")
    tally.check("gate: a rollback is not held up", same(repository.script("ci/gate.sh", bad), ([], [])))
    before = repository.git("rev-parse", "HEAD")
    another = PRODUCTION.replace("fraud-detection", "another")
    (repository.folder / another).parent.mkdir()
    (repository.folder / another).write_bytes((repository.folder / PRODUCTION).read_bytes())
    repository.commit("a new model")
    new = repository.script("ci/gate.sh", before)
    tally.check("gate: a new model's production does not ask staging", same(new, ([], [f"check {another} {checked}"])))
    repository.git("reset", "--quiet", "--hard", before)
    tally.refused("gate: a base that is not there", repository.script("ci/gate.sh", "0" * 40)[0], "fatal")
    reported = repository.script("ci/report.sh", start)
    expected = f"report {PRODUCTION} {STAGING} --status http://{{model}}.{{environment}} --timeout 110m"
    tally.check("report: each changed file", same(reported, ([], [expected])))
    tally.check("report: nothing changed, nothing said", same(repository.script("ci/report.sh", "HEAD"), ([], [])))
    repository.git("switch", "--quiet", "--orphan", "first")
    repository.git("checkout", start, "--", ".")
    repository.commit("the tree")
    tally.check("report: the first commit of all", same(repository.script("ci/report.sh", "0" * 40), ([], [])))
    repository.git("switch", "--quiet", "main")
    first = repository.script("ci/report.sh", "0" * 40)
    tally.check("report: a pipeline without a commit before", same(first, ([], [expected.replace(f" {STAGING}", "")])))


def bypasses(tally, repository):
    """What would pass the gate without being checked."""
    file = repository.folder / PRODUCTION
    repository.git("switch", "--quiet", "--create=topic")
    repository.append(PRODUCTION, "on the way")
    repository.commit("on the way")
    passing = file.read_bytes()
    repository.append(PRODUCTION, "in the end")
    repository.commit("in the end")
    repository.git("switch", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "topic")
    merged = repository.git("rev-parse", "HEAD")
    file.write_bytes(passing)
    repository.commit("what nobody merged")
    _, calls = repository.script("ci/gate.sh", merged)
    tally.check("gate: what only a branch had is no rollback", same([it.split()[1] for it in calls], [PRODUCTION]))
    before = repository.git("rev-parse", "HEAD")
    repository.append("base/release.pub", "another")
    repository.commit("key")
    _, calls = repository.script("ci/gate.sh", before)
    every = repository.git("ls-files", "models/*/values-*.yaml").splitlines()
    tally.check("gate: another key, and every file is checked", same([it.split()[1] for it in calls], every))
    before = repository.git("rev-parse", "HEAD")
    target = file.with_name("elsewhere.yaml")
    file.rename(target)
    file.symlink_to(target.name)
    repository.commit("link")
    tally.refused("gate: a file that is a link", repository.script("ci/gate.sh", before)[0], "1 refused")


def reports(repository):
    """What GitLab is told to collect is what the script writes, for each changed file."""
    pipeline = yaml.safe_load((repository.folder / "ci/gitlab/.gitlab-ci.yml").read_text(encoding="utf-8"))
    pattern = pipeline["gate"]["artifacts"]["reports"]["junit"]
    written = {it.name: it.read_text(encoding="utf-8") for it in repository.folder.glob(pattern)}
    yield from same(sorted(written), [f"fraud-detection-values-{it}.xml" for it in ("production", "staging")])
    yield from same(set(written.values()), {"<checked/>\n"})


def values(tally, tree, repository):
    files = " ".join(sorted(str(tree.values(*it).relative_to(tree.folder)) for it in tree.instances()))
    tally.check("values: every file at once", same(repository.script("ci/values.sh"), ([], [f"validate {files}"])))


def rendered(tally, tree, given, folder):
    """`ci/render.sh` with the real kubectl, and the real Helm behind a program of that name."""
    programs = folder / "render-bin"
    stand_in(programs, "helm")
    (programs / "kubectl").symlink_to(given.kubectl)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    script = tree.folder / "ci/render.sh"
    tally.check("render: everything", failure([script], env=environment))
    path = tree.folder / PRODUCTION
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("autoscaling:", "autoscalling:"), encoding="utf-8")
    tally.refused("render: a key that the chart does not know", failure([script], env=environment), "autoscalling")
    path.write_text(text, encoding="utf-8")


def required(tree):
    """What the branch rules require is what the pipelines have, under that very name."""
    ruleset = json.loads((tree.folder / "ci/github/ruleset.json").read_text(encoding="utf-8"))
    [rule] = [it for it in ruleset["rules"] if it["type"] == "required_status_checks"]
    contexts = [it["context"] for it in rule["parameters"]["required_status_checks"]]
    yield from same(contexts, REQUIRED)
    github = yaml.safe_load((tree.folder / "ci/github/workflows/pull-request.yaml").read_text(encoding="utf-8"))
    yield from same([it["name"] for it in github["jobs"].values()], REQUIRED)
    gitlab = yaml.safe_load((tree.folder / "ci/gitlab/.gitlab-ci.yml").read_text(encoding="utf-8"))
    jobs = [name for name, job in gitlab.items() if "script" in job and ".merge-request" in job.get("extends", [])]
    yield from same(jobs, REQUIRED)
    for name in REQUIRED:
        script = f"ci/{name}.sh"
        if not os.access(tree.folder / script, os.X_OK):
            yield f"{script} cannot be run"
        if script not in str(github["jobs"][name]) or script not in str(gitlab[name]):
            yield f"{name} does not run {script}"


def apart(tree):
    """A report, which waits for a whole rollout, holds no runner of the checks, and may take that long."""
    github, report = (
        yaml.safe_load((tree.folder / f"ci/github/workflows/{it}.yaml").read_text(encoding="utf-8"))["jobs"]
        for it in ("pull-request", "report")
    )
    yield from same(report["report"]["runs-on"], ["self-hosted", "ml-report"])
    yield from (f"{name} is run where reports are" for name, job in github.items() if "ml-report" in job["runs-on"])
    gitlab = yaml.safe_load((tree.folder / "ci/gitlab/.gitlab-ci.yml").read_text(encoding="utf-8"))
    yield from same(gitlab["report"]["tags"], ["ml-report"])
    yield from same(gitlab["default"]["tags"], ["ml"])
    [minutes] = re.findall(r"--timeout (\d+)m", (tree.folder / "ci/report.sh").read_text(encoding="utf-8"))
    if not int(minutes) < report["report"]["timeout-minutes"] <= 120:
        yield f"the job ends after {report['report']['timeout-minutes']} minutes, and the report after {minutes}"


def owned(tree):
    """A tech lead approves production, and no line names what is not there."""
    lines = (tree.folder / "ci/CODEOWNERS").read_text(encoding="utf-8").splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]
    elsewhere = ("/.github/", "/.gitlab/", "/.gitlab-ci.yml")
    for pattern, *_ in rules:
        if pattern not in elsewhere and not list(tree.folder.glob(pattern.strip("/"))):
            yield f"{pattern} matches nothing"
    approve = {"values-production.yaml": "@acme/ml-tech-leads", "values-staging.yaml": "@acme/ml-engineers"}
    # The rest of a model's folder is production, too: what it renders, and what could be put there.
    for model in tree.models():
        names = [it.name for it in (tree.folder / "models" / model).iterdir() if it.is_file()]
        for path in (Path("models") / model / name for name in [*names, "templates/new.yaml"]):
            matching = [owners for pattern, *owners in rules if path.match(pattern[1:]) or f"/{path}".startswith(pattern)]
            yield from same(matching[-1], [approve.get(path.name, "@acme/ml-platform")])


def valid(program, tree):
    """The hosts' own schemas."""
    for schema, pattern in (("github-workflows", "github/workflows/*.yaml"), ("gitlab-ci", "gitlab/.gitlab-ci.yml")):
        for path in sorted((tree.folder / "ci").glob(pattern)):
            yield from failure([program, "--builtin-schema", f"vendor.{schema}", path])


def pinned(tree):
    """Actions of others are named by commit: a tag can be moved."""
    for path in sorted((tree.folder / "ci/github/workflows").glob("*.yaml")):
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            for step in job["steps"]:
                commit = step.get("uses", "@" + "0" * 40).rpartition("@")[2]
                if len(commit) != 40:
                    yield f"{path.name} uses {step['uses']}"


def main():
    given = arguments(__doc__, "--check-jsonschema", "--kubectl", "--sluice")
    tally = Tally()
    with Tree(given.deploy).copy() as tree, tempfile.TemporaryDirectory() as folder:
        tally.check("pipelines fit their hosts' schemas", valid(given.check_jsonschema, tree))
        tally.check("required checks are there", required(tree))
        tally.check("reports hold no runner of the checks", apart(tree))
        tally.check("owners", owned(tree))
        tally.check("actions are pinned", pinned(tree))
        scripts = sorted((tree.folder / "ci").rglob("*.sh"))
        tally.check(f"{len(scripts)} scripts are bash", [it for path in scripts for it in failure(["bash", "-n", path])])
        repository = Repository(tree, Path(folder))
        values(tally, tree, repository)
        rendered(tally, tree, given, Path(folder))
        gate(tally, repository)
        bypasses(tally, repository)
        branch_rules.check(tally, tree, Path(folder))
        in_docker.check(tally, given, Path(folder))
        workflow = tree.folder / "ci/github/workflows/pull-request.yaml"
        workflow.write_text(workflow.read_text(encoding="utf-8").replace("runs-on", "run-on"), encoding="utf-8")
        tally.refused("a misspelt key of a workflow", valid(given.check_jsonschema, tree), "run-on")
    with Tree(given.deploy).copy() as tree, tempfile.TemporaryDirectory() as folder:
        readme.check(tally, tree, given, Path(folder))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
