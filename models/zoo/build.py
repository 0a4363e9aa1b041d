"""Builds the model zoo, or checks what is committed against a rebuild.

python build.py            trains, exports, signs; writes artifacts/, traffic/, metrics.json, digests.json
python build.py --check    rebuilds into a temporary directory and compares; exit 1 on any difference

On the same versions and CPU family a rebuild gives the same bytes. Elsewhere trained weights may differ in the last
bits; `--check` then compares answers instead and says so.
"""

from __future__ import annotations

import os

# Before numpy is loaded: one thread and one set of CPU kernels, so that sums are made in the same order everywhere.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OPENBLAS_CORETYPE="Haswell")

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import onnx

import artifact
import check
import make_identity
import sign
import train_fraud_detection
import train_recommendation

HERE = Path(__file__).resolve().parent
DAMAGED = (train_fraud_detection.MODEL, "v1.3.0")
"""The version whose weights are changed after signing: neither digest, manifest nor signature hold."""


def build(target: Path, signatures: Path) -> None:
    """Writes the whole zoo into `target`; reuses the signatures under `signatures` that are still good."""
    artifacts, traffic = target / "artifacts", target / "traffic"
    traffic.mkdir(parents=True)
    make_identity.build(artifacts)
    metrics = {
        train_fraud_detection.MODEL: train_fraud_detection.build(artifacts, traffic),
        train_recommendation.MODEL: train_recommendation.build(artifacts, traffic),
    }
    digests: dict[str, dict[str, str]] = {}
    for directory in check.versions(artifacts):
        model, version = directory.parent.name, directory.name
        earlier = signatures / model / version / "model.sig"
        if earlier.is_file():
            shutil.copyfile(earlier, directory / "model.sig")
        sign.seal(directory)
        digests.setdefault(model, {})[version] = artifact.root_digest(directory)
    damage(artifacts.joinpath(*DAMAGED, "model.onnx"))
    (target / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")
    (target / "digests.json").write_text(json.dumps(digests, indent=2, sort_keys=True) + "\n", "utf-8")


def damage(path: Path) -> None:
    """Turns the sign of one weight: the file still parses and still answers, only wrongly."""
    data = bytearray(path.read_bytes())
    weights = next(w.raw_data for w in onnx.load_from_string(bytes(data)).graph.initializer if w.name == "dense0.weight")
    data[data.index(weights) + len(weights) // 2 + 3] ^= 0x80
    path.write_bytes(bytes(data))


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with a rebuild, write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rebuilt = Path(temporary)
        build(rebuilt, HERE / "artifacts")
        if arguments.check:
            return check.report(HERE, rebuilt, DAMAGED)
        for name in ("artifacts", "traffic"):
            shutil.rmtree(HERE / name, ignore_errors=True)
            shutil.copytree(rebuilt / name, HERE / name)
        for name in ("metrics.json", "digests.json"):
            shutil.copyfile(rebuilt / name, HERE / name)
    print((HERE / "metrics.json").read_text("utf-8"))
    return check.report_seals(HERE, DAMAGED)


if __name__ == "__main__":
    sys.exit(main())
