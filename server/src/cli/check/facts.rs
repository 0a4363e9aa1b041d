//! What was found out, as data: the registry, the bytes and staging, each with what kept it from being found out. Judges
//! nothing.

use config::Digest;

use crate::bringup::Answers;
use crate::registry::{MetricValue, ModelVersion};

/// Why something is not as hoped, or is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Whoever was asked knows that it is not so.
    Wrong(String),
    /// Nobody could be asked, or the asking itself failed.
    Unreachable(String),
}

pub(super) type Found<T> = Result<T, Trouble>;

/// Everything that the checks look at besides the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    /// `None` where the file names no registered version.
    pub(super) registry: Option<RegistryFacts>,
    pub(super) artifact: ArtifactFacts,
    /// `None` where nobody was to be asked.
    pub(super) staging: Option<Found<Staging>>,
    /// The version is merged already, so staging need not be asked.
    pub(super) merged: bool,
}

/// What the registry says. What depends on the version is `None` where there is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RegistryFacts {
    pub(super) version: Found<ModelVersion>,
    pub(super) place: Option<Found<Place>>,
    /// `None` too where the file bounds no metric.
    pub(super) measured: Option<Found<Vec<Measured>>>,
}

/// Where the registry says that the bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) uri: String,
    /// The tag or call that says so.
    pub(super) source: &'static str,
}

/// What was measured, by one account of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    /// Such as `run 9d1f…`.
    pub(super) of: String,
    pub(super) values: Vec<MetricValue>,
}

/// What the bytes are and do. What depends on something that failed is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ArtifactFacts {
    /// The root digest of what was pulled.
    pub(super) bytes: Found<Digest>,
    /// What the policy let through and an operator should know.
    pub(super) signature: Option<Found<Vec<String>>>,
    /// The same of stable. `None` too where there is no other stable, or it cannot be had at all.
    pub(super) stable_signature: Option<Found<Vec<String>>>,
    pub(super) model: Option<Found<()>>,
    pub(super) answers: Option<Found<Answers>>,
    /// What does not fit stable's inputs and outputs. `None` too where there is no other stable.
    pub(super) compatible: Option<Found<Vec<String>>>,
}

/// What staging serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Staging {
    /// The label of its stable version, or what it says instead.
    pub(super) stable: Result<String, String>,
    pub(super) ready: bool,
}

impl Trouble {
    /// The same, of something that has to be named.
    pub(super) fn of(self, what: &str) -> Self {
        match self {
            Self::Wrong(message) => Self::Wrong(format!("{what}: {message}")),
            Self::Unreachable(message) => Self::Unreachable(format!("{what}: {message}")),
        }
    }
}

impl ArtifactFacts {
    /// Nothing is known but why.
    pub(super) const fn without_bytes(trouble: Trouble) -> Self {
        Self {
            bytes: Err(trouble),
            signature: None,
            stable_signature: None,
            model: None,
            answers: None,
            compatible: None,
        }
    }
}
