"""The system calls that a runtime allows by default (`RuntimeDefault`), in the form that crun reads."""

import json
import platform
from pathlib import Path

# Of Debian's package golang-github-containers-common, which buildah brings. containerd's and docker's are its siblings.
PROFILE = Path("/usr/share/containers/seccomp.json")
ARCHITECTURES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}


def default():
    """For a process without any capability, on this machine."""
    return rules(json.loads(PROFILE.read_text(encoding="utf-8")), *ARCHITECTURES[platform.machine()])


def rules(profile, machine, architecture):
    applying = [it for it in profile["syscalls"] if applies(it.get("includes") or {}, machine)]
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": [architecture],
        "syscalls": [rule(it) for it in applying],
    }


def applies(only, machine):
    """Rules for other machines, and for processes with a capability, are left out."""
    return not only.get("caps") and machine in only.get("arches", [machine])


def rule(it):
    kept = {"names": it["names"], "action": it["action"]}
    if it.get("args"):
        kept["args"] = it["args"]
    if "errnoRet" in it:
        kept["errnoRet"] = it["errnoRet"]
    return kept
