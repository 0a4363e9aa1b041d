#!/usr/bin/env python3
"""The health script says what the annotations say, in a Lua like Argo CD's.

Argo CD runs it in Lua 5.1 with the base, table and package libraries and a part of `os`, for a second at most.
"""

import sys

import lupa.lua51

from tally import Tally
from tree import arguments

# What Argo CD does not load.
ABSENT = ("string", "io", "math", "debug", "coroutine", "python")
# Each is known by its name, to `require`, and `string` to every string, whose methods are its functions.
SANDBOX = [
    'debug.setmetatable("", nil)',
    *(f"{name} = nil package.loaded.{name} = nil" for name in ABSENT),
    "os = {time = os.time, date = os.date} package.loaded.os = os",
]
STATUSES = {"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"}


def health(script, document):
    """Status and message for an object. The sandbox is made anew, as Argo CD makes it for each question."""
    lua = lupa.lua51.LuaRuntime(register_eval=False, unpack_returned_tuples=True)
    lua.execute("\n".join(SANDBOX))
    lua.globals().obj = lua.table_from(document, recursive=True)
    answer = lua.execute(script)
    return answer.status, answer.message


def config_map(**annotations):
    names = {f"sluice.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {"kind": "ConfigMap", "metadata": {"name": "m", "annotations": names}}


CASES = [
    ("any other ConfigMap", {"kind": "ConfigMap", "metadata": {"name": "m"}}, ("Healthy", None)),
    ("one without metadata", {"kind": "ConfigMap"}, ("Healthy", None)),
    ("no word from a server yet", config_map(values_revision="sha256:b"), ("Healthy", None)),
    ("healthy", config_map(phase="Healthy", message="v1 serves"), ("Healthy", "v1 serves")),
    ("on trial", config_map(phase="Progressing", message="step 2 of 6"), ("Progressing", "step 2 of 6")),
    ("at a pause", config_map(phase="Paused", message="until promoted"), ("Suspended", "until promoted")),
    ("rejected", config_map(phase="Degraded", message="nan-share failed"), ("Degraded", "nan-share failed")),
    ("a phase of the future", config_map(phase="Resting"), ("Unknown", "")),
    (
        "seen",
        config_map(phase="Healthy", values_revision="sha256:b", observed_revision="sha256:b"),
        ("Healthy", ""),
    ),
    (
        "not seen: the phase is the last commit's",
        config_map(phase="Degraded", message="old", values_revision="sha256:b", observed_revision="sha256:a"),
        ("Progressing", "the server has not seen this commit yet"),
    ),
    (
        "never seen",
        config_map(phase="Healthy", values_revision="sha256:b"),
        ("Progressing", "the server has not seen this commit yet"),
    ),
]


def main():
    given = arguments(__doc__)
    script = (given.deploy / "argocd/config/health.lua").read_text(encoding="utf-8")
    tally = Tally()
    for name, document, expected in CASES:
        said = health(script, document)
        wrong = [] if said == expected and said[0] in STATUSES else [f"it says {said}, and {expected} is right"]
        tally.check(f"{name}: {expected[0]}", wrong)
    tally.refused("a script that uses `string`", sandboxed("return {status = string.upper('healthy')}"), "string")
    method = sandboxed("return {status = ('healthy'):upper()}")
    tally.refused("a script that uses a string's method", method, "attempt to index a string")
    asked = sandboxed("return {status = require('string').upper('healthy')}")
    tally.refused("a script that asks for `string`", asked, "'string' not found")
    tally.refused("a script that reads a file", sandboxed("return {status = io.open('/etc/passwd')}"), "io")
    return tally.finish()


def sandboxed(script):
    try:
        return [] if health(script, {}) else []
    except lupa.lua51.LuaError as error:
        return [str(error)]


if __name__ == "__main__":
    sys.exit(main())
