#!/usr/bin/env python3
"""sluice and the schema take every values file, and the server runs as the Deployment starts it.

The server is started with the arguments of the rendered Deployment; only paths and addresses are this machine's. What its
probes ask is asked, and the Job's own command waits for it.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

import jsonschema
import yaml

import exposition
import pods
from kubelet import Server, mount
from programs import failure, sluice
from running import text
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


def local(content, given, folder):
    """A values file that asks for a committed model instead of a bucket's."""
    values = yaml.safe_load(content)
    values["model"] |= {"version": VERSION, "storageUri": f"file://{folder}/{{version}}"}
    values["model"]["signing"]["publicKeyRef"]["path"] = str(given.zoo / "keys/zoo.pub")
    values["stable"] = {"version": VERSION}
    return yaml.safe_dump(values, sort_keys=False)


def ends(server, grace):
    """SIGTERM: not ready first, then a good end within the grace period."""
    server.ask_to_end()
    yield from server.answers("readiness", 503, 3)
    code = server.end(grace)
    if code is None:
        yield f"it did not end within {grace} s"
    elif code != 0:
        yield server.ended()


def observed(server, objects):
    """The chart's annotation is what the server calls the revision of the same bytes."""
    [values] = [it for it in objects if it["kind"] == "ConfigMap" and it["metadata"]["name"].endswith("-values")]
    [model] = json.loads(text(server.url("admin", "/status")))["models"]
    said, wanted = model["observedRevision"], values["metadata"]["annotations"]["sluice.dev/values-revision"]
    if said != wanted:
        yield f"the chart says {wanted}, and the server {said}"


def scraped(server, objects, adapter):
    """Where Prometheus is sent there are metrics, and among them what the autoscaler's metric is made of."""
    [monitor] = [it for it in objects if it["kind"] == "PodMonitor"]
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    families = exposition.families([text(server.url(endpoint["port"], endpoint["path"]))])
    [rule] = yaml.safe_load(adapter.read_text(encoding="utf-8"))["rules"]["custom"]
    for name in sorted(set(re.findall(r"sluice_\w+", rule["metricsQuery"] + rule["seriesQuery"])) - set(families)):
        yield f"{name} is no metric of the server"


def waited(given, server, objects, folder):
    """The Job's own command, with this machine's paths and address."""
    words = []
    for argument in pods.arguments(objects, "Job"):
        flag, _, value = argument.partition("=")
        value = str(folder / "values/values.yaml") if flag == "--values" else value
        value = server.url("admin").removeprefix("http://") if flag == "--service" else value
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
        content = tree.values(MODEL, "production").read_text(encoding="utf-8")
        mount(folder / "values", "values.yaml", local(content, given, folder / "empty"))
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
        content = planted.read_text(encoding="utf-8")
        planted.write_text(content.replace("stable:", "stabel:"), encoding="utf-8")
        tally.refused("a misspelt key", validated(given, planted), "stabel")
        planted.write_text(content, encoding="utf-8")
        played_without_model(tally, given, tree)
        played(tally, given, tree)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
