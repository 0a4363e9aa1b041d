//! What the rollout asks of the rest of the server: bytes made resident ([`Stager`]), routes replaced ([`Routes`]),
//! and the little it must know of a version that is resident ([`Resident`]).
//!
//! The reconciler is generic over these, so that its tests run without a device, a store or a listener.

use std::sync::Arc;
use std::time::Duration;

use config::{Digest, ModelName, OnFailure, Serving, Signing, Version, VersionSpec, Weight};
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::analysis::Evidence;

/// A version in device memory with its queue. Dropping the last `Arc` of it frees both.
pub trait Resident: Send + Sync + 'static {
    /// What it did so far.
    fn evidence(&self) -> &Arc<Evidence>;

    /// Its inputs and outputs.
    fn signature(&self) -> &Arc<models::Signature>;

    /// The same resident bytes, queue and evidence under another label. Nothing is loaded again.
    fn relabeled(&self, version: &Version) -> Arc<Self>;
}

/// Brings versions to the device: pull, verify, load, warm, gate.
pub trait Stager: Send + Sync + 'static {
    /// What it makes.
    type Live: Resident;

    /// One attempt. Dropping the future gives it up and frees whatever it took.
    fn stage(
        &self,
        request: StageRequest,
        phase: watch::Sender<StagePhase>,
    ) -> BoxFuture<'static, Result<Staged<Self::Live>, StageError>>;
}

/// Replaces a model's routes, all at once. The reconciler is the only one to call it.
pub trait Routes: Send + 'static {
    /// What is routed to.
    type Live: Resident;

    /// From now on requests for the model go where `update` says; requests under way end where they are.
    fn publish(&self, update: RouteUpdate<Self::Live>);

    /// From now on the model is not known.
    fn remove(&self, model: &ModelName);
}

/// What to stage.
#[derive(Debug, Clone)]
pub struct StageRequest {
    /// The model's name.
    pub model: ModelName,
    /// The version, pinned or not.
    pub spec: VersionSpec,
    /// How its signature is checked.
    pub signing: Signing,
    /// Limits of its queue and batches.
    pub serving: Serving,
    /// The format it must have, where the values say so.
    pub format: Option<String>,
    /// The signature that it must be compatible with: that of the version it would replace.
    pub compatible_with: Option<Arc<models::Signature>>,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StagePhase {
    /// Copying from the bucket.
    Pulling {
        /// Bytes copied.
        done_bytes: u64,
        /// Bytes to copy; zero while unknown.
        total_bytes: u64,
    },
    /// Digests and signature.
    Verifying,
    /// To the device.
    Loading,
    /// Running every batch shape once.
    Warming,
    /// Answering the golden requests.
    Gating,
}

/// A version that went through every gate.
#[derive(Debug)]
pub struct Staged<L> {
    /// What was verified.
    pub digest: Digest,
    /// Resident, and not yet routed to.
    pub live: Arc<L>,
    /// What an operator should know, such as a missing signature under policy `warn`.
    pub notes: Vec<String>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{phase}: {reason}")]
pub struct StageError {
    /// During which phase.
    pub phase: &'static str,
    /// One sentence for the operator.
    pub reason: String,
    /// The same bytes would fail again: reject them. Otherwise try again, with backoff.
    pub permanent: bool,
    /// It does not fit beside what is resident now.
    pub no_room: bool,
    /// What the bytes were, where it came that far.
    pub digest: Option<Digest>,
}

/// A model's routes.
#[derive(Debug)]
pub struct RouteUpdate<L> {
    /// Whose.
    pub model: ModelName,
    /// Gets everything the canary does not get; `None`: not ready.
    pub stable: Option<Arc<L>>,
    /// The version on trial. Reachable by header at weight zero too.
    pub canary: Option<Arc<L>>,
    /// The canary's share of live requests.
    pub canary_weight: Weight,
    /// Lower-case request header that keeps a caller on one version.
    pub affinity: Option<String>,
    /// What a caller gets when the canary fails.
    pub on_failure: OnFailure,
    /// Deadline of a request that brings none.
    pub timeout_default: Duration,
}
