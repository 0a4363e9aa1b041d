"""What a kubelet does for a pod, on this machine: mounts that change as a ConfigMap does, and the container as a process."""

import shutil
import time

import pods
from running import Sluice, free_ports, status


def mount(folder, name, content):
    """A folder as the kubelet makes it: the file is a link into `..data`, itself a link to a dated folder."""
    dated = folder / "..2026_01_01"
    dated.mkdir(parents=True)
    (dated / name).write_text(content, encoding="utf-8")
    (folder / "..data").symlink_to(dated.name)
    (folder / name).symlink_to(f"..data/{name}")


def remount(folder, name, content):
    """The kubelet's update: another dated folder, and a link to it that takes the place of the old in one step."""
    old = (folder / "..data").resolve()
    dated = folder / f"..{time.monotonic_ns()}"
    dated.mkdir()
    (dated / name).write_text(content, encoding="utf-8")
    (folder / "..data_tmp").symlink_to(dated.name)
    (folder / "..data_tmp").rename(folder / "..data")
    shutil.rmtree(old)


class Server(Sluice):
    """The container of the Deployment, as a process."""

    def __init__(self, given, objects, folder):
        self.container = pods.container(objects, "Deployment")
        ports = [it["containerPort"] for it in self.container["ports"]]
        self.ports = dict(zip(ports, free_ports(len(ports))))
        mounts = {it["mountPath"]: str(folder / it["name"]) for it in self.container["volumeMounts"]}
        words = [self.placed(argument, mounts) for argument in pods.arguments(objects, "Deployment")]
        super().__init__(given.sluice, words, folder / "log")

    def placed(self, argument, mounts):
        flag, _, value = argument.partition("=")
        if value in mounts:
            return f"{flag}={mounts[value]}"
        if value.startswith("0.0.0.0:"):
            return f"{flag}=127.0.0.1:{self.ports[int(value.split(':')[1])]}"
        return argument

    def url(self, port, path=""):
        names = {it["name"]: it["containerPort"] for it in self.container["ports"]}
        return f"http://127.0.0.1:{self.ports[names.get(port, port)]}{path}"

    def answers(self, name, wanted, limit):
        """Nothing where a probe gets the wanted status in time."""
        asked = self.container[f"{name}Probe"]["httpGet"]
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            last = status(self.url(asked["port"], asked["path"]))
            if last == wanted:
                return []
            if self.ended():
                return [self.ended()]
            time.sleep(0.1)
        return [f"{name} gets {last} and not {wanted}: {self.said()}"]
