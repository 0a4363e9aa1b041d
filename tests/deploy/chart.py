#!/usr/bin/env python3
"""The chart does what a values file says, and refuses what would do nothing or contradict the file."""

import contextlib
import sys

import helm_python

import schemas
from tally import Tally
from tree import Tree, arguments, documents

MODEL, ENVIRONMENT = "fraud-detection", "production"
DEPLOYMENT, AUTOSCALER = "Deployment", "HorizontalPodAutoscaler"
POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)

# What is added to the file (a key that is there already is replaced), the kind looked at, where, and what is there then;
# `None` where the object is not rendered.
EFFECTS = [
    ("image: {tag: 0.2.0}", DEPLOYMENT, (*CONTAINER, "image"), "registry.example.com/ml/sluice:0.2.0"),
    ("image: {repository: ghcr.io/a/sluice}", DEPLOYMENT, (*CONTAINER, "image"), "ghcr.io/a/sluice:0.1.0"),
    (
        f"image: {{repository: 'localhost:5000/sluice', tag: gpu, digest: 'sha256:{'0' * 64}'}}",
        DEPLOYMENT,
        (*CONTAINER, "image"),
        f"localhost:5000/sluice:gpu@sha256:{'0' * 64}",
    ),
    ("image: {pullPolicy: Always}", DEPLOYMENT, (*CONTAINER, "imagePullPolicy"), "Always"),
    ("imagePullSecrets: [{name: pull}]", DEPLOYMENT, (*POD, "imagePullSecrets"), [{"name": "pull"}]),
    ("resources: {limits: {memory: 1Gi}}", DEPLOYMENT, (*CONTAINER, "resources"), {"limits": {"memory": "1Gi"}}),
    ("env: [{name: RUST_LOG, value: debug}]", DEPLOYMENT, (*CONTAINER, "env", 1), {"name": "RUST_LOG", "value": "debug"}),
    ("env: [{name: RUST_LOG, value: debug}]", DEPLOYMENT, (*CONTAINER, "env", 0, "name"), "INSTANCE"),
    ("nodeSelector: {pool: gpu}", DEPLOYMENT, (*POD, "nodeSelector"), {"pool": "gpu"}),
    ("tolerations: [{operator: Exists}]", DEPLOYMENT, (*POD, "tolerations"), [{"operator": "Exists"}]),
    ("priorityClassName: serving", DEPLOYMENT, (*POD, "priorityClassName"), "serving"),
    ("terminationGracePeriodSeconds: 90", DEPLOYMENT, (*POD, "terminationGracePeriodSeconds"), 90),
    ("podLabels: {team: fraud}", DEPLOYMENT, ("spec", "template", "metadata", "labels", "team"), "fraud"),
    ("podAnnotations: {team: fraud}", DEPLOYMENT, ("spec", "template", "metadata", "annotations", "team"), "fraud"),
    ("extraVolumes: [{name: tmp, emptyDir: {}}]", DEPLOYMENT, (*POD, "volumes", 3, "name"), "tmp"),
    ("extraVolumeMounts: [{name: tmp, mountPath: /tmp}]", DEPLOYMENT, (*CONTAINER, "volumeMounts", 3, "mountPath"), "/tmp"),
    ("tls: {secretName: own}", DEPLOYMENT, (*POD, "volumes", 3, "secret", "secretName"), "own"),
    ("tls: {secretName: own}", DEPLOYMENT, (*CONTAINER, "volumeMounts", 3, "mountPath"), "/etc/sluice/tls"),
    ("tls: {secretName: own}", DEPLOYMENT, (*CONTAINER, "args", -3), "--tls-cert=/etc/sluice/tls/tls.crt"),
    ("tls: {secretName: own}", DEPLOYMENT, (*CONTAINER, "readinessProbe", "httpGet", "scheme"), "HTTPS"),
    ("access: {secretName: own}", DEPLOYMENT, (*POD, "volumes", 3, "secret", "secretName"), "own"),
    ("access: {secretName: own}", DEPLOYMENT, (*POD, "volumes", 3, "secret", "items", 0, "key"), "access.yaml"),
    ("access: {secretName: own}", DEPLOYMENT, (*CONTAINER, "args", -1), "--access-file=/etc/sluice/access/access.yaml"),
    (
        "access: {secretName: own}",
        "PodMonitor",
        ("spec", "podMetricsEndpoints", 0, "authorization", "credentials"),
        {"name": "own", "key": "prometheus"},
    ),
    ("autoscaling: {maxReplicas: 4}", AUTOSCALER, ("spec", "maxReplicas"), 4),
    ("autoscaling: {maxReplicas: 4}", AUTOSCALER, ("spec", "minReplicas"), 3),
    ("autoscaling: {enabled: false}", DEPLOYMENT, ("spec", "replicas"), 3),
    ("autoscaling: {enabled: false}", AUTOSCALER, (), None),
    ("networkPolicy: {enabled: false}", "NetworkPolicy", (), None),
    ("monitoring: {enabled: false}", "PodMonitor", (), None),
    ("monitoring: {labels: {release: kube-prometheus}}", "PodMonitor", ("metadata", "labels", "release"), "kube-prometheus"),
    ("podDisruptionBudget: {maxUnavailable: 2}", "PodDisruptionBudget", ("spec", "maxUnavailable"), 2),
    ("serviceAccount: {annotations: {a: b}}", "ServiceAccount", ("metadata", "annotations"), {"a": "b"}),
    ("service: {annotations: {a: b}}", "Service", ("metadata", "annotations"), {"a": "b"}),
    ("service: {type: LoadBalancer}", "Service", ("spec", "type"), "LoadBalancer"),
    # The server takes these for absent; Helm drops them from what it merges.
    ("retry: null", DEPLOYMENT, ("metadata", "name"), "fraud-detection-model-serving"),
    ("nameOverride: fraud", DEPLOYMENT, ("metadata", "name"), "fraud-model-serving"),
]

# The same of the witness, which is rendered by itself.
WITNESS_EFFECTS = [
    ("access: {secretName: own}", "Job", (*POD, "volumes", 1, "secret", "secretName"), "own"),
    ("access: {secretName: own}", "Job", (*CONTAINER, "args", -1), "--token-file=/etc/sluice/token/token"),
    ("access: {secretName: own}", "Job", (*CONTAINER, "volumeMounts", 1, "mountPath"), "/etc/sluice/token"),
]

# The same where the base is pinned to a digest.
PIN, OTHER_PIN = (f"sha256:{digit * 64}" for digit in "12")
PINNED = f"registry.example.com/ml/sluice:0.1.0@{PIN}"
PINNED_EFFECTS = [
    ("image: {pullPolicy: Always}", PINNED),
    ("image: {}", PINNED),
    ("image: {digest: ''}", PINNED),
    ("image: {tag: 0.2.0}", "registry.example.com/ml/sluice:0.2.0"),
    ("image: {repository: ghcr.io/a/sluice, pullPolicy: Always}", "ghcr.io/a/sluice:0.1.0"),
    (f"image: {{digest: '{OTHER_PIN}'}}", f"registry.example.com/ml/sluice:0.1.0@{OTHER_PIN}"),
]

# What is added to the file, what outranks it, and what is said.
REFUSALS = [
    ("a misspelt key", "resource: {}", {}, "`resource` is no key of this chart"),
    ("a misspelt key below", "autoscaling: {maxReplica: 4}", {}, "`autoscaling.maxReplica` is no key"),
    ("a key of another chart", "ingress: {enabled: true}", {}, "`ingress` is no key of this chart"),
    ("fewer pods at most than at least", "autoscaling: {maxReplicas: 2}", {}, "under model.replicas"),
    ("TLS without a certificate", "tls: {secretName: ''}", {}, "tls.secretName is missing"),
    ("an access file that is nowhere", "access: {secretName: ''}", {}, "access.secretName is missing"),
    ("a name that no Service can have", "nameOverride: Fraud_Detection", {}, "cannot begin the name of a Service"),
    ("a file that does not say which it is", "global: {}", {}, "say which file this is"),
    ("a file that says it is another", "global: {environment: staging}", {}, "is not what values-staging.yaml says"),
    ("a file that says it is one that is not there", "global: {environment: test}", {}, "is not what values-test.yaml says"),
    ("a parameter that names a version", "", {"model": {"version": "v2.3.1"}}, "`model` is not what values-production.yaml says"),
    ("a parameter of the chart's own", "", {"nodeSelector": {"pool": "cpu"}}, "`nodeSelector` is not what"),
    ("a part that there is not", "", {"global": {"environment": "production", "part": "canary"}}, 'global.part is "canary"'),
]


@contextlib.contextmanager
def changed(tree, line):
    """The values file with one more line, in place of the line of that key where there is one."""
    path = tree.values(MODEL, ENVIRONMENT)
    text = path.read_text(encoding="utf-8")
    key = line.partition(":")[0]
    kept = [it for it in text.splitlines() if not (key and it.startswith(f"{key}:"))]
    path.write_text("\n".join([*kept, line, ""]), encoding="utf-8")
    yield
    path.write_text(text, encoding="utf-8")


def found(objects, kind, spot):
    matching = [it for it in objects if it["kind"] == kind and not it["metadata"]["name"].endswith("-headless")]
    if not matching:
        return None
    value = matching[0]
    for key in spot:
        value = value[key]
    return value


def effect(tree, line, kind, spot, expected, part="server"):
    with changed(tree, line):
        objects = documents(tree.helm(MODEL, ENVIRONMENT, part=part))
    said = found(objects, kind, spot)
    if said != expected:
        yield f"{kind} {spot} is {said}, and {expected} was asked for"
    yield from (problem for it in objects for problem in schemas.problems(it))


def pin(tree):
    """The base as deploy/README.md has it pinned."""
    for path in sorted((tree.folder / "base").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("image: registry.example.com/ml/sluice:0.1.0", f"image: {PINNED}"), encoding="utf-8")
    tree.build_dependencies()


def refusal(tree, line, extra):
    with changed(tree, line):
        try:
            tree.helm(MODEL, ENVIRONMENT, outranking=extra)
        except helm_python.HelmError as error:
            return [str(error)]
    return []


def linted(tree):
    for model in tree.models():
        for environment in ("production", "staging"):
            values = helm_python.values_from_yaml(tree.values(model, environment).read_text(encoding="utf-8"))
            report = helm_python.lint(tree.folder / "models" / model, values, strict=True, namespace=f"ml-{environment}")
            yield from (it["error"] for it in report["messages"] if it["severity"] >= 2)
            yield from report["errors"]


def main():
    given = arguments(__doc__)
    tally = Tally()
    with Tree(given.deploy).copy() as tree:
        tally.check("helm lint, strict", linted(tree))
        for line, kind, spot, expected in EFFECTS:
            tally.check(f"{line} -> {kind}", effect(tree, line, kind, spot, expected))
        for line, kind, spot, expected in WITNESS_EFFECTS:
            tally.check(f"{line} -> {kind}", effect(tree, line, kind, spot, expected, part="witness"))
        for name, line, extra, expected in REFUSALS:
            tally.refused(name, refusal(tree, line, extra), expected)
        pin(tree)
        for line, expected in PINNED_EFFECTS:
            tally.check(f"pinned, {line} -> {DEPLOYMENT}", effect(tree, line, DEPLOYMENT, (*CONTAINER, "image"), expected))
            tally.check(f"pinned, {line} -> Job", effect(tree, line, "Job", (*CONTAINER, "image"), expected, part="witness"))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
