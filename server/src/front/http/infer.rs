//! `POST /v2/models/{model}[/versions/{version}]/infer`, and what V1's predict shares with it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue};
use models::NamedTensor;
use models::oip::{self, BinaryOutputs, Encoded, HEADER_LENGTH, Invalid, Repeated};
use tokio::time::Instant;

use super::reply::Payload;
use super::said::Said;
use super::target::{self, Target};
use super::{HttpError, body};
use crate::front::access::{self, Access};
use crate::front::convert::invalid;
use crate::front::guard::{Caller, Refused};
use crate::front::{Front, names, request_id, shorter, shown, tell_who_answered};
use crate::infer::{Form, InferReply, InferRequest};
use crate::route::Variant;

/// [`answer`] for the router.
pub(super) async fn routed(State(front): State<Arc<Front>>, target: Target, request: Request) -> Response {
    let call = Call { front, repeated: Arc::default(), caller: target::caller(request.extensions()), target };
    let Ok(response) = answer(call, request).await;
    response
}

/// An inference call of a caller that was let in, before its request is read.
pub(super) struct Call {
    pub(super) front: Arc<Front>,
    pub(super) repeated: Arc<Repeated>,
    pub(super) caller: Caller,
    pub(super) target: Target,
}

/// Answers one inference call.
pub(super) async fn answer<B>(call: Call, request: http::Request<B>) -> Result<Response, Infallible>
where
    B: http_body::Body<Data = bytes::Bytes>,
{
    let (parts, body) = request.into_parts();
    let said = Said::of(&parts.headers);
    let mut exchange = Exchange::new(&call.target.model, &call.caller, said);
    let response = match payload(&call, &parts.headers, said, body, &mut exchange).await {
        Ok(payload) => payload.respond(said).await,
        Err(error) => error.into_response(),
    };
    Ok(exchange.finish(&call.front, response))
}

/// Tells a caller that it is not let in, and the log. Nothing of its request was looked at.
pub(super) fn refused(front: &Front, caller: &Caller, headers: &HeaderMap, refused: Refused) -> Response {
    Exchange::new("", caller, Said::of(headers)).finish(front, HttpError::from(refused).into_response())
}

async fn payload<B>(
    call: &Call,
    headers: &HeaderMap,
    said: Said<'_>,
    body: B,
    exchange: &mut Exchange<'_>,
) -> Result<Payload, HttpError>
where
    B: http_body::Body<Data = bytes::Bytes>,
{
    let Call { front, repeated, target, .. } = call;
    let (body, _held) = body::read(said, body, front).await?;
    exchange.request_bytes = body.len();
    let (json_length, limits) = (json_length(said)?, front.limits.oip());
    let long = json_length.unwrap_or(body.len()) > body::JSON_INLINE_BYTES_MAX;
    let decoded = if long {
        // Boxed, as all that few requests need: what every request has room for is moved and touched by all.
        Box::pin(body::off_thread(move || oip::decode(&body, json_length, limits))).await??
    } else {
        repeated.decode(&body, json_length, limits)?
    };
    exchange.adopt_id(&decoded.id);
    let request = InferRequest {
        model: target.model.clone(),
        version: target.version.clone(),
        id: decoded.id,
        inputs: decoded.inputs,
        outputs: decoded.outputs,
        timeout: shorter(decoded.timeout, target::timeout(said)?),
        form: Form::Json(decoded.binary),
    };
    let reply = front.inference.infer(request, headers, exchange.request_id()).await?;
    exchange.answered(&reply);
    let encoded = if long_in_json(&reply.outputs) {
        Box::pin(body::off_thread(move || encode(&reply))).await??
    } else {
        encode(&reply)?
    };
    Ok(exchange.sent(Payload::new(encoded)))
}

fn encode(reply: &InferReply) -> Result<Encoded, Invalid> {
    let InferReply { model, version, id, outputs, form, .. } = reply;
    let binary = match form {
        Form::Json(binary) => binary,
        // No request of this front end has it.
        Form::Raw => &BinaryOutputs::default(),
    };
    oip::encode(oip::Reply { model, version, id, outputs }, binary)
}

/// Whether writing `outputs` as JSON takes long, wherever all of them are. A number takes about three times its bytes.
pub(super) fn long_in_json(outputs: &[NamedTensor]) -> bool {
    let bytes: usize = outputs.iter().map(|output| output.tensor.data().len()).sum();
    bytes > body::JSON_INLINE_BYTES_MAX / 3
}

fn json_length(said: Said<'_>) -> Result<Option<usize>, HttpError> {
    let Some(value) = said.json_length else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    // `parse` would take a sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(length) if digits => Ok(Some(length)),
        _ => Err(invalid(format!("header {HEADER_LENGTH} is '{}', not a number of bytes", shown(text))).into()),
    }
}

/// What is known of one request and its answer, for the response's headers and the access log.
pub(super) struct Exchange<'a> {
    started: Instant,
    model: &'a str,
    request_id: Option<HeaderValue>,
    caller: &'a Caller,
    answered_by: Option<(Arc<str>, Variant)>,
    queued_and_compute: Option<(Duration, Duration)>,
    pub(super) request_bytes: usize,
    response_bytes: usize,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(model: &'a str, caller: &'a Caller, said: Said<'_>) -> Self {
        Self {
            started: Instant::now(),
            model,
            request_id: said.request_id.and_then(request_id::kept),
            caller,
            answered_by: None,
            queued_and_compute: None,
            request_bytes: 0,
            response_bytes: 0,
        }
    }

    /// Takes the id of the request's body, where its headers had none.
    fn adopt_id(&mut self, id: &str) {
        if self.request_id.is_none() {
            self.request_id = request_id::adopted(id);
        }
    }

    /// The id that logs and the answer have: the caller's, or one that is made now.
    pub(super) fn request_id(&mut self) -> &str {
        self.request_id.get_or_insert_with(request_id::made).to_str().unwrap_or_default()
    }

    /// Notes who answered.
    pub(super) fn answered(&mut self, reply: &InferReply) {
        self.answered_by = Some((Arc::clone(&reply.version), reply.variant));
        self.queued_and_compute = Some((reply.queued, reply.compute));
    }

    /// Notes what is sent.
    pub(super) const fn sent(&mut self, payload: Payload) -> Payload {
        self.response_bytes = payload.length;
        payload
    }

    /// Writes the headers that every answer carries, and the access log.
    pub(super) fn finish(self, front: &Front, mut response: Response) -> Response {
        let request_id = self.request_id.unwrap_or_else(request_id::made);
        let (version, variant) =
            self.answered_by.as_ref().map_or(("", ""), |(version, variant)| (&**version, variant.name()));
        let failed = response.status().is_client_error() || response.status().is_server_error();
        if front.access.samples() || (failed && front.access.wants_failed()) {
            access::write(&Access {
                protocol: "http",
                request_id: request_id.to_str().unwrap_or_default(),
                model: self.model,
                version,
                variant,
                code: response.status().as_u16(),
                duration: self.started.elapsed(),
                queued_and_compute: self.queued_and_compute,
                request_bytes: Some(self.request_bytes),
                response_bytes: self.response_bytes,
                peer: self.caller.address(),
                client: self.caller.client(),
            });
        }
        let headers = response.headers_mut();
        if let Some((version, variant)) = &self.answered_by {
            tell_who_answered(headers, version, *variant);
        }
        headers.insert(&names::REQUEST_ID, request_id);
        response
    }
}
