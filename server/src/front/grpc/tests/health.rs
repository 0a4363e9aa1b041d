//! Health and reflection.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::channel;
use crate::front::testing;

fn service(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_of_the_server_and_of_each_model() {
    let front = testing::front();
    let mut client = HealthClient::new(channel(Arc::clone(&front)).await);
    let table = [("", 1), ("inference.GRPCInferenceService", 1), ("pair", 1), ("loading", 2)];
    for (name, status) in table {
        assert_eq!(client.check(service(name)).await.unwrap().into_inner().status, status, "{name}");
    }
    let status = client.check(service("nope")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "there is no service or model 'nope'"));
    front.draining.cancel();
    assert_eq!(client.check(service("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_changes_and_ends_with_the_server() {
    let front = testing::front();
    let mut client = HealthClient::new(channel(Arc::clone(&front)).await);
    let mut watch = client.watch(service("")).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let mut unknown = client.watch(service("nope")).await.unwrap().into_inner();
    assert_eq!(unknown.next().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    front.draining.cancel();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.next().await.is_none());
    assert!(unknown.next().await.is_none());
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let mut client = ServerReflectionClient::new(channel(testing::front()).await);
    let request = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut answers = client.server_reflection_info(stream::iter([request])).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.next().await.unwrap().unwrap().message_response
    else {
        panic!("not a list of services")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["inference.GRPCInferenceService", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|listed| listed == name), "{names:?}");
    }
}

#[tokio::test]
async fn unknown_calls_are_unimplemented() {
    let mut client = tonic::client::Grpc::new(channel(testing::front()).await);
    for path in ["/inference.GRPCInferenceService/Nope", "/nope.Nope/Nope"] {
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
        let path = http::uri::PathAndQuery::from_static(path);
        let status = client.unary(tonic::Request::new(service("")), path, codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
    }
}
