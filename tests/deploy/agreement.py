#!/usr/bin/env python3
"""The pieces of the tree name each other rightly: Terraform, Crossplane, the base, the models and the dashboards.

Each is checked by itself elsewhere. Here is what one says of another: buckets, projects, networks, namespaces, accounts,
metrics, labels, taints. A name that is wrong on one side is no error to any tool, and nothing works.
"""

import copy
import re
import sys
from dataclasses import dataclass, replace

import yaml

import crossplane
import promql
import rules
import terraform
from manifests import only, seconds
from tally import Tally
from tree import Tree, arguments, documents

POOL = "google_container_node_pool.gpu_inference"
BUCKET = "google_storage_bucket.models"
NETWORK = "google_compute_network.ml"
PUBLISHER = "google_project_iam_custom_role.publisher"
PUBLISHERS = "google_storage_bucket_iam_member.publishers"
# What `sluice push` asks of the bucket: by Google's table for the XML API, which its library speaks, and what for.
PUSH_NEEDS = {
    "storage.objects.list": "what is there already",
    "storage.objects.get": "a file that is there has to be the same",
    "storage.objects.create": "each file",
    "storage.multipartUploads.create": "a file over 8 MiB, which goes in parts: its begin, each part, its end",
    "storage.multipartUploads.abort": "a file that changed while it was read: its parts are taken away",
}
# With these a version that was published could be changed.
CHANGES = ("storage.objects.delete", "storage.objects.update")
RECORDED = "model:sluice_queue_duration_seconds:p99_5m"
SLOW = "SluiceQueueSlow"
SHARED_LABEL = "app.kubernetes.io/name"
# Below this many scrapes in its range, a rate has gaps.
SCRAPES_MIN = 4


@dataclass
class Pieces:
    """What there is, as data."""

    terraform: terraform.Configuration
    crossplane: list
    projects: dict
    values: dict
    objects: dict
    adapter: dict
    rules: dict
    operator: dict
    dashboards: dict
    readmes: dict


def read(tree, kubectl, node_modules):
    folder = tree.folder

    def loaded(path):
        return yaml.safe_load((folder / path).read_text(encoding="utf-8"))

    return Pieces(
        terraform=terraform.Configuration.of(folder / terraform.FOLDER, node_modules),
        crossplane=crossplane.read(folder),
        projects={it["metadata"]["name"]: it for it in tree.application_sets() if it["kind"] == "AppProject"},
        values={it: yaml.safe_load(tree.values(*it).read_text(encoding="utf-8")) for it in tree.instances()},
        objects={it: documents(tree.kustomize(kubectl, *it)) for it in tree.instances()},
        adapter=loaded("base/queue-time-metric.yaml")["rules"]["custom"][0],
        rules=loaded(f"{rules.FOLDER}/rules.yaml"),
        operator=loaded(f"{rules.FOLDER}/prometheus-rule.yaml"),
        dashboards=loaded(f"{rules.FOLDER}/kustomization.yaml"),
        readmes={str(it.relative_to(folder)): it.read_text(encoding="utf-8") for it in folder.rglob("README.md")},
    )


def bucket(pieces):
    """The name of the bucket less the project, which whoever applies it says."""
    return pieces.terraform.resources[BUCKET]["name"].removeprefix("${var.project_id}")


def buckets(pieces):
    """Models are loaded from the bucket that Terraform makes, which is the one that pods may read."""
    named = {f"{model} {environment}": str(values) for (model, environment), values in pieces.values.items()}
    for where, text in {**named, **pieces.readmes}.items():
        for found in re.findall(r"gs://([\w.-]+)/", text):
            if not found.endswith(bucket(pieces)):
                yield f"{where} names the bucket {found}, and Terraform makes PROJECT{bucket(pieces)}"


def cloud(pieces):
    """One project, one network, one region."""
    text = str(pieces.crossplane) + str(pieces.values)
    projects = set(re.findall(r"projects/([\w-]+)/", text)) | set(re.findall(rf"gs://([\w-]+){bucket(pieces)}/", text))
    if len(projects) != 1:
        yield f"the project is {sorted(projects)}: it should be one"
    network = pieces.terraform.resources[NETWORK]["name"]
    for found in set(re.findall(r"global/networks/([\w-]+)", text)) - {network}:
        yield f"Crossplane uses the network {found}, and Terraform makes {network}"
    region = pieces.terraform.read["variables.tf"]["tree"]["variable"]["region"][0]["default"]
    for document in pieces.crossplane:
        said = document["spec"]["forProvider"].get("region", region)
        if said != region:
            yield f"{document['metadata']['name']} is in {said}, and the cluster in {region}"


def namespaces(pieces):
    """Where Argo CD puts the pods of an environment, the bucket is open to them, and a team's own services lie."""
    granted = pieces.terraform.read["identities.tf"]["tree"]["locals"][0]["serving_pods"]
    for environment in sorted({environment for _, environment in pieces.values}):
        name = f"ml-{environment}"
        destinations = [it["namespace"] for it in pieces.projects[name]["spec"]["destinations"]]
        if destinations != [name]:
            yield f"the project {name} deploys to {destinations}"
        if not granted.get(environment, "").endswith(f"/namespace/{name}"):
            yield f"Terraform lets `{granted.get(environment)}` read the bucket, and the pods are in {name}"
        for (model, of), objects in pieces.objects.items():
            placed = {it["metadata"].get("namespace") for it in objects}
            if of == environment and placed != {name}:
                yield f"Kustomize puts {model} {environment} into {placed}"
    for document in pieces.crossplane:
        if document["metadata"]["namespace"] not in pieces.projects:
            yield f"{document['metadata']['name']} is in {document['metadata']['namespace']}, where no model is"


def accounts(pieces):
    """The pod is who its role is given to; who Terraform trusts is who the READMEs say runs under that name."""
    for (model, environment), objects in pieces.objects.items():
        account = only(objects, "ServiceAccount")["metadata"]["name"]
        pod = only(objects, "Deployment")["spec"]["template"]["spec"]
        binding = only(objects, "RoleBinding")
        namespace = binding["metadata"]["namespace"]
        if pod["serviceAccountName"] != account:
            yield f"{model} {environment} runs as {pod['serviceAccountName']}, and there is {account}"
        if binding["subjects"] != [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]:
            yield f"{model} {environment}: the role is given to {binding['subjects']}"
        [rule] = only(objects, "Role")["rules"]
        mounted = [it["configMap"]["name"] for it in pod["volumes"] if it["name"] == "values"]
        if rule["resourceNames"] != mounted or binding["roleRef"]["name"] != only(objects, "Role")["metadata"]["name"]:
            yield f"{model} {environment}: the role is about {rule['resourceNames']}, and {mounted} is mounted"
    trusted = re.findall(r"/ns/([\w-]+)/sa/([\w-]+)", str(pieces.terraform.resources))
    for namespace, account in trusted:
        if f"`{namespace}/{account}`" not in pieces.readmes[f"{terraform.FOLDER}/README.md"]:
            yield f"Terraform trusts {namespace}/{account}, and its README does not say who that is"


def publishing(pieces):
    """Who publishes may do all that a push does, and nothing by which a published version would change."""
    granted = set(pieces.terraform.resources[PUBLISHER]["permissions"])
    yield from (f"a push needs {it}: {why}" for it, why in PUSH_NEEDS.items() if it not in granted)
    yield from (f"with {it} a published version can be changed" for it in CHANGES if it in granted)
    yield from (f"no push needs {it}" for it in sorted(granted - PUSH_NEEDS.keys() - set(CHANGES)))
    role = pieces.terraform.resources[PUBLISHERS]["role"]
    if role != f"${{{PUBLISHER}.id}}":
        yield f"publishers have {role}, and not the role that is made for them"
    actions = [it["action"][0]["type"] for it in pieces.terraform.resources[BUCKET]["lifecycle_rule"]]
    if "AbortIncompleteMultipartUpload" not in actions:
        yield "parts of an upload that was cut off stay for ever"


def autoscaling(pieces):
    """One histogram is what the autoscaler follows, what is recorded of it, and what the alert about it looks at."""
    histogram = RECORDED.split(":")[1]
    for text in (pieces.adapter["seriesQuery"], pieces.adapter["metricsQuery"]):
        for name in set(re.findall(r"sluice_\w+", text)):
            if re.sub("_(sum|count)$", "", name) != histogram:
                yield f"the adapter reads {name}, and the rules record {RECORDED}"
    if not set(pieces.adapter["resources"]["overrides"]) <= promql.TARGET:
        yield f"the adapter wants {sorted(pieces.adapter['resources']['overrides'])}, which scraping does not add"
    by_name = {it.get("record", it.get("alert")): it["expr"] for it in rules.rules_of(pieces.rules)}
    if f"{histogram}_bucket" not in by_name.get(RECORDED, ""):
        yield f"{RECORDED} is not recorded of {histogram}"
    alert = re.fullmatch(rf"{re.escape(RECORDED)} > ([\d.]+)", by_name[SLOW].strip())
    if not alert:
        yield f"{SLOW} does not look at {RECORDED}"
    for (model, environment), objects in pieces.objects.items():
        for metric in only(objects, "HorizontalPodAutoscaler")["spec"]["metrics"]:
            if metric["type"] == "Pods":
                name, target = metric["pods"]["metric"]["name"], metric["pods"]["target"]["averageValue"]
                if name != pieces.adapter["name"]["as"]:
                    yield f"the autoscaler of {model} asks for {name}, and the adapter makes {pieces.adapter['name']['as']}"
                if alert and seconds(re.sub("m$", "ms", target)) >= float(alert[1]):
                    yield f"{model} {environment} is scaled at {target}, after the alert at {alert[1]} s"


def scraping(pieces):
    """Prometheus gets at the pods, often enough for what is asked, and can be told of monitors and rules by one label."""
    ranges = re.findall(r"\[(\d+[smh])\]", str(pieces.rules) + pieces.adapter["metricsQuery"])
    home = pieces.operator["metadata"]["namespace"]
    if pieces.dashboards["namespace"] != home:
        yield f"the dashboards go to {pieces.dashboards['namespace']}, and the rules to {home}"
    if f"-n {home} " not in pieces.readmes["README.md"]:
        yield f"the README does not install the adapter into {home}"
    for (model, environment), objects in pieces.objects.items():
        where, monitor = f"{model} {environment}", only(objects, "PodMonitor")
        label = monitor["metadata"]["labels"][SHARED_LABEL]
        if pieces.operator["metadata"]["labels"][SHARED_LABEL] != label:
            yield f"{where}: the PodMonitor is labelled {label}, and the PrometheusRule is not"
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        shortest = min(seconds(it) for it in ranges)
        if seconds(endpoint["interval"]) * SCRAPES_MIN > shortest:
            yield f"{where} is scraped every {endpoint['interval']}, and a rate is over {shortest:g} s"
        if changed := {"relabelings", "metricRelabelings", "honorLabels"} & set(endpoint):
            yield f"{where}: {sorted(changed)} may change the labels that every rule and panel reads"
        if not admitted(only(objects, "NetworkPolicy"), home, endpoint["port"]):
            yield f"{where}: the NetworkPolicy lets nobody of {home} at the port {endpoint['port']}"


def admitted(policy, namespace, port):
    for rule in policy["spec"]["ingress"]:
        for source in rule["from"]:
            for it in source.get("namespaceSelector", {}).get("matchExpressions", []):
                named = it["key"] == "kubernetes.io/metadata.name" and namespace in it["values"]
                if named and port in [open_["port"] for open_ in rule["ports"]]:
                    return True
    return False


def nodes(pieces):
    """Pods get onto the GPU nodes, and there are enough nodes for all of them at their most."""
    resource = pieces.terraform.resources[POOL]
    [pool] = resource["node_config"]
    [taint], [accelerator] = pool["taint"], pool["guest_accelerator"]
    room = resource["autoscaling"][0]["total_max_node_count"] * accelerator["count"]
    cpus = int(pool["machine_type"].rpartition("-")[2])
    asked = 0
    for (model, environment), objects in pieces.objects.items():
        pod = only(objects, "Deployment")["spec"]["template"]["spec"]
        [container] = pod["containers"]
        effect = taint["effect"].title().replace("_", "")
        if {"key": taint["key"], "operator": "Exists", "effect": effect} not in pod["tolerations"]:
            yield f"{model} {environment} does not tolerate {taint['key']}:{effect}"
        if int(container["resources"]["requests"]["cpu"]) >= cpus:
            yield f"{model} {environment} wants {container['resources']['requests']['cpu']} CPUs of a node that has {cpus}"
        gpus = container["resources"]["limits"][taint["key"]]
        asked += only(objects, "HorizontalPodAutoscaler")["spec"]["maxReplicas"] * gpus
    if asked > room:
        yield f"all pods at their most want {asked} GPUs, and there are {room}"


CHECKS = [
    ("models are loaded from the bucket that pods may read", buckets),
    ("one project, network and region", cloud),
    ("namespaces", namespaces),
    ("accounts and roles", accounts),
    ("who publishes may do what a push does, and no more", publishing),
    ("the autoscaler, the rules and the alert are about one histogram", autoscaling),
    ("Prometheus reaches what rules and dashboards read", scraping),
    ("pods fit the GPU nodes", nodes),
]


def planted(tally, pieces):
    """A wrong name on one side of each agreement."""

    def with_objects(kind, change):
        objects = copy.deepcopy(pieces.objects)
        change(only(next(iter(objects.values())), kind))
        return replace(pieces, objects=objects)

    def with_resource(address, change):
        bad = copy.deepcopy(pieces.terraform)
        change(bad.resources[address])
        return replace(pieces, terraform=bad)

    def with_part(name, change):
        part = copy.deepcopy(getattr(pieces, name))
        change(part)
        return replace(pieces, **{name: part})

    def slow(part):
        next(it for it in rules.rules_of(part) if it.get("alert") == SLOW)["expr"] = f"{RECORDED} > 0.01"

    def closed(policy):
        policy["spec"]["ingress"].pop()

    def endpoint(**fields):
        return with_objects("PodMonitor", lambda it: it["spec"]["podMetricsEndpoints"][0].update(fields))

    def metric(it):
        it["spec"]["metrics"][0]["pods"]["metric"]["name"] = "queue"

    def astray(projects):
        projects["ml-staging"]["spec"]["destinations"][0]["namespace"] = "staging"

    def stranger(it):
        it["spec"]["template"]["spec"]["serviceAccountName"] = "default"

    def role(change):
        return with_resource(PUBLISHER, lambda it: change(it["permissions"]))

    parts, delete = "storage.multipartUploads.create", "storage.objects.delete"
    viewer = "roles/storage.objectViewer"
    elsewhere = "projects/other/global/networks/default"
    faults = [
        ("another bucket", buckets, with_resource(BUCKET, lambda it: it.update(name="${var.project_id}-models")), "-models"),
        ("another project", cloud, with_part("crossplane", lambda it: it[0].update(x=elsewhere)), "should be one"),
        ("another network", cloud, with_resource(NETWORK, lambda it: it.update(name="ml")), "the network ml-production"),
        ("another namespace", namespaces, with_part("projects", astray), "['staging']"),
        ("a database elsewhere", namespaces,
         with_part("crossplane", lambda it: it[0]["metadata"].update(namespace="default")), "where no model is"),
        ("another account", accounts, with_objects("Deployment", stranger), "runs as default"),
        ("a role about another object", accounts,
         with_objects("Role", lambda it: it["rules"][0].update(resourceNames=["all"])), "the role is about ['all']"),
        ("no large files", publishing, role(lambda it: it.remove(parts)), f"a push needs {parts}"),
        ("a publisher who overwrites", publishing, role(lambda it: it.append(delete)), f"with {delete} a published"),
        ("a publisher of buckets", publishing, role(lambda it: it.append("storage.buckets.create")), "no push needs"),
        ("another role", publishing, with_resource(PUBLISHERS, lambda it: it.update(role=viewer)), "publishers have"),
        ("parts that stay", publishing, with_resource(BUCKET, lambda it: it["lifecycle_rule"].pop()), "stay for ever"),
        ("another metric", autoscaling, with_objects("HorizontalPodAutoscaler", metric), "asks for queue"),
        ("another histogram", autoscaling,
         with_part("adapter", lambda it: it.update(seriesQuery="sluice_compute_duration_seconds_count")), "the adapter reads"),
        ("an alert before the autoscaler", autoscaling, with_part("rules", slow), "after the alert"),
        ("another port", scraping, endpoint(port="http"), "port http"),
        ("a closed port", scraping, with_objects("NetworkPolicy", closed), "lets nobody of monitoring"),
        ("few scrapes", scraping, endpoint(interval="60s"), "every 60s"),
        ("changed labels", scraping, endpoint(relabelings=[]), "relabelings"),
        ("another label", scraping,
         with_part("operator", lambda it: it["metadata"]["labels"].update({SHARED_LABEL: "alerts"})), "is labelled sluice"),
        ("another taint", nodes, with_resource(POOL, lambda it: it["node_config"][0]["taint"][0].update(effect="NO_EXECUTE")),
         "does not tolerate nvidia.com/gpu:NoExecute"),
        ("too few nodes", nodes, with_resource(POOL, lambda it: it["autoscaling"][0].update(total_max_node_count=19)),
         "and there are 19"),
    ]  # fmt: skip
    for name, check, bad, expected in faults:
        tally.refused(name, check(bad), expected)


def main():
    given = arguments(__doc__, "--kubectl", "--node-modules")
    tally = Tally()
    pieces = read(Tree(given.deploy), given.kubectl, given.node_modules)
    for name, check in CHECKS:
        tally.check(name, check(pieces))
    planted(tally, pieces)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
