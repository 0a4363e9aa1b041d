"""`ci/sluice.sh` gives the program in the container what it needs: words, files and variables, and its exit status back.

`docker` is a stand-in that starts the program with what it was passed and nothing else; registry, staging and Git hosts are
one server that writes down who asked for what.
"""

import contextlib
import http.server
import json
import os
import shutil
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

from programs import ended, stand_in

MODEL = "fraud-detection"
FILE, VERSION = f"models/{MODEL}/values-production.yaml", 'version: "v2.3.0"'
IMAGE = "registry.example.com/ml/sluice@sha256:" + "0" * 64
SHA = "ab" * 20
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "acme/models",
    "GITHUB_SHA": SHA,
    "GITHUB_TOKEN": "github-token",
    "GITHUB_SERVER_URL": "https://git.example.com",
    "GITHUB_RUN_ID": "42",
}
JOB = "https://gitlab.example.com/acme/models/-/jobs/9"
GITLAB = {"GITLAB_CI": "true", "CI_PROJECT_ID": "7", "CI_COMMIT_SHA": SHA, "CI_JOB_URL": JOB}


class Asked(http.server.BaseHTTPRequestHandler):
    """One request: what is read is not there, what is written is taken."""

    def do_GET(self):
        self.note(None)
        self.say(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"})

    def do_POST(self):
        self.note(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.say(201, {})

    def note(self, body):
        shown = [self.headers[name] for name in ("authorization", "private-token", "job-token") if self.headers[name]]
        self.server.asked.append((self.path, " ".join(shown), body))

    def say(self, status, answer):
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Runner:
    """A machine of CI's with a checkout, where `sluice` is `ci/sluice.sh`."""

    def __init__(self, given, folder, server):
        self.server, self.url = server, f"http://127.0.0.1:{server.server_address[1]}"
        self.checkout, self.programs, self.calls = folder / "checkout", folder / "bin", folder / "calls"
        shutil.copytree(given.deploy, self.checkout, ignore=shutil.ignore_patterns("charts", "Chart.lock"))
        stand_in(self.programs, "docker")
        (self.programs / "sluice").symlink_to(self.checkout / "ci/sluice.sh")
        self.environment = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "PROGRAM": str(given.sluice),
            "SLUICE_IMAGE": IMAGE,
            # Of the machine, and no business of the program's.
            "SLUICE_HTTP": "nonsense",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        }
        values = self.checkout / FILE
        text = values.read_text(encoding="utf-8").replace("gs://acme-ml-ml-artifacts", "file:///tmp/sluice-no-bucket")
        values.write_text(text, encoding="utf-8")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("tree")

    def git(self, *words):
        author = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", *author, *words], cwd=self.checkout, check=True, capture_output=True)

    def commit(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", f"--message={message}")

    def run(self, *words, **variables):
        """What came of it, who asked the server for what, and what docker was told."""
        self.server.asked.clear()
        self.calls.write_text("", encoding="utf-8")
        command = [self.checkout / words[0] if "/" in words[0] else words[0], *words[1:]]
        environment = self.environment | variables
        done = subprocess.run(command, cwd=self.checkout, env=environment, capture_output=True, text=True, timeout=120)
        calls = [json.loads(line) for line in self.calls.read_text(encoding="utf-8").splitlines()]
        return done, list(self.server.asked), calls


def private(folder, name, content):
    """A file as a runner keeps a secret: for its own user alone."""
    path = folder / name
    path.write_text(content, encoding="utf-8")
    path.chmod(stat.S_IRUSR)
    return str(path)


def shown(asked, part, wanted):
    """Whoever asked below `part` showed this, and somebody did."""
    tokens = {token for path, token, _ in asked if part in path}
    return [] if tokens == {wanted} else [f"{part} saw {sorted(tokens)}, and {wanted} was expected: {asked}"]


def gate(tally, runner, folder):
    """A pull request's gate, with a token for the registry and one for staging."""
    path = runner.checkout / FILE
    text = path.read_text(encoding="utf-8")
    if VERSION not in text:
        raise SystemExit(f"{FILE} has no {VERSION} any more")
    path.write_text(text.replace(VERSION, 'version: "v2.3.1"', 1), encoding="utf-8")
    runner.commit("bumped")
    tokens = {
        "MLFLOW_TRACKING_TOKEN": "registry-token",
        "REGISTRY_URL": f"{runner.url}/mlflow",
        "STAGING_URL": f"{runner.url}/{{model}}",
    }
    for place, beside in (("/tmp", Path("/tmp")), ("beside the checkout", folder)):
        with tempfile.TemporaryDirectory(prefix="sluice-ci-", dir=beside) as kept:
            token = private(Path(kept), "staging", "staging-token")
            done, asked, calls = runner.run("ci/gate.sh", "HEAD^", **tokens, SLUICE_STAGING_TOKEN_FILE=token)
        name = f"in docker: the gate, with a token's file in {place}"
        tally.check(name, ended(done, 1, "1 values files changed, 1 refused", "not found", "no such directory"))
        tally.check(f"{name}: the registry sees its token", shown(asked, "/mlflow/", "Bearer registry-token"))
        tally.check(f"{name}: staging sees its own", shown(asked, f"/{MODEL}/", "Bearer staging-token"))
        # Which the program got at, or it would have said nothing else.
        tally.check(f"{name}: what is merged is named", [] if "--merged" in calls[0]["words"] else [f"{calls}"])
    user = {"MLFLOW_TRACKING_USERNAME": "ci", "MLFLOW_TRACKING_PASSWORD": "secret"}
    _, asked, _ = runner.run("ci/gate.sh", "HEAD^", **(tokens | user | {"MLFLOW_TRACKING_TOKEN": ""}))
    tally.check("in docker: a name and a password for the registry", shown(asked, "/mlflow/", "Basic Y2k6c2VjcmV0"))


def report(tally, runner, folder):
    """A commit's status: where it is written, as whom, and what it links to."""
    words = ["report", FILE, "--status", f"{runner.url}/{{model}}", "--timeout", "1s", "--interval", "1ms"]
    words += ["--context", "a name with spaces"]
    token = private(folder, "status", "status-token")
    hosts = {
        "GitHub": (GITHUB | {"GITHUB_API_URL": f"{runner.url}/api"}, f"/api/repos/acme/models/statuses/{SHA}"),
        "GitLab": (GITLAB | {"CI_API_V4_URL": f"{runner.url}/api"}, f"/api/projects/7/statuses/{SHA}"),
    }
    links = {"GitHub": "https://git.example.com/acme/models/actions/runs/42", "GitLab": JOB}
    secrets = [("GitHub", {}, "Bearer github-token")]
    secrets += [("GitLab", {"GITLAB_TOKEN": "gitlab-token"}, "gitlab-token"), ("GitLab", {"CI_JOB_TOKEN": "job"}, "job")]
    for host, secret, wanted in secrets:
        variables, path = hosts[host]
        done, asked, _ = runner.run("sluice", *words, **variables, **secret, SLUICE_TOKEN_FILE=token)
        told = [*ended(done, 3, "a name with spaces: error"), *shown(asked, path, wanted)]
        links_told = {body["target_url"] for at, _, body in asked if at == path}
        names = {body.get("context") or body.get("name") for at, _, body in asked if at == path}
        told += [] if (links_told, names) == ({links[host]}, {"a name with spaces"}) else [f"it says {asked}"]
        tally.check(f"in docker: the report to {host}, with {'/'.join(secret) or 'GITHUB_TOKEN'}", told)
        tally.check(f"in docker: the report to {host}, and the serving port sees its token", served(asked))


def served(asked):
    return shown([it for it in asked if it[2] is None], f"/{MODEL}/", "Bearer status-token")


def words(tally, runner, folder):
    """Words and exit status are the program's own."""
    done, _, calls = runner.run("ci/values.sh")
    tally.check("in docker: what is right ends with 0", ended(done, 0))
    tally.check("in docker: by the pinned image", [] if [it["image"] for it in calls] == [IMAGE] else [f"{calls}"])
    strange = ["validate", "a name with spaces.yaml", "*", '$HOME "quoted"']
    done, _, calls = runner.run("sluice", *strange)
    told = [] if calls[0]["words"] == strange else [f"{calls}"]
    tally.check("in docker: words stay as they are", [*ended(done, 1, "a name with spaces.yaml"), *told])
    tally.check("in docker: wrong usage ends with 2", ended(runner.run("sluice", "no-such-command")[0], 2))
    certificate = {"SLUICE_CLIENT_CA": private(folder, "ca.pem", "no certificate")}
    done, _, _ = runner.run("sluice", "predict", MODEL, "--url", "https://127.0.0.1:9", **certificate)
    tally.check("in docker: authorities are read from their file", ended(done, 1, "ca.pem", "no certificate"))


def shared(tally, runner, folder):
    """One file under two variables."""
    token = private(folder, "both", "both-token")
    words = ["report", FILE, "--status", f"{runner.url}/{{model}}", "--timeout", "1s", "--interval", "1ms"]
    both = {"SLUICE_TOKEN_FILE": token, "SLUICE_STAGING_TOKEN_FILE": token}
    github = GITHUB | {"GITHUB_API_URL": f"{runner.url}/api"}

    def told():
        done, asked, _ = runner.run("sluice", *words, **github, **both)
        return [*ended(done, 3), *shown(asked, f"/{MODEL}/", "Bearer both-token")]

    tally.check("in docker: one file for two variables", told())
    with without(runner, ' && $mounted != *":$path:"*'):
        tally.refused("in docker: one file mounted twice", told(), "Duplicate mount point")


def users(tally, runner, folder):
    """Who the program is, with a docker of root's and with a rootless one. The job's user is one who is not user 0."""
    program = runner.programs / "id"
    program.write_text("#!/bin/sh\necho 1000\n", encoding="utf-8")
    program.chmod(0o755)
    token = private(folder, "rootless", "rootless-token")
    words = ["report", FILE, "--status", f"{runner.url}/{{model}}", "--timeout", "1s", "--interval", "1ms"]
    rootless = GITHUB | {"GITHUB_API_URL": f"{runner.url}/api", "ROOTLESS": "yes", "SLUICE_TOKEN_FILE": token}

    def told():
        done, asked, calls = runner.run("sluice", *words, **rootless)
        user = [] if [it["user"] for it in calls] == ["0:0"] else [f"the user is {calls}"]
        return [*ended(done, 3), *shown(asked, f"/{MODEL}/", "Bearer rootless-token"), *user]

    tally.check("in docker: a rootless docker's user 0 reads what is the job's", told())
    with without(runner, "[[ $security != *name=rootless* ]] || user=0:0"):
        tally.refused("in docker: somebody else in a rootless docker", told(), "the user is")
        if os.geteuid() == 0:
            tally.refused("in docker: who may not read it", told(), "ermission denied")
    _, _, calls = runner.run("sluice", "validate", FILE)
    user = [] if [it["user"] for it in calls] == ["1000:1000"] else [f"{calls}"]
    tally.check("in docker: a docker of root's has the job's user", user)
    program.unlink()


@contextlib.contextmanager
def without(runner, old, new=""):
    """`ci/sluice.sh` with `new` in place of `old`."""
    script = runner.checkout / "ci/sluice.sh"
    whole = script.read_text(encoding="utf-8")
    if old not in whole:
        raise SystemExit(f"ci/sluice.sh has no {old} any more")
    script.write_text(whole.replace(old, new), encoding="utf-8")
    yield
    script.write_text(whole, encoding="utf-8")


def lacking(tally, runner, folder):
    """What the stand-in is for: without a variable, a volume or the user, it shows."""
    names = {"REGISTRY_URL": f"{runner.url}/mlflow", "STAGING_URL": f"{runner.url}/{{model}}"}
    token = private(folder, "token", "staging-token")
    names |= {"MLFLOW_TRACKING_TOKEN": "registry-token", "SLUICE_STAGING_TOKEN_FILE": token}

    def asked():
        done, asked, _ = runner.run("ci/gate.sh", "HEAD^", **names)
        registry = shown(asked, "/mlflow/", "Bearer registry-token")
        return [*registry, *shown(asked, f"/{MODEL}/", "Bearer staging-token"), done.stdout + done.stderr]

    faults = [
        ("a variable", " MLFLOW_TRACKING_TOKEN", "", "/mlflow/ saw ['']"),
        ("the volume of a token", ":$path:ro", ":/elsewhere:ro", "no volume"),
        ("the volume of /tmp", " --volume /tmp:/tmp", "", "not-in-the-container"),
    ]
    if os.geteuid() == 0:
        faults.append(("the user", ' --user "$user"', "", "ermission denied"))
    for name, old, new, said in faults:
        with without(runner, old, new):
            tally.refused(f"in docker: without {name}", asked(), said)


def check(tally, given, folder):
    folder = folder / "runner"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asked)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        runner = Runner(given, folder, server)
        gate(tally, runner, folder)
        report(tally, runner, folder)
        words(tally, runner, folder)
        shared(tally, runner, folder)
        users(tally, runner, folder)
        lacking(tally, runner, folder)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
