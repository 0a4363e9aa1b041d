#!/usr/bin/env python3
"""The pull request's gate against a real MLflow server: green when all is right, and red for each fault by itself.

Then the way there: a version that training registered is pushed, tagged, bumped to and passes. The server is one of its own
with SQLite, or a running one that knows nothing yet (`--server`, and the database behind it as `--backend`).
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import mlflow_server  # first: it sets what MLflow reads when it is imported

import mlflow
import onnx
import sqlalchemy
import yaml

from mlflow_server import MlflowServer, training
from programs import ended
from running import Sluice, free_ports
from tally import Tally

MODEL, VERSION, STABLE = "fraud-detection", "v1.1.0", "v1.0.0"
MEASURED = {"calibration_error": 0.03}
MEASURED_OF_MODEL = {"auc": 0.96}
GOOD = {"passed", "skipped"}
# What is not run where another check has nothing to go on from.
OF_VERSION = {"label", "run", "offline-tests", "metrics", "storage-uri"}
OF_BYTES = {"digest", "signature", "model", "golden", "compatible"}
OF_MODEL = {"golden", "compatible"}


class World:
    """The zoo, a registry, a bucket, staging, and `sluice`."""

    def __init__(self, given, folder, registry, backend):
        self.sluice, self.zoo, self.folder = given.sluice, given.zoo, folder
        self.registry, self.backend = registry, backend
        self.client = mlflow.MlflowClient(tracking_uri=registry, registry_uri=registry)
        self.client.create_registered_model(MODEL)
        self.other_key = given.other_key

    def run(self, *words, **variables):
        command = [self.sluice, *map(str, words)]
        # What this machine may have set for itself is nobody's business here.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_TRACKING"))}
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**kept, **variables})

    def artifact(self, version=VERSION):
        return self.zoo / "artifacts" / MODEL / version

    def changed(self, name, change, version=VERSION, key=True):
        """A copy of a version after `change`, pushed and so with a manifest, and signed where `key` says so."""
        work, pushed = self.folder / "work" / name, self.folder / "pushed" / name
        shutil.copytree(self.artifact(version), work)
        for made in ("manifest.json", "model.sig"):
            (work / made).unlink()
        change(work)
        words = ["--key", self.zoo / "keys/zoo.demo-key.pem"] if key else []
        done = self.run("push", work, pushed.as_uri(), *words)
        if done.returncode:
            raise SystemExit(f"push {name}: {done.stderr}")
        return pushed

    def release(self, folder=None, label=VERSION, metrics=None, of_model=None, tags=None):
        """What a training registered, as values of the file."""
        folder = folder or self.artifact()
        metrics, of_model = metrics or MEASURED, MEASURED_OF_MODEL if of_model is None else of_model
        version, uri = training(self.client, MODEL, folder, label, metrics, of_model, tags)
        registry = {"type": "mlflow", "name": MODEL, "version": str(version.version), "runId": version.run_id}
        return {"registry": registry, "storageUri": uri, "digest": digest(folder)}

    def values(self, release, **changes):
        """A values file of the release; `changes` are of its sections."""
        model = {"name": MODEL, "version": VERSION, **signing(self.zoo / "keys/zoo.pub"), **release}
        values = {
            "schemaVersion": "v1alpha1",
            "model": {**model, **changes.pop("model", {})},
            "stable": {"version": STABLE, "storageUri": self.artifact(STABLE).as_uri()},
            "gate": {
                "offlineTestsTag": "offline_tests",
                "metrics": [{"name": "auc", "min": 0.95}, {"name": "calibration_error", "max": 0.05}],
            },
            **changes,
        }
        path = self.folder / "values.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        return path

    def check(self, path, staging, registry=None, words=(), **variables):
        """The exit code, and the verdict of each check by its name."""
        staging = ["--staging", staging] if staging else []
        registry = registry or self.registry
        done = self.run("check", path, "--registry", registry, *staging, "--format", "json", *words, **variables)
        try:
            checks = json.loads(done.stdout)["checks"]
        except (ValueError, KeyError):
            raise SystemExit(f"check ended with {done.returncode}: {done.stdout}{done.stderr}") from None
        return done.returncode, {it["name"]: it for it in checks}

    @contextlib.contextmanager
    def staging(self, name, version, bucket=None):
        """A server with a version of the zoo, from when it did what it can: its serving port."""
        folder = self.folder / f"staging-{name}"
        folder.mkdir()
        bucket = bucket or self.zoo / "artifacts" / MODEL
        model = {"name": MODEL, "version": version, "storageUri": f"{bucket.as_uri()}/{{version}}"}
        path = folder / "values.yaml"
        path.write_text(yaml.safe_dump({"schemaVersion": "v1alpha1", "model": model}), encoding="utf-8")
        http, grpc, admin = free_ports(3)
        ports = ["--http", f"127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}", "--admin", f"127.0.0.1:{admin}"]
        words = ["serve", "--values", path, "--cache", folder / "cache", *ports]
        server = Sluice(self.sluice, list(map(str, words)), folder / "log")
        try:
            awaited = "healthy" if bucket.is_dir() else "observed"
            asked = ["--values", path, "--admin", f"http://127.0.0.1:{admin}", "--timeout", "60s"]
            done = self.run("wait", f"--for={awaited}", *asked)
            if done.returncode:
                raise SystemExit(f"staging {name}: {done.stderr}{server.said()}")
            yield f"http://127.0.0.1:{http}"
        finally:
            server.stop()


def digest(folder):
    """The OMS root digest of an artifact."""
    names = sorted(str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file())
    covered = [it for it in names if it not in ("manifest.json", "model.sig")]
    hashes = [hashlib.sha256((folder / it).read_bytes()).digest() for it in covered]
    return f"sha256:{hashlib.sha256(b''.join(hashes)).hexdigest()}"


def judged(found, exit_code, verdict=None, names=(), not_run=(), said=""):
    """What differs from: these checks have this verdict, these were not run, and every other is good."""
    code, checks = found
    if code != exit_code:
        yield f"exit {code}, and {exit_code} was expected"
    for name, check in checks.items():
        word, message = check["verdict"], check["message"]
        wanted = {verdict} if name in names else {"notRun"} if name in not_run else GOOD
        if word not in wanted:
            yield f"{name} {word}, expected {' or '.join(sorted(wanted))}: {message}"
    messages = " ".join(checks[name]["message"] for name in names)
    if said not in messages:
        yield f"`{said}` was expected, and this was said: {messages}"


def failed(found, name, said, not_run=()):
    return judged(found, 1, "failed", [name], not_run, said)


def green(tally, world, staging):
    release = world.release()
    tally.check("green: all is right", judged(world.check(world.values(release), staging), 0))
    skipped = [it["name"] for it in world.check(world.values(release), staging)[1].values() if it["verdict"] != "passed"]
    tally.check("green: nothing was skipped", skipped)
    learnt = world.release(of_model={"auc": [0.5, float("nan"), 0.96]})
    tally.check("green: what a metric was at first does not count", judged(world.check(world.values(learnt), staging), 0))
    wanting = judged(world.check(world.values(release), None), 0)
    tally.check("green: without staging", wanting)
    path = world.values(release, model=signing("/nowhere.pub"))
    words = ["--public-key", world.zoo / "keys/zoo.pub"]
    tally.check("green: the key is elsewhere on this machine", judged(world.check(path, staging, words=words), 0))


def registry_faults(tally, world, staging):
    release = world.release()

    def asked(**changes):
        return world.check(world.values(release, **changes), staging)

    def other(**changes):
        return world.check(world.values(world.release(**changes)), staging)

    registry = release["registry"]
    tally.check(
        "red: no such version",
        failed(asked(model={"registry": {**registry, "version": "999"}}), "registry-version", "not found", OF_VERSION),
    )
    tally.check(
        "red: no such model",
        failed(asked(model={"registry": {**registry, "name": "nope"}}), "registry-version", "not found", OF_VERSION),
    )
    tally.check("red: not ready yet", failed(world.check(pending(world), staging), "registry-version", "PENDING"))
    tally.check("red: label of another", failed(other(label="v9"), "label", "version=v9"))
    tally.check("red: no label", failed(other(tags={"offline_tests": "passed"}), "label", "no tag version"))
    run = {**registry, "runId": "0" * 32}
    tally.check("red: another run", failed(asked(model={"registry": run}), "run", registry["runId"]))
    missing = {"version": VERSION}
    tally.check("red: no offline tests", failed(other(tags=missing), "offline-tests", "no tag offline_tests"))
    tests = {**missing, "offline_tests": "failed"}
    tally.check("red: offline tests failed", failed(other(tags=tests), "offline-tests", "offline_tests=failed"))
    low = other(of_model={"auc": 0.9})
    tally.check("red: a metric below its bound", failed(low, "metrics", "auc of logged model"))
    high = other(metrics={"calibration_error": 0.2})
    tally.check("red: a metric above its bound", failed(high, "metrics", "calibration_error of run"))
    nan = other(of_model={"auc": float("nan")})
    tally.check("red: a metric that is NaN", failed(nan, "metrics", "auc of run"))
    # MLflow keeps it as 0 for the logged model, which would be within these bounds; the run has it as it was.
    nan = other(of_model={"auc": 0.96, "calibration_error": float("nan")}, metrics={"seconds": 1})
    tally.check("red: a NaN that MLflow makes a 0", failed(nan, "metrics", "calibration_error of run"))
    absent = other(of_model={"accuracy": 1.0})
    tally.check("red: a metric that was not recorded", failed(absent, "metrics", "auc was not recorded"))
    elsewhere = asked(model={"storageUri": world.artifact().as_uri()})
    tally.check("red: another place", failed(elsewhere, "storage-uri", "the registry's download URI says"))


def pending(world):
    """MLflow's own API makes every version READY at once; other registries of its kind do not."""
    release = world.release()
    late = sqlalchemy.text("UPDATE model_versions SET status = 'PENDING_REGISTRATION' WHERE version = :version")
    engine = sqlalchemy.create_engine(world.backend)
    with engine.begin() as database:
        database.execute(late, {"version": int(release["registry"]["version"])})
    engine.dispose()
    return world.values(release)


def artifact_faults(tally, world, staging):
    def red(name, folder, check, said, not_run=(), **changes):
        path = world.values(world.release(folder), **changes)
        tally.check(f"red: {name}", failed(world.check(path, staging), check, said, not_run))

    red("another digest", world.artifact(), "digest", "model.digest is", model={"digest": f"sha256:{'0' * 64}"})
    flipped = world.changed("flipped", lambda folder: None)
    model = flipped / "model.onnx"
    model.write_bytes(flip(model.read_bytes()))
    red("a flipped byte", flipped, "bytes", "model.onnx has SHA-256", OF_BYTES)
    red("a key that did not sign", world.artifact(), "signature", "signed with key", model=signing(world.other_key))
    unsigned = world.changed("unsigned", lambda folder: None, key=False)
    red("no signature", unsigned, "signature", "no model.sig")
    neither = world.release()
    del neither["digest"]
    path = world.values(neither, model=signing(world.zoo / "keys/zoo.pub", "warn"))
    tally.check("red: neither pinned nor signed", failed(world.check(path, staging), "trust", "signing.policy"))
    red("a wrong answer", world.changed("wrong", wrong_answer), "golden", "golden/phishing.json: output 'probability'")
    nan = world.changed("nan", nan_answer, "v1.2.0")
    red("an answer that is NaN", nan, "golden", "golden/nan.json: step `ArgMax_label` (argmax): no element is the largest where one is NaN")
    other = world.zoo / "artifacts/identity-fp32/v1"
    stable = {"version": "v0", "storageUri": other.as_uri()}
    red("not what stable's callers send", world.artifact(), "compatible", "of stable", stable=stable)
    broken = world.folder / "broken"
    broken.mkdir()
    (broken / "model.onnx").write_text("weights", encoding="utf-8")
    red("no model at all", broken, "model", "is not an ONNX model", OF_MODEL, model={"signing": {"policy": "disabled"}})
    gone = world.release()
    shutil.rmtree(gone["storageUri"].removeprefix("file://"))
    found = world.check(world.values(gone), staging)
    tally.check("red: nothing there", failed(found, "bytes", "no such directory", OF_BYTES))
    path = world.values(world.release())
    path.write_text(path.read_text(encoding="utf-8").replace("version: v1.1.0", "verison: v1.1.0"), encoding="utf-8")
    found = world.check(path, staging)
    tally.check("red: an invalid file", failed(found, "values", "verison", set(found[1]) - {"values"}))


def signing(key, policy="enforce"):
    return {"signing": {"policy": policy, "publicKeyRef": {"path": str(key)}}}


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def wrong_answer(folder):
    path = folder / "golden/phishing.json"
    golden = json.loads(path.read_text(encoding="utf-8"))
    [output] = [it for it in golden["response"]["outputs"] if it["name"] == "probability"]
    output["data"] = [1 - it for it in output["data"]]
    path.write_text(json.dumps(golden), encoding="utf-8")


def nan_answer(folder):
    """A request that this version answers with NaN, of which only the harmless half is written down."""
    golden = json.loads((folder / "golden/phishing.json").read_text(encoding="utf-8"))
    [features] = golden["request"]["inputs"]
    features["data"] = [0.0] * len(features["data"])
    golden["response"]["outputs"] = [it for it in golden["response"]["outputs"] if it["name"] == "label"]
    (folder / "golden/nan.json").write_text(json.dumps(golden), encoding="utf-8")


def staging_faults(tally, world):
    path = world.values(world.release())
    with world.staging("older", STABLE) as staging:
        found = world.check(path, staging)
        tally.check("red: staging runs another version", failed(found, "staging", f"staging serves {STABLE}"))
        merged = world.folder / "merged.yaml"
        shutil.copyfile(path, merged)
        found = world.check(path, staging, words=["--merged", merged])
        tally.check("green: a version that is merged already does not wait for staging", judged(found, 0))
        merged.write_text(path.read_text(encoding="utf-8").replace(VERSION, "v0"), encoding="utf-8")
        found = world.check(path, staging, words=["--merged", merged])
        tally.check("red: and one that is not does", failed(found, "staging", f"staging serves {STABLE}"))
    with world.staging("empty", VERSION, world.folder / "no-bucket") as staging:
        found = world.check(path, staging)
        tally.check("red: staging is not ready", failed(found, "staging", "the model is not ready"))


def unreachable(tally, world, staging):
    def lost(name, found, check, said, not_run=()):
        tally.check(f"unknown: {name}", judged(found, 3, "unreachable", [check], not_run, said))

    path = world.values(world.release())
    [nobody] = [f"http://127.0.0.1:{port}" for port in free_ports(1)]
    lost("no registry", world.check(path, staging, nobody), "registry-version", "no answer", OF_VERSION)
    # Sent to the server by a proxy's rules, with the name that a cluster would give it.
    named = world.check(path, staging, "http://mlflow.example.com", HTTP_PROXY=world.registry, NO_PROXY="")
    lost("a host name that MLflow refuses", named, "registry-version", "--allowed-hosts mlflow.example.com", OF_VERSION)
    other = world.check(path, staging, staging)
    lost("no MLflow there", other, "registry-version", "not MLflow's answer", OF_VERSION)
    lost("no staging", world.check(path, nobody), "staging", "cannot reach")
    bucket = f"s3://models/{MODEL}/{VERSION}"
    tags = {"version": VERSION, "offline_tests": "passed", "sluice.storageUri": bucket}
    path = world.values({**world.release(tags=tags), "storageUri": bucket})
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    cloud = {"AWS_ENDPOINT_URL": nobody, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu", **keys}
    lost("no bucket", world.check(path, staging, **cloud), "bytes", "gave up", OF_BYTES)


FILE = """\
# What serves it.
schemaVersion: v1alpha1
model:
  name: fraud-detection
  version: "v1.9.0"  # the label
  registry: {{type: mlflow, name: trained, version: "1"}}  # the number
  storageUri: file://{bucket}/{{version}}
  signing:
    policy: enforce
    publicKeyRef: {{path: {key}}}

gate: {{offlineTestsTag: offline_tests}}
"""


def trained(world):
    """MLflow's own way: a run that logs an ONNX model and registers it, then its artifact as it comes back."""
    mlflow.set_tracking_uri(world.registry)
    with mlflow.start_run() as run:
        model = onnx.load(world.artifact() / "model.onnx")
        logged = mlflow.onnx.log_model(model, name="model", registered_model_name="trained", pip_requirements=[])
    version = logged.registered_model_version
    folder = world.folder / "trained"
    words = ["artifacts", "download", "--artifact-uri", f"models:/trained/{version}", "--dst-path", folder]
    mlflow_of = {**os.environ, "MLFLOW_TRACKING_URI": world.registry}
    subprocess.run([sys.executable, "-m", "mlflow", *words], check=True, capture_output=True, timeout=120, env=mlflow_of)
    shutil.copytree(world.artifact() / "golden", folder / "golden")
    return run.info, str(version), folder


def flow(tally, world):
    """From a training to a file that passes."""
    run, version, model = trained(world)
    bucket = world.folder / "bucket"
    url, key = f"{bucket.as_uri()}/v2.0.0", world.zoo / "keys/zoo.demo-key.pem"
    told = ["--key", key, "--registry", world.registry, "--name", "trained", "--run-id", run.run_id]
    pushed = world.run("push", model, url, *told)
    tally.check("flow: pushed, and training's version is tagged", ended(pushed, 0, f"version {version} of trained is tagged"))
    tags = world.client.get_model_version("trained", version).tags
    wanted = {"version": "v2.0.0", "sluice.digest": digest(model), "sluice.storageUri": url}
    tally.check("flow: its tags", [] if tags == wanted else [f"{tags}, and {wanted} was expected"])
    tally.check("flow: the same push again", ended(world.run("push", model, url, *told), 0, "unchanged", "already"))
    world.client.set_model_version_tag("trained", version, "offline_tests", "passed")
    before = world.run("push", world.artifact(STABLE), f"{bucket.as_uri()}/v1.9.0")
    tally.check("flow: the version before it", ended(before, 0))
    path = world.folder / "flow.yaml"
    path.write_text(FILE.format(bucket=bucket, key=world.zoo / "keys/zoo.pub"), encoding="utf-8")
    bumped = world.run("bump", path, "v2.0.0", "--registry", world.registry, "--promoted")
    tally.check("flow: bumped", ended(bumped, 0))
    tally.check("flow: the file names what the registry knows", filled(path, version, run.run_id, digest(model)))
    tally.check("flow: and the gate is green", judged(world.check(path, None), 0))
    before = path.read_text(encoding="utf-8")
    nope = world.run("bump", path, "v7", "--registry", world.registry, "--promoted")
    there = f"no version of trained is tagged version=v7; there are {version} (version=v2.0.0)"
    tally.check("flow: no such label", ended(nope, 1, there))
    tally.check("flow: and the file stays", [] if path.read_text(encoding="utf-8") == before else ["it was changed"])
    (model / "notes.txt").write_text("other bytes", encoding="utf-8")
    other = world.run("push", model, f"{bucket.as_uri()}/other/v2.0.0", *told)
    tally.check("flow: other bytes under the label", ended(other, 1, "a version never changes", digest(model)))
    # MLflow takes a local source only inside of the run's own folder.
    own = f"{run.artifact_uri}/published/v3.0.0"
    created = world.run("push", model, own, *told)
    tally.check("flow: what nobody registered becomes a version", ended(created, 0, "v3.0.0 is version"))
    [made] = world.client.search_model_versions("name='trained' and tags.version='v3.0.0'")
    found = [made.source, made.run_id, made.tags["sluice.digest"]]
    wanted = [own, run.run_id, digest(model)]
    tally.check("flow: of the run, with its digest", [] if found == wanted else [f"{found}, and {wanted} was expected"])
    tally.check("flow: pushed again, it stays one", ended(world.run("push", model, own, *told), 0, "already"))


def filled(path, version, run, pin):
    text = path.read_text(encoding="utf-8")
    model = yaml.safe_load(text)["model"]
    wanted = {"type": "mlflow", "name": "trained", "version": version, "runId": run}
    if model["registry"] != wanted:
        yield f"registry is {model['registry']}, and {wanted} was expected"
    if model["digest"] != pin:
        yield f"digest is {model.get('digest')}, and {pin} was expected"
    for kept in ("# What serves it.", 'version: "v2.0.0"  # the label', "# the number", "/bucket/{version}"):
        if kept not in text:
            yield f"`{kept}` is gone: {text}"


def play(tally, given, folder, registry, backend):
    world = World(given, folder, registry, backend)
    with world.staging("good", VERSION) as staging:
        green(tally, world, staging)
        registry_faults(tally, world, staging)
        artifact_faults(tally, world, staging)
        unreachable(tally, world, staging)
    staging_faults(tally, world)
    flow(tally, world)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("--zoo", "--sluice", "--other-key"):
        parser.add_argument(flag, required=True, type=lambda text: Path(text).absolute())
    parser.add_argument("--server")
    parser.add_argument("--backend")
    return parser.parse_args()


def main():
    given = arguments()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="sluice-gate-") as folder:
        folder = Path(folder)
        if given.server:
            play(tally, given, folder, given.server, given.backend)
        else:
            store = folder / "mlflow.db"
            with MlflowServer(folder, store, (folder / "artifacts").as_uri()) as server:
                play(tally, given, folder, server.url, f"sqlite:///{store}")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
