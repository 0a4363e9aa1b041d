//! The HTTP front end: Open Inference Protocol V2, V1, and the read-only extras that Triton's clients call.
//!
//! Owns paths, headers and bodies. Errors are JSON, `{"error": "…"}`, on every path.

mod body;
mod error;
mod infer;
mod metadata;
mod reply;
mod target;
mod v1;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Front;
use error::HttpError;

pub(crate) use error::error_response;

/// Every endpoint of the HTTP port.
pub fn router(front: Arc<Front>) -> Router {
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
        .route(&format!("{prefix}/infer"), post(infer::infer))
        .route(&format!("{prefix}/config"), get(metadata::config))
        .route(&format!("{prefix}/stats"), get(metadata::statistics))
}
