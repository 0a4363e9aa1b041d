#!/usr/bin/env python3
"""The six steps of deploy/README.md, for real: train, bump, check, merge, canary, roll back.

A real MLflow (with SQLite, and with Postgres 15 behind it), a bucket of S3's protocol, the tree in a Git repository of its
own with its own gate, two servers that run as the Deployment says, and mounts that change as a kubelet changes them. What
stands in for the cluster: the rendered ConfigMap is written to the mount by this program. One version is promoted, one is
taken back in the middle of its trial, and one is sent back by itself and then reverted. What is typed are the README's own
lines, with this test's names in place of its examples; all of it is printed, with what came of it.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import manual
from bucket import Bucket
from kubelet import Server, mount, remount
from mlflow_server import MlflowServer
from postgres import Postgres
from programs import paths
from repository import Repository
from replay import CALLERS, Replay
from running import text
from tally import Tally
from tree import documents

MODEL = "fraud-detection"
FIRST, BETTER, REGRETTED, CARELESS = "v2.3.0", "v2.3.1", "v2.3.2", "v2.4.0"
READY_SECONDS = 90
RATE = 60
# What is looked at before it is said that a trial gets nothing any more.
ANSWERS_AFTER = 120
ANSWERS_SECONDS = 60


class World:
    """Everything around `sluice`, and the transcript."""

    def __init__(self, given, folder, registry, bucket, repository):
        self.given, self.folder = given, folder
        self.registry, self.bucket, self.repository = registry, bucket, repository
        self.servers, self.played = {}, set()
        self.manual = (given.deploy / "README.md").read_text(encoding="utf-8")

    def typed(self, *words, **options):
        """Runs a program, as a person would type it."""
        words = list(map(str, words))
        program = {"sluice": self.given.sluice, "python": self.given.mlflow}.get(words[0], words[0])
        return self.ran([program, *words[1:]], " ".join(words), **options)

    def play(self, name, examples, **options):
        """Types a block of deploy/README.md, with one's own in place of `examples`."""
        self.played.add(name)
        script = manual.filled(manual.block(self.manual, manual.PLAYED[name]), examples)
        return self.ran(["bash", "-euo", "pipefail", "-c", script], script, **options)

    def ran(self, command, shown, code=0, show=(), folder=None):
        """Prints what is typed, and gives what it said; another exit status than `code` is the end."""
        print("$ " + self.shortened(shown).replace("\\\n", "\\\n> ").replace("\n", "\n$ ").replace("\n$ >", "\n>"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING")}
        done = subprocess.run(
            command,
            cwd=folder or self.repository.folder,
            env={**kept, "PATH": f"{self.repository.programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        said = done.stdout + done.stderr
        for line in said.splitlines():
            if not show or any(part in line for part in show):
                print(f"    {self.shortened(line)}")
        if done.returncode != code:
            raise SystemExit(f"it ended with {done.returncode}, and {code} was expected: {said}")
        return said

    def shortened(self, line):
        places = {self.repository.folder: ".", self.repository.merged: "merged", self.folder: "…", self.given.zoo: "zoo"}
        for place, name in places.items():
            line = line.replace(str(place), name)
        return line

    def trained(self, label, seed, *words):
        """Step 1: what the training's program printed, and the artifact from MLflow to the bucket."""
        program = Path(__file__).with_name("train.py")
        place = ["--zoo", self.given.zoo, "--tracking-uri", self.registry.url, "--work", self.folder / "training"]
        said = self.typed("python", program, "--label", label, "--seed", seed, *words, *place)
        run = json.loads(said.splitlines()[-1])
        work = self.folder / "artifacts" / label
        shutil.copytree(self.folder / "training" / MODEL / label / "golden", work / "golden")
        examples = {
            "https://mlflow.example.com": self.registry.url,
            "/17": f"/{run['version']}",
            "gs://acme-ml-ml-artifacts": self.bucket.url,
            "v2.3.1": label,
            "release.pem": self.given.zoo / "keys/zoo.demo-key.pem",
            "RUN": run["run"],
        }
        self.play("publish", examples, folder=work)
        return run

    def tagged(self, run):
        """What the job of the offline tests does when they pass."""
        url = f"{self.registry.url}/api/2.0/mlflow/model-versions/set-tag"
        tag = {"name": MODEL, "version": run["version"], "key": "offline_tests", "value": "passed"}
        print(f"# offline tests passed: version {run['version']} of {MODEL} is tagged so")
        headers = {"content-type": "application/json"}
        asked = urllib.request.Request(url, json.dumps(tag).encode(), headers)
        urllib.request.urlopen(asked, timeout=30).close()

    def bumped(self, environment, label, edit=None):
        """Step 2, on a branch; `edit` is what else is changed in the file: what stood there, and what stands there now."""
        self.play(environment, {"https://mlflow.example.com": self.registry.url, "v2.3.1": label})
        if edit:
            self.repository.edit(f"models/{MODEL}/values-{environment}.yaml", *edit)
            self.repository.add("and something else")

    def gate(self, code=0, show=()):
        """Step 3: the pull request's own script."""
        examples = {
            "https://mlflow.example.com": self.registry.url,
            "https://{model}.staging.example.com": self.servers["staging"].url("http"),
        }
        return self.play("gate", examples, code=code, show=show)

    def rendered(self, environment):
        folder = f"models/{MODEL}" if environment == "production" else f"{environment}/{MODEL}"
        command = [self.given.kubectl, "kustomize", self.repository.merged / folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return documents(done.stdout)

    def synced(self, environment):
        """Step 5: what Argo CD applies, as far as it reaches the pod."""
        print(f"# Argo CD applies {environment}, and the kubelet changes the mount")
        remount(self.folder / environment / "values", "values.yaml", values_of(self.rendered(environment)))

    def started(self, environment):
        objects = self.rendered(environment)
        folder = self.folder / environment
        mount(folder / "values", "values.yaml", values_of(objects))
        self.servers[environment] = server = Server(self.given, objects, folder)
        problems = server.answers("readiness", 200, READY_SECONDS)
        if problems:
            raise SystemExit(f"{environment}: {problems}")

    def waited(self, environment, code=0):
        path = self.repository.merged / f"models/{MODEL}/values-{environment}.yaml"
        admin = self.servers[environment].url("admin")
        words = ["--for=healthy", "--values", path, "--admin", admin, "--timeout", "120s"]
        return self.typed("sluice", "wait", *words, code=code)

    def state(self, environment):
        [model] = json.loads(text(self.servers[environment].url("admin", "/status")))["models"]
        return model

    def stopped(self):
        for server in self.servers.values():
            server.stop()


def values_of(objects):
    [values] = [it for it in objects if it["kind"] == "ConfigMap" and it["metadata"]["name"].endswith("-values")]
    return values["data"]["values.yaml"]


def every_fault(tally, world, backend):
    """The gate against this very registry, before anything is in it: red for each kind of fault by itself."""
    print("\n== step 3, for everything that can be wrong")
    words = [Path(__file__).with_name("gate.py"), "--zoo", world.given.zoo, "--other-key", world.given.other_key]
    words += ["--sluice", world.given.sluice, "--server", world.registry.url, "--backend", backend]
    said = world.typed("python", *words)
    closing = [it for it in said.splitlines() if re.fullmatch(r"\d+ passed, \d+ failed", it)]
    wrong = [] if len(closing) == 1 and re.match(r"[1-9]\d* passed, 0 ", closing[0]) else [f"it closes with {closing}: {said}"]
    tally.check("the gate is red for each kind of fault, and green when nothing is wrong", wrong)


def through_staging(tally, world, label):
    """Steps 2 to 5 in staging, and the pull request for production that has to wait for it."""
    world.bumped("production", label)
    refused = world.gate(code=1, show=("FAILED", "refused"))
    tally.check(f"{label}: the gate waits for staging", [] if "staging serves" in refused else [refused])
    world.repository.leave()
    world.bumped("staging", label)
    world.gate(show=("passed", "refused"))
    world.repository.merge()
    world.synced("staging")
    world.waited("staging")


def into_production(world, label, edit=None):
    world.bumped("production", label, edit)
    world.gate(show=("passed", "refused"))
    world.repository.merge()
    world.synced("production")


def first(world):
    """What was there before: a version in the registry, in the bucket and in both files."""
    run = world.trained(FIRST, 1)
    world.tagged(run)
    world.repository.begin(world.bucket.url, world.given.zoo / "keys/zoo.pub", run["version"])
    for environment in ("staging", "production"):
        world.started(environment)
        world.waited(environment)


def better(tally, world, callers):
    print(f"\n== {BETTER}: step 1, train, register, publish; steps 2 and 3, bump and check")
    run = world.trained(BETTER, 2)
    world.bumped("staging", BETTER)
    refused = world.gate(code=1, show=("FAILED", "refused"))
    tally.check("the gate waits for the offline tests", [] if "offline_tests" in refused else [refused])
    world.repository.leave()
    world.tagged(run)
    through_staging(tally, world, BETTER)
    print("\n== steps 4 and 5: merged, canary, promoted")
    into_production(world, BETTER)
    world.waited("production")
    tally.check("promoted in production", serves(world, BETTER))
    tally.check("by a canary that had live traffic", shares(callers, BETTER))


def regretted(tally, world, callers):
    print(f"\n== {REGRETTED}: nothing is wrong with it, and it is taken back in the middle of its trial")
    run = world.trained(REGRETTED, 4)
    world.tagged(run)
    through_staging(tally, world, REGRETTED)
    # A pause that nobody sees the end of.
    into_production(world, REGRETTED, ("pause: {duration: 2s}", "pause: {duration: 1h}"))
    on_trial = callers.until(lambda: callers.answered_by(REGRETTED, "canary"), ANSWERS_SECONDS)
    tally.check("on trial, with live traffic", [] if on_trial else [f"{world.state('production')}: {callers.told()}"])
    reverted(tally, world, REGRETTED)
    tally.check("stable at once, and nothing on trial", serves(world, BETTER))
    tally.check("its share is back at 0", gets_nothing(callers, REGRETTED))


def gets_nothing(callers, version):
    """As from now no answer is of this version's trial, however many are given."""
    before, total = callers.answered_by(version, "canary"), callers.total()
    if not callers.until(lambda: callers.total() >= total + ANSWERS_AFTER, ANSWERS_SECONDS):
        yield f"{callers.total() - total} answers in {ANSWERS_SECONDS} s"
    after = callers.answered_by(version, "canary")
    # One for each caller may have been on its way.
    if after > before + CALLERS:
        yield f"{after - before} requests were answered by it after the revert"


def careless(tally, world, callers):
    print(f"\n== {CARELESS}: passes every recorded request, answers NaN to real ones")
    run = world.trained(CARELESS, 3, "--careless")
    world.tagged(run)
    through_staging(tally, world, CARELESS)
    into_production(world, CARELESS)
    said = world.waited("production", code=3)
    tally.check("taken out by its NaN", [] if "nan-share" in said else [said])
    tally.check("and stable serves", serves(world, BETTER, "Degraded"))


def rollback(tally, world):
    print("\n== step 6: the revert")
    before = trials(world)
    reverted(tally, world, CARELESS)
    tally.check("stable at once", serves(world, BETTER))
    tally.check("without another trial", [] if trials(world) == before else ["a trial was started"])


def reverted(tally, world, label):
    """Step 6: the last change of the file is taken back, through the same gate."""
    world.play("back", {})
    said = world.gate(show=("rollback", "refused"))
    tally.check(f"{label}: the gate does not hold its revert up", [] if "it was merged before" in said else [said])
    world.repository.merge()
    latest = world.state("production")["history"][-1]
    world.synced("production")
    mounted = time.monotonic()
    world.waited("production")
    # A busy machine's own time is nothing to judge by.
    print(f"# Healthy {time.monotonic() - mounted:.1f} s after the mount changed")
    tally.check(f"{label}: its revert takes no step", steps_since(world, latest))


def steps_since(world, latest):
    """Events by which a version would come in again. What the revert asks for is stable still, and has no way to go."""
    history = world.state("production")["history"]
    for it in history[history.index(latest) + 1 :]:
        print(f"    {it['event']} {it['version']}: {it['reason']}")
        if it["event"] in ("trialStarted", "step", "promoted"):
            yield f"{it['version']} {it['event']}: {it['reason']}"


def trials(world):
    return [it["event"] for it in world.state("production")["history"]].count("trialStarted")


def serves(world, version, phase="Healthy"):
    state = world.state("production")
    if state["phase"] != phase:
        yield f"the phase is {state['phase']}: {state['message']}"
    if state["stable"]["version"] != version:
        yield f"stable is {state['stable']['version']}"
    if state["canary"]:
        yield f"on trial is {state['canary']}"


def shares(callers, version):
    if not callers.answered_by(version, "canary"):
        yield f"no caller was answered by {version} as canary: {callers.told()}"


def callers_were_served(tally, callers):
    print(f"# callers of production: {callers.told()}")
    tally.check("no request was lost", callers.lost)
    tally.check("and every caller asked to the end", callers.stopped_early())
    tally.check("no caller was answered NaN", [f"{callers.nan} were"] if callers.nan else [])


def play(tally, given, folder, registry, backend):
    programs = {"sluice": given.sluice, "mlflow": given.mlflow.with_name("mlflow")}
    with Bucket(given.clients, folder) as bucket, Repository(given.deploy, programs, folder) as repository:
        os.environ.update(bucket.variables())
        world = World(given, folder, registry, bucket, repository)
        rows = json.loads((given.zoo / f"traffic/{MODEL}.json").read_text(encoding="utf-8"))
        try:
            if "://" in str(backend):
                # The check called `gate` plays the same with SQLite.
                every_fault(tally, world, backend)
            first(world)
            ports = {name: server.url("http") for name, server in world.servers.items()}
            # Staging's callers are a fixed set, which happens not to hold what the careless version fails on.
            harmless = [row for row in rows if row[3] + row[5] > 0]
            with Replay(ports["staging"], MODEL, harmless, RATE), Replay(ports["production"], MODEL, rows, RATE) as callers:
                better(tally, world, callers)
                regretted(tally, world, callers)
                careless(tally, world, callers)
                rollback(tally, world)
            callers_were_served(tally, callers)
            tally.check("each block of the README that is to be typed was", manual.PLAYED.keys() - world.played)
        finally:
            world.stopped()


@contextlib.contextmanager
def backend(name, given, folder):
    """What MLflow keeps its registry in."""
    if name == "SQLite":
        yield folder / "mlflow.db"
        return
    with Postgres(given.node_modules, folder) as postgres:
        yield postgres.url


def main():
    flags = ["--deploy", "--zoo", "--sluice", "--kubectl", "--mlflow", "--clients", "--node-modules", "--other-key"]
    given = paths(__doc__, *flags)
    tally = Tally()
    for name in ("SQLite", "Postgres"):
        print(f"\n==== with {name} behind MLflow")
        with tempfile.TemporaryDirectory(prefix="sluice-six-") as folder:
            folder = Path(folder)
            with (
                backend(name, given, folder) as store,
                MlflowServer(folder, store, (folder / "runs").as_uri(), python=given.mlflow) as registry,
            ):
                play(tally, given, folder, registry, store)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
