"""Small helpers over `onnx.helper`, so that the graphs in the scripts read as their formulas."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from artifact import IR_VERSION, OPSET


class Graph:
    """An ONNX graph being written from its inputs to its outputs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, value: np.ndarray) -> str:
        """Adds an initializer and returns its name."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Adds a node with one output and returns the output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", **attributes))
        return output

    def gemm(self, x: str, weight: np.ndarray, bias: np.ndarray, output: str) -> str:
        """`x · weight + bias`; `weight` is [in, out]."""
        names = [self.weight(f"{output}.weight", weight.astype(np.float32)),
                 self.weight(f"{output}.bias", bias.astype(np.float32))]
        return self.op("Gemm", [x, *names], output)

    def model(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The finished model."""
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.weights)
        return helper.make_model(graph, ir_version=IR_VERSION, producer_name="sluice-zoo",
                                 opset_imports=[helper.make_opsetid("", OPSET)])


def tensor(name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    """A graph input or output; a text in `shape` names an axis of any size."""
    return helper.make_tensor_value_info(name, kind, shape)


FP32 = TensorProto.FLOAT
INT64 = TensorProto.INT64
