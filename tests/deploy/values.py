#!/usr/bin/env python3
"""sluice and the schema take every values file, and the server runs as the Deployment starts it.

The server is started with the arguments of the rendered Deployment; only paths and addresses are this machine's. What its
probes ask is asked, and the Job's own command waits for it.
"""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from socket import socket

import jsonschema
import yaml

from programs import failure, sluice
from tally import Tally
from tree import Tree, arguments, documents

# Of the committed models, whose demo key signed them.
MODEL, VERSION = "fraud-detection", "v1.0.0"
ADAPTER = "base/queue-time-metric.yaml"
# For an unoptimised program on a busy machine.
READY_SECONDS = 90


def validated(given, path):
    yield from sluice(given.sluice, "validate", path)
    schema = json.loads((given.deploy / "base/values.schema.json").read_text(encoding="utf-8"))
    found = jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))
    yield from (f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found)


def local(text, given, folder):
    """A values file that asks for a committed model instead of a bucket's."""
    values = yaml.safe_load(text)
    values["model"] |= {"version": VERSION, "storageUri": f"file://{folder}/{{version}}"}
    values["model"]["signing"]["publicKeyRef"]["path"] = str(given.zoo / "keys/zoo.pub")
    values["stable"] = {"version": VERSION}
    return yaml.safe_dump(values, sort_keys=False)


def mount(folder, name, text):
    """A folder as the kubelet makes it: the file is a link into `..data`, itself a link to a dated folder."""
    content = folder / "..2026_01_01"
    content.mkdir(parents=True)
    (content / name).write_text(text, encoding="utf-8")
    (folder / "..data").symlink_to(content.name)
    (folder / name).symlink_to(f"..data/{name}")


def free_port():
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def container(objects, kind):
    [found] = [it for it in objects if it["kind"] == kind]
    [first] = found["spec"]["template"]["spec"]["containers"]
    return first


class Server:
    """The container of the Deployment, as a process."""

    def __init__(self, given, objects, folder):
        self.container = container(objects, "Deployment")
        mounts = {it["mountPath"]: str(folder / it["name"]) for it in self.container["volumeMounts"]}
        flags = [self.placed(argument, mounts) for argument in self.container["args"]]
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen([given.sluice, *flags], stdout=self.log, stderr=subprocess.STDOUT)

    def placed(self, argument, mounts):
        flag, _, value = argument.partition("=")
        if value in mounts:
            return f"{flag}={mounts[value]}"
        if value.startswith("0.0.0.0:"):
            self.ports = {**getattr(self, "ports", {}), int(value.split(":")[1]): free_port()}
            return f"{flag}=127.0.0.1:{self.ports[int(value.split(':')[1])]}"
        return argument

    def url(self, port, path=""):
        names = {it["name"]: it["containerPort"] for it in self.container["ports"]}
        return f"http://127.0.0.1:{self.ports[names.get(port, port)]}{path}"

    def probe(self, name):
        """The status that a probe gets, 0 where nothing answers."""
        asked = self.container[f"{name}Probe"]["httpGet"]
        try:
            with urllib.request.urlopen(self.url(asked["port"], asked["path"]), timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def answers(self, name, status, limit):
        """Nothing where a probe gets `status` in time."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            last = self.probe(name)
            if last == status:
                return []
            if self.process.poll() is not None:
                return [f"it ended with {self.process.returncode}: {self.said()}"]
            time.sleep(0.1)
        return [f"{name} gets {last} and not {status}: {self.said()}"]

    def said(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


def ends(server, grace):
    """SIGTERM: not ready first, then a good end within the grace period."""
    server.process.send_signal(signal.SIGTERM)
    yield from server.answers("readiness", 503, 3)
    try:
        status = server.process.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        yield f"it did not end within {grace} s"
        return
    if status != 0:
        yield f"it ended with {status}: {server.said()}"


def observed(server, objects):
    """The chart's annotation is what the server calls the revision of the same bytes."""
    [values] = [it for it in objects if it["kind"] == "ConfigMap" and it["metadata"]["name"].endswith("-values")]
    with urllib.request.urlopen(server.url("admin", "/status"), timeout=5) as answer:
        [model] = json.load(answer)["models"]
    said, wanted = model["observedRevision"], values["metadata"]["annotations"]["sluice.dev/values-revision"]
    if said != wanted:
        yield f"the chart says {wanted}, and the server {said}"


def scraped(server, objects, adapter):
    """Where Prometheus is sent there are metrics, and among them what the autoscaler's metric is made of."""
    [monitor] = [it for it in objects if it["kind"] == "PodMonitor"]
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    with urllib.request.urlopen(server.url(endpoint["port"], endpoint["path"]), timeout=5) as answer:
        text = answer.read().decode()
    [rule] = yaml.safe_load(adapter.read_text(encoding="utf-8"))["rules"]["custom"]
    for name in sorted(set(re.findall(r"sluice_\w+", rule["metricsQuery"] + rule["seriesQuery"]))):
        if f"\n{name}{{" not in text:
            yield f"{name} is no metric of the server"
    [autoscaler] = [it for it in objects if it["kind"] == "HorizontalPodAutoscaler"]
    asked = [it["pods"]["metric"]["name"] for it in autoscaler["spec"]["metrics"] if it["type"] == "Pods"]
    if asked != [rule["name"]["as"]]:
        yield f"the autoscaler asks for {asked}, and the adapter makes {rule['name']['as']}"


def waited(given, server, objects, folder):
    """The Job's own command, with this machine's paths and address."""
    words = []
    for argument in container(objects, "Job")["args"]:
        flag, _, value = argument.partition("=")
        value = str(folder / "values/values.yaml") if flag == "--values" else value
        value = server.url("admin") if flag == "--admin" else value
        words.append(f"{flag}={value}" if value else flag)
    return failure([given.sluice, *words])


def played(tally, given, tree):
    with tempfile.TemporaryDirectory(prefix="sluice-pod-") as folder:
        folder = Path(folder)
        path = tree.values(MODEL, "staging")
        path.write_text(local(path.read_text(encoding="utf-8"), given, given.zoo / "artifacts" / MODEL), encoding="utf-8")
        objects, job = (documents(tree.helm(MODEL, "staging", part=part)) for part in ("server", "witness"))
        mount(folder / "values", "values.yaml", path.read_text(encoding="utf-8"))
        server = Server(given, objects, folder)
        try:
            tally.check("the server starts with the Deployment's arguments", server.answers("startup", 200, READY_SECONDS))
            tally.check("readiness follows the model", server.answers("readiness", 200, READY_SECONDS))
            tally.check("the witness's command sees the commit", waited(given, server, job, folder))
            tally.check("chart and server name the same revision", observed(server, objects))
            tally.check("Prometheus and the autoscaler find their metrics", scraped(server, objects, tree.folder / ADAPTER))
            tally.check("SIGTERM: not ready, then a good end", ends(server, 45))
        finally:
            server.stop()


def played_without_model(tally, given, tree):
    """A bucket that has nothing: the pod is not ready, and is not restarted for it."""
    with tempfile.TemporaryDirectory(prefix="sluice-pod-") as folder:
        folder = Path(folder)
        mount(folder / "values", "values.yaml", local(tree.values(MODEL, "production").read_text(encoding="utf-8"), given, folder / "empty"))
        server = Server(given, documents(tree.helm(MODEL, "production")), folder)
        try:
            tally.check("without its model it lives", server.answers("liveness", 200, READY_SECONDS))
            tally.check("and is not ready", server.answers("readiness", 503, 5))
        finally:
            server.stop()


def main():
    given = arguments(__doc__, "--zoo", "--sluice")
    tally = Tally()
    with Tree(given.deploy).copy() as tree:
        for model, environment in tree.instances():
            tally.check(f"{model} {environment}", validated(given, tree.values(model, environment)))
        planted = tree.values(*tree.instances()[0])
        text = planted.read_text(encoding="utf-8")
        planted.write_text(text.replace("stable:", "stabel:"), encoding="utf-8")
        tally.refused("a misspelt key", validated(given, planted), "stabel")
        planted.write_text(text, encoding="utf-8")
        played_without_model(tally, given, tree)
        played(tally, given, tree)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
