"""Programs that are started and must succeed."""

import subprocess


def sluice(program, *words):
    """What it complained about, nothing where it succeeded."""
    return failure([program, *words])


def failure(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, **options)
    return [f"exit {done.returncode}: {(done.stderr or done.stdout).strip()}"] if done.returncode else []
