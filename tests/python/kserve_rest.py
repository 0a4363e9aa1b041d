"""KServe's own clients: V2 and V1 over REST, and V2 over gRPC."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

import httpx
import numpy as np

# Importing kserve parses the command line as its own server's.
sys.argv, _arguments = sys.argv[:1], sys.argv
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig  # noqa: E402
from kserve.constants.constants import PredictorProtocol  # noqa: E402
from kserve.protocol.infer_type import RequestedOutput  # noqa: E402

sys.argv = _arguments

import checks
from checks import FRAUD, Server, check, equal, expect, mentions, same

CLIENT = "kserve"
# The client logs every error that it also raises.
logging.getLogger("kserve").setLevel(logging.CRITICAL)


def rest(server: Server, protocol: PredictorProtocol, run: Callable[[InferenceRESTClient, str], Awaitable]) -> None:
    """Runs `run` with a client and the server's address."""

    async def outer() -> None:
        async with InferenceRESTClient(RESTConfig(protocol=protocol, timeout=checks.SECONDS, retries=0)) as client:
            await run(client, f"http://{server.http}")

    asyncio.run(asyncio.wait_for(outer(), checks.SECONDS))


@check(CLIENT)
def v2_health(server: Server) -> None:
    """This client wants a body that says so, not only a status."""

    async def run(client: InferenceRESTClient, url: str) -> None:
        expect(await client.is_server_live(url) is True, "the server is not live")
        expect(await client.is_server_ready(url) is True, "the server is not ready")
        expect(await client.is_model_ready(url, FRAUD), f"{FRAUD} is not ready")
        expect(not await client.is_model_ready(url, "no-such-model"), "a model that does not exist is ready")

    rest(server, PredictorProtocol.REST_V2, run)


@check(CLIENT)
def v2_infer_json(server: Server) -> None:
    """Real answers in JSON; the body carries a `model_name` and no content type."""

    async def run(client: InferenceRESTClient, url: str) -> None:
        version = await _version(url, FRAUD)
        for golden in checks.goldens(FRAUD, version):
            inputs = [InferInput(i["name"], i["shape"], i["datatype"], i["data"]) for i in golden["request"]["inputs"]]
            result = await client.infer(url, InferRequest(FRAUD, inputs, request_id="order 66"), FRAUD)
            equal((result.id, result.model_name), ("order 66", FRAUD), "answer")
            outputs = {output.name: output for output in result.outputs}
            for output in golden["response"]["outputs"]:
                checks.close(outputs[output["name"]].as_numpy(), golden, output)

    rest(server, PredictorProtocol.REST_V2, run)


@check(CLIENT)
def v2_infer_binary(server: Server) -> None:
    """FP16, which has no JSON form, among others. This client decodes BYTES answers as text, so they are text here."""

    async def run(client: InferenceRESTClient, url: str) -> None:
        for datatype in ("FP16", "FP32", "BYTES"):
            value = checks.values(datatype)
            made = InferInput("INPUT0", list(value.shape), datatype)
            made.set_data_from_numpy(value, binary_data=True)
            asked = [RequestedOutput("OUTPUT0", {"binary_data": True})]
            name = checks.identity(datatype)
            result = await client.infer(url, InferRequest(name, [made], request_outputs=asked), name)
            same(result.outputs[0].as_numpy(), value, f"OUTPUT0 of {name}")

    rest(server, PredictorProtocol.REST_V2, run)


@check(CLIENT)
def v2_errors(server: Server) -> None:
    """404 and 400 with the error as JSON."""

    async def run(client: InferenceRESTClient, url: str) -> None:
        made = InferInput("features", [1, 8], "FP32", [0.5] * 8)
        for name, status, word in (("no-such-model", 404, "no-such-model"), (FRAUD, 400, "features")):
            try:
                await client.infer(url, InferRequest(name, [made]), name)
            except httpx.HTTPStatusError as error:
                equal(error.response.status_code, status, f"status of {error}")
                mentions(error.response.json()["error"], word)
                continue
            raise AssertionError(f"expected {status}, but the request was answered")

    rest(server, PredictorProtocol.REST_V2, run)


@check(CLIENT)
def v1_health(server: Server) -> None:
    """V1 asks for the server at the root of the port."""

    async def run(client: InferenceRESTClient, url: str) -> None:
        expect(await client.is_server_live(url) is True, "the server is not live")
        expect(await client.is_model_ready(url, FRAUD) is True, f"{FRAUD} is not ready")
        try:
            ready = await client.is_model_ready(url, "no-such-model")
        except httpx.HTTPStatusError as error:
            equal(error.response.status_code, 404, f"status of {error}")
        else:
            raise AssertionError(f"a model that does not exist is ready: {ready}")

    rest(server, PredictorProtocol.REST_V1, run)


@check(CLIENT)
def v1_predict(server: Server) -> None:
    """The older protocol: rows in, rows out; one object per row where a model has several outputs."""

    async def run(client: InferenceRESTClient, url: str) -> None:
        rows = [[1.5, -2.0], [0.25, 4.0]]
        told = await client.infer(url, {"instances": rows}, "identity-fp32")
        equal(told["predictions"], rows, "predictions")
        golden = checks.goldens(FRAUD, await _version(url, FRAUD))[0]
        told = await client.infer(url, {"instances": checks.array(golden["request"]["inputs"][0]).tolist()}, FRAUD)
        for output in golden["response"]["outputs"]:
            values = np.array([row[output["name"]] for row in told["predictions"]])
            checks.close(values, golden, output)

    rest(server, PredictorProtocol.REST_V1, run)


@check(CLIENT)
def v2_grpc_infer(server: Server) -> None:
    """KServe's gRPC client."""

    async def run() -> None:
        async with InferenceGRPCClient(server.grpc) as client:
            expect(await client.is_server_live(), "the server is not live")
            expect(await client.is_server_ready(), "the server is not ready")
            expect(await client.is_model_ready(FRAUD), f"{FRAUD} is not ready")
            value = checks.values("FP32")
            made = InferInput("INPUT0", list(value.shape), "FP32")
            made.set_data_from_numpy(value, binary_data=True)
            result = await client.infer(InferRequest("identity-fp32", [made], request_id="order 66"))
            equal(result.id, "order 66", "id")
            same(result.outputs[0].as_numpy(), value, "OUTPUT0")

    asyncio.run(asyncio.wait_for(run(), checks.SECONDS))


async def _version(url: str, model: str) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{url}/v2/models/{model}")).json()["versions"][0]


if __name__ == "__main__":
    checks.main(CLIENT)
