//! The HTTP front end: Open Inference Protocol V2, V1, and the read-only extras that Triton's clients call.
//!
//! Owns paths, headers and bodies. Errors are JSON, `{"error": "…"}`, on every path.
//!
//! Inference calls go straight to their handler, as on the gRPC port; only the rest passes the router. It knows the
//! paths of inference too, and takes those that are written in an unusual way. Either way the guard was asked before.

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
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::Request;
use axum::Router;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use futures::future::BoxFuture;
use models::oip::Repeated;
use tower::Service;

use super::Front;
use super::guard::Caller;
use super::listen::{Peer, PerPeer};
use super::routes::{self, Group, HttpEndpoint, Refuse};
use infer::Call;
use target::Target;

pub(crate) use error::{HttpError, error_response};

/// Every endpoint of the HTTP port, for [`Listener::serve`](super::listen::Listener::serve).
#[derive(Clone)]
pub struct HttpService {
    front: Arc<Front>,
    router: Router,
    caller: Caller,
    /// Of one connection.
    repeated: Arc<Repeated>,
}

impl PerPeer for HttpService {
    type Service = Self;

    fn for_peer(&self, peer: Peer) -> Self {
        Self { caller: self.front.guard.caller(Some(peer)), repeated: Arc::default(), ..self.clone() }
    }
}

/// Every endpoint of the HTTP port.
#[must_use]
pub fn service(front: Arc<Front>) -> HttpService {
    let caller = front.guard.caller(None);
    HttpService { router: router(Arc::clone(&front)), front, caller, repeated: Arc::default() }
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
            let caller = match self.caller.admit(Group::Predict, request.headers()) {
                Ok(admitted) => admitted,
                Err(refused) => {
                    let response = infer::refused(&self.front, &self.caller, request.headers(), refused);
                    return Box::pin(std::future::ready(Ok(response)));
                }
            };
            let (front, repeated) = (Arc::clone(&self.front), Arc::clone(&self.repeated));
            return Box::pin(infer::answer(Call { front, repeated, caller, target }, request));
        }
        request.extensions_mut().insert(self.caller.clone());
        Box::pin(self.router.call(request))
    }
}

fn router(front: Arc<Front>) -> Router {
    let refuse = |front: Arc<Front>| -> Refuse {
        Arc::new(move |caller, headers, refused| infer::refused(&front, caller, headers, refused))
    };
    let refuse = (!front.guard.is_open()).then(|| refuse(Arc::clone(&front)));
    routes::router(routes::HTTP, handler, refuse)
        .fallback(async |uri: ::http::Uri| HttpError::NoRoute { path: uri.path().to_owned() })
        .method_not_allowed_fallback(async |method: ::http::Method, uri: ::http::Uri| HttpError::WrongMethod {
            method: method.to_string(),
            path: uri.path().to_owned(),
            allow: None,
        })
        .with_state(front)
}

fn handler(endpoint: HttpEndpoint, method: MethodFilter) -> MethodRouter<Arc<Front>> {
    match endpoint {
        HttpEndpoint::Server => on(method, metadata::server),
        HttpEndpoint::Live => on(method, metadata::live),
        HttpEndpoint::Ready => on(method, metadata::ready),
        HttpEndpoint::Model => on(method, metadata::model),
        HttpEndpoint::ModelReady => on(method, metadata::model_ready),
        HttpEndpoint::Infer => on(method, infer::routed),
        HttpEndpoint::Config => on(method, metadata::config),
        HttpEndpoint::Statistics => on(method, metadata::statistics),
        HttpEndpoint::AllStatistics => on(method, metadata::all_statistics),
        HttpEndpoint::Index => on(method, metadata::index),
        HttpEndpoint::NotByCall => on(method, metadata::not_by_call),
        HttpEndpoint::V1Alive => on(method, v1::alive),
        HttpEndpoint::V1Status => on(method, v1::status),
        HttpEndpoint::V1Predict => on(method, v1::predict),
    }
}
