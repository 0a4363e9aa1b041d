//! The HTTP front end: Open Inference Protocol V2, V1, and the read-only extras that Triton's clients call.
//!
//! Owns paths, headers and bodies. Errors are JSON, `{"error": "…"}`, on every path.
//!
//! Inference calls go straight to their handler, as on the gRPC port; only the rest passes the router. It knows the
//! paths of inference too, and takes those that are written in an unusual way.

mod body;
mod error;
mod infer;
mod metadata;
mod reply;
mod said;
mod target;
mod v1;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::Request;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Response;
use axum::routing::{get, post};
use futures::future::BoxFuture;
use models::oip::Repeated;
use tower::Service;

use super::Front;
use super::listen::PerPeer;
use error::HttpError;
use infer::Call;
use target::Target;

pub(crate) use error::error_response;

/// Every endpoint of the HTTP port, for [`Listener::serve`](super::listen::Listener::serve).
#[derive(Clone)]
pub struct HttpService {
    front: Arc<Front>,
    router: Router,
    peer: Option<SocketAddr>,
    /// Of one connection.
    repeated: Arc<Repeated>,
}

impl PerPeer for HttpService {
    type Service = Self;

    fn for_peer(&self, peer: SocketAddr) -> Self {
        Self { peer: Some(peer), repeated: Arc::default(), ..self.clone() }
    }
}

/// Every endpoint of the HTTP port.
#[must_use]
pub fn service(front: Arc<Front>) -> HttpService {
    HttpService { router: router(Arc::clone(&front)), front, peer: None, repeated: Arc::default() }
}

impl<B> Service<Request<B>> for HttpService
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(target) = Target::of_infer(request.method(), request.uri().path()) {
            let call =
                Call { front: Arc::clone(&self.front), repeated: Arc::clone(&self.repeated), peer: self.peer, target };
            return Box::pin(infer::answer(call, request));
        }
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        Box::pin(self.router.call(request))
    }
}

fn router(front: Arc<Front>) -> Router {
    Router::new()
        .route("/v2", get(metadata::server))
        .route("/v2/health/live", get(metadata::live))
        .route("/v2/health/ready", get(metadata::ready))
        .route("/v2/models/stats", get(metadata::all_statistics))
        .merge(model_routes("/v2/models/{model}"))
        .merge(model_routes("/v2/models/{model}/versions/{version}"))
        .route("/v2/repository/index", post(metadata::index))
        .route("/v2/repository/models/{model}/load", post(metadata::not_by_call))
        .route("/v2/repository/models/{model}/unload", post(metadata::not_by_call))
        .route("/", get(v1::alive))
        .route("/v1/models/{call}", get(v1::status).post(v1::predict))
        .route("/v1/models/{model}/versions/{call}", get(v1::status).post(v1::predict))
        .route("/v1/models/{model}/labels/{call}", get(v1::status).post(v1::predict))
        .fallback(async |uri: ::http::Uri| HttpError::NoRoute { path: uri.path().to_owned() })
        .method_not_allowed_fallback(async |method: ::http::Method, uri: ::http::Uri| HttpError::WrongMethod {
            method: method.to_string(),
            path: uri.path().to_owned(),
            allow: None,
        })
        .with_state(front)
}

fn model_routes(prefix: &str) -> Router<Arc<Front>> {
    Router::new()
        .route(prefix, get(metadata::model))
        .route(&format!("{prefix}/ready"), get(metadata::model_ready))
        .route(&format!("{prefix}/infer"), post(infer::routed))
        .route(&format!("{prefix}/config"), get(metadata::config))
        .route(&format!("{prefix}/stats"), get(metadata::statistics))
}
