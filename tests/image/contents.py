"""The files of an image, as data, and what must hold of them."""

import os
import stat
from typing import NamedTuple

PROGRAM = "usr/bin/sluice"
SBOM = "usr/share/doc/sluice/sluice.cdx.json"
# The one place that the program may write to.
CACHE = "var/cache/sluice"

NEEDED = (PROGRAM, SBOM, "usr/share/doc/sluice/LICENSE", "etc/ssl/certs/ca-certificates.crt", "etc/passwd", "etc/os-release")
# Where libraries and the loader are, which are marked as programs.
LIBRARIES = ("usr/lib/", "usr/lib64/")
MAGIC = (b"\x7fELF", b"#!")


class Entry(NamedTuple):
    """A file, a folder or a link."""

    path: str
    mode: int
    uid: int
    gid: int
    size: int = 0
    program: bool = False


def entries(root):
    """All that is below `root`, and `root` itself as `.`."""
    yield entry(root, root)
    for folder, folders, names in os.walk(root):
        for name in sorted(folders + names):
            yield entry(root, os.path.join(folder, name))


def entry(root, path):
    found = os.lstat(path)
    plain = stat.S_ISREG(found.st_mode)
    return Entry(
        path=os.path.relpath(path, root),
        mode=found.st_mode,
        uid=found.st_uid,
        gid=found.st_gid,
        size=found.st_size if plain else 0,
        program=plain and runs(path, found.st_mode),
    )


def runs(path, mode):
    """Whether it could be started, marked as a program or not."""
    with open(path, "rb") as file:
        return bool(mode & 0o111) or file.read(4).startswith(MAGIC)


def problems(found, user):
    """What is wrong with the files for a program that runs as `user`."""
    found = list(found)
    for path in NEEDED:
        if path not in {it.path for it in found}:
            yield f"{path} is not there"
    for it in found:
        yield from (f"{it.path} {problem}" for problem in one(it, user))


def one(it, user):
    if it.path == CACHE:
        if (it.uid, it.gid, stat.S_IMODE(it.mode)) != (user, user, 0o700):
            yield f"belongs to {it.uid}:{it.gid} with mode {stat.S_IMODE(it.mode):o}, not to {user} alone"
        return
    if (it.uid, it.gid) != (0, 0):
        yield f"belongs to {it.uid}:{it.gid}, not to root"
    if stat.S_ISLNK(it.mode):
        return
    if not (stat.S_ISREG(it.mode) or stat.S_ISDIR(it.mode)):
        yield "is no file, folder or link"
    if it.mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
        yield f"has mode {stat.S_IMODE(it.mode):o}"
    if it.mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield "can be written by others than root"
    if not it.mode & stat.S_IROTH:
        yield "cannot be read by the program"
    if it.program and it.path != PROGRAM and not (it.path.startswith(LIBRARIES) and ".so" in it.path):
        yield "is a program that nothing needs"


def planted():
    """(what it is, the entry, what must be said of it) for faults that must be refused."""
    regular, folder = stat.S_IFREG, stat.S_IFDIR
    return [
        ("a shell", Entry("usr/bin/sh", regular | 0o755, 0, 0, program=True), "nothing needs"),
        ("a script", Entry("etc/start", regular | 0o644, 0, 0, program=True), "nothing needs"),
        ("a program that runs as root", Entry("usr/bin/su", regular | 0o4755, 0, 0), "mode 4755"),
        ("a folder for everybody", Entry("tmp", folder | 0o1777, 0, 0), "written by others"),
        ("a file of the program's own", Entry("etc/own", regular | 0o644, 10001, 0), "not to root"),
        ("a cache for others", Entry(CACHE, folder | 0o755, 10001, 10001), "alone"),
        ("a file that it cannot read", Entry("etc/secret", regular | 0o600, 0, 0), "cannot be read"),
    ]
