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
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_health::pb::health_server::HealthServer;
use tower::Service;

use super::listen::{PerPeer, WithPeer};
use super::status::PUSHBACK;
use super::{Budget, Front, proto};
use arriving::Arriving;
use health::Health;
use proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use service::InferenceService;

/// Every call of the gRPC port, for [`Listener::serve`](super::listen::Listener::serve).
#[derive(Clone)]
pub struct GrpcService {
    inference: GrpcInferenceServiceServer<InferenceService>,
    others: Routes,
    budget: Budget,
    message_bytes: usize,
}

/// Every call of the gRPC port.
///
/// # Panics
///
/// Never: the descriptors are this build's own.
#[must_use]
pub fn service(front: Arc<Front>) -> GrpcService {
    let (message_bytes, budget) = (front.limits.message_bytes, front.budget.clone());
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
    let others = Routes::new(HealthServer::new(Health::new(front)))
        .add_service(reflection().build_v1().expect(valid))
        .add_service(reflection().build_v1alpha().expect(valid))
        .prepare();
    GrpcService { inference, others, budget, message_bytes }
}

impl PerPeer for GrpcService {
    type Service = WithPeer<Self>;

    fn for_peer(&self, peer: SocketAddr) -> WithPeer<Self> {
        WithPeer { service: self.clone(), peer }
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = if request.uri().path().starts_with("/inference.GRPCInferenceService/") {
            self.inference.call(request.map(|body| Arriving::new(body, self.budget.clone())))
        } else {
            Box::pin(self.others.call(request))
        };
        Answering { inner, message_bytes: self.message_bytes }
    }
}

/// A call at work.
pub struct Answering {
    inner: BoxFuture<'static, Result<Response<Body>, Infallible>>,
    message_bytes: usize,
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
