#!/usr/bin/env python3
"""Kustomize and Helm render the same objects for every model and environment, and a cluster would take them."""

import copy
import difflib
import json
import re
import sys

import yaml

import pods
import schemas
from tally import Tally
from tree import PRODUCTION, Tree, arguments, documents

GRANULARITY = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
# What the server takes to write its last lines and exit.
EXIT_SECONDS = 5
# The default of `serving.timeoutDefault`.
TIMEOUT_DEFAULT = "30s"


def seconds(text):
    number, unit = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", str(text)).groups()
    return float(number) * GRANULARITY[unit or "s"]


def by_name(objects):
    return {f"{it['kind']}/{it['metadata']['name']}": it for it in objects}


def only(objects, kind, suffix=""):
    [found] = [it for it in objects if it["kind"] == kind and it["metadata"]["name"].endswith(suffix)]
    return found


def comparable(document):
    """Less what only one of the tools can say: Argo CD gives the namespace, and Kustomize cannot hash."""
    document = copy.deepcopy(document)
    document["metadata"].pop("namespace", None)
    annotations = document["metadata"].get("annotations", {})
    if annotations.pop("sluice.dev/values-revision", None) and not annotations:
        del document["metadata"]["annotations"]
    return document


def differences(kustomized, helmed):
    left, right = by_name(kustomized), by_name(helmed)
    yield from (f"{name} is rendered by one tool only" for name in sorted(set(left) ^ set(right)))
    for name in sorted(set(left) & set(right)):
        lines = [
            json.dumps(comparable(it[name]), indent=1, sort_keys=True).splitlines() for it in (left, right)
        ]
        for line in difflib.unified_diff(*lines, "kustomize", "helm", lineterm="", n=1):
            yield f"{name}: {line}"


def same_bytes(path, objects, suffix):
    held = only(objects, "ConfigMap", suffix)["data"]["values.yaml"].encode()
    if held != path.read_bytes():
        yield f"the ConfigMap does not hold the bytes of {path.name}"


def mounts(objects):
    """How the values reach the process: a folder that follows the ConfigMap, under a name that never changes."""
    deployment = only(objects, "Deployment")
    pod = deployment["spec"]["template"]
    text = json.dumps(deployment)
    for word in ("subPath", "checksum/", "reloader.stakater.com"):
        if word in text:
            yield f"the Deployment holds `{word}`"
    [volume] = [it for it in pod["spec"]["volumes"] if it["name"] == "values"]
    name = only(objects, "ConfigMap", "-values")["metadata"]["name"]
    if volume["configMap"] != {"name": name}:
        yield f"the volume is {volume['configMap']}, and the ConfigMap's name is {name}"
    for config_map in (it for it in objects if it["kind"] == "ConfigMap"):
        if config_map.get("immutable"):
            yield f"{config_map['metadata']['name']} is immutable"
    [container] = pod["spec"]["containers"]
    [mount] = [it for it in container["volumeMounts"] if it["name"] == "values"]
    if f"--values={mount['mountPath']}" not in container["args"]:
        yield f"the server is not told to read {mount['mountPath']}"
    if "replicas" in deployment["spec"]:
        yield "`replicas` is the autoscaler's"


def told(objects):
    """The server writes what it says of its rollouts on the ConfigMap that it reads, and may."""
    name = only(objects, "ConfigMap", "-values")["metadata"]["name"]
    flags = dict(it.split("=", 1) for it in pods.arguments(objects, "Deployment") if "=" in it)
    if flags.get("--status-configmap") != name:
        yield f"it writes on {flags.get('--status-configmap')}, and the values are in {name}"
    rules = only(objects, "Role")["rules"]
    if rules != [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["get", "patch"]}]:
        yield f"the role is {rules}"
    ports = [port["port"] for rule in only(objects, "NetworkPolicy")["spec"]["egress"] for port in rule["ports"]]
    if 443 not in ports:
        yield "the Kubernetes API cannot be reached"


def stopping(objects, values):
    """A request that is in the server when the pod is deleted can be answered, within every limit on the way."""
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    flags = dict(argument.split("=", 1) for argument in container["args"] if "=" in argument)
    wait, grace = seconds(flags["--not-ready-wait"]), seconds(flags["--grace-period"])
    longest = seconds(values.get("serving", {}).get("timeoutDefault", TIMEOUT_DEFAULT))
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    if wait + longest > grace:
        yield f"a request may take {longest:g} s, and {grace - wait:g} s of the server's grace period are left for it"
    if before + grace + EXIT_SECONDS > pod["terminationGracePeriodSeconds"]:
        yield f"the pod is killed before preStop ({before} s) and the grace period ({grace:g} s) are over"


def probes(objects):
    """Readiness is about models and decides about traffic; liveness is about the process and decides about restarts."""
    [container] = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    expected = {"startup": ("/healthz", "admin"), "liveness": ("/healthz", "admin"), "readiness": ("/v2/health/ready", "http")}
    for name, (path, port) in expected.items():
        asked = container[f"{name}Probe"]["httpGet"]
        if asked != {"path": path, "port": port}:
            yield f"{name} asks {asked}"


def scaled(objects):
    """By the queue, and by the CPU where nobody can say how long the queue is. Percent are of the request."""
    metrics = only(objects, "HorizontalPodAutoscaler")["spec"]["metrics"]
    if [it["type"] for it in metrics].count("Pods") != 1:
        yield "the autoscaler does not follow the queue"
    if "cpu" not in [it["resource"]["name"] for it in metrics if it["type"] == "Resource"]:
        yield "without the metrics adapter nothing scales up"
    [container] = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    if "cpu" not in container["resources"]["requests"]:
        yield "no CPU is requested, and the autoscaler counts in percent of that"


def ports_of(objects):
    """A pod's ports, by name."""
    [container] = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {it["name"]: it["containerPort"] for it in container["ports"]}


def services(objects):
    """What a Service forwards to is there. A name that no container has is no error, and nobody gets an answer."""
    ports = ports_of(objects)
    for service in (it for it in objects if it["kind"] == "Service"):
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in [*ports, *ports.values()]:
                yield f"{service['metadata']['name']} forwards to {port['targetPort']}, and the pod has {sorted(ports)}"


def cache(objects):
    """What the server may write fits the volume, and the volume fits what the pod may use of the disk."""
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    flags = dict(argument.split("=", 1) for argument in container["args"] if "=" in argument)
    [volume] = [it for it in pod["volumes"] if it["name"] == "cache"]
    gib = [
        int(re.fullmatch(r"(\d+)Gi(?:B)?", size)[1])
        for size in (
            flags["--cache-bytes-max"],
            volume["emptyDir"]["sizeLimit"],
            container["resources"]["limits"]["ephemeral-storage"],
        )
    ]
    if not gib[0] < gib[1] < gib[2]:
        yield f"cache, volume and disk are {gib} GiB: each must be larger than the one before"
    [mount] = [it for it in container["volumeMounts"] if it["name"] == "cache"]
    if flags["--cache"] != mount["mountPath"]:
        yield f"the cache is {flags['--cache']}, and the volume is at {mount['mountPath']}"


def selectors(objects):
    """Everything that selects pods selects the server's, and no other model's."""
    labels = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    wanted = {key: labels[f"app.kubernetes.io/{key}"] for key in ("name", "instance", "component")}
    wanted = {f"app.kubernetes.io/{key}": value for key, value in wanted.items()}
    for document in objects:
        spec = document.get("spec", {})
        found = spec.get("podSelector" if document["kind"] == "NetworkPolicy" else "selector")
        if found is not None and found.get("matchLabels", found) != wanted:
            yield f"{document['kind']}/{document['metadata']['name']} selects {found}, and pods have {wanted}"


def witness(objects, server):
    """The Job is over within its limit, and waits for the very file that its own ConfigMap holds."""
    job = only(objects, "Job")
    [container] = job["spec"]["template"]["spec"]["containers"]
    flags = dict(argument.split("=", 1) for argument in container["args"] if "=" in argument)
    if not seconds(flags["--timeout"]) + 10 <= job["spec"]["activeDeadlineSeconds"] <= 180:
        yield f"it waits {flags['--timeout']}, and is stopped after {job['spec']['activeDeadlineSeconds']} s"
    if job["metadata"]["annotations"].get("argocd.argoproj.io/hook") != "PostSync":
        yield "it is no PostSync hook"
    if flags["--for"] != "observed":
        yield f"it waits for {flags['--for']}, which takes as long as the canary"
    [headless] = [it for it in server if it["kind"] == "Service" and it["spec"].get("clusterIP") == "None"]
    [port] = [it["port"] for it in headless["spec"]["ports"] if it["name"] == "admin"]
    if flags.get("--service") != f"{headless['metadata']['name']}:{port}":
        yield f"it asks {flags.get('--service')}, and not every server: {headless['metadata']['name']}:{port}"
    name = only(objects, "ConfigMap")["metadata"]["name"]
    if job["spec"]["template"]["spec"]["volumes"] != [{"name": "expected", "configMap": {"name": name}}]:
        yield f"it does not mount {name}"


def chosen(selector, labels):
    """Whether a selector of labels chooses a pod with these."""
    for it in selector.get("matchExpressions", []):
        if it["operator"] != "In":
            raise SystemExit(f"no reading of the operator {it['operator']}")
        if labels.get(it["key"]) not in it["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def open_to(rules, side, labels, ports):
    """Whether one of the rules is about a pod of this namespace with these labels, and one of the ports."""
    peers = [(it["podSelector"], rule) for rule in rules for it in rule.get(side, []) if it.keys() == {"podSelector"}]
    return any(chosen(it, labels) and port["port"] in ports for it, rule in peers for port in rule["ports"])


def reaches(objects, server):
    """The network lets the Job ask for a name and then the servers, and lets it in at each of them."""
    job = only(objects, "Job")["spec"]["template"]["metadata"]["labels"]
    pod = only(server, "Deployment")["spec"]["template"]["metadata"]["labels"]
    own, servers = only(objects, "NetworkPolicy")["spec"], only(server, "NetworkPolicy")["spec"]
    admin = ports_of(server)["admin"]
    if not chosen(own["podSelector"], job):
        yield f"its policy is about {own['podSelector']}, and it has {job}"
    # Behind a headless Service the port is the pod's.
    if not open_to(own["egress"], "to", pod, [admin]):
        yield f"it is not let out to port {admin} of the servers"
    names = {(port["port"], port["protocol"]) for rule in own["egress"] if "to" not in rule for port in rule["ports"]}
    if not {(53, "UDP"), (53, "TCP")} <= names:
        yield f"it cannot ask for a name: it is let out to {sorted(names)}"
    if not open_to(servers["ingress"], "from", job, [admin, "admin"]):
        yield "the servers do not let it in at their admin port"


def encrypted(tree, kubectl, model):
    """What both tools render when each is asked for TLS and an access file in its own way; the tree stays changed."""
    values, kustomization = tree.values(model, PRODUCTION), tree.overlay(model, PRODUCTION) / "kustomization.yaml"
    keys = "tls: {secretName: model-serving-tls}\naccess: {secretName: model-serving-access}"
    for path, line in ((values, keys), (kustomization, "components: [../../base/tls, ../../base/access]")):
        path.write_text(f"{path.read_text(encoding='utf-8')}{line}\n", encoding="utf-8")
    kustomized, helmed = documents(tree.kustomize(kubectl, model, PRODUCTION)), documents(tree.helm(model, PRODUCTION))
    [container] = only(helmed, "Deployment")["spec"]["template"]["spec"]["containers"]
    for flag in ("--tls-on=http,grpc", "--access-file=/etc/sluice/access/access.yaml"):
        if flag not in container["args"]:
            yield f"the server is not started with {flag}"
    yield from differences(kustomized, helmed)
    yield from (problem for it in helmed for problem in schemas.problems(it))


def planted(tally, objects):
    """That the schemas refuse: a misspelt field, a wrong type and an unknown kind."""
    deployment = by_name(objects)[next(name for name in by_name(objects) if name.startswith("Deployment/"))]
    monitor = only(objects, "PodMonitor")
    for document, spot, misspelt in ((deployment, ("spec", "strategy"), "rollingUpdates"), (monitor, ("spec",), "selectors")):
        bad = copy.deepcopy(document)
        holder = bad
        for key in spot:
            holder = holder[key]
        holder[misspelt] = {}
        tally.refused(f"{document['kind']} with `{misspelt}`", schemas.problems(bad), misspelt)
    bad = copy.deepcopy(deployment)
    bad["spec"]["revisionHistoryLimit"] = "three"
    tally.refused("Deployment with a word for a number", schemas.problems(bad), "three")
    bad = copy.deepcopy(monitor)
    bad["spec"]["podMetricsEndpoints"][0]["interval"] = 15
    tally.refused("PodMonitor with a number for a duration", schemas.problems(bad), "15")
    bad = {**deployment, "kind": "Deploiment"}
    tally.refused("a kind that nobody knows", schemas.problems(bad), "Couldn't find schema for kind Deploiment")


def planted_rules(tally, objects, values):
    """That each rule of this file fires."""

    def pod(change):
        changed = copy.deepcopy(objects)
        deployment = only(changed, "Deployment")
        change(deployment, deployment["spec"]["template"]["spec"])
        return changed

    def mount(_, spec):
        spec["containers"][0]["volumeMounts"][0]["subPath"] = "values.yaml"

    def checksum(deployment, _):
        deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"] = "0"

    def renamed(_, spec):
        spec["volumes"][0]["configMap"]["name"] += "-dh96h8d856"

    def fixed(deployment, _):
        deployment["spec"]["replicas"] = 3

    def hasty(_, spec):
        spec["terminationGracePeriodSeconds"] = 30

    def mixed(_, spec):
        spec["containers"][0]["livenessProbe"]["httpGet"]["path"] = "/v2/health/ready"

    def small(_, spec):
        next(it for it in spec["volumes"] if it["name"] == "cache")["emptyDir"]["sizeLimit"] = "10Gi"

    def foreign(deployment, _):
        deployment["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"] = "another"

    def mute(_, spec):
        spec["containers"][0]["env"] = []

    def boundless(_, spec):
        del spec["containers"][0]["resources"]["requests"]["cpu"]

    def unnamed(_, spec):
        spec["containers"][0]["ports"][1]["name"] = "h2c"

    faults = [
        ("a variable that is not there", told, mute, "it writes on $(INSTANCE)-values"),
        ("a mounted file", mounts, mount, "subPath"),
        ("a checksum of the values", mounts, checksum, "checksum/"),
        ("a hash in the ConfigMap's name", mounts, renamed, "the volume is"),
        ("a number of replicas", mounts, fixed, "autoscaler's"),
        ("too little time to stop", lambda it: stopping(it, values), hasty, "the pod is killed"),
        ("liveness that is about models", probes, mixed, "liveness asks"),
        ("a volume smaller than the cache", cache, small, "must be larger"),
        ("a selector of another model", selectors, foreign, "selects"),
        ("no request of CPU", scaled, boundless, "no CPU is requested"),
        ("a port under another name", services, unnamed, "forwards to grpc"),
    ]
    for name, rule, change, expected in faults:
        tally.refused(name, rule(pod(change)), expected)
    for kept, expected in (("Pods", "nothing scales up"), ("Resource", "does not follow the queue")):
        changed = copy.deepcopy(objects)
        spec = only(changed, "HorizontalPodAutoscaler")["spec"]
        spec["metrics"] = [it for it in spec["metrics"] if it["type"] == kept]
        tally.refused(f"an autoscaler by {kept} alone", scaled(changed), expected)
    for suffix in ("model-serving", "-headless"):
        changed = copy.deepcopy(objects)
        only(changed, "Service", suffix)["spec"]["ports"][0]["targetPort"] = "https"
        tally.refused(f"a port that no container has, of {suffix}", services(changed), "forwards to https")
    slow = {"serving": {"timeoutDefault": "60s"}}
    tally.refused("a request longer than the grace period", stopping(objects, slow), "a request may take 60 s")
    other = pod(lambda deployment, _: deployment["spec"].update(revisionHistoryLimit=9))
    tally.refused("two renderings that differ", differences(objects, other), "revisionHistoryLimit")


def planted_network(tally, objects, server):
    """That each side of the witness's way is looked at."""

    def refused(name, change, expected):
        changed = copy.deepcopy((objects, server))
        change(*(only(it, "NetworkPolicy")["spec"] for it in changed))
        tally.refused(name, reaches(*changed), expected)

    refused("a server that lets no witness in", lambda _, spec: spec["ingress"][1]["from"].pop(), "do not let it in")
    elsewhere = {"namespaceSelector": {}}
    refused(
        "a server that lets in another namespace's",
        lambda _, spec: spec["ingress"][1]["from"][1].update(elsewhere),
        "do not let it in",
    )
    refused(
        "a server that lets it in elsewhere",
        lambda _, spec: spec["ingress"][1].update(ports=[{"port": "http", "protocol": "TCP"}]),
        "do not let it in",
    )
    refused("a witness that may ask for no name", lambda spec, _: spec["egress"].pop(0), "cannot ask for a name")
    refused("a witness that is not let out", lambda spec, _: spec["egress"].pop(), "not let out to port 8002")
    refused("another's policy", lambda spec, _: spec["podSelector"]["matchLabels"].update(x="y"), "its policy is about")


def main():
    given = arguments(__doc__, "--kubectl")
    tally = Tally()
    with Tree(given.deploy).copy() as tree:
        for model, environment in tree.instances():
            name, path = f"{model} {environment}", tree.values(model, environment)
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
            kustomized = documents(tree.kustomize(given.kubectl, model, environment))
            helmed = documents(tree.helm(model, environment))
            watching = documents(tree.helm(model, environment, part="witness"))
            tally.check(f"{name}: both tools render the same objects", differences(kustomized, helmed))
            for tool, objects in (("kustomize", kustomized), ("helm", helmed)):
                tally.check(f"{name}, {tool}: the file's own bytes", same_bytes(path, objects, "-values"))
                tally.check(f"{name}, {tool}: the mount follows the file", mounts(objects))
                tally.check(f"{name}, {tool}: the server tells Argo CD where it looks", told(objects))
            found = [f"{it['kind']}: {problem}" for it in kustomized + helmed + watching for problem in schemas.problems(it)]
            tally.check(f"{name}: a cluster takes {len(helmed)} and {len(watching)} objects", found)
            tally.check(f"{name}: requests are answered before the pod ends", stopping(helmed, values))
            tally.check(f"{name}: probes ask the right ports", probes(helmed))
            tally.check(f"{name}: the queue scales it, and else the CPU", scaled(helmed))
            tally.check(f"{name}: Services forward to ports that are there", services(helmed))
            tally.check(f"{name}: the cache fits its volume", cache(helmed))
            tally.check(f"{name}: selectors", selectors(helmed))
            tally.check(f"{name}: the witness", [*witness(watching, helmed), *same_bytes(path, watching, "-expected")])
            tally.check(f"{name}: the witness reaches every server", reaches(watching, helmed))
        planted(tally, helmed)
        planted_rules(tally, helmed, values)
        planted_network(tally, watching, helmed)
        tally.check(f"{model}: both tools render the same with TLS and an access file", encrypted(tree, given.kubectl, model))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
