//! `POST /v1/models/{model}/{promote|abort|pause|retry}`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;

use super::{Admin, error_response, form};
use crate::front::guard::Caller;
use crate::front::shown;
use crate::rollout::{Verb, VerbError};

/// A verb's body is an object of one flag.
const BODY_BYTES_MAX: usize = 4 << 10;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct VerbBody {
    /// `promote` only: all steps at once.
    #[serde(default)]
    full: bool,
}

pub(super) async fn verb(
    State(admin): State<Admin>,
    Path((model, verb)): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Err(misformed) = form::check(&headers) {
        tracing::warn!(%model, %verb, ?misformed, "a rollout verb was refused");
        return error_response(misformed.status(), &misformed.to_string());
    }
    let asked = match read(&verb, body).await {
        Ok(asked) => asked,
        Err((status, error)) => return error_response(status, &error),
    };
    let full = matches!(asked, Verb::Promote { full: true });
    let (peer, client) = (caller.address().map(tracing::field::display), caller.client());
    let client = (!client.is_empty()).then_some(client);
    tracing::info!(%model, %verb, full, peer, client, "a rollout verb was asked for");
    match admin.0.rollout.command(&model, asked).await {
        Ok(result) => Json(serde_json::json!({ "result": result })).into_response(),
        Err(error) => error_response(verb_status(&error), &error.to_string()),
    }
}

/// The verb that a path and a body ask for.
async fn read(verb: &str, body: Body) -> Result<Verb, (StatusCode, String)> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let too_large =
        |_| (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is over the limit of {BODY_BYTES_MAX} bytes"));
    let body = body.map_err(too_large)?.to_bytes();
    let VerbBody { full } = match &*body {
        [] => VerbBody::default(),
        body => serde_json::from_slice(body)
            .map_err(|error| (StatusCode::BAD_REQUEST, format!("the body is not {{\"full\": bool}}: {error}")))?,
    };
    let verb = match verb {
        "promote" => return Ok(Verb::Promote { full }),
        "abort" => Verb::Abort,
        "pause" => Verb::Pause,
        "retry" => Verb::Retry,
        other => {
            let error = format!("'{}' is not one of promote, abort, pause and retry", shown(other));
            return Err((StatusCode::NOT_FOUND, error));
        }
    };
    if full { Err((StatusCode::BAD_REQUEST, "only promote takes full".to_owned())) } else { Ok(verb) }
}

const fn verb_status(error: &VerbError) -> StatusCode {
    match error {
        VerbError::UnknownModel(_) => StatusCode::NOT_FOUND,
        VerbError::NotNow(_) => StatusCode::CONFLICT,
    }
}
