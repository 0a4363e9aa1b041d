//! The decision: what to do next about one model. Pure.
//!
//! [`next_actions`] compares what the values ask for with what is there and names the next thing to do, or says what
//! it waits for. It keeps nothing between calls: the same arguments give the same answer, so an event that came twice
//! or was lost does no harm. Doing what it says is the business of `reconcile`; what doing it means for the state is
//! [`Observed::apply`], next to it and as pure.
//!
//! ```text
//!          nothing serves                        a version serves
//!  ┌───────────────────────────┐   ┌──────────────────────────────────────────────┐
//!  Stage ──► staged ──► Promote ──► settled ──► Stage ──► staged ──► BeginTrial
//!     ▲        │                       ▲  ▲                  │           │
//!     └────────┘ backoff               │  └── Promote ◄──────┴── steps ◄─┘
//!                                      └───── Reject / DropCandidate ◄───┘
//! ```
//!
//! It must not know bytes, devices, tasks or wall-clock time.

mod action;
mod analyses;
mod cold;
mod command;
mod observed;
mod routing;
mod trial;
mod warm;

use std::fmt;
use std::time::Duration;

use config::Values;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use action::{Action, Why};
pub use analyses::{Analyses, Verdicts};
pub use command::{Verb, VerbError, command};
pub use observed::{Hold, Moment, Observed, Retained, Staging, StagingState, Trial};
pub use routing::Routing;

/// Rounds of planning and acting after which something is wrong: a settled state takes under ten.
pub const ROUNDS_MAX: usize = 64;

/// What lets a rejected version be tried again.
const TRY_AGAIN: &str = "raise `retry` in the values file, or run `sluice retry`";

/// What to do next, or what is waited for.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Do this and ask again.
    Act(Action),
    /// There is nothing to do now.
    Rest(Rest),
}

/// A state that lasts, until something happens or the time comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// How the model is, in one word.
    pub phase: Phase,
    /// Why, in one sentence, with what would change it.
    pub message: String,
    /// When to ask again even if nothing happens.
    pub wake_at: Option<Instant>,
}

/// How a model is, outwardly (Argo Rollouts' words). Ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// What the values ask for serves all traffic.
    Healthy,
    /// On the way there, with nothing for a person to do.
    Progressing,
    /// A pause step, a `pause` by hand, or an analysis that a person must settle.
    Paused,
    /// What the values ask for does not serve, and will not without a change.
    Degraded,
}

impl Phase {
    /// Every phase, from best to worst.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Progressing, Self::Paused, Self::Degraded];

    /// The word in `/status` and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::Degraded => "Degraded",
        }
    }
}

/// What to do next about one model.
///
/// Housekeeping comes first, so that no decision is made on top of one that is not yet published, and given to be
/// written down. Whether it is on disk decides nothing: a process that dies before decides again.
#[must_use]
pub fn next_actions(values: &Values, observed: &Observed, verdicts: &Verdicts, now: Instant) -> Plan {
    if let Some(action) = housekeeping(values, observed, now) {
        return Plan::Act(action);
    }
    let plan = match &observed.stable {
        None => cold::plan(values, observed, now),
        Some(stable) => warm::plan(values, observed, stable, verdicts, now),
    };
    match plan {
        Plan::Rest(rest) => Plan::Rest(rest.or_wake_at(observed.retained.iter().filter_map(|r| r.until).min())),
        act @ Plan::Act(_) => act,
    }
}

/// `from + wait`, a year at the most: no wait of a values file overflows the clock.
fn after(from: Instant, wait: Duration) -> Instant {
    from + wait.min(Duration::from_secs(365 * 24 * 3600))
}

fn housekeeping(values: &Values, observed: &Observed, now: Instant) -> Option<Action> {
    let routing = Routing::wanted(values, observed);
    if observed.published.as_ref() != Some(&routing) {
        return Some(Action::Publish(Box::new(routing)));
    }
    if observed.memory != observed.saved {
        return Some(Action::Remember);
    }
    let expired = observed.retained.iter().find(|retained| retained.until.is_some_and(|until| until <= now));
    expired.map(|retained| Action::Unload { digest: retained.release.digest })
}

// === impl Plan ===

impl Plan {
    fn rest(phase: Phase, message: impl Into<String>) -> Self {
        Self::Rest(Rest { phase, message: message.into(), wake_at: None })
    }

    fn rest_until(phase: Phase, message: impl Into<String>, wake_at: Option<Instant>) -> Self {
        Self::Rest(Rest { phase, message: message.into(), wake_at })
    }
}

// === impl Rest ===

impl Rest {
    /// Wakes at `other` too, where that comes first.
    #[must_use]
    pub fn or_wake_at(self, other: Option<Instant>) -> Self {
        Self { wake_at: self.wake_at.into_iter().chain(other).min(), ..self }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod executor;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
