"""A container, started by crun from what an image and a pod say, as a kubelet would."""

import contextlib
import ctypes
import json
import subprocess
from pathlib import Path

import seccomp

# Linux's number for a network namespace.
CLONE_NEWNET = 0x40000000
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
# What every runtime hides of the machine.
MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")
UNCHANGEABLE = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
SYSTEM = (
    ("/proc", "proc", "proc", ("nosuid", "noexec", "nodev")),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),
    ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
)


# Limits on CPU and memory are not what is tried here, and which there are differs from machine to machine: crun 1.8 refuses
# some. So it is shown none.
WITHOUT_LIMITS = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$0" "$@"')


class Volume:
    """A folder of this machine in the container."""

    def __init__(self, source, target, writable=False):
        self.source, self.target, self.writable = str(source), target, writable

    def mount(self):
        options = ["rbind", "nosuid", "nodev", "rw" if self.writable else "ro"]
        return {"destination": self.target, "source": self.source, "type": "bind", "options": options}


def specification(files, image, volumes, command=None, unchangeable=True, network=True):
    """What crun is told: no capability, and none to be had. `command` stands in for the image's own; without a `network` of
    its own it has this machine's."""
    uid, gid = map(int, image["User"].split(":"))
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(files), "readonly": unchangeable},
        "process": {
            "user": {"uid": uid, "gid": gid},
            "args": command or [*image["Entrypoint"], *image["Cmd"]],
            "env": image["Env"],
            "cwd": image["WorkingDir"] or "/",
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "mounts": [
            *(dict(zip(("destination", "type", "source", "options"), it)) for it in SYSTEM),
            *(volume.mount() for volume in volumes),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in NAMESPACES if network or kind != "network"],
            "seccomp": seccomp.default(),
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(UNCHANGEABLE),
        },
    }


class Container:
    """One that runs, with what it says in a file."""

    def __init__(self, name, specification, folder):
        self.name, self.folder = name, Path(folder)
        (self.folder / "config.json").write_text(json.dumps(specification), encoding="utf-8")
        self.log = (self.folder / "log").open("w+", encoding="utf-8")
        words = self.crun("run", "--bundle", self.folder, "--pid-file", self.folder / "pid", name)
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)

    def crun(self, *words):
        state = self.folder / "state"
        return [*WITHOUT_LIMITS, "crun", "--root", str(state), "--cgroup-manager=disabled", *map(str, words)]

    def said(self):
        self.log.seek(0)
        return self.log.read()[-4000:]

    def ended(self):
        """Why there is nothing to wait for any more, nothing while it runs."""
        status = self.process.poll()
        return None if status is None else f"it ended with {status}: {self.said()}"

    def pid(self):
        """Of its first process, 0 before there is one."""
        try:
            return int((self.folder / "pid").read_text(encoding="utf-8") or 0)
        except FileNotFoundError:
            return 0

    def run(self, *words):
        """A program of the image, started beside it in the container: its status and what it says."""
        done = subprocess.run(self.crun("exec", self.name, *words), capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def ask_to_end(self, signal):
        subprocess.run(self.crun("kill", self.name, signal), check=True, timeout=60)

    def end(self, grace):
        """Its exit status, `None` where it does not end in time."""
        try:
            return self.process.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            return None

    def remove(self):
        subprocess.run(self.crun("delete", "--force", self.name), capture_output=True, timeout=60)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


@contextlib.contextmanager
def beside(pid):
    """In the network of a container, as another container of its pod: its ports are this thread's own."""
    with open("/proc/thread-self/ns/net", "rb") as own, open(f"/proc/{pid}/ns/net", "rb") as other:
        enter(other)
        try:
            yield
        finally:
            enter(own)


def enter(namespace):
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(namespace.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")
