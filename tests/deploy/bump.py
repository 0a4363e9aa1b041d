#!/usr/bin/env python3
"""A new version changes the mounted bytes and nothing of a pod, whichever tool renders."""

import sys

import yaml

from programs import sluice
from tally import Tally
from tree import Tree, arguments, documents

NEXT = "v9.9.9"


def rendered(tree, kubectl, model, environment):
    texts = {"kustomize": tree.kustomize(kubectl, model, environment), "helm": tree.helm(model, environment)}
    return {tool: documents(text) for tool, text in texts.items()}


def pods(objects):
    """The bytes of each pod template: what the Deployment's controller hashes."""
    return [yaml.safe_dump(it["spec"]["template"]).encode() for it in objects if "template" in it.get("spec", {})]


def rest(objects):
    """Everything but what a values ConfigMap holds and says of its content."""
    return [it for it in objects if not is_values(it)]


def is_values(document):
    return document["kind"] == "ConfigMap" and document["metadata"]["name"].endswith("-values")


def held(objects):
    """Name and bytes of the values."""
    [found] = [it for it in objects if is_values(it)]
    return found["metadata"]["name"], found["data"]["values.yaml"]


def restarts(before, after):
    if pods(before) != pods(after):
        yield "the pod template changed: every pod would restart"
    if rest(before) != rest(after):
        yield "more changed than the values"
    if held(before)[0] != held(after)[0]:
        yield f"the ConfigMap was {held(before)[0]} and is {held(after)[0]}"


def arrives(path, before, after):
    if held(before)[1] == held(after)[1]:
        yield "the ConfigMap did not change"
    if held(after)[1] != path.read_text(encoding="utf-8") or NEXT not in held(after)[1]:
        yield "the ConfigMap does not hold the new file"


def main():
    given = arguments(__doc__, "--kubectl", "--sluice")
    tally = Tally()
    with Tree(given.deploy).copy() as tree:
        for model, environment in tree.instances():
            path = tree.values(model, environment)
            before = rendered(tree, given.kubectl, model, environment)
            tally.check(f"{model} {environment}: bumped", sluice(given.sluice, "bump", path, NEXT, "--promoted"))
            after = rendered(tree, given.kubectl, model, environment)
            for tool in before:
                name = f"{model} {environment}, {tool}"
                tally.check(f"{name}: no pod restarts", restarts(before[tool], after[tool]))
                tally.check(f"{name}: the new file arrives", arrives(path, before[tool], after[tool]))
            other = [it for it in tree.instances() if it != (model, environment)]
            touched = [it for it in other if NEXT in tree.helm(*it)]
            tally.check(f"{model} {environment}: no other is touched", touched)
            undo(given.deploy, tree, path)
        plant(tally, tree, given.kubectl)
    return tally.finish()


def undo(source, tree, path):
    path.write_bytes((source / path.relative_to(tree.folder)).read_bytes())


def plant(tally, tree, kubectl):
    """That a hash in the name is seen: with Kustomize's default every bump would restart every pod."""
    model, environment = tree.instances()[0]
    kustomization = tree.folder / "models" / model / "kustomization.yaml"
    text = kustomization.read_text(encoding="utf-8")
    kustomization.write_text(text.replace("disableNameSuffixHash: true", "disableNameSuffixHash: false"), encoding="utf-8")
    path = tree.values(model, environment)

    def objects():
        # With the hash the name no longer ends in the word.
        found = documents(tree.kustomize(kubectl, model, environment))
        for it in found:
            if it["kind"] == "ConfigMap" and "-values-" in it["metadata"]["name"]:
                return found, it["metadata"]["name"]
        return found, None

    before, first = objects()
    path.write_text(path.read_text(encoding="utf-8") + "# one more line\n", encoding="utf-8")
    after, second = objects()
    said = ["the pod template changed"] if pods(before) != pods(after) and first != second else []
    tally.refused("a hash in the ConfigMap's name", said, "the pod template changed")


if __name__ == "__main__":
    sys.exit(main())
