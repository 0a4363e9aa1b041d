//! `inference.GRPCInferenceService`.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;
use tonic::codec::SingleMessageCompressionOverride;
use tonic::{Request, Response, Status, Streaming};

use super::infer::{Answer, Caller, who};
use super::{deadline, stream};
use crate::front::convert::metadata::{self, SERVER_NAME, SERVER_VERSION};
use crate::front::convert::name;
use crate::front::proto::grpc_inference_service_server::GrpcInferenceService;
use crate::front::proto::*;
use crate::front::status::grpc_status;
use crate::front::{Front, names, tell_who_answered};
use crate::infer::InferError;

/// Answers every call from the request path and the catalog.
#[derive(Clone)]
pub(super) struct InferenceService(pub(super) Arc<Front>);

impl InferenceService {
    pub(super) const fn new(front: Arc<Front>) -> Self {
        Self(front)
    }
}

/// Keeps `response` uncompressed, unless the request was compressed too.
fn in_kind<T>(headers: &HeaderMap, response: &mut Response<T>) {
    if headers.get("grpc-encoding").is_none_or(|encoding| encoding == "identity") {
        response.extensions_mut().insert(SingleMessageCompressionOverride::Disable);
    }
}

fn versioned(answer: Answer, headers: &HeaderMap, request_id: HeaderValue) -> Response<ModelInferResponse> {
    let Answer { response, version, variant, .. } = answer;
    let mut response = Response::new(response);
    let metadata: &mut HeaderMap = response.metadata_mut().as_mut();
    tell_who_answered(metadata, &version, variant);
    metadata.insert(&names::REQUEST_ID, request_id);
    in_kind(headers, &mut response);
    response
}

fn refused(error: InferError) -> Status {
    grpc_status(&error)
}

/// An empty version on the wire is none. Names that are too long to be any are not looked up, nor repeated.
fn given<'v>(model: &str, version: &'v str) -> Result<Option<&'v str>, Status> {
    for (what, text) in [("name", model), ("version", version)] {
        if !text.is_empty() {
            name(what, text).map_err(refused)?;
        }
    }
    Ok((!version.is_empty()).then_some(version))
}

fn not_by_call<T>() -> Result<Response<T>, Status> {
    let sentence = "models are loaded and unloaded by the values file, not by a call: commit the change there";
    Err(Status::unimplemented(sentence))
}

fn no_shared_memory<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented(models::oip::NO_SHARED_MEMORY))
}

fn set_at_start<T>(what: &str) -> Result<Response<T>, Status> {
    Err(Status::unimplemented(format!("{what} is set when the server starts, not by a call")))
}

#[tonic::async_trait]
impl GrpcInferenceService for InferenceService {
    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Result<Response<ModelInferResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let headers = metadata.as_ref();
        let timeout = deadline::of(headers)?;
        let who = who(&extensions);
        let caller = Caller { protocol: "grpc", headers, who: &who };
        let request_id = caller.request_id(&message);
        match self.0.answer(message, &caller, &request_id, timeout).await {
            Ok(answer) => Ok(versioned(answer, headers, request_id)),
            Err(error) => {
                let mut status = grpc_status(&error);
                let metadata: &mut HeaderMap = status.metadata_mut().as_mut();
                metadata.insert(&names::REQUEST_ID, request_id);
                Err(status)
            }
        }
    }

    type ModelStreamInferStream = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let (metadata, extensions, messages) = request.into_parts();
        let headers = metadata.into_headers();
        let deadline = deadline::of(&headers)?.and_then(|timeout| Instant::now().checked_add(timeout));
        let caller = stream::Caller { headers: headers.clone(), who: who(&extensions), deadline };
        let mut response: Response<Self::ModelStreamInferStream> =
            Response::new(Box::pin(stream::answers(Arc::clone(&self.0), messages, caller)));
        in_kind(&headers, &mut response);
        Ok(response)
    }

    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: self.0.catalog.live() }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = self.0.catalog.ready() && !self.0.draining.is_cancelled();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    /// A model that is not here is not ready, as with Triton: clients poll this while they wait for it.
    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        let catalog = &self.0.catalog;
        let ready = catalog.model(&name).is_ok_and(|model| model.ready)
            && (version.is_empty() || catalog.version(&name, Some(&version)).is_ok());
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        let extensions = metadata::extensions(&self.0.catalog.models()).into_iter().map(str::to_owned).collect();
        Ok(Response::new(ServerMetadataResponse {
            name: SERVER_NAME.to_owned(),
            version: SERVER_VERSION.to_owned(),
            extensions,
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let view = self.0.catalog.version(&name, given(&name, &version)?).map_err(refused)?;
        let versions = metadata::versions(&self.0.catalog.model(&name).map_err(refused)?);
        Ok(Response::new(metadata::metadata(&view, versions)))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let ModelConfigRequest { name, version } = request.into_inner();
        let view = self.0.catalog.version(&name, given(&name, &version)?).map_err(refused)?;
        Ok(Response::new(ModelConfigResponse { config: Some(metadata::config(&view)) }))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let ModelStatisticsRequest { name, version } = request.into_inner();
        let version = given(&name, &version)?;
        let model_stats = metadata::model_statistics(&self.0.catalog, &name, version).map_err(refused)?;
        Ok(Response::new(ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let models = metadata::index(&self.0.catalog.models(), request.into_inner().ready);
        Ok(Response::new(RepositoryIndexResponse { models }))
    }

    async fn repository_model_load(
        &self,
        _: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        not_by_call()
    }

    async fn repository_model_unload(
        &self,
        _: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        not_by_call()
    }

    async fn system_shared_memory_status(
        &self,
        _: Request<SystemSharedMemoryStatusRequest>,
    ) -> Result<Response<SystemSharedMemoryStatusResponse>, Status> {
        no_shared_memory()
    }

    async fn system_shared_memory_register(
        &self,
        _: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Result<Response<SystemSharedMemoryRegisterResponse>, Status> {
        no_shared_memory()
    }

    async fn system_shared_memory_unregister(
        &self,
        _: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Result<Response<SystemSharedMemoryUnregisterResponse>, Status> {
        no_shared_memory()
    }

    async fn cuda_shared_memory_status(
        &self,
        _: Request<CudaSharedMemoryStatusRequest>,
    ) -> Result<Response<CudaSharedMemoryStatusResponse>, Status> {
        no_shared_memory()
    }

    async fn cuda_shared_memory_register(
        &self,
        _: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Result<Response<CudaSharedMemoryRegisterResponse>, Status> {
        no_shared_memory()
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Result<Response<CudaSharedMemoryUnregisterResponse>, Status> {
        no_shared_memory()
    }

    async fn trace_setting(&self, _: Request<TraceSettingRequest>) -> Result<Response<TraceSettingResponse>, Status> {
        set_at_start("tracing")
    }

    async fn log_settings(&self, _: Request<LogSettingsRequest>) -> Result<Response<LogSettingsResponse>, Status> {
        set_at_start("logging")
    }
}
