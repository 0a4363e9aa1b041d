//! The domain types of a values file. A value of these types is valid: the only way to make one from text is
//! [`crate::parse`].

mod analysis;
pub(crate) mod defaults;
mod names;
mod rollout;
mod serving;

use std::collections::BTreeMap;

pub use analysis::{AnalysisTemplate, Metric, MetricKind, ThresholdRange};
pub(crate) use names::label;
pub use names::{Digest, ModelName, Refused, StorageUri, Version, Weight};
pub use rollout::{AnalysisRef, CanaryStrategy, OnFailure, SessionAffinity, Step};
pub use serving::{Gate, GateMetric, MemoryPolicy, Serving};

/// One values file, whole: what should be served of one model, and how a change of it is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// The model and the version that should be served (the candidate until it is promoted).
    pub model: ModelSpec,
    /// What a cold process serves while the candidate is on trial or rejected.
    pub stable: Option<VersionSpec>,
    /// How a new version gets traffic.
    pub strategy: CanaryStrategy,
    /// Named sets of metrics that judge a canary.
    pub analysis_templates: BTreeMap<String, AnalysisTemplate>,
    /// Batch, queue and deadline limits.
    pub serving: Serving,
    /// What `sluice check` demands before merge.
    pub gate: Gate,
    /// Bump to try a rejected digest again.
    pub retry: u64,
}

/// `model`: identity, source and trust of the version that should be served.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// The name under which callers reach the model.
    pub name: ModelName,
    /// The version that should be served.
    pub target: VersionSpec,
    /// Where the version is registered, for `sluice check` and lineage.
    pub registry: Option<Registry>,
    /// The artifact's format; must agree with what the artifact holds.
    pub format: Option<String>,
    /// Signature policy, for every version of this model.
    pub signing: Signing,
    /// Feeds the chart only; never read by the server.
    pub replicas: Option<u32>,
}

/// One version: label, optional pin, and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionSpec {
    /// Release label such as `v2.3.1`.
    pub version: Version,
    /// OMS root digest, when pinned.
    pub digest: Option<Digest>,
    /// The artifact directory, `{version}` already filled in.
    pub storage_uri: StorageUri,
}

/// `model.registry`: the MLflow identity of the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Registered model name.
    pub name: String,
    /// MLflow model version, an integer.
    pub version: u64,
    /// The run that produced it.
    pub run_id: Option<String>,
}

/// `model.signing`: whether and how the artifact's OMS signature is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// What a missing or wrong signature means.
    pub policy: SigningPolicy,
    /// The signature file inside the artifact; `model.sig` by default.
    pub signature_path: String,
    /// PEM file with the public key, when the policy is not `disabled`.
    pub public_key_path: Option<std::path::PathBuf>,
    /// Allow files in the artifact that the signature does not list.
    pub ignore_unsigned_files: bool,
}

/// `model.signing.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningPolicy {
    /// Refuse an artifact whose signature is missing or wrong.
    Enforce,
    /// Serve it, and say so in status and metrics. The default.
    Warn,
    /// Do not look.
    Disabled,
}
