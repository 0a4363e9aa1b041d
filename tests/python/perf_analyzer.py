"""Runs NVIDIA's perf_analyzer, unmodified, against a running server over both protocols.

    python perf_analyzer.py --http HOST:PORT --grpc HOST:PORT [--concurrency N] [--requests N]

The program is inside the tritonclient wheel. It needs Debian's `libb64-0d` and, though it uses no GPU, libcudart 12
(PyPI `nvidia-cuda-runtime-cu12`). Checks that it ends with 0 and reports a throughput; prints one line per protocol.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

MODEL = "identity-fp32"
WIDTH = 256
SECONDS = 180


def program() -> Path:
    """Where the wheel put the program."""
    places = [Path(sys.prefix) / "bin" / "perf_analyzer"]
    spec = importlib.util.find_spec("tritonclient")
    if spec is not None and spec.submodule_search_locations:
        packages = Path(list(spec.submodule_search_locations)[0]).parent
        places += sorted(packages.glob("tritonclient-*.data/**/perf_analyzer"))
    for place in places:
        if place.is_file():
            return place
    raise SystemExit(f"perf_analyzer is in none of: {', '.join(map(str, places))}; pip install -r requirements.txt")


def environment() -> dict[str, str]:
    """This process's, with libcudart where the program finds it."""
    spec = importlib.util.find_spec("nvidia.cuda_runtime")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("nvidia-cuda-runtime-cu12 is not installed: pip install -r requirements.txt")
    libraries = Path(list(spec.submodule_search_locations)[0]) / "lib"
    paths = [str(libraries), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(paths)}


def starts() -> None:
    """Ends with a hint where the program cannot be loaded."""
    done = subprocess.run([program(), "--version"], env=environment(), capture_output=True, text=True, timeout=SECONDS)
    if "error while loading shared libraries" in done.stderr:
        raise SystemExit(f"{done.stderr.strip()}\nfor libb64.so.0: apt-get install libb64-0d")


def shape(http: str) -> str:
    """The shape to ask for: perf_analyzer adds the batch axis itself where the model has one."""
    with urllib.request.urlopen(f"http://{http}/v2/models/{MODEL}/config", timeout=SECONDS) as answer:
        return f"INPUT0:{WIDTH}" if json.load(answer)["max_batch_size"] > 0 else f"INPUT0:1,{WIDTH}"


def measure(protocol: str, address: str, dimensions: str, concurrency: int, requests: int) -> dict[str, float]:
    """One run in short windows of a number of requests; returns throughput [1/s] and latencies [µs]."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.csv"
        command = [program(), "-m", MODEL, "-i", protocol, "-u", address, "--shape", dimensions, "-f", report,
                   "--concurrency-range", f"{concurrency}:{concurrency}", "--percentile", "99",
                   "--measurement-mode", "count_windows", "--measurement-request-count", str(requests),
                   # The point is that it works: three windows, and a noisy machine is no reason to fail.
                   "--max-trials", "3", "--stability-percentage", "999"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS)
        if done.returncode != 0 or not report.is_file():
            raise SystemExit(f"perf_analyzer over {protocol} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        with report.open(newline="") as file:
            row = next(csv.DictReader(file))
    return {name: float(row[column]) for name, column in
            (("throughput", "Inferences/Second"), ("p50_us", "p50 latency"), ("p99_us", "p99 latency"))}


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", default="127.0.0.1:8000")
    parser.add_argument("--grpc", default="127.0.0.1:8001")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--requests", type=int, default=500, help="least number of requests in a window")
    arguments = parser.parse_args()
    starts()
    dimensions = shape(arguments.http)
    failed = 0
    for protocol in ("http", "grpc"):
        found = measure(protocol, getattr(arguments, protocol), dimensions, arguments.concurrency, arguments.requests)
        answered = found["throughput"] > 0
        failed += not answered
        figures = " ".join(f"{name}={value:.0f}" for name, value in found.items())
        print(f"{'ok' if answered else 'FAILED'} perf_analyzer.{protocol} concurrency={arguments.concurrency} {figures}")
    print(f"{2 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
