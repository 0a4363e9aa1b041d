//! One inference over gRPC: a call of its own, or one message of a stream.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use models::oip::NAME_MAX;
use prost::Message as _;
use tokio::time::Instant;

use crate::front::access::{self, Access};
use crate::front::budget::Held;
use crate::front::convert::{bounds, proto as convert};
use crate::front::guard;
use crate::front::proto::{ModelInferRequest, ModelInferResponse};
use crate::front::status::codes;
use crate::front::{Front, names, request_id, shorter};
use crate::infer::InferError;
use crate::route::Variant;

/// One answer and who gave it.
pub(super) struct Answer {
    pub(super) response: ModelInferResponse,
    pub(super) version: Arc<str>,
    pub(super) variant: Variant,
    queued_and_compute: (Duration, Duration),
}

/// What a request came with besides its message.
pub(super) struct Caller<'a> {
    pub(super) protocol: &'static str,
    pub(super) headers: &'a HeaderMap,
    pub(super) who: &'a guard::Caller,
}

impl Caller<'_> {
    /// The id that logs and the answer have: of the metadata, else of the message, else one that is made now.
    pub(super) fn request_id(&self, message: &ModelInferRequest) -> HeaderValue {
        let given = self
            .headers
            .get(&names::REQUEST_ID)
            .and_then(request_id::kept)
            .or_else(|| request_id::adopted(&message.id));
        given.unwrap_or_else(request_id::made)
    }
}

impl Front {
    /// One inference: unary, or one message of a stream.
    pub(super) async fn answer(
        &self,
        message: ModelInferRequest,
        caller: &Caller<'_>,
        request_id: &HeaderValue,
        timeout: Option<Duration>,
    ) -> Result<Answer, InferError> {
        let started = Instant::now();
        let request_id = request_id.to_str().unwrap_or_default();
        // The log is written after the message is taken apart, so what it tells is kept. A length is only counted for
        // the sample: it costs a walk over every element.
        let name = &*message.model_name;
        let model = name[..name.floor_char_boundary(NAME_MAX)].to_owned();
        let request_bytes = self.access.samples().then(|| message.encoded_len());
        let answer = self.infer(message, caller, request_id, timeout).await;
        if request_bytes.is_some() || (answer.is_err() && self.access.wants_failed()) {
            let (version, variant, code, response_bytes, queued_and_compute) = match &answer {
                Ok(Answer { response, version, variant, queued_and_compute }) => {
                    (&**version, variant.name(), 0, response.encoded_len(), Some(*queued_and_compute))
                }
                Err(error) => ("", "", codes(error).grpc as u16, 0, None),
            };
            access::write(&Access {
                protocol: caller.protocol,
                request_id,
                model: &model,
                version,
                variant,
                code,
                duration: started.elapsed(),
                queued_and_compute,
                request_bytes,
                response_bytes,
                peer: caller.who.address(),
                client: caller.who.client(),
            });
        }
        answer
    }

    async fn infer(
        &self,
        message: ModelInferRequest,
        caller: &Caller<'_>,
        request_id: &str,
        timeout: Option<Duration>,
    ) -> Result<Answer, InferError> {
        // Until it is answered.
        let mut held = Held::default();
        self.budget.grow(&mut held, bounds::held_bytes(&message))?;
        let mut request = convert::decode(message, &self.limits)?;
        request.timeout = shorter(request.timeout, timeout);
        let reply = self.inference.infer(request, caller.headers, request_id).await?;
        let (version, variant) = (Arc::clone(&reply.version), reply.variant);
        let queued_and_compute = (reply.queued, reply.compute);
        Ok(Answer { response: convert::encode(reply), version, variant, queued_and_compute })
    }
}

/// The caller, as it was let in.
pub(super) fn who(extensions: &tonic::Extensions) -> guard::Caller {
    extensions.get().cloned().unwrap_or_default()
}
