//! What `/status` says of the rollout: one JSON document, camelCase, times in RFC 3339.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::analysis::{Conclusion, Finding, MetricState, Tally};
use super::memory::Rejection;
use super::plan::Phase;
use super::release::Release;

/// Events remembered per model.
pub const HISTORY_MAX: usize = 50;

/// All models.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Sorted by name.
    pub models: Vec<ModelStatus>,
    /// What is wrong with values files that belong to no model yet.
    pub problems: Vec<String>,
    /// SHA-256 of each values file as it was last read, in force or refused. Sorted.
    pub revisions: Vec<String>,
    /// What should be known of the way values files are watched, such as a mount that can never change.
    pub notes: Vec<String>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// Its name.
    pub name: String,
    /// In one word.
    pub phase: Phase,
    /// Why, in one sentence.
    pub message: String,
    /// Digest of the values file that is in force.
    pub observed_revision: String,
    /// Why a newer values file is not.
    pub values_error: Option<String>,
    /// What an operator should know and nothing waits for: of the versions that serve, and of what is remembered.
    pub notes: Vec<String>,
    /// The version that the values ask for.
    pub desired_version: String,
    /// What serves.
    pub stable: Option<VersionStatus>,
    /// What is on trial, or on its way.
    pub canary: Option<CanaryStatus>,
    /// What is measured of the canary.
    pub analysis: Vec<MetricStatus>,
    /// What must not be tried again until `retry` changes.
    pub rejected: Vec<RejectedStatus>,
    /// The last promotions, newest first.
    pub promoted: Vec<VersionStatus>,
    /// The last events, oldest first.
    pub history: Vec<HistoryEvent>,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionStatus {
    /// Its label.
    pub version: String,
    /// `sha256:…`, once known.
    pub digest: Option<String>,
    /// What it is doing.
    pub state: String,
}

/// The version on trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// Which, and what it is doing.
    #[serde(flatten)]
    pub version: VersionStatus,
    /// Its share of live requests.
    pub weight_percent: f64,
    /// Steps begun, from 1; zero before the trial, `steps` when all are done.
    pub step: usize,
    /// Steps of the trial.
    pub steps: usize,
    /// When something happens by itself.
    #[serde(serialize_with = "rfc3339_option")]
    pub next_at: Option<SystemTime>,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricStatus {
    /// As in the values file.
    pub name: String,
    /// The newest value, in percent or milliseconds.
    pub value: Option<f64>,
    /// Requests it is made of.
    pub samples: u64,
    /// What the newest measurement found.
    pub measurement: Option<Finding>,
    /// What all measurements mean.
    pub verdict: Conclusion,
    /// Why.
    pub reason: String,
    /// Measured, and never decides.
    pub dry_run: bool,
    /// Measurements so far.
    pub counts: Tally,
}

/// One rejected version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedStatus {
    /// Its label.
    pub version: String,
    /// `sha256:…`, where it came that far.
    pub digest: Option<String>,
    /// The `retry` under which it was rejected.
    pub retry: u64,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
}

/// Something that happened to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEvent {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// What, as one word.
    pub event: &'static str,
    /// To which version.
    pub version: String,
    /// Why.
    pub reason: String,
}

impl VersionStatus {
    pub(super) fn new(release: &Release, state: String) -> Self {
        Self { version: release.spec.version.to_string(), digest: Some(release.digest.to_string()), state }
    }
}

impl From<&MetricState> for MetricStatus {
    fn from(state: &MetricState) -> Self {
        let verdict = state.verdict();
        let last = state.last.as_ref();
        Self {
            name: state.metric.name.clone(),
            value: last.and_then(|measurement| measurement.value),
            samples: last.map_or(0, |measurement| measurement.samples),
            measurement: last.map(|measurement| measurement.finding),
            verdict: verdict.conclusion,
            reason: last.map_or(verdict.reason, |measurement| measurement.reason.clone()),
            dry_run: state.metric.dry_run,
            counts: state.tally,
        }
    }
}

impl From<&Rejection> for RejectedStatus {
    fn from(rejection: &Rejection) -> Self {
        Self {
            version: rejection.target.spec.version.to_string(),
            digest: rejection.digest.map(|digest| digest.to_string()),
            retry: rejection.target.retry,
            reason: rejection.reason.clone(),
            at: rejection.at,
        }
    }
}

fn rfc3339<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*at))
}

fn rfc3339_option<S: Serializer>(at: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => rfc3339(at, serializer),
        None => serializer.serialize_none(),
    }
}
