"""Runs the clients that people use against a running server: python clients.py --http HOST:PORT --grpc HOST:PORT

The server must serve the identity models, `fraud-detection` and `recommendation` of models/zoo. Prints `ok NAME` or
`FAILED NAME: why` for each check and ends with `N passed, N failed`; exit 1 if any failed or a script broke.

Every script runs in a process of its own: tritonclient and kserve both register `inference.*` messages, and one
process can hold only one of them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

SCRIPTS = ["triton_http", "triton_grpc", "triton_asyncio", "kserve_rest", "grpc_health_reflection"]


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", default="127.0.0.1:8000")
    parser.add_argument("--grpc", default="127.0.0.1:8001")
    parser.add_argument("--only", metavar="NAME", default="", help="checks whose name contains this")
    parser.add_argument("--verbose", action="store_true", help="print where a check failed")
    arguments = parser.parse_args()
    options = ["--http", arguments.http, "--grpc", arguments.grpc, "--only", arguments.only]
    options += ["--verbose"] if arguments.verbose else []
    counts = [run(script, options) for script in SCRIPTS]
    passed, failed = (sum(column) for column in zip(*counts))
    if passed + failed == 0:
        parser.error(f"no check is called {arguments.only}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def run(script: str, options: list[str]) -> tuple[int, int]:
    """Runs one script, passes its lines on as they come, and returns how many checks passed and failed."""
    command = [sys.executable, str(Path(__file__).with_name(f"{script}.py")), *options]
    passed, failed, ended = 0, 0, False
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if re.fullmatch(r"\d+ passed, \d+ failed\n", line):
                ended = True
                continue
            passed += line.startswith("ok ")
            failed += line.startswith("FAILED ")
            print(line, end="", flush=True)
    if not ended:
        print(f"FAILED {script}: broke with exit status {process.returncode}", flush=True)
        failed += 1
    return passed, failed


if __name__ == "__main__":
    sys.exit(main())
