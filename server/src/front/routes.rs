//! Every route of every port, each with the API group that it belongs to. The routers are made from these tables and
//! from nothing else (`tests/it/tidy` holds that), so there is no route without a group, and none without its check.
//!
//! Knows what is asked for and by which path; what answers is the front ends' business, and who may ask the guard's.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter};
use config::access::Right;
use http::HeaderMap;

use super::guard::{Caller, Refused};

#[cfg(test)]
mod tests;

/// The API that a route belongs to: the groups of the Open Inference Protocol, and the rollout's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Whether the server and a model are alive and ready: open to everybody, as probes and load balancers need it.
    Health,
    /// What is served, and how it is doing.
    Metadata,
    /// Inference.
    Predict,
    /// What steers a rollout.
    Admin,
}

impl Group {
    /// What a client must be allowed; `None` is open.
    #[must_use]
    pub const fn needs(self) -> Option<Right> {
        match self {
            Self::Health => None,
            Self::Metadata => Some(Right::Metadata),
            Self::Predict => Some(Right::Predict),
            Self::Admin => Some(Right::Admin),
        }
    }
}

/// What a route is called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `GET`, and `HEAD` with it.
    Get,
    /// `POST`.
    Post,
}

/// One route over HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Route<E> {
    /// What it is called with.
    pub verb: Verb,
    /// As axum writes it.
    pub path: &'static str,
    /// Which API it belongs to.
    pub group: Group,
    /// What answers.
    pub endpoint: E,
}

/// One call of the gRPC port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcRoute {
    /// `/package.Service/Method`.
    pub path: &'static str,
    /// Which API it belongs to.
    pub group: Group,
    /// Each message of its stream is a request, and not the call.
    pub by_message: bool,
}

/// What answers on the HTTP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpEndpoint {
    /// Name, version and extensions of the server.
    Server,
    /// V2's liveness.
    Live,
    /// V2's readiness.
    Ready,
    /// Metadata of a model.
    Model,
    /// Readiness of a model.
    ModelReady,
    /// Inference.
    Infer,
    /// Triton's configuration of a model.
    Config,
    /// Triton's statistics of a model.
    Statistics,
    /// Triton's statistics of all models.
    AllStatistics,
    /// Triton's index.
    Index,
    /// Triton's load and unload, which are refused.
    NotByCall,
    /// V1's liveness.
    V1Alive,
    /// V1's status of a model.
    V1Status,
    /// V1's inference.
    V1Predict,
}

/// What answers on the admin port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminEndpoint {
    /// The status page.
    Page,
    /// The metrics.
    Metrics,
    /// The status in JSON.
    Status,
    /// Liveness of the process.
    Healthz,
    /// A verb of the rollout.
    Verb,
}

const fn get<E>(path: &'static str, group: Group, endpoint: E) -> Route<E> {
    Route { verb: Verb::Get, path, group, endpoint }
}

const fn post<E>(path: &'static str, group: Group, endpoint: E) -> Route<E> {
    Route { verb: Verb::Post, path, group, endpoint }
}

use Group::{Admin, Health, Metadata, Predict};
use HttpEndpoint as H;

/// The HTTP port. Load and unload are refused whoever asks, so they need no more than the index beside them.
pub const HTTP: &[Route<HttpEndpoint>] = &[
    get("/v2", Metadata, H::Server),
    get("/v2/health/live", Health, H::Live),
    get("/v2/health/ready", Health, H::Ready),
    get("/v2/models/stats", Metadata, H::AllStatistics),
    get("/v2/models/{model}", Metadata, H::Model),
    get("/v2/models/{model}/ready", Health, H::ModelReady),
    post("/v2/models/{model}/infer", Predict, H::Infer),
    get("/v2/models/{model}/config", Metadata, H::Config),
    get("/v2/models/{model}/stats", Metadata, H::Statistics),
    get("/v2/models/{model}/versions/{version}", Metadata, H::Model),
    get("/v2/models/{model}/versions/{version}/ready", Health, H::ModelReady),
    post("/v2/models/{model}/versions/{version}/infer", Predict, H::Infer),
    get("/v2/models/{model}/versions/{version}/config", Metadata, H::Config),
    get("/v2/models/{model}/versions/{version}/stats", Metadata, H::Statistics),
    post("/v2/repository/index", Metadata, H::Index),
    post("/v2/repository/models/{model}/load", Metadata, H::NotByCall),
    post("/v2/repository/models/{model}/unload", Metadata, H::NotByCall),
    get("/", Health, H::V1Alive),
    get("/v1/models/{call}", Metadata, H::V1Status),
    post("/v1/models/{call}", Predict, H::V1Predict),
    get("/v1/models/{model}/versions/{call}", Metadata, H::V1Status),
    post("/v1/models/{model}/versions/{call}", Predict, H::V1Predict),
    get("/v1/models/{model}/labels/{call}", Metadata, H::V1Status),
    post("/v1/models/{model}/labels/{call}", Predict, H::V1Predict),
];

/// The admin port.
pub const ADMIN: &[Route<AdminEndpoint>] = &[
    get("/", Metadata, AdminEndpoint::Page),
    get("/metrics", Metadata, AdminEndpoint::Metrics),
    get("/status", Metadata, AdminEndpoint::Status),
    get("/healthz", Health, AdminEndpoint::Healthz),
    post("/v1/models/{model}/{verb}", Admin, AdminEndpoint::Verb),
];

const fn call(path: &'static str, group: Group) -> GrpcRoute {
    GrpcRoute { path, group, by_message: false }
}

/// The gRPC port, what is asked most first. What changes nothing here because it is refused is with what it is about.
pub const GRPC: &[GrpcRoute] = &[
    call("/inference.GRPCInferenceService/ModelInfer", Predict),
    GrpcRoute { path: "/inference.GRPCInferenceService/ModelStreamInfer", group: Predict, by_message: true },
    call("/inference.GRPCInferenceService/ServerLive", Health),
    call("/inference.GRPCInferenceService/ServerReady", Health),
    call("/inference.GRPCInferenceService/ModelReady", Health),
    call("/inference.GRPCInferenceService/ServerMetadata", Metadata),
    call("/inference.GRPCInferenceService/ModelMetadata", Metadata),
    call("/inference.GRPCInferenceService/ModelConfig", Metadata),
    call("/inference.GRPCInferenceService/ModelStatistics", Metadata),
    call("/inference.GRPCInferenceService/RepositoryIndex", Metadata),
    call("/inference.GRPCInferenceService/RepositoryModelLoad", Metadata),
    call("/inference.GRPCInferenceService/RepositoryModelUnload", Metadata),
    call("/inference.GRPCInferenceService/SystemSharedMemoryStatus", Metadata),
    call("/inference.GRPCInferenceService/SystemSharedMemoryRegister", Metadata),
    call("/inference.GRPCInferenceService/SystemSharedMemoryUnregister", Metadata),
    call("/inference.GRPCInferenceService/CudaSharedMemoryStatus", Metadata),
    call("/inference.GRPCInferenceService/CudaSharedMemoryRegister", Metadata),
    call("/inference.GRPCInferenceService/CudaSharedMemoryUnregister", Metadata),
    call("/inference.GRPCInferenceService/TraceSetting", Metadata),
    call("/inference.GRPCInferenceService/LogSettings", Metadata),
    call("/grpc.health.v1.Health/Check", Health),
    call("/grpc.health.v1.Health/Watch", Health),
    call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Metadata),
    call("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Metadata),
];

/// The call at `path`. A path that is not here is answered by nobody.
pub(super) fn grpc(path: &str) -> Option<&'static GrpcRoute> {
    GRPC.iter().find(|route| route.path == path)
}

/// How a port says that a caller was refused.
pub(super) type Refuse = Arc<dyn Fn(&Caller, &HeaderMap, Refused) -> Response + Send + Sync>;

/// The router of `table`. With `refuse`, each route asks the guard first; without, all are open.
pub(super) fn router<E: Copy, S: Clone + Send + Sync + 'static>(
    table: &[Route<E>],
    handler: impl Fn(E, MethodFilter) -> MethodRouter<S>,
    refuse: Option<Refuse>,
) -> Router<S> {
    table.iter().fold(Router::new(), |router, route| {
        let filter = match route.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
        };
        let handler = handler(route.endpoint, filter);
        let group = route.group;
        let handler = match refuse.clone() {
            Some(refuse) => {
                handler.route_layer(from_fn(move |request, next| check(group, Arc::clone(&refuse), request, next)))
            }
            None => handler,
        };
        router.route(route.path, handler)
    })
}

/// Hands the request on, with a caller that holds its admission; it is given back with the answer.
async fn check(group: Group, refuse: Refuse, mut request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions_mut().remove::<Caller>() else {
        return refuse(&Caller::default(), request.headers(), Refused::Unknown);
    };
    match caller.admit(group, request.headers()) {
        Ok(admitted) => {
            request.extensions_mut().insert(admitted.clone());
            let response = next.run(request).await;
            drop(admitted);
            response
        }
        Err(refused) => refuse(&caller, request.headers(), refused),
    }
}
