"""What a check is given, programs that are started and must succeed, and those of the tree that are asked for what they
would write."""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path


def paths(description, *flags):
    """What each of `flags` names, all paths."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    for flag in flags:
        parser.add_argument(flag, required=True, type=lambda text: Path(text).absolute())
    return parser.parse_args()


def sluice(program, *words):
    """What it complained about, nothing where it succeeded."""
    return failure([program, *words])


def failure(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, **options)
    return [f"exit {done.returncode}: {(done.stderr or done.stdout).strip()}"] if done.returncode else []


def ended(done, code, *said):
    """What differs from: it ended with this status, and said all this."""
    if done.returncode != code:
        yield f"exit {done.returncode}, and {code} was expected: {done.stdout}{done.stderr}"
    for part in said:
        if part not in done.stdout + done.stderr:
            yield f"`{part}` was expected: {done.stdout}{done.stderr}"


def stand_in(folder, name):
    """A program of that name in `folder`: NAME_stand_in.py of this folder."""
    folder.mkdir(exist_ok=True)
    source = Path(__file__).with_name(f"{name}_stand_in.py")
    program = folder / name
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{source}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)


def module(path):
    """A Python program as a module: what it would do when started is not done."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
