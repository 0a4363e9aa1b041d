#!/usr/bin/env python3
"""Turns a CustomResourceDefinition into a strict JSON Schema: every field and its type, nothing unknown, no status.

    crd_fields.py --crd instances.yaml --source "provider-gcp-redis v3.0.0" > schemas/crossplane/redis-instance.json

For whoever moves to a newer version of a provider. The CRD itself is not kept: only the names and types of its fields
are, without its prose. What a CRD says in CEL (a field that is required unless the resource is only observed) is turned
into nothing, so the one such rule of each kind that we use is in `crossplane.py`.
"""

import argparse
import json
import sys

import yaml

KEPT = ("type", "enum", "minLength", "maxLength", "pattern", "minimum", "maximum", "required")
METADATA = {
    "type": "object",
    "required": ["name", "namespace"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"},
        "namespace": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def strict(node):
    """The schema of one field, with every object closed."""
    kept = {key: node[key] for key in KEPT if key in node}
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


def share(node, shared):
    """Replaces the shapes that many fields have (references, selectors) by `$ref`s into `shared`."""
    for name, field in list(node.get("properties", {}).items()):
        share(field, shared)
        for suffix, title in (("Selector", "selector"), ("Ref", "reference"), ("SecretRef", "secretReference")):
            if name.endswith(suffix) and field.get("type") == "object" and title_fits(title, field):
                known = shared.setdefault(title, field)
                if known == field:
                    node["properties"][name] = {"$ref": f"#/$defs/{title}"}
    if "items" in node:
        share(node["items"], shared)


def title_fits(title, field):
    names = set(field["properties"])
    return {"selector": "matchLabels" in names, "reference": "policy" in names, "secretReference": "key" in names}[
        title
    ]


def schema(crd, source, version):
    spec = crd["spec"]
    if spec["scope"] != "Namespaced":
        raise SystemExit(f"{spec['names']['kind']} is {spec['scope']}: the namespaced group is meant")
    found = {entry["name"]: entry["schema"]["openAPIV3Schema"] for entry in spec["versions"]}
    shared = {}
    body = strict(found[version]["properties"]["spec"])
    share(body, shared)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Every field of {spec['group']}/{version} {spec['names']['kind']} in {source}. Made by crd_fields.py.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": f"{spec['group']}/{version}"},
            "kind": {"const": spec["names"]["kind"]},
            "metadata": METADATA,
            "spec": body,
        },
        "$defs": shared,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crd", required=True, help="the definition, YAML")
    parser.add_argument("--source", required=True, help="where it is from, with its version; goes into the schema")
    parser.add_argument("--version", default="v1beta1", help="the API version to take")
    arguments = parser.parse_args()
    with open(arguments.crd, encoding="utf-8") as file:
        made = schema(yaml.safe_load(file), arguments.source, arguments.version)
    json.dump(made, sys.stdout, indent=1, sort_keys=False)
    print()


if __name__ == "__main__":
    main()
