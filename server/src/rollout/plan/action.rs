//! Everything the planner may ask for.

use std::fmt;

use config::{Digest, VersionSpec};

use super::super::release::Target;
use super::Routing;

/// One thing to do. Closed: a new one does not compile until the state, the executor and the history know it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Pull, verify, load, warm and gate this version (once more, after a failure).
    Stage {
        /// What to stage.
        target: Target,
    },
    /// Take a version that is still resident instead of staging it.
    Reuse {
        /// What is asked for.
        target: Target,
        /// The resident version that it is.
        digest: Digest,
    },
    /// Stop staging, or drop what was staged: something else is wanted now.
    CancelStaging {
        /// Why.
        reason: String,
    },
    /// The staged version becomes the canary, at the first step.
    BeginTrial,
    /// The trial goes on to this step; one past the last means that all are done.
    StartStep(usize),
    /// The trial waits for a person.
    Hold {
        /// Why.
        reason: String,
    },
    /// The staged version or the canary becomes stable.
    Promote(Why),
    /// The staged version or the canary is sent away and remembered, until `retry` changes.
    Reject {
        /// Why.
        reason: String,
    },
    /// The canary is sent away without blame: the values changed.
    DropCandidate {
        /// Why.
        reason: String,
    },
    /// The same bytes have another label or place now.
    Relabel {
        /// The resident version.
        digest: Digest,
        /// What it is asked for as.
        spec: VersionSpec,
    },
    /// Unload stable before its successor is loaded: both do not fit and `memoryPolicy` is `resource`.
    MakeRoom,
    /// Let a rejected version be tried again.
    Forgive {
        /// What is asked for.
        target: Target,
    },
    /// A remembered promotion can not be served any more.
    Forget {
        /// What was promoted.
        digest: Digest,
    },
    /// Free a resident version that has no role.
    Unload {
        /// Which.
        digest: Digest,
    },
    /// Replace the model's routes.
    Publish(Box<Routing>),
    /// Write the remembered decisions.
    Remember,
}

/// Why a version becomes stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nothing served yet and nothing is known: gates only, there is nothing to compare with.
    First,
    /// The values name it as the version to fall back to.
    DeclaredStable,
    /// It was promoted here before a restart.
    Remembered,
    /// It was promoted within `rollbackWindow`.
    Rollback,
    /// `skipAnalysis`, or no steps.
    NoTrial,
    /// All steps done, and the analysis found it good.
    TrialPassed,
    /// An operator said so.
    ByHand,
    /// There was no room for a trial beside the old version.
    NoRoom,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first version, gates passed",
            Self::DeclaredStable => "declared stable, gates passed",
            Self::Remembered => "promoted here before the restart",
            Self::Rollback => "promoted before, within the rollback window",
            Self::NoTrial => "gates passed, no trial asked for",
            Self::TrialPassed => "all steps passed",
            Self::ByHand => "promoted by hand",
            Self::NoRoom => "gates passed, no room for a trial",
        })
    }
}
