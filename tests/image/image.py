"""An image: what it says of itself, and whether that is what the deploy tree expects."""

import json
import re

import contents

LABELS = {
    "licenses": r"Apache-2\.0",
    "source": r"https://\S+",
    "revision": r"[0-9a-f]{40}(-dirty)?",
    "created": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)",
}


class Image:
    """Its name, what it says of itself, and its files."""

    def __init__(self, given):
        # What the deploy tree runs is for GPUs; the other one has a tag that says so, and is the same in everything else.
        self.name, self.files = given.image.removesuffix("-cpu"), given.files
        self.version = self.name.rpartition(":")[2]
        self.config = json.loads(given.config.read_text(encoding="utf-8"))["config"]
        self.entries = list(contents.entries(given.files))
        self.user = int(self.config["User"].partition(":")[0])


def labelled(config, version):
    labels = config.get("Labels") or {}
    patterns = LABELS | {"version": re.escape(version)}
    for name, pattern in patterns.items():
        said = labels.get(f"org.opencontainers.image.{name}", "")
        if not re.fullmatch(pattern, said):
            yield f"the label {name} is {said!r}"


def agreed(image, deployment):
    """What a pod says and what the image says."""
    pod = deployment["spec"]["template"]["spec"]
    [server] = pod["containers"]
    if server["image"] != image.name:
        yield f"the Deployment runs {server['image']}, and the image is {image.name}"
    user = "{runAsUser}:{runAsGroup}".format(**pod["securityContext"])
    if user != image.config["User"]:
        yield f"the Deployment runs as {user}, and the image as {image.config['User']}"
    ports = sorted(f"{it['containerPort']}/tcp" for it in server["ports"])
    if ports != sorted(image.config["ExposedPorts"]):
        yield f"the Deployment has the ports {ports}, and the image {image.config['ExposedPorts']}"
    if image.config.get("StopSignal") != "SIGTERM":
        yield f"the image is stopped by {image.config.get('StopSignal')}"


def named(deploy, wanted):
    """Nobody in the deploy tree means another image."""
    repository = wanted.rpartition(":")[0]
    for path in sorted(it for it in deploy.rglob("*") if it.is_file()):
        text = path.read_text(encoding="utf-8", errors="replace")
        for name in re.findall(re.escape(repository) + r"[:@][^\s\"']+", text):
            # A digest says which build of it.
            if name.partition("@")[0] != wanted:
                yield f"{path.relative_to(deploy)} says {name}, not {wanted}"
