"""The list of crates in the image: its form, and whether it is complete."""

import tomllib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def crates(text):
    """{(name, version)} of what `cargo tree --format {p}` prints, less the package itself, which comes first."""
    words = [line.split() for line in text.splitlines() if line.strip()]
    return {(name, version.removeprefix("v")) for name, version, *_ in words[1:]} - {tuple_of(words[0])}


def tuple_of(words):
    return words[0], words[1].removeprefix("v")


def locked(text):
    """{(name, version): whether it comes from a registry} of a lock file."""
    return {(it["name"], it["version"]): "source" in it for it in tomllib.loads(text)["package"]}


def invalid(text):
    """What the standard's own schema finds."""
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    if error:
        yield str(error)


def problems(sbom, version, linked, lock):
    """What is wrong with the content: `linked` must be there, and nothing that `lock` does not have."""
    about = sbom["metadata"]["component"]
    if (about["name"], about["version"]) != ("sluice", version):
        yield f"it is about {about['name']} {about['version']}, not about sluice {version}"
    named = {(it["name"], it["version"]): it for it in sbom["components"]}
    for name, number in sorted(linked - set(named)):
        yield f"{name} {number} is linked and not named"
    for crate, it in sorted(named.items()):
        label = " ".join(crate)
        if crate not in lock:
            yield f"{label} is not in Cargo.lock"
        elif lock[crate] and not (it.get("hashes") and it.get("licenses")):
            yield f"{label} has no digest or no licence"
        if not it.get("purl", "").startswith(f"pkg:cargo/{crate[0]}@{crate[1]}"):
            yield f"{label} has the address {it.get('purl')}"
