//! The admin port: metrics, status as JSON and as a page, and the rollout verbs.
//!
//! It must not serve inference, and nothing of it is ever on a serving port.

mod form;
mod verbs;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use tower::Service;

use super::guard::{Caller, Guard, Refused};
use super::http::{HttpError, error_response};
use super::listen::{Peer, PerPeer};
use super::routes::{self, AdminEndpoint};
use super::shown;
use crate::catalog::Catalog;
use crate::device::About;
use crate::rollout::{RolloutHandle, Status};

/// What the admin port needs.
pub struct AdminOptions {
    /// Status and verbs.
    pub rollout: RolloutHandle,
    /// Whether the process is alive, for `/healthz`.
    pub catalog: Catalog,
    /// The metrics in the OpenMetrics text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// What models run on.
    pub device: About,
    /// Who may ask for what.
    pub guard: Guard,
}

/// What `/status` answers: the rollout, and what it runs on.
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    rollout: &'a Status,
    device: &'a About,
}

#[derive(Clone)]
struct Admin(Arc<AdminOptions>);

/// The page, in one piece: it must work where nothing else can be reached.
const PAGE: &str = include_str!("page.html");

/// Every endpoint of the admin port, for [`Listener::serve`](super::listen::Listener::serve).
#[derive(Clone)]
pub struct AdminService {
    guard: Guard,
    caller: Caller,
    router: Router,
}

/// Every endpoint of the admin port.
#[must_use]
pub fn service(options: AdminOptions) -> AdminService {
    let guard = options.guard.clone();
    AdminService { caller: guard.caller(None), guard, router: router(options) }
}

impl PerPeer for AdminService {
    type Service = Self;

    fn for_peer(&self, peer: Peer) -> Self {
        Self { caller: self.guard.caller(Some(peer)), ..self.clone() }
    }
}

impl<B> Service<Request<B>> for AdminService
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = <Router as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.caller.clone());
        self.router.call(request)
    }
}

fn router(options: AdminOptions) -> Router {
    routes::router(routes::ADMIN, handler, Some(Arc::new(refuse)))
        .fallback(async |uri: Uri| error_response(StatusCode::NOT_FOUND, &nothing_at(&uri)))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            let (path, method) = (shown(uri.path()), shown(method.as_str()));
            error_response(StatusCode::METHOD_NOT_ALLOWED, &format!("'{path}' does not take {method}"))
        })
        .with_state(Admin(Arc::new(options)))
}

fn handler(endpoint: AdminEndpoint, method: MethodFilter) -> MethodRouter<Admin> {
    match endpoint {
        AdminEndpoint::Page => on(method, page),
        AdminEndpoint::Metrics => on(method, metrics),
        AdminEndpoint::Status => on(method, status),
        AdminEndpoint::Healthz => on(method, healthz),
        AdminEndpoint::Verb => on(method, verbs::verb),
    }
}

fn refuse(caller: &Caller, _: &HeaderMap, refused: Refused) -> Response {
    tracing::warn!(
        peer = caller.address().map(tracing::field::display),
        ?refused,
        "a caller of the admin port was refused"
    );
    HttpError::from(refused).into_response()
}

fn nothing_at(uri: &Uri) -> String {
    format!("there is nothing at '{}'; see /, /status, /metrics and /healthz", shown(uri.path()))
}

async fn page() -> Response {
    // The page runs its own script and style and talks to its own server, and nothing else.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    ];
    (headers, PAGE).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, HeaderValue::from_static(format))], (admin.0.metrics)()).into_response()
}

async fn status(State(admin): State<Admin>) -> Response {
    let status = Arc::clone(&admin.0.rollout.status().borrow());
    match serde_json::to_vec(&Told { rollout: &status, device: &admin.0.device }) {
        Ok(json) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (headers, json).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "status could not be written as JSON");
            error_response(StatusCode::INTERNAL_SERVER_ERROR, "the status could not be written as JSON")
        }
    }
}

async fn healthz(State(admin): State<Admin>) -> Response {
    if admin.0.catalog.live() {
        return "ok\n".into_response();
    }
    error_response(StatusCode::SERVICE_UNAVAILABLE, "the process cannot serve any more and will end")
}
