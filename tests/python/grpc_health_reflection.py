"""The standard health and reflection services, as probes and debugging tools use them."""

from __future__ import annotations

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

import checks
from checks import Server, check, equal, expect

CLIENT = "grpc"
INFERENCE = "inference.GRPCInferenceService"
SERVING = health_pb2.HealthCheckResponse.SERVING


@check(CLIENT)
def health_check(server: Server) -> None:
    """The server and the inference service are serving; an unknown service is NOT_FOUND."""
    with grpc.insecure_channel(server.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", INFERENCE):
            told = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=checks.SECONDS)
            equal(told.status, SERVING, f"status of {service!r}")
        try:
            health.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=checks.SECONDS)
        except grpc.RpcError as error:
            equal(error.code().name, "NOT_FOUND", "status of a service that does not exist")
            return
        raise AssertionError("a service that does not exist has a status")


@check(CLIENT)
def health_watch(server: Server) -> None:
    """A watcher is told the present state at once."""
    with grpc.insecure_channel(server.grpc) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""),
                                                          timeout=checks.SECONDS)
        equal(next(watch).status, SERVING, "first state")
        watch.cancel()


def reflection(version: str) -> checks.Check:
    """A check that reflection of that version lists the services and describes the inference service."""

    def run(server: Server) -> None:
        with grpc.insecure_channel(server.grpc) as channel:
            # The messages of v1 and v1alpha are the same on the wire, and so is the method but for its package.
            ask = channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )
            questions = [reflection_pb2.ServerReflectionRequest(list_services=""),
                         reflection_pb2.ServerReflectionRequest(file_containing_symbol=INFERENCE)]
            services, file = ask(iter(questions), timeout=checks.SECONDS)
        names = {service.name for service in services.list_services_response.service}
        expect({INFERENCE, "grpc.health.v1.Health"} <= names, f"services: {sorted(names)}")
        described = FileDescriptorProto.FromString(file.file_descriptor_response.file_descriptor_proto[0])
        methods = {method.name for service in described.service for method in service.method}
        expect({"ModelInfer", "ModelStreamInfer", "ServerReady"} <= methods, f"methods: {sorted(methods)}")

    return run


# Older tools, and Python's own reflection package, speak only v1alpha.
checks.register(f"{CLIENT}.reflection_v1", reflection("v1"))
checks.register(f"{CLIENT}.reflection_v1alpha", reflection("v1alpha"))


if __name__ == "__main__":
    checks.main(CLIENT)
