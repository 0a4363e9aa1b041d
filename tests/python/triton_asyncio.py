"""`tritonclient.http.aio` and `tritonclient.grpc.aio`: every case of the other two clients, and many requests on one
event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import tritonclient.grpc as grpc_triton
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

import checks
import triton_grpc
import triton_http
from checks import FRAUD, Server, check, equal, expect, mentions, register, same

CLIENT = "triton_asyncio"
REQUESTS = 64


class Blocking:
    """An asyncio client whose calls are waited for one by one, as the cases make them."""

    def __init__(self, client: object, runner: asyncio.Runner) -> None:
        self._client, self._runner = client, runner

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._client, name)

        def call(*arguments: object, **options: object) -> object:
            return self._runner.run(asyncio.wait_for(method(*arguments, **options), checks.SECONDS))

        return call


def waited(run: Callable[[Blocking], None], connect: Callable[[Server], object]) -> checks.Check:
    """A check that `run` holds of the client that `connect` makes."""

    async def make(server: Server) -> object:
        return connect(server)

    def check_case(server: Server) -> None:
        with asyncio.Runner() as runner:
            client = Blocking(runner.run(make(server)), runner)
            try:
                run(client)
            finally:
                client.close()

    return check_case


for _name, _run in triton_http.case.runs.items():
    _http = waited(_run, lambda server: http_aio.InferenceServerClient(server.http, conn_timeout=checks.SECONDS))
    register(f"{CLIENT}.http_{_name}", _http)
for _name, _run in triton_grpc.case.runs.items():
    _grpc = waited(_run, lambda server: grpc_aio.InferenceServerClient(server.grpc))
    register(f"{CLIENT}.grpc_{_name}", _grpc)


@check(CLIENT)
def http_infer(server: Server) -> None:
    """Sixty-four requests at once over REST, and an error for a model that is not there."""

    async def run() -> None:
        async with http_aio.InferenceServerClient(server.http, conn_limit=8) as client:
            expect(await client.is_server_ready(), "the server is not ready")
            equal((await client.get_model_metadata(FRAUD))["name"], FRAUD, "name")
            await _all(client, triton_http.tensor)
            await _refused(client, triton_http.tensor, "404")

    asyncio.run(asyncio.wait_for(run(), checks.SECONDS))


@check(CLIENT)
def grpc_infer(server: Server) -> None:
    """Sixty-four requests at once over gRPC, and an error for a model that is not there."""

    async def run() -> None:
        async with grpc_aio.InferenceServerClient(server.grpc) as client:
            expect(await client.is_server_ready(), "the server is not ready")
            equal((await client.get_model_metadata(FRAUD)).name, FRAUD, "name")
            await _all(client, triton_grpc.tensor)
            await _refused(client, triton_grpc.tensor, "StatusCode.NOT_FOUND")

    asyncio.run(asyncio.wait_for(run(), checks.SECONDS))


@check(CLIENT)
def grpc_stream(server: Server) -> None:
    """A stream that answers every request."""

    async def requests() -> AsyncIterator[dict]:
        for number in range(REQUESTS):
            yield {"model_name": "identity-int64", "inputs": [_input(number)], "request_id": str(number)}

    async def run() -> None:
        found = {}
        async with grpc_aio.InferenceServerClient(server.grpc) as client:
            async for result, error in client.stream_infer(requests()):
                if error is not None:
                    raise error
                found[int(result.get_response().id)] = result.as_numpy("OUTPUT0")
                if len(found) == REQUESTS:
                    break
        for number in range(REQUESTS):
            same(found[number], np.full((1, 3), number), "OUTPUT0")

    asyncio.run(asyncio.wait_for(run(), checks.SECONDS))


async def _all(client: object, tensor: object) -> None:
    async def one(number: int) -> None:
        value = np.full((1, 3), number, np.int64)
        result = await client.infer("identity-int64", [tensor("INPUT0", value)], request_id=str(number))
        same(result.as_numpy("OUTPUT0"), value, "OUTPUT0")

    await asyncio.gather(*(one(number) for number in range(REQUESTS)))


async def _refused(client: object, tensor: object, status: str) -> None:
    try:
        await client.infer("no-such-model", [tensor("INPUT0", np.zeros((1, 3), np.int64))])
    except InferenceServerException as error:
        equal(error.status(), status, f"status of {error}")
        mentions(error.message(), "no-such-model")
        return
    raise AssertionError("a request for a model that does not exist was answered")


def _input(number: int) -> grpc_triton.InferInput:
    return triton_grpc.tensor("INPUT0", np.full((1, 3), number, np.int64))


if __name__ == "__main__":
    checks.main(CLIENT)
