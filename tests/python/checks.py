"""What every client script shares: the list of checks, what they assert, and the tensors they send.

A check is a function of a `Server` that raises on failure. It knows no protocol; the scripts beside it do.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ARTIFACTS = Path(__file__).resolve().parents[2] / "models" / "zoo" / "artifacts"
SECONDS = 30
"""Longest wait for any one answer."""

FRAUD = "fraud-detection"
FILMS = "recommendation"


@dataclass(frozen=True)
class Server:
    """Where the server under test listens, each `host:port`."""

    http: str
    grpc: str


Check = Callable[[Server], None]
CHECKS: dict[str, Check] = {}


def check(client: str) -> Callable[[Check], Check]:
    """Registers a function as check `<client>.<function name>`."""

    def register(function: Check) -> Check:
        CHECKS[f"{client}.{function.__name__}"] = function
        return function

    return register


def register(name: str, function: Check) -> None:
    """Registers one of a family of checks."""
    CHECKS[name] = function


class Cases:
    """What any client of one protocol must get right, each a function of a connected client.

    Each is a check of the script that holds them, and the scripts of other clients of that protocol run them too.
    """

    def __init__(self, client: str, connect: Callable[[Server], AbstractContextManager[Any]]) -> None:
        self._client, self._connect = client, connect
        self.runs: dict[str, Callable[[Any], None]] = {}

    def add(self, name: str, run: Callable[[Any], None]) -> None:
        """Adds one of a family of cases."""

        def here(server: Server) -> None:
            with self._connect(server) as client:
                run(client)

        self.runs[name] = run
        register(f"{self._client}.{name}", here)

    def __call__(self, run: Callable[[Any], None]) -> Callable[[Any], None]:
        """Adds a function as a case."""
        self.add(run.__name__, run)
        return run


def main(client: str) -> None:
    """The command line of one script: runs its checks, prints a line for each and their number, and ends."""
    parser = argparse.ArgumentParser(description=f"Checks of {client} against a running server.")
    parser.add_argument("--http", default="127.0.0.1:8000")
    parser.add_argument("--grpc", default="127.0.0.1:8001")
    parser.add_argument("--only", metavar="NAME", default="", help="checks whose name contains this")
    parser.add_argument("--verbose", action="store_true", help="print where a check failed")
    arguments = parser.parse_args()
    chosen = {name: run for name, run in CHECKS.items() if name.startswith(f"{client}.") and arguments.only in name}
    server = Server(arguments.http, arguments.grpc)
    failed = 0
    for name, run in chosen.items():
        try:
            run(server)
            print(f"ok {name}", flush=True)
        except Exception as error:  # whatever a client library raises is a failed check
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
            if arguments.verbose:
                traceback.print_exc()
    print(f"{len(chosen) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def expect(condition: object, message: str) -> None:
    """Fails the check unless `condition` holds."""
    if not condition:
        raise AssertionError(message)


def equal(actual: object, expected: object, what: str) -> None:
    """Fails the check unless both are equal."""
    expect(actual == expected, f"{what}: expected {expected!r}, got {actual!r}")


def mentions(text: str, word: str) -> None:
    """Fails unless an error names what was wrong, and names nothing of the inside."""
    expect(word in text, f"the error should name {word!r}: {text!r}")
    inside = re.search(r"panicked|\.rs:\d+|/(home|tmp|root|work|usr)/", text)
    expect(inside is None, f"the error tells about the inside of the server: {text!r}")


def same(actual: np.ndarray | None, expected: np.ndarray, what: str) -> None:
    """Fails unless both arrays have the same shape and the same values."""
    expect(actual is not None, f"{what}: the answer lacks it")
    assert actual is not None
    equal(list(actual.shape), list(expected.shape), f"shape of {what}")
    if expected.dtype == object:
        equal([_bytes(v) for v in actual.ravel()], [_bytes(v) for v in expected.ravel()], what)
    else:
        equal(actual.dtype, expected.dtype, f"dtype of {what}")
        expect(np.array_equal(actual, expected), f"{what}: expected {expected.tolist()}, got {actual.tolist()}")


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


TEXT = np.array([[b"", b"plain"], ["ünïcødé ✓".encode(), b'quote " \\ \n']], object)
BINARY = np.array([[b"", b"\xff\xfe\x00\x80"], [b"\x00", b"x" * 70_000]], object)
"""`BYTES` elements that are empty, not UTF-8, and longer than 64 KiB: binary and gRPC only."""

NUMPY = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}
DATATYPES = [*NUMPY, "BF16", "BYTES"]
WITHOUT_JSON_FORM = {"FP16", "BF16"}


def identity(datatype: str) -> str:
    """The model that returns a tensor of that datatype."""
    return f"identity-{datatype.lower()}"


def values(datatype: str) -> np.ndarray:
    """A [2, 2] tensor with the values that a careless conversion loses. BF16 as the FP32 that clients take for it."""
    if datatype == "BYTES":
        return TEXT
    if datatype == "BF16":
        exact = np.array([[1.5, -0.0], [3.3895314e38, 1e-38]], np.float32).view(np.uint32) >> 16 << 16
        return exact.view(np.float32)
    dtype = np.dtype(NUMPY[datatype])
    if dtype.kind == "b":
        return np.array([[True, False], [False, True]])
    if dtype.kind == "f":
        return np.array([[np.finfo(dtype).max, -0.1], [np.finfo(dtype).tiny, 1 / 3]], dtype)
    return np.array([[np.iinfo(dtype).min, np.iinfo(dtype).max], [1, np.iinfo(dtype).max - 1]], dtype)


def goldens(model: str, version: str) -> list[dict]:
    """The recorded requests and answers of a version of the zoo."""
    paths = sorted((ARTIFACTS / model / version / "golden").glob("*.json"))
    expect(paths, f"the server runs {model} {version}, of which the zoo has no golden requests")
    return [json.loads(path.read_text("utf-8")) for path in paths]


def array(tensor: dict) -> np.ndarray:
    """A tensor of a golden as an array."""
    return np.array(tensor["data"], NUMPY[tensor["datatype"]]).reshape(tensor["shape"])


def close(actual: np.ndarray | None, golden: dict, tensor: dict) -> None:
    """Fails unless `actual` is the recorded tensor within the golden's tolerance."""
    expect(actual is not None, f"the answer lacks {tensor['name']}")
    assert actual is not None
    expected, tolerance = array(tensor), golden["tolerance"]
    equal(list(actual.shape), list(expected.shape), f"shape of {tensor['name']}")
    near = np.allclose(actual, expected, atol=tolerance["absolute"], rtol=tolerance["relative"])
    expect(near, f"{tensor['name']}: expected {expected.tolist()}, got {actual.tolist()}")
