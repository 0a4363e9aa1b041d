"""The metrics that a running server exposes: `sluice quickstart`, taken through a refused version and a canary."""

import contextlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S = 60
SERIES = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass
class Family:
    """One metric, as its `# TYPE` line and its series say."""

    kind: str
    labels: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


@contextlib.contextmanager
def quickstart(sluice, folder):
    """A server with a bucket, signed versions and its own traffic; gives the address of its admin port."""
    http, grpc, admin = free_ports(3)
    command = [sluice, "quickstart", "--dir", str(folder)]
    for flag, port in (("--http", http), ("--grpc", grpc), ("--admin", admin)):
        command += [flag, f"127.0.0.1:{port}"]
    log = (Path(folder).parent / "quickstart.log").open("w+", encoding="utf-8")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield f"http://127.0.0.1:{admin}"
    except TimeoutError as error:
        log.seek(0)
        raise SystemExit(f"{error}; the server said:\n{log.read()}") from None
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


def scrape(admin):
    with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as answer:
        return answer.read().decode()


def wait_for(admin, what, *patterns):
    """The first exposition in which a line fits each pattern."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            text = scrape(admin)
            if all(re.search(pattern, text, re.MULTILINE) for pattern in patterns):
                return text
        time.sleep(0.1)
    raise TimeoutError(f"not within {LIMIT_S} s: {what}")


def ask_for(values, version):
    text = values.read_text(encoding="utf-8")
    values.write_text(re.sub(r'version: "[^"]*"', f'version: "{version}"', text, count=1), encoding="utf-8")


def expositions(sluice):
    """What `/metrics` says at rest, after a version was refused, and with a canary on trial."""
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / "quickstart"
        values = folder / "values" / "fraud-detection.yaml"
        with quickstart(sluice, folder) as admin:
            texts = [wait_for(admin, "serves", r'^sluice_requests_total\{.*variant="stable",code="ok"\} [1-9]')]
            # Changed after it was signed.
            ask_for(values, "v1.3.0")
            texts.append(wait_for(admin, "refuses v1.3.0", r"^sluice_rollout_rejected\{.*\} [1-9]"))
            ask_for(values, "v1.1.0")
            canary = r'^sluice_requests_total\{.*variant="canary",code="ok"\} [1-9]'
            texts.append(wait_for(admin, "tries v1.1.0", canary, r"^sluice_rollout_verdict\{"))
        return texts


def families(texts):
    """Every series name with the type of its metric and the values of its labels, over all texts."""
    found = {}
    for text in texts:
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        for line in text.splitlines():
            match = SERIES.match(line)
            if match:
                name, labels, _ = match.groups()
                family = found.setdefault(name, Family(kind_of(name, kinds)))
                for key, value in LABEL.findall(labels or ""):
                    family.labels[key].add(value)
    return found


def kind_of(name, kinds):
    if name in kinds:
        return kinds[name]
    for suffix in ("_total", "_bucket", "_sum", "_count"):
        kind = kinds.get(name.removesuffix(suffix))
        if name.endswith(suffix) and kind:
            return kind if kind == "counter" else f"{kind}{suffix}"
    raise SystemExit(f"{name} has no # TYPE")


def documented_values(page):
    """What `docs/metrics.md` says that labels may hold: the words in backquotes of each row's last cell."""
    words = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = line.split("|")
        if line.startswith("| `") and len(cells) == 6:
            name = cells[1].strip().strip("`")
            words[name] = set(re.findall(r"`([^`]+)`", cells[4]))
    return words


def older_format(text):
    """The exposition as promtool 2.42 reads it: there a counter's `# TYPE` line has the `_total` of its series."""
    counters = set(re.findall(r"^# TYPE (\S+) counter$", text, re.MULTILINE))
    renamed = re.sub(
        r"^# (HELP|TYPE) (\S+)",
        lambda m: f"# {m[1]} {m[2]}_total" if m[2] in counters else m[0],
        text,
        flags=re.MULTILINE,
    )
    return renamed.replace("# EOF\n", "")
