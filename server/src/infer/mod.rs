//! The request path, free of protocols. Read [`Inference::infer`] top to bottom.

mod attempt;
mod check;
pub mod error;
pub mod pick;
pub mod rate;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use models::oip::BinaryOutputs;
use models::{Datatype, NamedTensor};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use attempt::{Asked, answer};
pub use error::{Code, InferError};
pub use rate::PerSecond;

use crate::route::{Routes, Variant};
use crate::shutdown::Lifecycle;
use crate::telemetry::{Metrics, traces};

/// The longest deadline a request may ask for.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// What an overloaded caller is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Target of the span around each request.
pub const SPAN_TARGET: &str = "request";

/// One request, decoded.
#[derive(Debug, Clone)]
pub struct InferRequest {
    /// Model name.
    pub model: String,
    /// A version the caller insists on.
    pub version: Option<String>,
    /// The caller's request id; may be empty.
    pub id: String,
    /// Named tensors, in any order.
    pub inputs: Vec<NamedTensor>,
    /// The outputs wanted, in this order; `None` wants all.
    pub outputs: Option<Vec<String>>,
    /// The caller's patience; `None` takes the model's default.
    pub timeout: Option<Duration>,
    /// What the answer will be written in.
    pub form: Form,
}

/// What an answer is written in, where that limits what it can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Bytes, which carry everything.
    Raw,
    /// JSON, which has no NaN and no infinity, but for these outputs.
    Json(BinaryOutputs),
}

impl Form {
    /// Whether `output` can be written: some forms cannot say NaN. Datatypes that JSON lacks altogether are no failure of
    /// the model, and the front end's to refuse.
    pub(crate) fn carries(&self, output: &NamedTensor) -> bool {
        match self {
            Self::Raw => true,
            Self::Json(binary) => {
                let in_json = matches!(output.tensor.datatype(), Datatype::Fp32 | Datatype::Fp64);
                !in_json || binary.has(&output.name) || output.tensor.non_finite() == 0
            }
        }
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub struct InferReply {
    /// Model name.
    pub model: Arc<str>,
    /// The version that answered.
    pub version: Arc<str>,
    /// Its role at that moment.
    pub variant: Variant,
    /// The caller's request id.
    pub id: String,
    /// The outputs wanted.
    pub outputs: Vec<NamedTensor>,
    /// As the request had it.
    pub form: Form,
    /// Time in the version's queue.
    pub queued: Duration,
    /// Time of its batch on the device.
    pub compute: Duration,
}

/// Answers requests; cheap to clone.
#[derive(Clone)]
pub struct Inference(Arc<Path>);

enum Path {
    Real(Parts),
    /// Answers by a script, for the tests of the front ends.
    #[cfg(test)]
    Scripted(Box<Script>),
}

#[cfg(test)]
type Script = dyn Fn(InferRequest, HeaderMap) -> futures::future::BoxFuture<'static, Result<InferReply, InferError>>
    + Send
    + Sync;

struct Parts {
    routes: Routes,
    admission: Semaphore,
    lifecycle: Lifecycle,
    metrics: Arc<Metrics>,
    /// Lines about failures of models: a version that fails all the time must not fill a disk.
    failures: PerSecond,
}

/// Lines about failures of models in one second.
const FAILURES_PER_SECOND: u32 = 100;

impl Inference {
    /// At most `concurrent_max` requests are inside at any moment; more are told to come back.
    #[must_use]
    pub fn new(routes: Routes, concurrent_max: usize, lifecycle: Lifecycle, metrics: Arc<Metrics>) -> Self {
        let admission = Semaphore::new(concurrent_max.min(Semaphore::MAX_PERMITS));
        let failures = PerSecond::new(FAILURES_PER_SECOND);
        Self(Arc::new(Path::Real(Parts { routes, admission, lifecycle, metrics, failures })))
    }

    /// Answers by `script`.
    #[cfg(test)]
    pub(crate) fn scripted(
        script: impl Fn(InferRequest, HeaderMap) -> futures::future::BoxFuture<'static, Result<InferReply, InferError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(Path::Scripted(Box::new(script))))
    }

    /// Answers one request. `headers` are HTTP headers or gRPC metadata; `request_id` is what logs and traces call it.
    pub async fn infer(
        &self,
        request: InferRequest,
        headers: &HeaderMap,
        request_id: &str,
    ) -> Result<InferReply, InferError> {
        match &*self.0 {
            Path::Real(parts) => {
                let span = span(&request, request_id);
                let result = if span.is_disabled() {
                    parts.route(request, headers, request_id).await
                } else {
                    traces::join(&span, headers);
                    Box::pin(parts.traced(span, request, headers, request_id)).await
                };
                if let Err(error) = &result {
                    parts.metrics.refused(error.code());
                }
                result
            }
            #[cfg(test)]
            Path::Scripted(script) => script(request, headers.clone()).await,
        }
    }
}

/// A request as a trace shows it. Below the default level, so that it costs nothing where nobody collects traces:
/// `telemetry::logs` lets its target through to the collector.
fn span(request: &InferRequest, request_id: &str) -> Span {
    tracing::debug_span!(
        target: SPAN_TARGET,
        "infer",
        model = request.model,
        request_id,
        version = Empty,
        variant = Empty,
        code = Empty,
    )
}

impl Parts {
    async fn traced(
        &self,
        span: Span,
        request: InferRequest,
        headers: &HeaderMap,
        request_id: &str,
    ) -> Result<InferReply, InferError> {
        let result = self.route(request, headers, request_id).instrument(span.clone()).await;
        match &result {
            Ok(reply) => span.record("version", &*reply.version).record("variant", reply.variant.name()),
            Err(error) => span.record("code", error.code().name()),
        };
        result
    }

    async fn route(
        &self,
        request: InferRequest,
        headers: &HeaderMap,
        request_id: &str,
    ) -> Result<InferReply, InferError> {
        let arrived = Instant::now();
        if self.lifecycle.stopped() {
            return Err(InferError::ShuttingDown);
        }
        let _permit = self.admission.try_acquire().map_err(|_| InferError::Overloaded { retry_after: RETRY_AFTER })?;
        let routes = self.routes.model(&request.model);
        let routes = routes.ok_or_else(|| InferError::ModelNotFound { model: request.model.clone() })?;
        let pick = pick::pick(&routes, request.version.as_deref(), headers)?;
        let timeout = request.timeout.unwrap_or(routes.timeout_default).min(TIMEOUT_MAX);
        let asked = Asked {
            inputs: request.inputs,
            outputs: request.outputs.as_deref(),
            form: &request.form,
            arrived,
            deadline: arrived + timeout,
            request_id,
            failures: &self.failures,
        };
        let (pick, answer) = answer(&routes, pick, asked).await?;
        Ok(InferReply {
            model: Arc::clone(pick.live.model()),
            version: Arc::clone(pick.live.version()),
            variant: pick.variant,
            id: request.id,
            outputs: answer.outputs,
            form: request.form,
            queued: answer.queued,
            compute: answer.compute,
        })
    }
}

#[cfg(test)]
mod tests;
