"""The list of crates in the image: its form, and whether it is complete."""

import re
import tomllib

# Of what checkov needs; pinned in tests/deploy/constraints.txt.
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


# Where a panic says that it came from: the compiler leaves the paths of many crates' sources in the program.
SOURCE = re.compile(rb"registry/src/[^/\0]+/([A-Za-z0-9_-]+)-(\d+\.\d+\.\d+[^/\0]*)/")


def traces(program):
    """{(name, version)} of crates that are in the program for certain."""
    return {(name.decode(), version.decode()) for name, version in SOURCE.findall(program)}


def locked(text):
    """{(name, version): its digest, nothing where it is of this repository} of a lock file."""
    return {(it["name"], it["version"]): it.get("checksum") for it in tomllib.loads(text)["package"]}


def invalid(text):
    """What the standard's own schema finds."""
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    if error:
        yield str(error)


def problems(sbom, version, certain, lock):
    """What is wrong with the content: `certain` must be there, and all must be as `lock` has it."""
    about = sbom["metadata"]["component"]
    if (about["name"], about["version"]) != ("sluice", version):
        yield f"it is about {about['name']} {about['version']}, not about sluice {version}"
    named = {(it["name"], it["version"]): it for it in sbom["components"]}
    for name, number in sorted(certain - set(named)):
        yield f"{name} {number} is in the program and not named"
    for crate, it in sorted(named.items()):
        yield from (f"{' '.join(crate)} {problem}" for problem in one(crate, it, lock))


def one(crate, it, lock):
    if crate not in lock:
        yield "is not in Cargo.lock"
        return
    digest = lock[crate]
    if [hashed["content"] for hashed in it.get("hashes", [])] != ([digest] if digest else []):
        yield f"has other digests than {digest}"
    if it.get("purl") != ("pkg:cargo/{}@{}".format(*crate) if digest else None):
        yield f"has the address {it.get('purl')}"
    if not it.get("licenses"):
        yield "has no licence"
