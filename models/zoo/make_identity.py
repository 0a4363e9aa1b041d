"""Models that answer what they were asked, one per datatype of the protocol: what a client check compares against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

import artifact
from graph import Graph, tensor

VERSION = "v1"
AXES = ["batch", "width"]
MULTI = [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.STRING, onnx.TensorProto.BOOL]
"""Element types of `identity-multi`, INPUT0 to INPUT3."""

TEXT = np.array([["", "plain"], ["ünïcødé ✓", 'quote " \\ \n']], object)
WITHOUT_JSON_FORM = {"FP16", "BF16"}


def build(artifacts: Path) -> None:
    """Writes `identity-<datatype>/v1` for all 14 datatypes and `identity-multi/v1`."""
    for kind, (datatype, _) in artifact.DATATYPES.items():
        goldens = {} if datatype in WITHOUT_JSON_FORM else {"extremes": {"INPUT0": extremes(kind)}}
        artifact.write(artifacts / f"identity-{datatype.lower()}" / VERSION, identity([kind]), goldens)
    mixed = {f"INPUT{index}": extremes(kind) for index, kind in enumerate(MULTI)}
    artifact.write(artifacts / "identity-multi" / VERSION, identity(MULTI), {"mixed": mixed})


def identity(kinds: list[int]) -> onnx.ModelProto:
    """INPUT<n> -> Identity -> OUTPUT<n>, each [-1, -1]."""
    graph = Graph("identity")
    for index in range(len(kinds)):
        graph.op("Identity", [f"INPUT{index}"], f"OUTPUT{index}")
    return graph.model([tensor(f"INPUT{index}", kind, AXES) for index, kind in enumerate(kinds)],
                       [tensor(f"OUTPUT{index}", kind, AXES) for index, kind in enumerate(kinds)])


def extremes(kind: int) -> np.ndarray:
    """A [2, 2] tensor with the values that a careless conversion loses."""
    if kind == onnx.TensorProto.STRING:
        return TEXT
    dtype = np.dtype(artifact.DATATYPES[kind][1])
    if dtype.kind == "b":
        return np.array([[True, False], [False, True]])
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        return np.array([[limits.max, -0.1], [limits.tiny, 1 / 3]], dtype)
    limits = np.iinfo(dtype)
    return np.array([[limits.min, limits.max], [1, limits.max - 1]], dtype)
