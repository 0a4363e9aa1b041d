"""`tritonclient.http` against the REST port."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

import checks
from checks import FILMS, FRAUD, Cases, Server, check, equal, expect, mentions, same

CLIENT = "triton_http"


@contextmanager
def connect(server: Server) -> Iterator[triton.InferenceServerClient]:
    """A client that is closed afterwards."""
    seconds = checks.SECONDS
    with triton.InferenceServerClient(server.http, network_timeout=seconds, connection_timeout=seconds) as client:
        yield client


def tensor(name: str, value: np.ndarray, datatype: str | None = None, binary: bool = True) -> triton.InferInput:
    """An input holding `value`."""
    made = triton.InferInput(name, list(value.shape), datatype or np_to_triton_dtype(value.dtype))
    made.set_data_from_numpy(value, binary_data=binary)
    return made


Case = Callable[[triton.InferenceServerClient], None]
case = Cases(CLIENT, connect)


def round_trip(datatype: str, value: np.ndarray, binary: bool) -> Case:
    """A case: the identity model of `datatype` returns `value`, both ways in JSON or both in binary."""

    def run(client: triton.InferenceServerClient) -> None:
        result = client.infer(checks.identity(datatype), [tensor("INPUT0", value, datatype, binary)],
                              outputs=[triton.InferRequestedOutput("OUTPUT0", binary_data=binary)])
        equal(result.get_output("OUTPUT0")["datatype"], datatype, "datatype of OUTPUT0")
        same(result.as_numpy("OUTPUT0"), value, "OUTPUT0")

    return run


for _datatype in checks.DATATYPES:
    case.add(f"binary_{_datatype}", round_trip(_datatype, checks.values(_datatype), binary=True))
    if _datatype not in checks.WITHOUT_JSON_FORM:
        case.add(f"json_{_datatype}", round_trip(_datatype, checks.values(_datatype), binary=False))
case.add("binary_BYTES_not_utf8", round_trip("BYTES", checks.BINARY, binary=True))


@case
def json_in_binary_out(client: triton.InferenceServerClient) -> None:
    """Each tensor's form is its own choice."""
    value = checks.values("FP32")
    for inward, outward in ((False, True), (True, False)):
        result = client.infer("identity-fp32", [tensor("INPUT0", value, binary=inward)],
                              outputs=[triton.InferRequestedOutput("OUTPUT0", binary_data=outward)])
        same(result.as_numpy("OUTPUT0"), value, "OUTPUT0")


@case
def empty_batch_axis(client: triton.InferenceServerClient) -> None:
    """A tensor without elements has nothing to answer: 400, naming it."""
    empty = [tensor("INPUT0", np.zeros((1, 0), np.float32))]
    refused(lambda: client.infer("identity-fp32", empty), "400", "INPUT0")


@case
def health(client: triton.InferenceServerClient) -> None:
    """Live, ready, model ready, and what is not there is not ready."""
    expect(client.is_server_live(), "the server is not live")
    expect(client.is_server_ready(), "the server is not ready")
    expect(client.is_model_ready(FRAUD), f"{FRAUD} is not ready")
    version = client.get_model_metadata(FRAUD)["versions"][0]
    expect(client.is_model_ready(FRAUD, version), f"{FRAUD} {version} is not ready")
    expect(not client.is_model_ready("no-such-model"), "a model that does not exist is ready")
    expect(not client.is_model_ready(FRAUD, "v999"), "a version that does not exist is ready")


@case
def metadata(client: triton.InferenceServerClient) -> None:
    """Server and model metadata."""
    told = client.get_server_metadata()
    expect(told["name"] and told["version"], f"name and version: {told}")
    expect("binary_tensor_data" in told["extensions"], f"extensions: {told['extensions']}")
    fraud = client.get_model_metadata(FRAUD)
    equal(fraud["inputs"], [{"name": "features", "datatype": "FP32", "shape": [-1, 9]}], "inputs")
    equal([(o["name"], o["datatype"], o["shape"]) for o in fraud["outputs"]],
          [("label", "INT64", [-1]), ("probability", "FP32", [-1, 2])], "outputs")
    for datatype in checks.DATATYPES:
        told = client.get_model_metadata(checks.identity(datatype))
        equal(told["inputs"], [{"name": "INPUT0", "datatype": datatype, "shape": [-1, -1]}], "inputs")


@case
def config(client: triton.InferenceServerClient) -> None:
    """The model configuration that Triton's tools ask for."""
    told = client.get_model_config("identity-fp32")
    equal(told["name"], "identity-fp32", "name")
    equal([(i["name"], i["data_type"]) for i in told["input"]], [("INPUT0", "TYPE_FP32")], "input")
    axes = 1 if told["max_batch_size"] > 0 else 2
    equal(len(told["input"][0]["dims"]), axes, "axes beside the batch axis")


@case
def statistics(client: triton.InferenceServerClient) -> None:
    """Three rows in one request are three inferences and at least one execution."""
    before = client.get_inference_statistics("identity-int32")["model_stats"][0]
    client.infer("identity-int32", [tensor("INPUT0", np.ones((3, 2), np.int32))])
    after = client.get_inference_statistics("identity-int32")["model_stats"][0]
    equal(after["name"], "identity-int32", "name")
    equal(int(after["inference_count"]) - int(before["inference_count"]), 3, "inferences")
    equal(int(after["execution_count"]) - int(before["execution_count"]), 1, "executions")
    equal(int(after["inference_stats"]["success"]["count"]) - int(before["inference_stats"]["success"]["count"]),
          1, "successes")
    expect(int(after["inference_stats"]["success"]["ns"]) > int(before["inference_stats"]["success"]["ns"]),
           "a success takes time")
    served = {model["name"] for model in client.get_inference_statistics()["model_stats"]}
    expect({FRAUD, FILMS} <= served, f"statistics of all models: {sorted(served)}")


@case
def repository_index(client: triton.InferenceServerClient) -> None:
    """Every model is listed as ready."""
    index = {model["name"]: model for model in client.get_model_repository_index()}
    for name in [FRAUD, FILMS, "identity-multi", *map(checks.identity, checks.DATATYPES)]:
        expect(name in index, f"{name} is not in the index: {sorted(index)}")
        equal(index[name]["state"], "READY", f"state of {name}")


@case
def several_tensors(client: triton.InferenceServerClient) -> None:
    """Inputs and outputs of different datatypes, and only the requested outputs."""
    kinds = ["FP32", "INT64", "BYTES", "BOOL"]
    inputs = [tensor(f"INPUT{i}", checks.values(kind), kind) for i, kind in enumerate(kinds)]
    result = client.infer("identity-multi", inputs)
    for i, kind in enumerate(kinds):
        same(result.as_numpy(f"OUTPUT{i}"), checks.values(kind), f"OUTPUT{i}")
    asked = [triton.InferRequestedOutput("OUTPUT2"), triton.InferRequestedOutput("OUTPUT0", binary_data=False)]
    result = client.infer("identity-multi", inputs, outputs=asked)
    equal(sorted(o["name"] for o in result.get_response()["outputs"]), ["OUTPUT0", "OUTPUT2"], "outputs")
    same(result.as_numpy("OUTPUT0"), checks.values("FP32"), "OUTPUT0")
    same(result.as_numpy("OUTPUT2"), checks.values("BYTES"), "OUTPUT2")


@case
def request_id_and_version(client: triton.InferenceServerClient) -> None:
    """The caller's id comes back, and a pinned version is the one that answers."""
    value = tensor("INPUT0", checks.values("FP32"))
    version = client.get_model_metadata("identity-fp32")["versions"][0]
    told = client.infer("identity-fp32", [value], model_version=version, request_id="order 66").get_response()
    equal((told["id"], told["model_name"], told["model_version"]), ("order 66", "identity-fp32", version), "answer")


@check(CLIENT)
def version_headers(server: Server) -> None:
    """The answer's headers say which version answered."""
    body = {"inputs": [{"name": "features", "shape": [1, 9], "datatype": "FP32", "data": [0.5] * 9}]}
    request = urllib.request.Request(f"http://{server.http}/v2/models/{FRAUD}/infer", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=checks.SECONDS) as answer:
        equal(answer.headers["x-sluice-version"], json.load(answer)["model_version"], "x-sluice-version")
        expect(answer.headers["x-sluice-variant"] in ("stable", "canary"), str(answer.headers))


@case
def unknown_names(client: triton.InferenceServerClient) -> None:
    """404 for models and versions that are not there, in every call."""
    value = [tensor("INPUT0", checks.values("FP32"))]
    for call in (lambda: client.infer("no-such-model", value),
                 lambda: client.get_model_metadata("no-such-model"),
                 lambda: client.get_model_config("no-such-model"),
                 lambda: client.get_inference_statistics("no-such-model")):
        refused(call, "404", "no-such-model")
    refused(lambda: client.infer("identity-fp32", value, model_version="v999"), "404", "v999")
    refused(lambda: client.get_model_metadata("identity-fp32", "v999"), "404", "v999")


@case
def wrong_tensors(client: triton.InferenceServerClient) -> None:
    """400 naming the tensor, for every way in which tensors can be wrong."""
    value, one = checks.values("FP32"), np.ones((1, 9), np.float32)
    refused(lambda: client.infer("identity-fp32", [tensor("INPUT0", value.astype(np.float64))]), "400", "INPUT0")
    refused(lambda: client.infer(FRAUD, [tensor("features", one[:, :8])]), "400", "features")
    refused(lambda: client.infer(FRAUD, [tensor("features", one.reshape(1, 1, 9))]), "400", "features")
    refused(lambda: client.infer(FRAUD, [tensor("feature", one)]), "400", "feature")
    refused(lambda: client.infer(FRAUD, [tensor("features", one), tensor("features", one)]), "400", "features")
    refused(lambda: client.infer("identity-multi", [tensor("INPUT0", value)]), "400", "INPUT1")
    asked = [triton.InferRequestedOutput("OUTPUT7")]
    refused(lambda: client.infer("identity-fp32", [tensor("INPUT0", value)], outputs=asked), "400", "OUTPUT7")


@case
def compression_gzip(client: triton.InferenceServerClient) -> None:
    """gzip in both directions."""
    value = np.arange(40_000, dtype=np.float32).reshape(4, -1)
    result = client.infer("identity-fp32", [tensor("INPUT0", value)], request_compression_algorithm="gzip",
                          response_compression_algorithm="gzip")
    same(result.as_numpy("OUTPUT0"), value, "OUTPUT0")


@case
def compression_deflate(client: triton.InferenceServerClient) -> None:
    """deflate in both directions, as zlib writes it."""
    value = np.arange(40_000, dtype=np.float32).reshape(4, -1)
    result = client.infer("identity-fp32", [tensor("INPUT0", value)], request_compression_algorithm="deflate",
                          response_compression_algorithm="deflate")
    same(result.as_numpy("OUTPUT0"), value, "OUTPUT0")


@case
def timeouts(client: triton.InferenceServerClient) -> None:
    """The request's own timeout, in microseconds: one that cannot be met is 504, a long one changes nothing."""
    value = [tensor("INPUT0", checks.values("FP32"))]
    refused(lambda: client.infer("identity-fp32", value, timeout=1), "504", "")
    same(client.infer("identity-fp32", value, timeout=20_000_000).as_numpy("OUTPUT0"), checks.values("FP32"),
         "OUTPUT0")


@check(CLIENT)
def async_infer(server: Server) -> None:
    """Sixteen requests at once, each with its own answer."""
    with triton.InferenceServerClient(server.http, concurrency=4, network_timeout=checks.SECONDS) as client:
        waiting = [client.async_infer("identity-int64", [tensor("INPUT0", np.full((1, 3), number))],
                                      request_id=str(number)) for number in range(16)]
        for number, pending in enumerate(waiting):
            result = pending.get_result(timeout=checks.SECONDS)
            equal(result.get_response()["id"], str(number), "id")
            same(result.as_numpy("OUTPUT0"), np.full((1, 3), number), "OUTPUT0")


@case
def golden_answers(client: triton.InferenceServerClient) -> None:
    """The trained models answer as ONNX Runtime does."""
    for model in (FRAUD, FILMS):
        version = client.get_model_metadata(model)["versions"][0]
        for golden in checks.goldens(model, version):
            inputs = [tensor(i["name"], checks.array(i)) for i in golden["request"]["inputs"]]
            result = client.infer(model, inputs, model_version=version)
            for output in golden["response"]["outputs"]:
                checks.close(result.as_numpy(output["name"]), golden, output)


def refused(call: Callable[[], object], status: str, word: str) -> None:
    """Fails unless `call` is answered with that HTTP status and an error that contains `word`."""
    try:
        call()
    except InferenceServerException as error:
        equal(error.status(), status, f"status of {error}")
        mentions(error.message(), word)
        return
    raise AssertionError(f"expected {status}, but the request was answered")


if __name__ == "__main__":
    checks.main(CLIENT)
