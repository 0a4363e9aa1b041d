"""An artifact directory: what is in it, its digests and its signature. Knows nothing of training.

Order matters: every file, then `model.sig` over them, then `manifest.json` over all of it (so `manifest.json` is
outside the signature and outside the root digest).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

IR_VERSION = 8
OPSET = 17
TOLERANCE = {"absolute": 1e-5, "relative": 1e-4}
OUTSIDE_ROOT_DIGEST = {"model.sig", "manifest.json"}

# ONNX element type -> (OIP datatype, numpy's name as MLflow writes it; None where numpy has none).
DATATYPES = {
    onnx.TensorProto.BOOL: ("BOOL", "bool"),
    onnx.TensorProto.UINT8: ("UINT8", "uint8"),
    onnx.TensorProto.UINT16: ("UINT16", "uint16"),
    onnx.TensorProto.UINT32: ("UINT32", "uint32"),
    onnx.TensorProto.UINT64: ("UINT64", "uint64"),
    onnx.TensorProto.INT8: ("INT8", "int8"),
    onnx.TensorProto.INT16: ("INT16", "int16"),
    onnx.TensorProto.INT32: ("INT32", "int32"),
    onnx.TensorProto.INT64: ("INT64", "int64"),
    onnx.TensorProto.FLOAT16: ("FP16", "float16"),
    onnx.TensorProto.BFLOAT16: ("BF16", None),
    onnx.TensorProto.FLOAT: ("FP32", "float32"),
    onnx.TensorProto.DOUBLE: ("FP64", "float64"),
    onnx.TensorProto.STRING: ("BYTES", "str"),
}


def write(directory: Path, model: onnx.ModelProto, goldens: dict[str, dict[str, np.ndarray]]) -> None:
    """Writes `model.onnx`, `MLmodel` and one golden per entry of `goldens` (name -> inputs) into `directory`."""
    onnx.checker.check_model(model, full_check=True)
    # skl2onnx writes these in the order of a set, which differs from run to run.
    model.opset_import.sort(key=lambda opset: opset.domain)
    directory.mkdir(parents=True, exist_ok=True)
    data = model.SerializeToString(deterministic=True)
    (directory / "model.onnx").write_bytes(data)
    (directory / "MLmodel").write_text(_mlmodel(model, directory.parent.name, directory.name, len(data)), "utf-8")
    for name, inputs in goldens.items():
        path = directory / "golden" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(_json(golden(data, inputs)), "utf-8")


def golden(model: bytes, inputs: dict[str, np.ndarray]) -> dict:
    """The recorded request and ONNX Runtime's answer to it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, inputs)))
    return {
        "request": {"inputs": [_tensor(name, value) for name, value in inputs.items()]},
        "response": {"outputs": [_tensor(name, value) for name, value in outputs.items()]},
        "tolerance": TOLERANCE,
    }


def files(directory: Path) -> list[str]:
    """Relative paths of every file in `directory`, sorted."""
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def root_digest(directory: Path) -> str:
    """The OMS root digest: SHA-256 over the raw SHA-256 of each signed file, in the order of their paths."""
    root = hashlib.sha256()
    for name in files(directory):
        if name not in OUTSIDE_ROOT_DIGEST:
            root.update(hashlib.sha256((directory / name).read_bytes()).digest())
    return f"sha256:{root.hexdigest()}"


def manifest(directory: Path) -> str:
    """The text of `manifest.json`: the root digest, and name, size and SHA-256 of every other file."""
    entries = []
    for name in files(directory):
        if name != "manifest.json":
            data = (directory / name).read_bytes()
            entries.append({"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    return _json({"schemaVersion": "v1alpha1", "digest": root_digest(directory), "files": entries})


def _tensor(name: str, value: np.ndarray) -> dict:
    datatype = next(oip for oip, numpy in DATATYPES.values() if numpy == _numpy_name(value))
    return {"name": name, "shape": list(value.shape), "datatype": datatype, "data": value.ravel().tolist()}


def _numpy_name(value: np.ndarray) -> str:
    return "str" if value.dtype.kind in "OU" else value.dtype.name


def _mlmodel(model: onnx.ModelProto, name: str, version: str, size: int) -> str:
    """`MLmodel` as `mlflow.onnx.log_model` writes it, without what names a machine (environment files, run)."""
    identity = hashlib.sha256(f"{name}/{version}".encode()).hexdigest()[:32]
    lines = [
        f"artifact_path: {name}",
        "flavors:",
        "  onnx:",
        "    code: null",
        "    data: model.onnx",
        "    onnx_session_options: null",
        f"    onnx_version: {onnx.__version__}",
        "    providers:",
        "    - CUDAExecutionProvider",
        "    - CPUExecutionProvider",
        "    save_as_external_data: false",
        "  python_function:",
        "    data: model.onnx",
        "    loader_module: mlflow.onnx",
        "    python_version: 3.11.7",
        "mlflow_version: 3.17.2",
        f"model_id: m-{identity}",
        f"model_size_bytes: {size}",
        f"model_uuid: m-{identity}",
        "prompts: null",
    ]
    inputs, outputs = _columns(model.graph.input), _columns(model.graph.output)
    # numpy has no bfloat16, so MLflow cannot express such a signature and logs the model without one.
    if inputs is not None and outputs is not None:
        lines += ["signature:", f"  inputs: '{inputs}'", f"  outputs: '{outputs}'", "  params: null"]
    return "\n".join([*lines, "type_hint: null", "utc_time_created: '2026-01-01 00:00:00.000000'", ""])


def _columns(values: list[onnx.ValueInfoProto]) -> str | None:
    columns = []
    for value in values:
        tensor = value.type.tensor_type
        dtype = DATATYPES[tensor.elem_type][1]
        if dtype is None:
            return None
        shape = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
        columns.append({"name": value.name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}})
    return json.dumps(columns)


def _json(value: dict) -> str:
    """One line per tensor or file: small, and a change shows as one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1, separators=(",", ": ")) + "\n"
