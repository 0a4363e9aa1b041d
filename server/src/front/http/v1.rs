//! `/v1/models/{model}[/versions/{version}|/labels/{label}][:predict]`: TensorFlow Serving's REST calls.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, Uri};
use models::oip::{BinaryOutputs, Encoded};
use serde_json::json;

use super::infer::{Exchange, long_in_json};
use super::reply::{self, Payload};
use super::said::Said;
use super::target::{self, Target};
use super::{HttpError, body};
use crate::catalog::VersionView;
use crate::front::convert::v1;
use crate::front::{Front, names};
use crate::infer::{Form, InferError, InferRequest};

pub(super) async fn predict(State(front): State<Arc<Front>>, target: Target, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    match target.verb.as_deref() {
        Some("predict") => {}
        Some(_) => return HttpError::NoRoute { path: parts.uri.path().to_owned() }.into_response(),
        None => return wrong_method(&parts.method, &parts.uri, "GET"),
    }
    if let Some(label) = target.label {
        parts.headers.insert(&names::VARIANT, HeaderValue::from_static(label.name()));
    }
    let said = Said::of(&parts.headers);
    let caller = target::caller(&parts.extensions);
    let mut exchange = Exchange::new(&target.model, &caller, said);
    let answer = async {
        let (body, _held) = body::read(said, body, &front).await?;
        exchange.request_bytes = body.len();
        let signature = version(&front, &target)?.signature;
        let (long, limits) = (body.len() > body::JSON_INLINE_BYTES_MAX, Arc::clone(&front));
        let decode = move || v1::decode(&body, &signature, &limits.limits);
        let (inputs, format) = if long { body::off_thread(decode).await?? } else { decode()? };
        let request = InferRequest {
            model: target.model.clone(),
            version: target.version.clone(),
            id: String::new(),
            inputs,
            outputs: None,
            timeout: target::timeout(said)?,
            form: Form::Json(BinaryOutputs::default()),
        };
        let reply = front.inference.infer(request, &parts.headers, exchange.request_id()).await?;
        exchange.answered(&reply);
        let long = long_in_json(&reply.outputs);
        let encode = move || v1::encode(&reply.outputs, format);
        let json = if long { body::off_thread(encode).await?? } else { encode()? };
        Ok(exchange.sent(Payload::new(Encoded { json, binary: Vec::new() })))
    };
    let answer: Result<Payload, HttpError> = answer.await;
    let response = match answer {
        Ok(payload) => payload.respond(said).await,
        Err(error) => error.into_response(),
    };
    exchange.finish(&front, response)
}

/// The version whose signature tells the datatypes. A candidate takes all that stable takes, so stable speaks for both.
fn version(front: &Front, target: &Target) -> Result<VersionView, InferError> {
    match target.label {
        Some(label) => front.catalog.label(&target.model, label),
        None => front.catalog.version(&target.model, target.version.as_deref()),
    }
}

/// V1's liveness of the server, which KServe's client asks for.
pub(super) async fn alive(State(front): State<Arc<Front>>) -> Response {
    let live = front.catalog.live();
    let mut response = reply::json(json!({"status": if live { "alive" } else { "stopped" }}).to_string().into_bytes());
    if !live {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// TensorFlow Serving's status, with KServe's `name` and `ready` beside it; 503 while no version answers.
pub(super) async fn status(State(front): State<Arc<Front>>, target: Target, request: Request) -> Response {
    if target.verb.is_some() {
        return wrong_method(request.method(), request.uri(), "POST");
    }
    let found = if target.version.is_some() || target.label.is_some() {
        version(&front, &target).map(|view| (true, vec![view]))
    } else {
        front.catalog.model(&target.model).map(|model| (model.ready, model.versions))
    };
    let (ready, versions) = match found {
        Ok(found) => found,
        Err(error) => return HttpError::from(error).into_response(),
    };
    let entries: Vec<_> = versions.iter().map(available).collect();
    let body = json!({"name": target.model, "ready": ready, "model_version_status": entries});
    let mut response = reply::json(body.to_string().into_bytes());
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn available(view: &VersionView) -> serde_json::Value {
    json!({
        "version": &*view.version,
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    })
}

fn wrong_method(method: &Method, uri: &Uri, allow: &'static str) -> Response {
    let (method, path) = (method.to_string(), uri.path().to_owned());
    HttpError::WrongMethod { method, path, allow: Some(allow) }.into_response()
}
