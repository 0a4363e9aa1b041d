#!/usr/bin/env python3
"""Turns a CustomResourceDefinition into a strict JSON Schema that names every shape once.

    crd_schema.py application-crd.yaml "Argo CD v3.5.1" > schemas/argocd/application.json
    crd_schema.py instances.yaml "provider-upjet-gcp v3.0.0" > schemas/crossplane/redis-instance.json

For whoever moves to a newer version. Only the names and types of the fields are kept, not the definition, and not what
a controller writes (`status`, `operation`). Argo CD repeats whole templates inside each generator, so shapes that come
again become `$ref`s: written out, the schema of an ApplicationSet would be a megabyte.

What a definition says in CEL (a field that is required unless the resource is only observed) is turned into nothing, so
the one such rule of each kind that we use is in `crossplane.py`.
"""

import json
import sys

import yaml

KEPT = ("type", "enum", "minLength", "maxLength", "pattern", "minimum", "maximum", "required", "minItems", "maxItems")
WRITTEN_BY_CONTROLLERS = ("status", "operation")
METADATA = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"},
        "namespace": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "items": {"type": "string"}},
    },
}


def strict(node):
    """The schema of one field, with every object closed whose fields are known."""
    kept = {key: node[key] for key in KEPT if key in node}
    if kept.get("pattern", "").startswith("^(?i)"):
        # Go takes a flag anywhere, Python only in front.
        kept["pattern"] = "(?i)^" + kept["pattern"].removeprefix("^(?i)")
    if node.get("x-kubernetes-int-or-string"):
        kept["type"] = ["integer", "string"]
    if "items" in node:
        kept["items"] = strict(node["items"])
    if isinstance(node.get("additionalProperties"), dict):
        kept["additionalProperties"] = strict(node["additionalProperties"])
    elif "properties" in node:
        kept["properties"] = {name: strict(field) for name, field in node["properties"].items()}
        kept["additionalProperties"] = False
    return kept


def fold(body):
    """The same schema, with each object that occurs more than once under `$defs`."""
    seen = {}

    def count(node, name):
        for child_name, child in children(node):
            count(child, child_name)
        if "properties" in node:
            times, first = seen.get(key(node), (0, name))
            seen[key(node)] = (times + 1, first)

    count(body, "spec")
    names, definitions = {}, {}
    for shape, (times, name) in seen.items():
        if times > 1:
            same = sum(1 for other in names.values() if other.split("-")[0] == name)
            names[shape] = name if not same else f"{name}-{same + 1}"

    def replace(node, top=False):
        shape = key(node)
        copy = dict(node)
        if "properties" in node:
            copy["properties"] = {name: replace(child) for name, child in node["properties"].items()}
        for holder in ("items", "additionalProperties"):
            if isinstance(node.get(holder), dict):
                copy[holder] = replace(node[holder])
        if shape in names and not top:
            definitions[names[shape]] = copy
            return {"$ref": f"#/$defs/{names[shape]}"}
        return copy

    folded = replace(body, top=True)
    return folded, dict(sorted(definitions.items()))


def key(node):
    return json.dumps(node, sort_keys=True)


def children(node):
    yield from node.get("properties", {}).items()
    for holder in ("items", "additionalProperties"):
        if isinstance(node.get(holder), dict):
            yield "item", node[holder]


def schema(crd, source):
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
    if crd["spec"]["scope"] != "Namespaced":
        raise SystemExit(f"{kind} is {crd['spec']['scope']}, and everything here lies in a namespace")
    [version] = [entry for entry in crd["spec"]["versions"] if entry["storage"]]
    fields = version["schema"]["openAPIV3Schema"]["properties"]
    own = [name for name in fields if name not in ("apiVersion", "kind", "metadata", *WRITTEN_BY_CONTROLLERS)]
    if own != ["spec"]:
        raise SystemExit(f"{kind} has more than a spec: {own}")
    spec, definitions = fold(strict(fields["spec"]))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Every field of {group}/{version['name']} {kind} in {source}. Made by crd_schema.py.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": f"{group}/{version['name']}"},
            "kind": {"const": kind},
            "metadata": METADATA,
            "spec": spec,
        },
        "$defs": definitions,
    }


def main():
    _, path, source = sys.argv
    with open(path, encoding="utf-8") as file:
        json.dump(schema(yaml.safe_load(file), source), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
