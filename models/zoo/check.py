"""Compares the committed zoo with a rebuild, and each artifact with its manifest, digest and signature."""

from __future__ import annotations

import json
import math
from pathlib import Path

import onnx
from onnx import numpy_helper

import artifact
import sign

WEIGHT_TOLERANCE = 1e-3
"""How far a retrained weight or answer may be on another CPU. Far below what another seed or a typing error does."""


def versions(artifacts: Path) -> list[Path]:
    """Every `<model>/<version>` directory, sorted."""
    return sorted(path for path in artifacts.glob("*/*") if path.is_dir())


def report(committed: Path, rebuilt: Path, damaged: tuple[str, str]) -> int:
    """Prints every difference between two zoos and every broken seal; returns the exit status."""
    names = sorted(set(_comparable(committed)) | set(_comparable(rebuilt)))
    close, wrong = 0, 0
    for name in names:
        difference = compare(committed / name, rebuilt / name)
        close += difference == "close"
        wrong += difference not in (None, "close")
        if difference is not None:
            print(f"{name}: {difference}")
    print(f"{len(names)} files: {len(names) - close - wrong} the same bytes, {close} within tolerance, {wrong} different")
    return 1 if wrong else report_seals(committed, damaged)


def report_seals(zoo: Path, damaged: tuple[str, str]) -> int:
    """Prints every artifact whose seals are not as they should be; returns the exit status."""
    digests = json.loads((zoo / "digests.json").read_text("utf-8"))
    wrong = 0
    found = versions(zoo / "artifacts")
    for directory in found:
        model, version = directory.parent.name, directory.name
        broken = seals(directory, digests[model][version])
        expected = ["digest", "manifest", "signature"] if (model, version) == damaged else []
        if broken != expected:
            wrong += 1
            print(f"{model}/{version}: broken: {broken}, expected: {expected}")
    print(f"{len(found)} artifacts: {len(found) - wrong} sealed as they should be, {wrong} not")
    return 1 if wrong else 0


def seals(directory: Path, digest: str) -> list[str]:
    """Which of digest, manifest and signature do not hold."""
    listed = (directory / "manifest.json").read_text("utf-8")
    held = {
        "digest": artifact.root_digest(directory) == digest,
        "manifest": artifact.manifest(directory) == listed,
        "signature": sign.problem(directory) is None,
    }
    return [name for name, holds in held.items() if not holds]


def compare(one: Path, other: Path) -> str | None:
    """`None` for the same bytes, `close` for the same meaning within tolerance, else what is different."""
    if not one.is_file() or not other.is_file():
        return "is committed but not built" if one.is_file() else "is built but not committed"
    if one.read_bytes() == other.read_bytes():
        return None
    if one.suffix == ".onnx":
        return _compare_models(onnx.load(one), onnx.load(other))
    if one.suffix == ".json":
        same = _near(json.loads(one.read_text("utf-8")), json.loads(other.read_text("utf-8")))
        return "close" if same else "has other values"
    return "has other bytes"


def _comparable(zoo: Path) -> list[str]:
    """Seals follow the bytes, so they are checked against the committed files instead."""
    skipped = {"model.sig", "manifest.json"}
    paths = [path for root in ("artifacts", "traffic") for path in (zoo / root).rglob("*") if path.is_file()]
    return [path.relative_to(zoo).as_posix() for path in paths if path.name not in skipped] + ["metrics.json"]


def _compare_models(one: onnx.ModelProto, other: onnx.ModelProto) -> str:
    weights = [{w.name: numpy_helper.to_array(w) for w in model.graph.initializer} for model in (one, other)]
    for model in (one, other):
        model.graph.ClearField("initializer")
    if [(n.op_type, list(n.input), list(n.output)) for n in one.graph.node] != \
            [(n.op_type, list(n.input), list(n.output)) for n in other.graph.node]:
        return "has other operators"
    if list(one.opset_import) != list(other.opset_import):
        return "has other operator set versions"
    if weights[0].keys() != weights[1].keys():
        return "has other weights"
    apart = [name for name, value in weights[0].items() if not _near(value.tolist(), weights[1][name].tolist())]
    apart += [f"{a.name}" for m, n in zip(one.graph.node, other.graph.node)
              for a, b in zip(m.attribute, n.attribute) if not _near(list(a.floats), list(b.floats))]
    return f"weights differ: {', '.join(apart)}" if apart else "close"


def _near(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=WEIGHT_TOLERANCE, abs_tol=WEIGHT_TOLERANCE)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_near(a, b) for a, b in zip(one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_near(value, other[key]) for key, value in one.items())
    return one == other
