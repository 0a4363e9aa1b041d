//! The request path, free of protocols. Read [`Inference::infer`] top to bottom.

mod check;
pub mod error;
pub mod pick;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use models::NamedTensor;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use check::Checked;
pub use error::{Code, InferError};
use pick::Pick;

use crate::batch::{Answer, BatchError};
use crate::device::ExecuteError;
use crate::rollout::Resident;
use crate::rollout::analysis::Outcome;
use crate::route::{ModelRoutes, Routes, Variant};
use crate::shutdown::Lifecycle;
use crate::telemetry::Metrics;
use crate::version::SubmitError;

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
}

/// What the caller sent, before any version has looked at it.
struct Asked<'a> {
    inputs: Vec<NamedTensor>,
    outputs: Option<&'a [String]>,
    arrived: Instant,
    deadline: Instant,
}

impl Inference {
    /// At most `concurrent_max` requests are inside at any moment; more are told to come back.
    #[must_use]
    pub fn new(routes: Routes, concurrent_max: usize, lifecycle: Lifecycle, metrics: Arc<Metrics>) -> Self {
        let admission = Semaphore::new(concurrent_max.min(Semaphore::MAX_PERMITS));
        Self(Arc::new(Path::Real(Parts { routes, admission, lifecycle, metrics })))
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

    /// Answers one request. `headers` are HTTP headers or gRPC metadata.
    pub async fn infer(&self, request: InferRequest, headers: &HeaderMap) -> Result<InferReply, InferError> {
        match &*self.0 {
            Path::Real(parts) => {
                let span = span(&request, headers);
                let result = parts.route(request, headers).instrument(span.clone()).await;
                match &result {
                    Ok(reply) => {
                        span.record("version", &*reply.version).record("variant", reply.variant.name());
                    }
                    Err(error) => {
                        span.record("code", error.code().name());
                        parts.metrics.refused(error.code());
                    }
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
fn span(request: &InferRequest, headers: &HeaderMap) -> Span {
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    tracing::debug_span!(
        target: SPAN_TARGET,
        "infer",
        model = request.model,
        request_id = id.unwrap_or(&request.id),
        version = Empty,
        variant = Empty,
        code = Empty,
    )
}

impl Parts {
    async fn route(&self, request: InferRequest, headers: &HeaderMap) -> Result<InferReply, InferError> {
        let arrived = Instant::now();
        if self.lifecycle.stopped() {
            return Err(InferError::ShuttingDown);
        }
        let _permit = self.admission.try_acquire().map_err(|_| InferError::Overloaded { retry_after: RETRY_AFTER })?;
        let routes = self.routes.model(&request.model);
        let routes = routes.ok_or_else(|| InferError::ModelNotFound { model: request.model.clone() })?;
        let pick = pick::pick(&routes, request.version.as_deref(), headers)?;
        let timeout = request.timeout.unwrap_or(routes.timeout_default).min(TIMEOUT_MAX);
        let outputs = request.outputs.as_deref();
        let asked = Asked { inputs: request.inputs, outputs, arrived, deadline: arrived + timeout };
        let (pick, answer) = answer(&routes, pick, asked).await?;
        Ok(InferReply {
            model: Arc::clone(pick.live.model()),
            version: Arc::clone(pick.live.version()),
            variant: pick.variant,
            id: request.id,
            outputs: answer.outputs,
            queued: answer.queued,
            compute: answer.compute,
        })
    }
}

/// The picked version's answer, or stable's where the canary fails and `onFailure` says so.
async fn answer(routes: &ModelRoutes, pick: Pick, asked: Asked<'_>) -> Result<(Pick, Answer), InferError> {
    let Some(stable) = fallback(routes, &pick) else {
        let answer = attempt(&pick, asked).await?;
        return Ok((pick, answer));
    };
    let again = Asked { inputs: asked.inputs.clone(), ..asked };
    let error = match attempt(&pick, asked).await {
        Ok(answer) => return Ok((pick, answer)),
        Err(InferError::DeadlineExceeded) => return Err(InferError::DeadlineExceeded),
        Err(error) => error,
    };
    let callers = matches!(error, InferError::InvalidArgument(_));
    match attempt(&stable, Asked { arrived: Instant::now(), ..again }).await {
        Ok(answer) => {
            if callers {
                // It refuses what stable answers, so the caller was right and the canary is not.
                pick.live.evidence().record(Outcome::ModelError, Duration::ZERO);
            }
            Ok((stable, answer))
        }
        Err(InferError::InvalidArgument(_)) => Err(error),
        Err(stables) => Err(stables),
    }
}

/// Stable in place of a failing canary. Its answer is not evidence for stable: only the canary's bad requests reach it.
fn fallback(routes: &ModelRoutes, pick: &Pick) -> Option<Pick> {
    let wanted = pick.by_split && pick.variant == Variant::Canary && routes.on_failure == config::OnFailure::Stable;
    let stable = wanted.then_some(routes.stable.as_ref()).flatten()?;
    Some(Pick { live: Arc::clone(stable), variant: Variant::Stable, by_split: false })
}

/// One try on one version, recorded as evidence and in its metrics.
async fn attempt(pick: &Pick, asked: Asked<'_>) -> Result<Answer, InferError> {
    let (inputs, rows, wanted) = Checked::new(&pick.live, asked.inputs, asked.outputs)?.into_parts();
    if Instant::now() >= asked.deadline {
        // The caller's patience was over before the version saw the request: nothing to hold against it.
        return Err(InferError::DeadlineExceeded);
    }
    // Kept for one question, and only where it matters: whether a NaN came in before it came out.
    let given = if pick.variant == Variant::Canary { inputs.clone() } else { Vec::new() };
    let cancelled = pick.live.metrics().count_cancel_on_drop(pick.variant, asked.arrived);
    let result = pick.live.submit(inputs, rows, asked.deadline).await;
    cancelled.disarm();
    let latency = asked.arrived.elapsed();
    let (outcome, result) = verdict(pick.variant, result, || non_finite(&given));
    if let Some(outcome) = outcome
        && pick.by_split
    {
        pick.live.evidence().record(outcome, latency);
    }
    let code = result.as_ref().map_or_else(InferError::code, |_| Code::Ok);
    pick.live.metrics().request(pick.variant, code, latency, result.as_ref().ok(), rows);
    result.map(|answer| Answer { outputs: check::select(answer.outputs, wanted.as_deref()), ..answer })
}

fn non_finite(tensors: &[NamedTensor]) -> bool {
    tensors.iter().any(|named| named.tensor.non_finite() > 0)
}

/// What an attempt says about the version (`None`: nothing, it was not at fault) and to the caller. `given_non_finite`
/// tells whether the caller's own inputs held NaN or Inf.
fn verdict(
    variant: Variant,
    result: Result<Answer, SubmitError>,
    given_non_finite: impl FnOnce() -> bool,
) -> (Option<Outcome>, Result<Answer, InferError>) {
    match result {
        Ok(answer) if non_finite(&answer.outputs) => match variant {
            // What goes in as NaN may come out as NaN; one caller's broken rows must not end a trial.
            Variant::Canary if given_non_finite() => (None, Ok(answer)),
            Variant::Canary => (Some(Outcome::NonFinite), Err(InferError::NonFinite)),
            // Stable has nobody to fall back on, and some models mean their NaN: the caller gets it, and it is counted.
            Variant::Stable => (Some(Outcome::NonFinite), Ok(answer)),
        },
        Ok(answer) => (Some(Outcome::Success), Ok(answer)),
        Err(SubmitError::Full) => (Some(Outcome::Overload), Err(InferError::Overloaded { retry_after: RETRY_AFTER })),
        Err(SubmitError::Deadline) => (Some(Outcome::Deadline), Err(InferError::DeadlineExceeded)),
        Err(SubmitError::Batch(BatchError::Execute(ExecuteError::Input(problem)))) => {
            (None, Err(InferError::InvalidArgument(problem)))
        }
        Err(SubmitError::Batch(BatchError::Execute(ExecuteError::Model(problem)))) => {
            tracing::warn!(%variant, problem, "model failed on a request");
            (Some(Outcome::ModelError), Err(InferError::Model { reason: "it could not compute this request" }))
        }
        // The device failed every version on it, not this one.
        Err(SubmitError::Batch(BatchError::Execute(ExecuteError::DeviceGone))) => {
            (None, Err(InferError::Model { reason: "its device is not available" }))
        }
        Err(SubmitError::Batch(BatchError::Gone)) => (None, Err(InferError::ShuttingDown)),
    }
}

#[cfg(test)]
mod tests;
