#!/usr/bin/env python3
"""What is in the image, what it says of itself, and whether it serves: as the Deployment starts it, and by itself.

The container is started by crun, in namespaces of its own, with the Deployment's user, root and arguments. What its probes
ask is asked beside it, in its network.
"""

import argparse
import copy
import json
import sys
from pathlib import Path

import contents
import gpu
import sbom
import serving
import trust
from image import Image, agreed, labelled, named
from tally import Tally
from tree import Tree, documents


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("--deploy", "--zoo", "--lock", "--config", "--files"):
        parser.add_argument(flag, required=True, type=lambda text: Path(text).absolute())
    parser.add_argument("--image", required=True)
    parser.add_argument("--standin", type=Path, help="what stands in for a driver: the image is for GPUs")
    return parser.parse_args()


def looked_at(tally, image):
    found = contents.problems(image.entries, image.user)
    tally.check("the image holds what it needs, for its user to read, and nothing else", found)
    for name, entry, expected in contents.planted():
        rest = [it for it in image.entries if it.path != entry.path]
        tally.refused(name, contents.problems([*rest, entry], image.user), expected)
    lacking = [it for it in image.entries if not it.path.endswith(".crt")]
    tally.refused("no certificates", contents.problems(lacking, image.user), "ca-certificates.crt is not there")

    tally.check("its labels say where it is from", labelled(image.config, image.version))
    tally.refused("no labels", labelled({"Labels": None}, image.version), "revision")
    tally.refused("the labels of another version", labelled(image.config, "0.0.0"), "version")


def listed(tally, image, given):
    """The SBOM; how many crates it names."""
    text = (image.files / contents.SBOM).read_text(encoding="utf-8")
    lock = sbom.locked(given.lock.read_text(encoding="utf-8"))
    certain = sbom.traces((image.files / contents.PROGRAM).read_bytes())

    def problems(changed):
        return sbom.problems(changed, image.version, certain, lock)

    tally.check("its SBOM is CycloneDX", sbom.invalid(text))
    tally.refused("an SBOM of another form", sbom.invalid(text.replace('"components"', '"parts"')), "parts")
    tally.check("the program left traces of its crates", [] if len(certain) > 50 else [f"only of {sorted(certain)}"])
    tally.check("its SBOM names each of them, and all as Cargo.lock has them", problems(json.loads(text)))
    forgotten, foreign, ours = json.loads(text), json.loads(text), json.loads(text)
    forgotten["components"] = [it for it in forgotten["components"] if it["name"] != "tokio"]
    tally.refused("a forgotten crate", problems(forgotten), "tokio")
    foreign["components"][0]["version"] = "0.0.0-other"
    tally.refused("another version of a crate", problems(foreign), "not in Cargo.lock")
    [config] = [it for it in ours["components"] if it["name"] == "config"]
    config["purl"] = "pkg:cargo/config@" + config["version"]
    tally.refused("somebody else's crate of the same name", problems(ours), "has the address")
    return len(json.loads(text)["components"])


def expected(tally, image, deploy, deployment):
    """What the deploy tree says of the image."""
    tally.check("image and Deployment agree on name, user, ports and signal", agreed(image, deployment))
    other = copy.deepcopy(deployment)
    other["spec"]["template"]["spec"]["securityContext"]["runAsUser"] = 0
    tally.refused("a Deployment of another user", agreed(image, other), "runs as 0")
    tally.check("the deploy tree means this image wherever it names it", named(deploy, image.name))
    tally.refused("a deploy tree of another image", named(deploy, image.name + "-next"), "model-serving-deployment.yaml says")


def main():
    given = arguments()
    tally = Tally()
    image = Image(given)
    looked_at(tally, image)
    crates = listed(tally, image, given)
    with Tree(given.deploy).copy() as tree:
        [deployment] = [it for it in documents(tree.helm(serving.MODEL, "staging")) if it["kind"] == "Deployment"]
        expected(tally, image, given.deploy, deployment)
        ready = serving.deployed(tally, given, image, tree, deployment)
        serving.alone(tally, given, image, tree)
        if given.standin:
            gpu.check(tally, given, image, tree)
    serving.unhealthy(tally, image)
    trust.check(tally, image)
    failed = tally.finish()
    size = sum(it.size for it in image.entries) / 1e6
    print(f"image size_mb={size:.1f} ready_ms={ready} files={len(image.entries)} crates={crates}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
