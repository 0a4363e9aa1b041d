"""`tritonclient.grpc` against the gRPC port: raw contents, typed contents, streams, callbacks."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

import checks
from checks import FILMS, FRAUD, Cases, Server, check, equal, expect, mentions, register, same

CLIENT = "triton_grpc"

# Datatype -> field of `InferTensorContents`. FP16 and BF16 have none: raw contents only.
TYPED = {
    "BOOL": "bool_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}


@contextmanager
def connect(server: Server) -> Iterator[triton.InferenceServerClient]:
    """A client that is closed afterwards."""
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def tensor(name: str, value: np.ndarray, datatype: str | None = None) -> triton.InferInput:
    """An input holding `value` as raw contents."""
    made = triton.InferInput(name, list(value.shape), datatype or np_to_triton_dtype(value.dtype))
    made.set_data_from_numpy(value)
    return made


Case = Callable[[triton.InferenceServerClient], None]
case = Cases(CLIENT, connect)


def raw(datatype: str, value: np.ndarray) -> Case:
    """A case: the identity model of `datatype` returns `value` as raw contents."""

    def run(client: triton.InferenceServerClient) -> None:
        result = client.infer(checks.identity(datatype), [tensor("INPUT0", value, datatype)],
                              client_timeout=checks.SECONDS)
        equal(result.get_output("OUTPUT0").datatype, datatype, "datatype of OUTPUT0")
        same(result.as_numpy("OUTPUT0"), value, "OUTPUT0")

    return run


def typed(datatype: str) -> checks.Check:
    """A check that typed contents are understood, and answered in raw ones: the client reads no others."""

    def run(server: Server) -> None:
        value = checks.values(datatype)
        request = service_pb2.ModelInferRequest(model_name=checks.identity(datatype))
        made = request.inputs.add(name="INPUT0", datatype=datatype, shape=value.shape)
        getattr(made.contents, TYPED[datatype]).extend(value.ravel().tolist())
        with stub(server) as service:
            answer = service.ModelInfer(request, timeout=checks.SECONDS)
        equal(answer.outputs[0].datatype, datatype, "datatype of OUTPUT0")
        same(triton.InferResult(answer).as_numpy("OUTPUT0"), value, "OUTPUT0")

    return run


for _datatype in checks.DATATYPES:
    case.add(f"raw_{_datatype}", raw(_datatype, checks.values(_datatype)))
    if _datatype in TYPED:
        register(f"{CLIENT}.typed_{_datatype}", typed(_datatype))
case.add("raw_BYTES_not_utf8", raw("BYTES", checks.BINARY))


@case
def health(client: triton.InferenceServerClient) -> None:
    """Live, ready, model ready, and what is not there is not ready."""
    expect(client.is_server_live(), "the server is not live")
    expect(client.is_server_ready(), "the server is not ready")
    expect(client.is_model_ready(FRAUD), f"{FRAUD} is not ready")
    for name, version in (("no-such-model", ""), (FRAUD, "v999")):
        try:
            expect(not client.is_model_ready(name, version), f"{name} {version} is ready")
        except InferenceServerException as error:
            equal(error.status(), "StatusCode.NOT_FOUND", f"status of {error}")


@case
def metadata(client: triton.InferenceServerClient) -> None:
    """Server and model metadata."""
    told = client.get_server_metadata()
    expect(told.name and told.version, f"name and version: {told}")
    fraud = client.get_model_metadata(FRAUD)
    equal([(i.name, i.datatype, list(i.shape)) for i in fraud.inputs], [("features", "FP32", [-1, 9])], "inputs")
    equal([(o.name, o.datatype, list(o.shape)) for o in fraud.outputs],
          [("label", "INT64", [-1]), ("probability", "FP32", [-1, 2])], "outputs")


@case
def config(client: triton.InferenceServerClient) -> None:
    """What perf_analyzer asks for first; every datatype has Triton's number."""
    numbers = {"BYTES": "TYPE_STRING"}
    for datatype in checks.DATATYPES:
        told = client.get_model_config(checks.identity(datatype), as_json=True)["config"]
        equal(told["name"], checks.identity(datatype), "name")
        equal(told["input"][0]["data_type"], numbers.get(datatype, f"TYPE_{datatype}"), f"type of {datatype}")


@case
def statistics(client: triton.InferenceServerClient) -> None:
    """Three rows in one request are three inferences and one execution."""
    before = client.get_inference_statistics("identity-int16").model_stats[0]
    client.infer("identity-int16", [tensor("INPUT0", np.ones((3, 2), np.int16))])
    after = client.get_inference_statistics("identity-int16").model_stats[0]
    equal(after.inference_count - before.inference_count, 3, "inferences")
    equal(after.execution_count - before.execution_count, 1, "executions")
    equal(after.inference_stats.success.count - before.inference_stats.success.count, 1, "successes")


@case
def repository(client: triton.InferenceServerClient) -> None:
    """The index lists every model as ready; models are managed by the values file, not by calls."""
    index = {model.name: model.state for model in client.get_model_repository_index().models}
    for name in [FRAUD, FILMS, *map(checks.identity, checks.DATATYPES)]:
        equal(index.get(name), "READY", f"state of {name}")
    refused(lambda: client.load_model(FRAUD), "UNIMPLEMENTED", "")
    refused(lambda: client.unload_model(FRAUD), "UNIMPLEMENTED", "")
    expect(client.is_model_ready(FRAUD), f"{FRAUD} is gone")


@case
def several_tensors(client: triton.InferenceServerClient) -> None:
    """Inputs and outputs of different datatypes, and only the requested outputs."""
    kinds = ["FP32", "INT64", "BYTES", "BOOL"]
    inputs = [tensor(f"INPUT{i}", checks.values(kind), kind) for i, kind in enumerate(kinds)]
    result = client.infer("identity-multi", inputs)
    for i, kind in enumerate(kinds):
        same(result.as_numpy(f"OUTPUT{i}"), checks.values(kind), f"OUTPUT{i}")
    asked = [triton.InferRequestedOutput("OUTPUT2"), triton.InferRequestedOutput("OUTPUT0")]
    result = client.infer("identity-multi", inputs, outputs=asked)
    equal(sorted(o.name for o in result.get_response().outputs), ["OUTPUT0", "OUTPUT2"], "outputs")
    same(result.as_numpy("OUTPUT2"), checks.values("BYTES"), "OUTPUT2")


@case
def request_id_and_version(client: triton.InferenceServerClient) -> None:
    """The caller's id comes back, and a pinned version is the one that answers."""
    version = client.get_model_metadata("identity-fp32").versions[0]
    told = client.infer("identity-fp32", [tensor("INPUT0", checks.values("FP32"))], model_version=version,
                        request_id="order 66").get_response()
    equal((told.id, told.model_name, told.model_version), ("order 66", "identity-fp32", version), "answer")


@check(CLIENT)
def version_metadata(server: Server) -> None:
    """The answer's metadata say which version answered."""
    value = np.full((1, 9), 0.5, np.float32)
    request = service_pb2.ModelInferRequest(model_name=FRAUD, raw_input_contents=[value.tobytes()])
    request.inputs.add(name="features", datatype="FP32", shape=value.shape)
    with stub(server) as service:
        answer, call = service.ModelInfer.with_call(request, timeout=checks.SECONDS)
    told = dict(call.initial_metadata()) | dict(call.trailing_metadata())
    equal(told.get("x-sluice-version"), answer.model_version, "x-sluice-version")
    expect(told.get("x-sluice-variant") in ("stable", "canary"), str(told))


@case
def unknown_names(client: triton.InferenceServerClient) -> None:
    """NOT_FOUND for models and versions that are not there, in every call."""
    value = [tensor("INPUT0", checks.values("FP32"))]
    for call in (lambda: client.infer("no-such-model", value),
                 lambda: client.get_model_metadata("no-such-model"),
                 lambda: client.get_model_config("no-such-model"),
                 lambda: client.get_inference_statistics("no-such-model")):
        refused(call, "NOT_FOUND", "no-such-model")
    refused(lambda: client.infer("identity-fp32", value, model_version="v999"), "NOT_FOUND", "v999")


@case
def wrong_tensors(client: triton.InferenceServerClient) -> None:
    """INVALID_ARGUMENT naming the tensor, for the ways in which tensors can be wrong."""
    value, one = checks.values("FP32"), np.ones((1, 9), np.float32)
    for call, word in (
        (lambda: client.infer("identity-fp32", [tensor("INPUT0", value.astype(np.float64))]), "INPUT0"),
        (lambda: client.infer(FRAUD, [tensor("features", one[:, :8])]), "features"),
        (lambda: client.infer(FRAUD, [tensor("features", one.reshape(1, 1, 9))]), "features"),
        (lambda: client.infer(FRAUD, [tensor("feature", one)]), "feature"),
        (lambda: client.infer("identity-multi", [tensor("INPUT0", value)]), "INPUT1"),
        (lambda: client.infer("identity-fp32", [tensor("INPUT0", value)],
                              outputs=[triton.InferRequestedOutput("OUTPUT7")]), "OUTPUT7"),
    ):
        refused(call, "INVALID_ARGUMENT", word)


@check(CLIENT)
def wrong_contents(server: Server) -> None:
    """INVALID_ARGUMENT where the contents do not fit the shape, or come in both forms."""
    for contents, typed_values in (([b"\0" * 12], []), ([], [1.0] * 3), ([b"\0" * 16], [1.0] * 4), ([], []),
                                   ([b"\0" * 16, b"\0" * 16], [])):
        request = service_pb2.ModelInferRequest(model_name="identity-fp32", raw_input_contents=contents)
        made = request.inputs.add(name="INPUT0", datatype="FP32", shape=[2, 2])
        made.contents.fp32_contents.extend(typed_values)
        with stub(server) as service:
            try:
                service.ModelInfer(request, timeout=checks.SECONDS)
            except grpc.RpcError as error:
                equal(error.code().name, "INVALID_ARGUMENT", f"status of {error.details()}")
                continue
        raise AssertionError(f"{len(contents)} raw and {len(typed_values)} typed values passed for 4 of FP32")


@case
def compression(client: triton.InferenceServerClient) -> None:
    """gzip is served; deflate is refused as unimplemented, and breaks nothing."""
    value = np.arange(40_000, dtype=np.float32).reshape(4, -1)
    result = client.infer("identity-fp32", [tensor("INPUT0", value)], compression_algorithm="gzip")
    same(result.as_numpy("OUTPUT0"), value, "OUTPUT0")
    refused(lambda: client.infer("identity-fp32", [tensor("INPUT0", value)], compression_algorithm="deflate"),
            "UNIMPLEMENTED", "")
    expect(client.is_server_ready(), "the server is not ready any more")


@case
def timeouts(client: triton.InferenceServerClient) -> None:
    """DEADLINE_EXCEEDED for the request's own timeout, in microseconds; a long one changes nothing."""
    value = [tensor("INPUT0", checks.values("FP32"))]
    refused(lambda: client.infer("identity-fp32", value, timeout=1), "DEADLINE_EXCEEDED", "")
    result = client.infer("identity-fp32", value, timeout=20_000_000, client_timeout=checks.SECONDS)
    same(result.as_numpy("OUTPUT0"), checks.values("FP32"), "OUTPUT0")


@check(CLIENT)
def async_infer(server: Server) -> None:
    """Sixteen requests at once, each answered once by its callback."""
    answers: queue.Queue = queue.Queue()
    with connect(server) as client:
        for number in range(16):
            client.async_infer("identity-int64", [tensor("INPUT0", np.full((1, 3), number))], request_id=str(number),
                               callback=lambda result, error: answers.put((result, error)))
        found = dict(_numbered(answers) for _ in range(16))
    equal(sorted(found), list(range(16)), "ids")
    for number, value in found.items():
        same(value, np.full((1, 3), number), "OUTPUT0")


@check(CLIENT)
def stream(server: Server) -> None:
    """A stream answers each request with its id, and a bad request ends itself, not the stream."""
    answers: queue.Queue = queue.Queue()
    with connect(server) as client:
        client.start_stream(callback=lambda result, error: answers.put((result, error)))
        for number in range(8):
            client.async_stream_infer("identity-int64", [tensor("INPUT0", np.full((1, 3), number))],
                                      request_id=str(number))
        found = dict(_numbered(answers) for _ in range(8))
        equal(sorted(found), list(range(8)), "ids")
        for number, value in found.items():
            same(value, np.full((1, 3), number), "OUTPUT0")
        client.async_stream_infer("no-such-model", [tensor("INPUT0", np.zeros((1, 3), np.int64))])
        _, error = answers.get(timeout=checks.SECONDS)
        expect(error is not None, "a request for a model that does not exist was answered")
        mentions(error.message(), "no-such-model")
        client.async_stream_infer("identity-int64", [tensor("INPUT0", np.full((1, 3), 9))], request_id="9")
        same(_numbered(answers)[1], np.full((1, 3), 9), "OUTPUT0 after an error")
        client.stop_stream()


@case
def golden_answers(client: triton.InferenceServerClient) -> None:
    """The trained models answer as ONNX Runtime does."""
    for model in (FRAUD, FILMS):
        version = client.get_model_metadata(model).versions[0]
        for golden in checks.goldens(model, version):
            inputs = [tensor(i["name"], checks.array(i)) for i in golden["request"]["inputs"]]
            result = client.infer(model, inputs, model_version=version)
            for output in golden["response"]["outputs"]:
                checks.close(result.as_numpy(output["name"]), golden, output)


@contextmanager
def stub(server: Server) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    """The generated stub, for requests that the client would not make."""
    with grpc.insecure_channel(server.grpc) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def refused(call: Callable[[], object], status: str, word: str) -> None:
    """Fails unless `call` is answered with that status and an error that contains `word`."""
    try:
        call()
    except InferenceServerException as error:
        equal(error.status(), f"StatusCode.{status}", f"status of {error}")
        mentions(error.message() or "", word)
        return
    raise AssertionError(f"expected {status}, but the request was answered")


def _numbered(answers: queue.Queue) -> tuple[int, np.ndarray]:
    """The next answer, as its id and value."""
    result, error = answers.get(timeout=checks.SECONDS)
    if error is not None:
        raise error
    return int(result.get_response().id), result.as_numpy("OUTPUT0")


if __name__ == "__main__":
    checks.main(CLIENT)
