"""The metrics that a running server exposes: `sluice quickstart`, taken through a refused version and a canary; and one
with TLS and an access file, whose certificate is then spoilt."""

import contextlib
import hashlib
import re
import subprocess
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from running import Sluice, free_ports, text

LIMIT_S = 60
SERIES = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


TOKEN = "of-prometheus"
ACCESS = f"""\
clients:
  - name: prometheus
    tokenSha256: {hashlib.sha256(TOKEN.encode()).hexdigest()}
    may: [metadata]
"""


@dataclass
class Family:
    """One metric, as its `# TYPE` line and its series say."""

    kind: str
    labels: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def quickstart(program, folder):
    """A server with a bucket, signed versions and its own traffic."""
    return started(program, ["quickstart", "--dir", str(folder)], folder.with_suffix(".log"))


def encrypted(program, folder, values):
    """A server as the tree starts it with `tls` and `access`: the admin port stays in plain text."""
    certified(folder)
    (folder / "access.yaml").write_text(ACCESS, encoding="utf-8")
    words = ["serve", "--values", values, "--cache", folder / "cache", "--watch-interval", "1s"]
    words += ["--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key", "--tls-on", "http,grpc"]
    words += ["--access-file", folder / "access.yaml"]
    return started(program, list(map(str, words)), folder / "log")


def certified(folder):
    """A new certificate, signed by itself, and its key."""
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    names = ["-subj", "/CN=sluice", "-addext", "subjectAltName=DNS:localhost"]
    made = ["-keyout", folder / "tls.key", "-out", folder / "tls.crt"]
    subprocess.run([*new, *names, *made], check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def started(program, words, log):
    """A server until the end of the block; gives the address of its admin port."""
    http, grpc, admin = free_ports(3)
    for flag, port in (("--http", http), ("--grpc", grpc), ("--admin", admin)):
        words += [flag, f"127.0.0.1:{port}"]
    server = Sluice(program, words, log)
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
            # Nobody asks for it where there is no access file.
            said = text(f"{admin}/metrics", Authorization=f"Bearer {TOKEN}")
            if all(re.search(pattern, said, re.MULTILINE) for pattern in patterns):
                return said
        time.sleep(0.1)
    raise TimeoutError(f"not within {LIMIT_S} s: {what}")


def ask_for(values, version):
    content = values.read_text(encoding="utf-8")
    values.write_text(re.sub(r'version: "[^"]*"', f'version: "{version}"', content, count=1), encoding="utf-8")


def expositions(sluice):
    """What `/metrics` says at rest, after a version was refused, with a canary on trial; with TLS, and when its new
    certificate is refused."""
    with tempfile.TemporaryDirectory() as top:
        folder, other = Path(top) / "quickstart", Path(top) / "encrypted"
        values = folder / "values" / "fraud-detection.yaml"
        with quickstart(sluice, folder) as admin:
            texts = [wait_for(admin, "serves", r'^sluice_requests_total\{.*variant="stable",code="ok"\} [1-9]')]
            # Changed after it was signed.
            ask_for(values, "v1.3.0")
            texts.append(wait_for(admin, "refuses v1.3.0", r"^sluice_rollout_rejected\{.*\} [1-9]"))
            ask_for(values, "v1.1.0")
            canary = r'^sluice_requests_total\{.*variant="canary",code="ok"\} [1-9]'
            texts.append(wait_for(admin, "tries v1.1.0", canary, r"^sluice_rollout_verdict\{"))
        other.mkdir()
        with encrypted(sluice, other, values) as admin:
            expiry = r"^sluice_tls_certificate_expiry_timestamp_seconds [1-9]"
            accepted, refused = (rf'^sluice_credentials_error\{{file="tls"\}} {it}' for it in (0, 1))
            texts.append(wait_for(admin, "has a certificate", expiry, accepted))
            (other / "tls.crt").write_text("half of it", encoding="utf-8")
            texts.append(wait_for(admin, "refuses another", expiry, refused))
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
