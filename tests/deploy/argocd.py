#!/usr/bin/env python3
"""Argo CD's files agree with its fields, with each other and with the tree, and nothing holds up a revert."""

import copy
import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import yaml

import applications
import manual
import schemas
from tally import Tally
from tree import Tree, arguments, documents

HOOKS_AND_WAVES = ("argocd.argoproj.io/hook", "argocd.argoproj.io/sync-wave", "helm.sh/hook")
# These wait for something in the middle of a sync, or apply in a way that would wipe the server's annotations.
WAITING_OPTIONS = ("PruneLast=true", "Replace=true", "Force=true")
RETRY_SECONDS_MAX = 60
# What a template of the notifications may say of the Application: a field, or an entry of one.
FIELD = re.compile(r"{{\.app\.([\w.]+)}}|{{index \.app\.([\w.]+) (\d+)}}")
ROLLBACK = "template.sluice-degraded"

# Rules of argocd-source-lint that fire on this tree, and why they are no faults. A rule that stops firing is reported.
ACCEPTED = {
    "unresolvable-generator": "it does not read Go templates: `applications.py` does, and the explicit form is the same set",
    "double-coverage": "it counts files: one base is rendered under many names. `owned_once` counts the objects",
    "hpa-selfheal-conflict": "it looks for `ignoreDifferences`: there is nothing to ignore, the Deployment has no `replicas`",
}


def fields(documents_):
    for document in documents_:
        name = f"{document['kind']}/{document['metadata']['name']}"
        yield from (f"{name}: {problem}" for problem in schemas.problems(document))


def owned_once(names):
    yield from (f"{name} has {count} owners" for name, count in Counter(names).items() if count > 1)


def names_of(documents_):
    return [it["metadata"]["name"] for it in documents_ if it["kind"] == "Application"]


def one_file_one_model(tree, made):
    """Each Application is of a file that the tree has in its place, and each file has its two."""
    expected = sorted(f"{model}-{environment}{suffix}" for model, environment in tree.instances() for suffix in ("", "-witness"))
    if sorted(names_of(made)) != expected:
        yield f"{sorted(names_of(made))} are made, and {expected} should be"


def renders(tree, application):
    """What Argo CD needs to find at the path, and nothing that outranks the values file."""
    source = application["spec"]["source"]
    folder = tree.folder / source["path"]
    if not (folder / "Chart.yaml").is_file():
        yield f"{source['path']} has no Chart.yaml, and a `helm` block makes Argo CD ask for one"
    for name in source["helm"]["valueFiles"]:
        if not (folder / name).is_file():
            yield f"{name} is not in {source['path']}"
    if "parameters" in source["helm"] or "values" in source["helm"] or source["helm"]["valuesObject"].keys() != {"global"}:
        yield "values beside the file outrank every commit"


def objects_of(tree, application):
    source = application["spec"]["source"]
    environment = source["helm"]["valueFiles"][0].removeprefix("values-").removesuffix(".yaml")
    part = source["helm"]["valuesObject"]["global"]["part"]
    return documents(tree.helm(source["path"].split("/")[-1], environment, part=part))


def identities(application, objects):
    namespace = application["spec"]["destination"]["namespace"]
    return [f"{it['kind']} {namespace}/{it['metadata']['name']}" for it in objects]


def permitted(application, objects, projects):
    """The project lets the Application come from there, go there and hold that."""
    project = projects.get(application["spec"]["project"])
    if project is None:
        yield f"there is no project {application['spec']['project']}"
        return
    if application["spec"]["source"]["repoURL"] not in project["sourceRepos"]:
        yield "its repository is not the project's"
    if application["spec"]["destination"] not in project["destinations"]:
        yield f"{application['spec']['destination']} is no destination of the project"
    allowed = {(it["group"], it["kind"]) for it in project["namespaceResourceWhitelist"]}
    for document in objects:
        group = document["apiVersion"].rpartition("/")[0]
        if (group, document["kind"]) not in allowed:
            yield f"the project may not hold {group}/{document['kind']}"


def holds_up_a_revert(application, objects):
    """A sync of several steps goes on until each object is healthy, and no other can start meanwhile (gitops-engine,
    `multiStep`). The model's ConfigMap is healthy when the canary is over: it must not be in such a sync."""
    for document in objects:
        annotations = document["metadata"].get("annotations", {})
        yield from (f"{document['kind']} has {key}" for key in annotations if key in HOOKS_AND_WAVES)
    policy = application["spec"]["syncPolicy"]
    yield from (f"sync option {it}" for it in policy["syncOptions"] if it in WAITING_OPTIONS)
    if "ApplyOutOfSyncOnly=true" not in policy["syncOptions"]:
        yield "every object takes part in every sync"
    if "managedNamespaceMetadata" in policy:
        yield "a namespace that is kept in shape is a step of its own"
    yield from slow_retries(policy["retry"])


def by_itself(application, namespace):
    """A merge is all that it takes: what Git has comes, what Git lost goes, what somebody changed goes back."""
    policy = application["spec"]["syncPolicy"]
    if policy.get("automated") != {"prune": True, "selfHeal": True}:
        yield f"automated is {policy.get('automated')}"
    if namespace and "CreateNamespace=true" not in policy["syncOptions"]:
        yield "nobody makes its namespace"


def slow_retries(retry):
    if not retry.get("refresh"):
        yield "a retry would try the same commit again"
    longest = retry["backoff"]["maxDuration"]
    seconds = int(longest[:-1]) * {"s": 1, "m": 60}[longest[-1]]
    if seconds > RETRY_SECONDS_MAX:
        yield f"a retry may be {longest} away, and no other sync starts before it"


def holds_up_every_revert(platform):
    for document in platform:
        if document["kind"] == "AppProject" and document["spec"].get("syncWindows"):
            yield f"{document['metadata']['name']} has sync windows"
        if document["kind"] == "ApplicationSet" and document["spec"].get("strategy"):
            yield "a strategy of an ApplicationSet switches automated sync off"


def notified(made, config_map):
    """Each trigger that an Application subscribes to is there, and each template that a trigger sends."""
    data = config_map["data"]
    for application in made:
        for key in application["metadata"].get("annotations", {}):
            if key.startswith("notifications.argoproj.io/subscribe."):
                trigger, service = key.split(".")[-2:]
                if f"trigger.{trigger}" not in data:
                    yield f"{trigger} is no trigger"
                if f"service.{service}" not in data:
                    yield f"{service} is no service"
    for key, text in data.items():
        if key.startswith("trigger."):
            sent = [name for condition in yaml.safe_load(text) for name in condition["send"]]
            yield from (f"{key} sends {name}, which is no template" for name in sent if f"template.{name}" not in data)


def rolls_back(made, config_map, readme):
    """Where a model is Degraded, people are told what step 6 types, for that very file. The commit that was synced may
    be another model's."""
    message = yaml.safe_load(config_map["data"][ROLLBACK])["message"]
    server, file = "fraud-detection-production", "models/fraud-detection/values-production.yaml"
    wanted = manual.block(readme, manual.PLAYED["back"])
    for application in made:
        source, name = application["spec"]["source"], application["metadata"]["name"]
        examples = {file: f"{source['path']}/{source['helm']['valueFiles'][0]}", f"{server}-back": f"{name}-back"}
        if manual.filled(wanted, examples) not in FIELD.sub(lambda found: field(application, found), message):
            yield f"{application['metadata']['name']}: {ROLLBACK} does not say what step 6 of the README types"


def field(application, found):
    """What a template says there. What only a cluster knows stays as it is written."""
    value = application
    for key in (found[1] or found[2]).split("."):
        if key not in value:
            return found[0]
        value = value[key]
    return str(value[int(found[3])] if found[3] else value)


def configured(tree, kubectl):
    """What `kubectl kustomize argocd/config` makes: script and ignored fields under the keys that Argo CD reads."""
    done = subprocess.run([kubectl, "kustomize", tree.folder / "argocd/config"], capture_output=True, text=True, timeout=60)
    objects = {it["metadata"]["name"]: it for it in documents(done.stdout)}
    data = objects.get("argocd-cm", {}).get("data", {})
    script = (tree.folder / "argocd/config/health.lua").read_text(encoding="utf-8")
    key = "resource.customizations.health.ConfigMap"
    if data.get(key) != script:
        yield f"argocd-cm does not hold the script under {key}: {done.stderr}"
    ignored = yaml.safe_load(data.get("resource.customizations.ignoreResourceUpdates.ConfigMap", ""))
    if ignored != {"jsonPointers": ["/metadata/annotations/sluice.dev~1reports"]}:
        yield f"Argo CD ignores updates of {ignored}, and servers renew their lines in sluice.dev/reports"
    yield from fields(objects.values())


def linted(tree, lint):
    """argocd-source-lint, on a clone whose remote is the repository that the Applications name."""
    [remote] = {it["spec"]["source"]["repoURL"] for it in applications.deployed(tree) if it["kind"] == "Application"}
    author = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["remote", "add", "origin", remote],
        ["add", "--all"],
        [*author, "commit", "--quiet", "--message=tree"],
    ):
        subprocess.run(["git", *words], cwd=tree.folder, check=True, capture_output=True)
    done = subprocess.run([lint, "--format=json", "."], cwd=tree.folder, capture_output=True, text=True, timeout=60)
    shutil.rmtree(tree.folder / ".git")
    found = json.loads(done.stdout)["findings"]
    for finding in found:
        if finding["rule_id"] not in ACCEPTED:
            yield f"{finding['severity']} {finding['rule_id']}: {finding['file']}: {finding['message']}"
    yield from (f"{it} is accepted, and is not found any more" for it in ACCEPTED.keys() - {it["rule_id"] for it in found})


def new_model(tally, tree):
    """What the README says of a new model: a copied folder, a changed name, and nothing else."""
    source, folder = tree.folder / "models/recommendation", tree.folder / "models/churn"
    shutil.copytree(source, folder)
    for path in [it for it in folder.rglob("*.yaml") if it.is_file()]:
        path.write_text(path.read_text(encoding="utf-8").replace("recommendation", "churn"), encoding="utf-8")
    tree.build_dependencies()
    made = [it for it in applications.deployed(tree) if it["kind"] == "Application"]
    tally.check("a new folder is four Applications more", one_file_one_model(tree, made))
    for application in (it for it in made if it["metadata"]["labels"]["sluice.dev/model"] == "churn"):
        name = application["metadata"]["name"]
        tally.check(f"{name}: its objects are a cluster's", fields(objects_of(tree, application)))
    shutil.rmtree(folder)


def planted(tally, platform, made):
    """That each kind of Argo CD's is refused with a misspelt field and with a wrong type."""
    kinds = {it["kind"]: it for it in [*platform, *made]}
    spots = {
        "Application": (("spec", "source", "helm"), "valuesFiles", ("spec", "syncPolicy", "automated"), "prune"),
        "ApplicationSet": (("spec", "syncPolicy"), "preserveResourceOnDeletion", ("spec",), "goTemplate"),
        "AppProject": (("spec",), "destination", ("spec", "orphanedResources"), "warn"),
    }
    for kind, (where, misspelt, spot, typed) in spots.items():
        tally.refused(f"{kind} with `{misspelt}`", fields([put(kinds[kind], where, misspelt, [])]), misspelt)
        tally.refused(f"{kind} with a word for {typed}", fields([put(kinds[kind], spot, typed, "yes")]), "'yes' is not of type")


def put(document, spot, key, value):
    document = copy.deepcopy(document)
    holder = document
    for step in spot:
        holder = holder[step]
    holder[key] = value
    return document


def planted_rules(tally, tree, server, objects):
    """That the rules about reverts, owners and value files fire."""
    hooked = put(objects[0], ("metadata",), "annotations", {"argocd.argoproj.io/hook": "PostSync"})
    tally.refused("a hook beside the model", holds_up_a_revert(server, [hooked]), "argocd.argoproj.io/hook")
    late = put(server, ("spec", "syncPolicy", "retry", "backoff"), "maxDuration", "3m")
    tally.refused("a retry minutes away", holds_up_a_revert(late, []), "3m away")
    stale = put(server, ("spec", "syncPolicy", "retry"), "refresh", False)
    tally.refused("a retry of an old commit", holds_up_a_revert(stale, []), "same commit")
    for key in ("prune", "selfHeal"):
        idle = put(server, ("spec", "syncPolicy", "automated"), key, False)
        tally.refused(f"an Application without {key}", by_itself(idle, namespace=True), f"'{key}': False")
    nowhere = put(server, ("spec", "syncPolicy"), "syncOptions", ["ApplyOutOfSyncOnly=true"])
    tally.refused("an Application without a namespace", by_itself(nowhere, namespace=True), "nobody makes")
    outranked = put(server, ("spec", "source", "helm"), "parameters", [{"name": "model.version", "value": "v1"}])
    tally.refused("the guide's parameter", renders(tree, outranked), "outrank every commit")
    bare = put(server, ("spec", "source"), "path", "base/templates")
    tally.refused("a `helm` block on a folder without a chart", renders(tree, bare), "no Chart.yaml")
    both = put(applications.app_of_apps(tree), ("spec", "source"), "path", "argocd")
    both = put(both, ("spec", "source", "directory"), "recurse", True)
    (tree.folder / "argocd/app-of-apps.yaml").write_text(yaml.safe_dump(both), encoding="utf-8")
    (tree.folder / "argocd/config/kustomization.yaml").unlink()
    names = names_of(applications.deployed(tree))
    twice = identities(server, objects) * 2
    tally.refused("an object of two Applications", owned_once(twice), "has 2 owners")
    tally.refused("both forms at once", owned_once(names), "fraud-detection-production has 2 owners")


def main():
    given = arguments(__doc__, "--kubectl", "--lint")
    tally = Tally()
    with Tree(given.deploy).copy() as tree:
        all_ = list(applications.deployed(tree))
        made = [it for it in all_ if it["kind"] == "Application"]
        platform = [applications.app_of_apps(tree), *(it for it in all_ if it["kind"] != "Application")]
        explicit = list(applications.written_out(tree))
        projects = {it["metadata"]["name"]: it["spec"] for it in platform if it["kind"] == "AppProject"}
        tally.check(f"every field of {len(platform)} and {len(made)} documents", fields([*platform, *made]))
        tally.check("every field of the explicit form", fields(it for _, it in explicit))
        tally.check("every name has one owner", owned_once(names_of([platform[0], *made])))
        tally.check("a values file is a model and its witness, and nothing else is", one_file_one_model(tree, made))
        by_name = {it["metadata"]["name"]: it for it in made}
        for model, document in explicit:
            name = document["metadata"]["name"]
            same = [] if by_name.get(name) == document and name.startswith(model) else [f"{name} is not what the ApplicationSet makes"]
            tally.check(f"{name}: both forms say the same", same)
        tally.check("the explicit form is whole", set(by_name) ^ {it["metadata"]["name"] for _, it in explicit})
        owned = []
        for name, application in by_name.items():
            tally.check(f"{name}: renders", renders(tree, application))
            objects = objects_of(tree, application)
            owned += identities(application, objects)
            tally.check(f"{name}: permitted by its project", permitted(application, objects, projects))
            tally.check(f"{name}: a merge is all that it takes", by_itself(application, namespace=True))
            if name.endswith("-witness"):
                tally.check(f"{name}: a retry is near", slow_retries(application["spec"]["syncPolicy"]["retry"]))
            else:
                tally.check(f"{name}: its sync waits for nothing", holds_up_a_revert(application, objects))
        tally.check(f"each of {len(owned)} objects has one owner", owned_once(owned))
        name = platform[0]["metadata"]["name"]
        tally.check(f"{name}: a merge is all that it takes", by_itself(platform[0], namespace=False))
        tally.check("nothing holds up every revert", holds_up_every_revert(platform))
        [notifications] = documents((tree.folder / "argocd/config/notifications.yaml").read_text(encoding="utf-8"))
        tally.check("triggers and templates are there", notified(made, notifications))
        readme = (tree.folder / "README.md").read_text(encoding="utf-8")
        tally.check("who is told of a bad version is told step 6", rolls_back(made, notifications, readme))
        synced = put(notifications, ("data",), ROLLBACK, "message: 'git revert {{.app.status.sync.revision}}'")
        tally.refused("a revert of the synced commit", rolls_back(made, synced, readme), ROLLBACK)
        tally.check("the script is under Argo CD's key", configured(tree, given.kubectl))
        tally.check("argocd-source-lint", linted(tree, given.lint))
        new_model(tally, tree)
        planted(tally, platform, made)
        server = by_name["fraud-detection-production"]
        tree.values("fraud-detection", "staging").rename(tree.folder / "models/fraud-detection/values-x.txt")
        tally.refused("argocd-source-lint: a values file that is gone", linted(tree, given.lint), "values-staging.yaml")
        planted_rules(tally, tree, server, objects_of(tree, server))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
