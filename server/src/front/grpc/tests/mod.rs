//! The gRPC port, asked over loopback by a client of its own protos.

mod health;
mod infer;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;

use crate::front::Front;
use crate::front::listen::{ListenOptions, Listener, Protocol};
use crate::front::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use crate::front::proto::model_infer_request::InferInputTensor;
use crate::front::proto::{InferTensorContents, ModelInferRequest};

pub(super) type Client = GrpcInferenceServiceClient<Channel>;

/// A channel to `front`, served on a free port until the test ends.
pub(super) async fn channel(front: Arc<Front>) -> Channel {
    let mut options = ListenOptions::new(Protocol::Grpc);
    options.drain_timeout = Duration::from_secs(5);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(listener.serve(super::service(front), CancellationToken::new()));
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

pub(super) async fn client(front: Arc<Front>) -> Client {
    GrpcInferenceServiceClient::new(channel(front).await)
}

/// A request to `pair` with these inputs.
pub(super) fn request(inputs: Vec<InferInputTensor>, raw: Vec<Vec<u8>>) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "pair".to_owned(),
        inputs,
        raw_input_contents: raw.into_iter().map(Bytes::from).collect(),
        ..ModelInferRequest::default()
    }
}

pub(super) fn input(datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: "a".to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    }
}

pub(super) fn typed(datatype: &str, shape: &[i64], contents: InferTensorContents) -> InferInputTensor {
    InferInputTensor { contents: Some(contents), ..input(datatype, shape) }
}

/// How a request is refused.
pub(super) async fn refusal(
    client: &mut Client,
    request: impl tonic::IntoRequest<ModelInferRequest>,
) -> (Code, String) {
    let status = client.model_infer(request).await.unwrap_err();
    (status.code(), status.message().to_owned())
}
