//! Health, metadata, configuration, statistics and the index.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::said::Said;
use super::target::Target;
use super::{HttpError, body, reply};
use crate::front::Front;
use crate::front::convert::invalid;
use crate::front::convert::metadata::{self, SERVER_NAME, SERVER_VERSION};

pub(super) async fn server(State(front): State<Arc<Front>>) -> Response {
    let extensions = metadata::extensions(&front.catalog.models());
    answer(&json!({"name": SERVER_NAME, "version": SERVER_VERSION, "extensions": extensions}))
}

pub(super) async fn live(State(front): State<Arc<Front>>) -> Response {
    health("live", front.catalog.live())
}

pub(super) async fn ready(State(front): State<Arc<Front>>) -> Response {
    health("ready", front.catalog.ready() && !front.draining.is_cancelled())
}

pub(super) async fn model(State(front): State<Arc<Front>>, target: Target) -> Result<Response, HttpError> {
    let view = front.catalog.version(&target.model, target.version.as_deref())?;
    let versions = metadata::versions(&front.catalog.model(&target.model)?);
    Ok(answer(&metadata::metadata_json(&metadata::metadata(&view, versions))))
}

pub(super) async fn model_ready(State(front): State<Arc<Front>>, target: Target) -> Result<Response, HttpError> {
    let model = front.catalog.model(&target.model)?;
    if let Some(version) = &target.version {
        front.catalog.version(&target.model, Some(version))?;
    }
    let mut response = answer(&json!({"name": &*model.name, "ready": model.ready}));
    if !model.ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

pub(super) async fn config(State(front): State<Arc<Front>>, target: Target) -> Result<Response, HttpError> {
    let view = front.catalog.version(&target.model, target.version.as_deref())?;
    Ok(answer(&metadata::config_json(&metadata::config(&view))))
}

pub(super) async fn statistics(State(front): State<Arc<Front>>, target: Target) -> Result<Response, HttpError> {
    let statistics = metadata::model_statistics(&front.catalog, &target.model, target.version.as_deref())?;
    Ok(answer(&metadata::statistics_json(&statistics)))
}

pub(super) async fn all_statistics(State(front): State<Arc<Front>>) -> Result<Response, HttpError> {
    Ok(answer(&metadata::statistics_json(&metadata::model_statistics(&front.catalog, "", None)?)))
}

#[derive(Deserialize, Default)]
struct IndexRequest {
    #[serde(default)]
    ready: bool,
}

pub(super) async fn index(
    State(front): State<Arc<Front>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpError> {
    let (body, _held) = body::read(Said::of(&headers), body, &front).await?;
    let request: IndexRequest = match &*body {
        [] => IndexRequest::default(),
        body => serde_json::from_slice(body)
            .map_err(|error| invalid(format!("the body is not the JSON of an index request: {error}")))?,
    };
    Ok(answer(&metadata::index_json(&metadata::index(&front.catalog.models(), request.ready))))
}

pub(super) async fn not_by_call() -> HttpError {
    HttpError::NotByCall
}

fn health(what: &str, healthy: bool) -> Response {
    let mut response = answer(&json!({ what: healthy }));
    if !healthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn answer(json: &Value) -> Response {
    reply::json(json.to_string().into_bytes())
}
