"""The metrics that a running server exposes: `sluice quickstart`, taken through a refused version and a canary."""

import contextlib
import re
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from running import Sluice, free_ports, text

LIMIT_S = 60
SERIES = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass
class Family:
    """One metric, as its `# TYPE` line and its series say."""

    kind: str
    labels: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


@contextlib.contextmanager
def quickstart(program, folder):
    """A server with a bucket, signed versions and its own traffic; gives the address of its admin port."""
    http, grpc, admin = free_ports(3)
    words = ["quickstart", "--dir", str(folder)]
    for flag, port in (("--http", http), ("--grpc", grpc), ("--admin", admin)):
        words += [flag, f"127.0.0.1:{port}"]
    server = Sluice(program, words, Path(folder).parent / "quickstart.log")
    try:
        yield f"http://127.0.0.1:{admin}"
    except TimeoutError as error:
        raise SystemExit(f"{error}; the server said:\n{server.said()}") from None
    finally:
        server.ask_to_end()
        server.end(LIMIT_S)
        server.stop()


def wait_for(admin, what, *patterns):
    """The first exposition in which a line fits each pattern."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            said = text(f"{admin}/metrics")
            if all(re.search(pattern, said, re.MULTILINE) for pattern in patterns):
                return said
        time.sleep(0.1)
    raise TimeoutError(f"not within {LIMIT_S} s: {what}")


def ask_for(values, version):
    content = values.read_text(encoding="utf-8")
    values.write_text(re.sub(r'version: "[^"]*"', f'version: "{version}"', content, count=1), encoding="utf-8")


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
    for said in texts:
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", said, re.MULTILINE))
        for line in said.splitlines():
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


def older_format(said):
    """The exposition as promtool 2.42 reads it: there a counter's `# TYPE` line has the `_total` of its series."""
    counters = set(re.findall(r"^# TYPE (\S+) counter$", said, re.MULTILINE))
    renamed = re.sub(
        r"^# (HELP|TYPE) (\S+)",
        lambda m: f"# {m[1]} {m[2]}_total" if m[2] in counters else m[0],
        said,
        flags=re.MULTILINE,
    )
    return renamed.replace("# EOF\n", "")
