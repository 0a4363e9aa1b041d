#!/usr/bin/env python3
"""Checks deploy/infrastructure/crossplane: every field against a strict schema, and nothing that Terraform manages too.

`--node-modules` holds @cdktf/hcl2json.
"""

import copy
import json
import sys

import yaml

import schemas
import terraform
from tally import Tally
from tree import arguments

FOLDER = "infrastructure/crossplane"
# One thing in Google Cloud, by what each tool calls its kind.
SAME_THING = {
    "google_sql_database_instance": "DatabaseInstance.sql",
    "google_sql_database": "Database.sql",
    "google_sql_user": "User.sql",
    "google_redis_instance": "Instance.redis",
}

# What the definitions demand in CEL, unless the resource is only observed.
DEMANDED = {"DatabaseInstance.sql": "databaseVersion", "Instance.redis": "memorySizeGb"}

# Fields whose loss would be an outage of data, and what they must be.
KEPT = {
    "DatabaseInstance.sql": [("deletionProtection", True), ("settings.backupConfiguration.enabled", True),
                             ("settings.ipConfiguration.ipv4Enabled", False)],
    "Instance.redis": [("deletionProtection", True), ("authEnabled", True),
                       ("transitEncryptionMode", "SERVER_AUTHENTICATION")],
}  # fmt: skip


def read(deploy):
    """Every object of the folder."""
    paths = sorted((deploy / FOLDER).glob("*.yaml"))
    return [it for path in paths for it in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def kind_of(document):
    return f"{document['kind']}.{document['apiVersion'].split('.')[0]}"


def field_problems(document):
    yield from schemas.problems(document)
    if "namespace" not in document["metadata"]:
        yield "metadata.namespace is missing: it would land wherever whoever applies it happens to be"
    demanded = DEMANDED.get(kind_of(document))
    if demanded and demanded not in document["spec"].get("forProvider", {}):
        yield f"spec.forProvider.{demanded} is demanded"


def safety_problems(document):
    for path, expected in KEPT.get(kind_of(document), []):
        found = document["spec"]["forProvider"]
        for part in path.split("."):
            found = found.get(part, {}) if isinstance(found, dict) else None
        if found != expected:
            yield f"spec.forProvider.{path} is {json.dumps(found)}, and must be {json.dumps(expected)}"


def owned_by_terraform(configuration):
    """(kind, name) of what Terraform makes; a name that only Terraform can compute is left as its expression."""
    for address, body in configuration.resources.items():
        kind = SAME_THING.get(address.split(".")[0])
        if kind:
            yield kind, instance_of(kind, body.get("instance", ""), configuration), body["name"]


def instance_of(kind, reference, configuration):
    """The name of the instance that a database or user is in: two instances may each have a database `labels`."""
    if kind not in ("Database.sql", "User.sql"):
        return None
    for address, body in configuration.resources.items():
        if address in reference:
            return body["name"]
    return reference


def owned_by_crossplane(documents):
    for document in documents:
        kind, metadata, provider = kind_of(document), document["metadata"], document["spec"]["forProvider"]
        name = metadata.get("annotations", {}).get("crossplane.io/external-name", metadata["name"])
        within = provider.get("instance") or provider.get("instanceRef", {}).get("name")
        yield kind, within if kind in ("Database.sql", "User.sql") else None, name


def owned_twice(documents, configuration):
    seen = {}
    owners = [("Terraform", it) for it in owned_by_terraform(configuration)]
    owners += [("Crossplane", it) for it in owned_by_crossplane(documents)]
    for owner, thing in owners:
        if thing in seen:
            kind, within, name = thing
            place = f" in {within}" if within else ""
            yield f"{kind} `{name}`{place} is managed by {seen[thing]} and by {owner}"
        seen[thing] = owner


def dangling(documents):
    names = {(kind_of(document), document["metadata"]["name"]) for document in documents}
    for document in documents:
        reference = document["spec"]["forProvider"].get("instanceRef", {}).get("name")
        if reference and ("DatabaseInstance.sql", reference) not in names:
            yield f"{document['kind']} {document['metadata']['name']}: there is no instance `{reference}`"


def planted(tally, documents, configuration):
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        misspelt = copy.deepcopy(document)
        misspelt["spec"]["forProvider"]["regoin"] = "europe-west4"
        tally.refused(f"{name} with a misspelling", field_problems(misspelt), "regoin")
        mistyped = copy.deepcopy(document)
        mistyped["spec"]["managementPolicies"] = "Observe"
        tally.refused(f"{name} with a wrong type", field_problems(mistyped), "is not of type 'array'")
    deep = copy.deepcopy(documents[0])
    deep["spec"]["forProvider"]["settings"]["backupConfiguration"]["enable"] = True
    tally.refused("a misspelling four levels down", field_problems(deep), "'enable' was unexpected")
    deep = copy.deepcopy(documents[0])
    deep["spec"]["forProvider"]["settings"]["backupConfiguration"]["enabled"] = "yes"
    tally.refused("a wrong type four levels down", field_problems(deep), "is not of type 'boolean'")
    old = copy.deepcopy(documents[0])
    old["apiVersion"] = "sql.gcp.upbound.io/v1beta1"
    tally.refused("the group that provider 3 removed", field_problems(old), "find schema for kind DatabaseInstance")
    homeless = copy.deepcopy(documents[0])
    del homeless["metadata"]["namespace"]
    tally.refused("an object without a namespace", field_problems(homeless), "metadata.namespace is missing")
    stolen = copy.deepcopy(documents)
    stolen[0]["metadata"]["name"] = "mlflow"
    tally.refused("MLflow's instance", owned_twice(stolen, configuration), "managed by Terraform and by Crossplane")
    tally.refused("an instance that is not there", dangling(documents[1:]), "there is no instance")
    bare = copy.deepcopy(documents[0])
    bare["spec"]["forProvider"]["deletionProtection"] = False
    tally.refused("an unprotected database", safety_problems(bare), "deletionProtection")


def main():
    given = arguments(__doc__, "--node-modules")
    tally = Tally()
    documents = read(given.deploy)
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        tally.check(name, [*field_problems(document), *safety_problems(document)])
    configuration = terraform.Configuration.of(given.deploy / terraform.FOLDER, given.node_modules)
    tally.check("every instance that is named is there", dangling(documents))
    tally.check("nothing is managed by Terraform and by Crossplane", owned_twice(documents, configuration))
    planted(tally, documents, configuration)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
