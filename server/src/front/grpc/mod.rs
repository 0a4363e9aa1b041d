//! The gRPC front end: `inference.GRPCInferenceService`, `grpc.health.v1` and reflection (v1 and v1alpha).
//!
//! Inference calls go straight to their service; only the rest passes a router. Request bodies are not boxed on the
//! way. A message that is not compressed is answered uncompressed: gRPC clients always say that they could inflate, and
//! compressing small tensors costs more than sending them.

pub mod codec;

mod arriving;
mod deadline;
mod health;
mod infer;
mod service;
mod stream;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_health::pb::health_server::HealthServer;
use tower::Service;

use super::access::{self, Access};
use super::guard::{Caller, Refused};
use super::listen::{Peer, PerPeer};
use super::routes::{self, GrpcRoute};
use super::status::{PUSHBACK, refusal_codes, refusal_status};
use super::{Front, names, proto, request_id};
use arriving::Arriving;
use health::Health;
use proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use service::InferenceService;

/// Every call of the gRPC port, for [`Listener::serve`](super::listen::Listener::serve).
#[derive(Clone)]
pub struct GrpcService {
    front: Arc<Front>,
    caller: Caller,
    inference: GrpcInferenceServiceServer<InferenceService>,
    others: Routes,
}

/// Every call of the gRPC port.
///
/// # Panics
///
/// Never: the descriptors are this build's own.
#[must_use]
pub fn service(front: Arc<Front>) -> GrpcService {
    let message_bytes = front.limits.message_bytes;
    let inference = GrpcInferenceServiceServer::new(InferenceService::new(Arc::clone(&front)))
        .accept_compressed(Gzip)
        .accept_compressed(Zstd)
        .send_compressed(Gzip)
        .send_compressed(Zstd)
        .max_decoding_message_size(message_bytes)
        .max_encoding_message_size(usize::MAX);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let valid = "the descriptors were written by this build";
    let others = Routes::new(HealthServer::new(Health::new(Arc::clone(&front))))
        .add_service(reflection().build_v1().expect(valid))
        .add_service(reflection().build_v1alpha().expect(valid))
        .prepare();
    let caller = front.guard.caller(None);
    GrpcService { front, caller, inference, others }
}

impl PerPeer for GrpcService {
    type Service = Self;

    fn for_peer(&self, peer: Peer) -> Self {
        Self { caller: self.front.guard.caller(Some(peer)), ..self.clone() }
    }
}

impl<B> Service<Request<B>> for GrpcService
where
    B: http_body::Body<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let admitted = match self.admit(request.uri().path(), request.headers()) {
            Ok(caller) => caller,
            Err(status) => return self.answered(*status),
        };
        request.extensions_mut().insert(admitted.clone());
        let inner = if request.uri().path().starts_with("/inference.GRPCInferenceService/") {
            self.inference.call(request.map(|body| Arriving::new(body, self.front.budget.clone())))
        } else {
            Box::pin(self.others.call(request))
        };
        Answering { inner, message_bytes: self.front.limits.message_bytes, _admitted: admitted }
    }
}

impl GrpcService {
    /// The caller, let in for the call at `path`.
    fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Caller, Box<Status>> {
        if self.front.guard.is_open() {
            return Ok(self.caller.clone());
        }
        // No group, no answer: a call that the table does not have must not be reached by a service that does.
        let Some(route) = routes::grpc(path) else { return Err(Box::new(Status::unimplemented(""))) };
        let GrpcRoute { group, by_message, .. } = *route;
        let admitted = if by_message {
            self.caller.may(group, headers).map(|()| self.caller.clone())
        } else {
            self.caller.admit(group, headers)
        };
        admitted.map_err(|refused| Box::new(self.refuse(refused, headers)))
    }

    /// Tells a caller that it is not let in, and the log.
    fn refuse(&self, refused: Refused, headers: &HeaderMap) -> Status {
        if self.front.access.samples() || self.front.access.wants_failed() {
            access::write(&Access {
                protocol: "grpc",
                request_id: headers
                    .get(&names::REQUEST_ID)
                    .and_then(request_id::kept)
                    .as_ref()
                    .and_then(|id| id.to_str().ok())
                    .unwrap_or_default(),
                model: "",
                version: "",
                variant: "",
                code: refusal_codes(refused).grpc as u16,
                duration: std::time::Duration::ZERO,
                queued_and_compute: None,
                request_bytes: None,
                response_bytes: 0,
                peer: self.caller.address(),
                client: "",
            });
        }
        refusal_status(refused)
    }

    fn answered(&self, status: Status) -> Answering {
        let inner = Box::pin(std::future::ready(Ok(status.into_http())));
        Answering { inner, message_bytes: self.front.limits.message_bytes, _admitted: Caller::default() }
    }
}

/// A call at work.
pub struct Answering {
    inner: BoxFuture<'static, Result<Response<Body>, Infallible>>,
    message_bytes: usize,
    /// Until it is answered.
    _admitted: Caller,
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(self.inner.as_mut().poll(context));
        // What a call was refused with, where it has no answer.
        let refused = response.extensions().get::<Status>();
        let response = match refused.and_then(|status| over_limit(status, self.message_bytes)) {
            Some(status) => status.into_http(),
            None => response,
        };
        Poll::Ready(Ok(response))
    }
}

/// What a message over its limit is refused with: tonic has a code for those that are too large as sent, and another
/// for those that are once inflated, which is also the code of overload. The pushback tells that another try is useless.
fn over_limit(status: &Status, limit: usize) -> Option<Status> {
    let over = match status.code() {
        Code::OutOfRange => true,
        Code::ResourceExhausted => !status.metadata().contains_key(PUSHBACK),
        _ => false,
    };
    over.then(|| {
        let text = format!("the message is over the limit of {limit} bytes, as sent or when its encoding is undone");
        let mut metadata = MetadataMap::new();
        metadata.insert(PUSHBACK, (-1).into());
        Status::with_metadata(Code::ResourceExhausted, text, metadata)
    })
}
