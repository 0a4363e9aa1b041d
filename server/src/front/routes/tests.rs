//! Every route of every port is walked: nobody gets through without its check.

use std::collections::BTreeSet;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tower::ServiceExt as _;

use super::*;
use crate::front::guard::testing::{ALL, Door, bearer};
use crate::front::listen::{Peer, PerPeer as _};
use crate::front::{Limits, admin, grpc, http as http_port, proto, testing};

/// Whoever asks: nobody, a stranger, and a client of each right alone.
const CALLERS: [(Option<&str>, Option<Right>); 5] = [
    (None, None),
    (Some("stranger"), None),
    (Some("predict"), Some(Right::Predict)),
    (Some("metadata"), Some(Right::Metadata)),
    (Some("admin"), Some(Right::Admin)),
];

/// What must become of a call of `group`.
fn expected(group: Group, right: Option<Right>) -> Option<StatusCode> {
    match (group.needs(), right) {
        (None, _) => None,
        (Some(_), None) => Some(StatusCode::UNAUTHORIZED),
        (Some(needed), Some(right)) => (needed != right).then_some(StatusCode::FORBIDDEN),
    }
}

fn request<E>(route: &Route<E>, token: Option<&str>) -> Request<Body> {
    let path = route.path.replace("{model}", "pair").replace("{version}", "v1").replace("{call}", "pair");
    let path = path.replace("{verb}", "abort");
    let method = match route.verb {
        Verb::Get => "GET",
        Verb::Post => "POST",
    };
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    if let Some(token) = token {
        request.headers_mut().unwrap().extend(bearer(token));
    }
    request.body(Body::from("{}")).unwrap()
}

/// `None` where the call got through, however it ended.
fn refusal(status: StatusCode) -> Option<StatusCode> {
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status).then_some(status)
}

fn peer() -> Peer {
    Peer { address: "10.0.0.7:9".parse().unwrap(), names: None }
}

#[tokio::test]
async fn no_route_of_the_http_port_is_reached_without_its_check() {
    let door = Door::new(ALL);
    let service = http_port::service(testing::guarded(Limits::default(), door.guard.clone())).for_peer(peer());
    for route in HTTP {
        for (token, right) in CALLERS {
            let response = service.clone().oneshot(request(route, token)).await.unwrap();
            assert_eq!(refusal(response.status()), expected(route.group, right), "{} as {token:?}", route.path);
        }
    }
}

#[tokio::test]
async fn an_inference_path_that_is_written_in_an_unusual_way_is_checked_too() {
    let door = Door::new(ALL);
    let service = http_port::service(testing::guarded(Limits::default(), door.guard.clone())).for_peer(peer());
    for path in ["/v2/models/p%61ir/infer", "/v2/models/pair/versions/%76%31/infer"] {
        let route = Route { verb: Verb::Post, path, group: Group::Predict, endpoint: () };
        for (token, right) in CALLERS {
            let response = service.clone().oneshot(request(&route, token)).await.unwrap();
            assert_eq!(refusal(response.status()), expected(route.group, right), "{path} as {token:?}");
        }
    }
}

#[tokio::test]
async fn a_service_that_was_told_of_no_peer_lets_nobody_in() {
    let door = Door::new(ALL);
    let service = http_port::service(testing::guarded(Limits::default(), door.guard.clone()));
    for route in HTTP {
        let response = service.clone().oneshot(request(route, None)).await.unwrap();
        assert_eq!(refusal(response.status()), expected(route.group, None), "{}", route.path);
    }
}

fn admin_port(guard: crate::front::Guard) -> admin::AdminService {
    admin::service(admin::AdminOptions {
        rollout: testing::rollout(),
        catalog: testing::catalog(),
        metrics: Arc::new(|| "# EOF\n".to_owned()),
        device: crate::device::About::cpu(None),
        guard,
    })
    .for_peer(peer())
}

#[tokio::test]
async fn no_route_of_the_admin_port_is_reached_without_its_check() {
    let door = Door::new(ALL);
    let service = admin_port(door.guard.clone());
    for route in ADMIN {
        for (token, right) in CALLERS {
            let response = service.clone().oneshot(request(route, token)).await.unwrap();
            assert_eq!(refusal(response.status()), expected(route.group, right), "{} as {token:?}", route.path);
        }
    }
}

#[tokio::test]
async fn without_a_file_the_admin_port_steers_for_nobody_from_elsewhere() {
    let service = admin_port(crate::front::Guard::local(None));
    for route in ADMIN {
        let response = service.clone().oneshot(request(route, None)).await.unwrap();
        let steers = route.group == Group::Admin;
        assert_eq!(refusal(response.status()), steers.then_some(StatusCode::FORBIDDEN), "{}", route.path);
    }
}

#[tokio::test]
async fn no_call_of_the_grpc_port_is_reached_without_its_check() {
    let door = Door::new(ALL);
    let service = grpc::service(testing::guarded(Limits::default(), door.guard.clone())).for_peer(peer());
    for route in GRPC {
        for (token, right) in CALLERS {
            let mut request = Request::post(route.path).header("content-type", "application/grpc");
            if let Some(token) = token {
                request.headers_mut().unwrap().extend(bearer(token));
            }
            let response = service.clone().oneshot(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
            let code = response.headers().get("grpc-status").map(|code| code.to_str().unwrap());
            let refusal = code.and_then(|code| match code {
                "16" => Some(StatusCode::UNAUTHORIZED),
                "7" => Some(StatusCode::FORBIDDEN),
                _ => None,
            });
            assert_eq!(refusal, expected(route.group, right), "{} as {token:?}", route.path);
        }
    }
}

/// Every call that the services of the gRPC port answer, as their descriptors have them.
fn served() -> BTreeSet<String> {
    let sets = [
        proto::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let files = sets.into_iter().flat_map(|set| FileDescriptorSet::decode(set).unwrap().file);
    files
        .flat_map(|file| {
            let package = file.package().to_owned();
            file.service.into_iter().flat_map(move |service| {
                let prefix = format!("/{package}.{}", service.name());
                service.method.into_iter().map(move |method| format!("{prefix}/{}", method.name()))
            })
        })
        .collect()
}

#[test]
fn every_call_that_is_served_is_in_the_table_and_no_other() {
    let listed: BTreeSet<String> = GRPC.iter().map(|route| route.path.to_owned()).collect();
    assert_eq!(listed, served());
    assert_eq!(listed.len(), GRPC.len(), "no call is listed twice");
}

#[tokio::test]
async fn a_call_that_is_not_in_the_table_is_answered_by_nobody() {
    let door = Door::new(ALL);
    let service = grpc::service(testing::guarded(Limits::default(), door.guard.clone())).for_peer(peer());
    for path in ["/inference.GRPCInferenceService/Nope", "//inference.GRPCInferenceService/ModelInfer", "/"] {
        let request = Request::post(path).body(Empty::<Bytes>::new()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "12", "{path}");
    }
}
