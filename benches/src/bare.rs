//! The reference of `overhead`: the same protobuf service on bare tonic and the same route on bare axum, which answer
//! with as many bytes as they got and do nothing else.

use std::pin::Pin;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use server::front::proto;
use server::front::proto::grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer};
use server::front::proto::{ModelInferRequest, ModelInferResponse, model_infer_response::InferOutputTensor};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Serves both on free ports and prints them as `bare GRPC HTTP`.
pub(crate) async fn run() -> anyhow::Result<bool> {
    let (grpc, http) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    println!("bare {} {}", grpc.local_addr()?, http.local_addr()?);
    let limit = 64 << 20;
    let service =
        GrpcInferenceServiceServer::new(Echo).max_decoding_message_size(limit).max_encoding_message_size(limit);
    let tonic = tonic::transport::Server::builder().add_service(service);
    let router =
        Router::new().route("/v2/models/{model}/infer", post(echo)).layer(axum::extract::DefaultBodyLimit::max(limit));
    let axum = axum::serve(axum::serve::ListenerExt::tap_io(http, |stream| drop(stream.set_nodelay(true))), router);
    tokio::select! {
        result = tonic.serve_with_incoming(TcpIncoming::from(grpc).with_nodelay(Some(true))) => result?,
        result = async { axum.await } => result?,
    }
    Ok(true)
}

/// Sends the body back, with the header that says where its tensors start.
async fn echo(headers: HeaderMap, body: Bytes) -> (HeaderMap, Bytes) {
    let mut answer = HeaderMap::new();
    if let Some(length) = headers.get("inference-header-content-length") {
        answer.insert("inference-header-content-length", length.clone());
    }
    (answer, body)
}

struct Echo;

/// The other calls of the service are not measured. Written without `async`, which the trait's attribute could not see
/// inside a macro.
macro_rules! not_measured {
    ($($call:ident($request:ident) -> $response:ident),* $(,)?) => {
        $(fn $call<'a, 'b>(
            &'a self,
            _: Request<proto::$request>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<proto::$response>, Status>> + Send + 'b>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(std::future::ready(Err(Status::unimplemented("the bare service only echoes"))))
        })*
    };
}

#[tonic::async_trait]
impl GrpcInferenceService for Echo {
    type ModelStreamInferStream = tokio_stream::Empty<Result<proto::ModelStreamInferResponse, Status>>;

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Result<Response<ModelInferResponse>, Status> {
        let request = request.into_inner();
        let output = |input: proto::model_infer_request::InferInputTensor| InferOutputTensor {
            name: input.name,
            datatype: input.datatype,
            shape: input.shape,
            ..InferOutputTensor::default()
        };
        Ok(Response::new(ModelInferResponse {
            model_name: request.model_name,
            model_version: "v1".to_owned(),
            id: request.id,
            outputs: request.inputs.into_iter().map(output).collect(),
            raw_output_contents: request.raw_input_contents,
            ..ModelInferResponse::default()
        }))
    }

    async fn model_stream_infer(
        &self,
        _: Request<tonic::Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        Err(Status::unimplemented("the bare service only echoes"))
    }

    not_measured! {
        server_live(ServerLiveRequest) -> ServerLiveResponse,
        server_ready(ServerReadyRequest) -> ServerReadyResponse,
        model_ready(ModelReadyRequest) -> ModelReadyResponse,
        server_metadata(ServerMetadataRequest) -> ServerMetadataResponse,
        model_metadata(ModelMetadataRequest) -> ModelMetadataResponse,
        model_config(ModelConfigRequest) -> ModelConfigResponse,
        model_statistics(ModelStatisticsRequest) -> ModelStatisticsResponse,
        repository_index(RepositoryIndexRequest) -> RepositoryIndexResponse,
        repository_model_load(RepositoryModelLoadRequest) -> RepositoryModelLoadResponse,
        repository_model_unload(RepositoryModelUnloadRequest) -> RepositoryModelUnloadResponse,
        system_shared_memory_status(SystemSharedMemoryStatusRequest) -> SystemSharedMemoryStatusResponse,
        system_shared_memory_register(SystemSharedMemoryRegisterRequest) -> SystemSharedMemoryRegisterResponse,
        system_shared_memory_unregister(SystemSharedMemoryUnregisterRequest) -> SystemSharedMemoryUnregisterResponse,
        cuda_shared_memory_status(CudaSharedMemoryStatusRequest) -> CudaSharedMemoryStatusResponse,
        cuda_shared_memory_register(CudaSharedMemoryRegisterRequest) -> CudaSharedMemoryRegisterResponse,
        cuda_shared_memory_unregister(CudaSharedMemoryUnregisterRequest) -> CudaSharedMemoryUnregisterResponse,
        trace_setting(TraceSettingRequest) -> TraceSettingResponse,
        log_settings(LogSettingsRequest) -> LogSettingsResponse,
    }
}
