#!/usr/bin/env python3
"""Stands in for `docker run`: the program $PROGRAM instead of an image's, with nothing but what it was passed; and for
`docker info`, as far as it says whether this docker is rootless, which it is where $ROOTLESS is set.

Its environment has the variables that were passed, and a path that no volume holds is one that is not there. As with an
image, without `--user` it is no user who may read what is the caller's alone. A rootless docker's user 0 is the caller, and
every other is one of a range that owns nothing. User and words are written to the file $CALLS.
"""

import argparse
import json
import os
import sys
from pathlib import Path

# What docker itself ends with where it starts nothing.
REFUSED = 125
# Whom the image runs as.
IMAGE_USER = "10001:10001"
# What the users of a rootless docker's containers are counted from.
SUBORDINATE = 100_000
SECURITY = "[name=apparmor name=seccomp,profile=builtin name=cgroupns]"
ROOTLESS_SECURITY = "[name=seccomp,profile=builtin name=rootless name=cgroupns]"


def arguments():
    parser = argparse.ArgumentParser(exit_on_error=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    info = verbs.add_parser("info", exit_on_error=False)
    info.add_argument("--format", choices=["{{.SecurityOptions}}"], required=True)
    run_arguments(verbs.add_parser("run", exit_on_error=False))
    return parser.parse_args()


def run_arguments(parser):
    parser.add_argument("--rm", action="store_true", required=True)
    parser.add_argument("--network", choices=["host"], required=True)
    parser.add_argument("--user", default=IMAGE_USER)
    parser.add_argument("--entrypoint", choices=["sluice"], required=True)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--volume", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("image")
    parser.add_argument("words", nargs=argparse.REMAINDER)


class Seen:
    """Which paths of this machine the container has."""

    def __init__(self, volumes):
        self.places = []
        for volume in volumes:
            source, target = volume.split(":")[:2]
            if source != target or not Path(source).exists():
                raise ValueError(f"{volume} is no volume that this stand-in can show")
            if Path(target) in self.places:
                raise ValueError(f"Duplicate mount point: {target}")
            self.places.append(Path(source))

    def path(self, text):
        """A word as the program in the container finds it: what is of no volume is nowhere."""
        if not text.startswith("/") or self.holds(Path(text)):
            return text
        return f"/not-in-the-container{text}"

    def holds(self, path):
        return any(path.is_relative_to(place) for place in self.places)


def become(user, rootless):
    """The user of the program, as this machine knows it."""
    uid, gid = map(int, user.split(":"))
    if rootless:
        if (uid, gid) == (0, 0):
            return
        uid, gid = uid + SUBORDINATE, gid + SUBORDINATE
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def main():
    given, rootless = arguments(), "ROOTLESS" in os.environ
    if given.verb == "info":
        print(ROOTLESS_SECURITY if rootless else SECURITY)
        return
    with open(os.environ["CALLS"], "a", encoding="utf-8") as calls:
        calls.write(json.dumps({"image": given.image, "user": given.user, "words": given.words}) + "\n")
    seen = Seen(given.volume)
    if not seen.holds(Path(given.workdir)):
        raise ValueError(f"{given.workdir} is in no volume")
    # A name without a value is the caller's own, and none where the caller has none.
    environment = {name: seen.path(os.environ[name]) for name in given.env if name in os.environ}
    os.chdir(given.workdir)
    program = os.open(os.environ["PROGRAM"], os.O_RDONLY)
    become(given.user, rootless)
    os.execve(program, ["sluice", *map(seen.path, given.words)], environment)


if __name__ == "__main__":
    try:
        main()
    except (argparse.ArgumentError, ValueError) as error:
        print(f"docker: {error}", file=sys.stderr)
        sys.exit(REFUSED)
