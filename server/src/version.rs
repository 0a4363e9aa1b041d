//! A version resident on a device: signature, queue, evidence and counters.
//!
//! Whoever may send it a request holds an `Arc<LiveVersion>`. When the routes and the last request let go, the queue's
//! worker ends, the weights are freed and the reservation returns: memory can never go under a running request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use config::{Digest, Serving, Version};
use models::{NamedTensor, Signature};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::batch::{Answer, BatchError, Full, Limits, Pending, Queue, Work};
use crate::device::Executable;
use crate::identity::Identity;
use crate::rollout::Resident;
use crate::rollout::analysis::Evidence;
use crate::store::VerifiedArtifact;
use crate::telemetry::{Metrics, VersionMetrics};

/// A version that can answer requests.
pub struct LiveVersion {
    identity: Identity,
    signature: Arc<Signature>,
    serving: Serving,
    executable: Arc<Executable>,
    queue: Queue,
    evidence: Arc<Evidence>,
    metrics: Arc<VersionMetrics>,
    telemetry: Arc<Metrics>,
    /// Keeps the artifact's bytes in the cache while the version lives.
    artifact: Arc<VerifiedArtifact>,
}

/// Why a version did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// Its queue is full.
    #[error("the queue is full")]
    Full,
    /// Nobody waits any more.
    #[error("the deadline passed")]
    Deadline,
    /// The batch failed.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl From<Full> for SubmitError {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// What became of a request that a version was asked.
#[derive(Debug)]
pub enum Submitted {
    /// It was answered on the calling thread, or refused.
    Done(Result<Answer, SubmitError>),
    /// It waits for its batch.
    Queued(Queued),
}

/// A request in a version's queue. Dropped, nobody waits for it any more.
#[derive(Debug)]
pub struct Queued {
    answer: oneshot::Receiver<Result<Answer, BatchError>>,
    deadline: Instant,
}

impl Queued {
    /// Waits for the answer, until the request's deadline.
    pub async fn answer(self) -> Result<Answer, SubmitError> {
        match tokio::time::timeout_at(self.deadline, self.answer).await {
            Ok(Ok(result)) => Ok(result?),
            // The worker drops an entry unanswered when its deadline passed while it waited.
            Ok(Err(_)) if Instant::now() >= self.deadline => Err(SubmitError::Deadline),
            Ok(Err(_)) => Err(BatchError::Gone.into()),
            Err(_) => Err(SubmitError::Deadline),
        }
    }
}

impl LiveVersion {
    /// Starts the queue of a warmed and gated executable.
    #[must_use]
    pub fn new(
        identity: Identity,
        serving: Serving,
        executable: Arc<Executable>,
        telemetry: Arc<Metrics>,
        artifact: Arc<VerifiedArtifact>,
    ) -> Self {
        Self::with_evidence(identity, serving, executable, telemetry, artifact, Arc::new(Evidence::new()))
    }

    fn with_evidence(
        identity: Identity,
        serving: Serving,
        executable: Arc<Executable>,
        telemetry: Arc<Metrics>,
        artifact: Arc<VerifiedArtifact>,
        evidence: Arc<Evidence>,
    ) -> Self {
        let metrics = telemetry.version(&identity);
        metrics.set_unverified(artifact.unverified());
        let signature = Arc::clone(executable.model().signature());
        let limits = Limits {
            batch_rows_max: if signature.batched { serving.max_batch_size } else { 1 },
            queue_rows_max: serving.queue_rows_max,
            delay_max: if signature.batched { serving.queue_delay_max } else { Duration::ZERO },
        };
        let queue = Queue::spawn(limits, Arc::clone(&executable), Arc::clone(&metrics));
        Self { identity, signature, serving, executable, queue, evidence, metrics, telemetry, artifact }
    }

    /// Model name.
    #[must_use]
    pub const fn model(&self) -> &Arc<str> {
        &self.identity.model
    }

    /// Release label.
    #[must_use]
    pub const fn version(&self) -> &Arc<str> {
        &self.identity.version
    }

    /// Root digest of the artifact.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.identity.digest
    }

    /// Limits it was brought up with.
    #[must_use]
    pub const fn serving(&self) -> &Serving {
        &self.serving
    }

    /// What engine runs it, such as `onnx_sluice`.
    #[must_use]
    pub fn platform(&self) -> &'static str {
        self.executable.model().platform()
    }

    /// Its counters and histograms.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<VersionMetrics> {
        &self.metrics
    }

    /// Rows that wait in its queue.
    #[must_use]
    pub fn queue_rows(&self) -> usize {
        self.queue.rows()
    }

    /// Rows of the largest request it takes.
    #[must_use]
    pub fn rows_max(&self) -> usize {
        if self.signature.batched { self.serving.max_batch_size } else { usize::MAX }
    }

    /// Answers checked inputs of `rows` rows, in the signature's order, before `deadline`: at once, or from the queue.
    pub fn submit(&self, inputs: Vec<NamedTensor>, rows: usize, deadline: Instant) -> Submitted {
        if self.serving.queue_delay_max.is_zero() && self.executable.runs_inline(rows, &inputs) {
            return Submitted::Done(self.submit_inline(&inputs, rows, deadline));
        }
        let (reply, answer) = oneshot::channel();
        let shape_key = if self.signature.batched { shape_key(&inputs) } else { 0 };
        let rows = if self.signature.batched { rows } else { 1 };
        let work = Work { inputs, reply };
        match self.queue.push(Pending { rows, shape_key, arrived: Instant::now(), deadline, work }) {
            Ok(()) => Submitted::Queued(Queued { answer, deadline }),
            Err(full) => Submitted::Done(Err(full.into())),
        }
    }

    fn submit_inline(&self, inputs: &[NamedTensor], rows: usize, deadline: Instant) -> Result<Answer, SubmitError> {
        let started = Instant::now();
        let outputs = self.executable.run_inline(inputs).map_err(BatchError::from)?;
        let compute = started.elapsed();
        self.metrics.batch(rows, Duration::ZERO, compute);
        if started + compute >= deadline {
            return Err(SubmitError::Deadline);
        }
        Ok(Answer { outputs, queued: Duration::ZERO, compute })
    }
}

impl Resident for LiveVersion {
    fn evidence(&self) -> &Arc<Evidence> {
        &self.evidence
    }

    fn signature(&self) -> &Arc<Signature> {
        &self.signature
    }

    fn relabeled(&self, version: &Version) -> Arc<Self> {
        let identity = Identity { version: version.as_str().into(), ..self.identity.clone() };
        Arc::new(Self::with_evidence(
            identity,
            self.serving.clone(),
            Arc::clone(&self.executable),
            Arc::clone(&self.telemetry),
            Arc::clone(&self.artifact),
            Arc::clone(&self.evidence),
        ))
    }
}

impl fmt::Debug for LiveVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveVersion({} {} {:?})", self.identity.model, self.identity.version, self.identity.digest)
    }
}

/// Requests with equal keys have equal row shapes. A rare collision fails the join, and the batch is then run singly.
fn shape_key(inputs: &[NamedTensor]) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = xxhash_rust::xxh3::Xxh3Default::new();
    for input in inputs {
        input.tensor.shape().get(1..).hash(&mut hasher);
    }
    hasher.finish()
}
