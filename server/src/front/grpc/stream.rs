//! `ModelStreamInfer`: many requests on one stream, worked on side by side, answered in the order they came.

use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use http::HeaderMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{infer, over_limit};
use crate::front::guard::Refused;
use crate::front::proto::infer_parameter::ParameterChoice;
use crate::front::proto::{InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse};
use crate::front::routes::Group;
use crate::front::status::refusal_status;
use crate::front::{Front, guard, told};

/// What the stream came with.
pub(super) struct Caller {
    pub(super) headers: HeaderMap,
    pub(super) who: guard::Caller,
    /// Of the stream as a whole.
    pub(super) deadline: Option<Instant>,
}

/// One answer for each message, errors included. A broken message ends the stream; so does the closing of the
/// port, with `UNAVAILABLE` after what was read has been answered.
pub(super) fn answers(
    front: Arc<Front>,
    messages: Streaming<ModelInferRequest>,
    caller: Caller,
) -> impl Stream<Item = Result<ModelStreamInferResponse, Status>> {
    let in_flight = front.limits.stream_in_flight.max(1);
    let limit = front.limits.message_bytes;
    let caller = Arc::new(caller);
    until_closed(messages, front.closing.clone())
        .map(move |message| {
            let (front, caller) = (Arc::clone(&front), Arc::clone(&caller));
            async move {
                let message = message.map_err(|status| over_limit(&status, limit).unwrap_or(status))?;
                match caller.who.admit(Group::Predict, &caller.headers) {
                    Ok(who) => Ok(answer(&front, message, &caller, &who).await),
                    // Too much is told of the message, as any overload; who may not ask any more has no stream any more.
                    Err(refused @ (Refused::AtOnce { .. } | Refused::TooOften { .. })) => {
                        Ok(failed(message.id, &refused))
                    }
                    Err(refused) => Err(refusal_status(refused)),
                }
            }
        })
        .buffered(in_flight)
}

/// The caller's messages; where the port closes first, an error that says so. An end without one would leave a caller
/// to believe that messages which nobody read were answered.
fn until_closed(
    messages: Streaming<ModelInferRequest>,
    closing: CancellationToken,
) -> impl Stream<Item = Result<ModelInferRequest, Status>> {
    stream::unfold(Some((messages, closing)), async |state| {
        let (mut messages, closing) = state?;
        tokio::select! {
            biased;
            () = closing.cancelled() => Some((Err(going_away()), None)),
            message = messages.next() => message.map(|message| (message, Some((messages, closing)))),
        }
    })
}

fn going_away() -> Status {
    Status::unavailable("the server is shutting down; send what was not answered again on a new stream")
}

async fn answer(
    front: &Front,
    message: ModelInferRequest,
    caller: &Caller,
    who: &guard::Caller,
) -> ModelStreamInferResponse {
    let id = message.id.clone();
    let timeout = caller.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let caller = infer::Caller { protocol: "grpc-stream", headers: &caller.headers, who };
    let request_id = caller.request_id(&message);
    match front.answer(message, &caller, &request_id, timeout).await {
        Ok(answer) => {
            let mut response = answer.response;
            response.parameters.insert("triton_final_response".to_owned(), flag(true));
            ModelStreamInferResponse { error_message: String::new(), infer_response: Some(response) }
        }
        Err(error) => failed(id, &error),
    }
}

/// The id tells the caller which of its requests failed.
fn failed(id: String, error: &impl std::fmt::Display) -> ModelStreamInferResponse {
    ModelStreamInferResponse {
        error_message: told(error),
        infer_response: Some(ModelInferResponse { id, ..ModelInferResponse::default() }),
    }
}

fn flag(value: bool) -> InferParameter {
    InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(value)) }
}
