//! The model registry, MLflow: which versions are registered, where their bytes are, and what was measured of them.
//!
//! Owns the calls of MLflow's REST API 2.0 and the tags by which sluice finds a release there. An MLflow version is an
//! integer; the release label (`v2.3.1`), the digest and the place of what was pushed are tags of it. Knows nothing of
//! values files, and does not judge what it reads.

mod answers;
mod client;
mod credentials;
mod error;
mod register;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use client::Mlflow;
pub use credentials::Credentials;
pub use error::RegistryError;
pub use register::{How, Registered, Release, register};

/// The release label of a registered version.
pub const LABEL_TAG: &str = "version";
/// The root digest of what `sluice push` uploaded for it.
pub const DIGEST_TAG: &str = "sluice.digest";
/// Where `sluice push` uploaded it. A version that a run registered keeps its own place beside this one.
pub const STORAGE_URI_TAG: &str = "sluice.storageUri";

/// One version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelVersion {
    /// The registry's number.
    pub version: u64,
    /// Whether it can be used.
    pub status: Status,
    /// What MLflow says about a status that is not READY.
    pub status_message: String,
    /// The run that made it, where one did.
    pub run_id: Option<String>,
    /// What it was registered from: a place, or `models:/m-…` for a logged model.
    pub source: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// MLflow's status of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It can be used.
    Ready,
    /// Any other, by MLflow's own word (`PENDING_REGISTRATION`, `FAILED_REGISTRATION`).
    Other(String),
}

/// One recorded value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricValue {
    /// The metric's name.
    pub name: String,
    /// Its last value; may be NaN.
    pub value: f64,
}

impl ModelVersion {
    /// Its release label, where it has one.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.tags.get(LABEL_TAG).map(String::as_str)
    }

    /// The logged model that it was registered from, where it was.
    #[must_use]
    pub fn logged_model(&self) -> Option<&str> {
        // `models:/m-…` is a logged model, `models:/name/3` another registered version.
        let id = self.source.strip_prefix("models:/")?;
        (id.starts_with("m-") && !id.contains('/')).then_some(id)
    }

    /// Number and label, for a list of what is there.
    #[must_use]
    pub fn named(&self) -> String {
        match self.label() {
            Some(label) => format!("{} ({LABEL_TAG}={label})", self.version),
            None => format!("{} (no tag {LABEL_TAG})", self.version),
        }
    }
}
