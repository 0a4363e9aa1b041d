"""The image as it serves: started as the Deployment starts it, by itself, and asked as clients and probes ask."""

import json
import math
import os
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

import pods
from container import Container, Volume, beside, specification
from kubelet import mount
from running import status

MODEL, VERSION = "fraud-detection", "v1.0.0"
BUCKET = "/srv/bucket"
READY_SECONDS = 60


class Pod:
    """A container of the image with a model's values, its bucket and the key beside it."""

    def __init__(self, given, image, tree, folder):
        self.image = image
        values = yaml.safe_load(tree.values(MODEL, "staging").read_text(encoding="utf-8"))
        values["model"] |= {"version": VERSION, "storageUri": f"file://{BUCKET}/{{version}}"}
        values["stable"] = {"version": VERSION}
        mount(folder / "values", "values.yaml", yaml.safe_dump(values, sort_keys=False))
        keys, self.cache = folder / "keys", folder / "cache"
        keys.mkdir()
        (keys / "release.pub").write_bytes((given.zoo / "keys/zoo.pub").read_bytes())
        self.volumes = [
            Volume(folder / "values", "/etc/sluice/values"),
            Volume(keys, "/etc/sluice/keys"),
            Volume(given.zoo / "artifacts" / MODEL, BUCKET),
        ]

    def as_deployed(self, deployment):
        """With the arguments, the user, the root and the mounts that the Deployment says."""
        server = pods.container([deployment], "Deployment")
        mounts = {it["name"]: it["mountPath"] for it in server["volumeMounts"]}
        self.cache.mkdir()
        # As `fsGroup` leaves an empty volume of the kubelet's.
        self.cache.chmod(0o2775)
        os.chown(self.cache, 0, self.image.user)
        volumes = [*self.volumes, Volume(self.cache, mounts["cache"], writable=True)]
        unchangeable = server["securityContext"]["readOnlyRootFilesystem"]
        command = [*server["command"], *pods.arguments([deployment], "Deployment")]
        return specification(self.image.files, self.image.config, volumes, command, unchangeable)

    def by_itself(self):
        """As `docker run` with nothing but the volumes."""
        return specification(self.image.files, self.image.config, self.volumes, unchangeable=False)


class Running(Container):
    """A container, and what is asked beside it."""

    def ask(self, port, path):
        """The status of an answer, 0 where there is none."""
        if not self.pid():
            return 0
        with beside(self.pid()):
            return status(f"http://127.0.0.1:{port}{path}")

    def until(self, port, path, wanted, limit):
        """Nothing where it gets the wanted status in time."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            last = self.ask(port, path)
            if last == wanted:
                return []
            if self.ended():
                return [self.ended()]
            time.sleep(0.002)
        return [f"{path} gets {last} and not {wanted}: {self.said()}"]


def probed(running, server, name, wanted, limit):
    """What a probe of the Deployment gets."""
    ports = {it["name"]: it["containerPort"] for it in server["ports"]}
    asked = server[f"{name}Probe"]["httpGet"]
    return running.until(ports[asked["port"]], asked["path"], wanted, limit)


def confined(running, image):
    """The process: whose it is, what it may do, and where it can be reached."""
    about = dict(line.split(":\t", 1) for line in Path(f"/proc/{running.pid()}/status").read_text().splitlines())
    wanted = {"Uid": f"{image.user}\t" * 4, "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    for name, value in wanted.items():
        if about[name].strip() != value.strip():
            yield f"{name} is {about[name]}, not {value}"
    root = Path(f"/proc/{running.pid()}/mountinfo").read_text().splitlines()
    [options] = [words[5] for words in map(str.split, root) if words[4] == "/"]
    if "ro" not in options.split(","):
        yield f"its root is mounted {options}"


def everywhere(running, image):
    """Every port of the image listens at every address."""
    listening = set()
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/{running.pid()}/net/{family}").read_text().splitlines()[1:]:
            [address, port], state = line.split()[1].split(":"), line.split()[3]
            if state == "0A" and not int(address, 16):
                listening.add(int(port, 16))
    for port in sorted(image.config["ExposedPorts"]):
        if int(port.partition("/")[0]) not in listening:
            yield f"nothing listens at {port} of every address, only at {sorted(listening)}"


def predicted(running, golden):
    """A recorded request gets its recorded answer, from the version that the values name."""
    wanted = json.loads(golden.read_text(encoding="utf-8"))
    body = json.dumps(wanted["request"]).encode()
    url = f"http://127.0.0.1:8000/v2/models/{MODEL}/infer"
    with beside(running.pid()), urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
        headers, said = answer.headers, json.load(answer)
    for name, value in (("x-sluice-version", VERSION), ("x-sluice-variant", "stable")):
        if headers[name] != value:
            yield f"{name} is {headers[name]}, not {value}"
    if said["model_version"] != VERSION:
        yield f"model_version is {said['model_version']}, not {VERSION}"
    allowed = {"rel_tol": wanted["tolerance"]["relative"], "abs_tol": wanted["tolerance"]["absolute"]}
    outputs = {it["name"]: it["data"] for it in said["outputs"]}
    for output in wanted["response"]["outputs"]:
        got = outputs.get(output["name"], [])
        near = [math.isclose(a, b, **allowed) for a, b in zip(got, output["data"])]
        if len(got) != len(output["data"]) or not all(near):
            yield f"{output['name']} is {got}, not {output['data']}"


def ends(running, signal, port, path, grace):
    """Not ready first, then a good end within the grace period."""
    running.ask_to_end(signal)
    yield from running.until(port, path, 503, 5)
    code = running.end(grace)
    if code is None:
        yield f"it did not end within {grace} s"
    elif code != 0:
        yield running.ended()


def healthy(running, image):
    """The image's own check, as docker would run it."""
    kind, *words = image.config["Healthcheck"]["Test"]
    code, said = running.run(*words)
    if kind != "CMD" or code != 0 or "alive" not in said:
        yield f"{words} ends with {code}: {said}"


def deployed(tally, given, image, tree, deployment):
    """As the Deployment starts it; how long it takes to be ready, in milliseconds."""
    server = pods.container([deployment], "Deployment")
    with tempfile.TemporaryDirectory(prefix="sluice-image-") as folder:
        pod = Pod(given, image, tree, Path(folder))
        started = time.monotonic()
        running = Running("sluice-deployed", pod.as_deployed(deployment), folder)
        try:
            late = probed(running, server, "readiness", 200, READY_SECONDS)
            ready = round(1000 * (time.monotonic() - started))
            tally.check("started as the Deployment does, it becomes ready", late)
            if late:
                return 0
            tally.check("it lives", probed(running, server, "liveness", 200, 5))
            tally.check("it is not root, may do nothing special, and its root is unchangeable", confined(running, image))
            answered = "a recorded request gets its answer, from the version that the values name"
            tally.check(answered, predicted(running, given.zoo / "artifacts" / MODEL / VERSION / "golden/batch.json"))
            tally.check("SIGTERM: not ready, then a good end", ends(running, "TERM", 8000, "/v2/health/ready", 45))
        finally:
            running.remove()
    return ready


def alone(tally, given, image, tree):
    """By itself, as `docker run` starts it: the image's own arguments, variables and health check."""
    with tempfile.TemporaryDirectory(prefix="sluice-image-") as folder:
        running = Running("sluice-alone", Pod(given, image, tree, Path(folder)).by_itself(), folder)
        try:
            late = running.until(8000, "/v2/health/ready", 200, READY_SECONDS)
            tally.check("started by itself, it becomes ready", late)
            if late:
                return
            tally.check("its ports listen at every address", everywhere(running, image))
            tally.check("its health check succeeds", healthy(running, image))
            code, said = running.run("sluice", "predict", MODEL)
            tally.check("its program answers beside it", [] if code == 0 and VERSION in said else [said])
            signal = image.config["StopSignal"]
            tally.check(f"{signal}: a good end", ends(running, signal, 8000, "/v2/health/ready", 40))
        finally:
            running.remove()


def unhealthy(tally, image):
    """Where no server answers, the health check says so."""
    with tempfile.TemporaryDirectory(prefix="sluice-image-") as folder:
        words = image.config["Healthcheck"]["Test"][1:]
        container = Container("sluice-nobody", specification(image.files, image.config, [], words), folder)
        try:
            code = container.end(60)
            tally.refused("health without a server", [f"exit {code}: {container.said()}"] if code else [], "cannot reach")
        finally:
            container.remove()
