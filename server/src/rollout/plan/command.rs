//! What an operator may say, and when it is legal. Pure.
//!
//! | verb | on its way | on trial | rejected | settled |
//! | --- | --- | --- | --- | --- |
//! | `promote` | - | next step | - | - |
//! | `promote --full` | - | stable now | - | - |
//! | `abort` | rejected | rejected | - | - |
//! | `pause` | - | held | - | - |
//! | `retry` | next attempt now | - | tried again | - |
//!
//! Gates are never skipped, so a version on its way cannot be promoted. Without a stable version there is nothing to
//! abort to.

use config::Values;
use serde::Deserialize;
use tokio::time::Instant;

use super::super::release::Target;
use super::{Action, Observed, StagingState, Trial, Why};

/// What an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// Go on to the next step.
    Promote {
        /// Skip all steps that are left.
        #[serde(default)]
        full: bool,
    },
    /// Reject the version on trial.
    Abort,
    /// Stay at the current step.
    Pause,
    /// Try a rejected version again, or a failed attempt at once.
    Retry,
}

/// Why a verb was not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerbError {
    /// There is no such model.
    #[error("there is no model {0:?}")]
    UnknownModel(String),
    /// The verb does not fit the state.
    #[error("{0}")]
    NotNow(String),
}

/// What `verb` means now: the action, and a sentence for who asked.
pub fn command(verb: Verb, values: &Values, observed: &Observed, now: Instant) -> Result<(Action, String), VerbError> {
    match verb {
        Verb::Promote { full } => on_trial(observed).map(|trial| promote(trial, full)),
        Verb::Pause => match on_trial(observed)? {
            Trial { hold: Some(hold), .. } => Err(not_now(format!("it is paused already: {}", hold.reason))),
            trial => {
                let message = format!("{} is paused at its step", trial.release.spec.version);
                Ok((Action::Hold { reason: "paused by hand".to_owned() }, message))
            }
        },
        Verb::Abort => abort(observed),
        Verb::Retry => retry(values, observed, now),
    }
}

fn promote(trial: &Trial, full: bool) -> (Action, String) {
    let (version, steps) = (&trial.release.spec.version, trial.values.strategy.steps.len());
    if full || trial.step >= steps {
        return (Action::Promote(Why::ByHand), format!("{version} is stable now"));
    }
    let next = trial.step + 1;
    let message = if next < steps {
        format!("{version} goes on to step {} of {steps}", next + 1)
    } else {
        format!("{version} is through its {steps} steps")
    };
    (Action::StartStep(next), message)
}

fn abort(observed: &Observed) -> Result<(Action, String), VerbError> {
    let candidate = match (&observed.trial, &observed.staging) {
        (Some(trial), _) => &trial.release.spec.version,
        (None, Some(staging)) => &staging.target.spec.version,
        (None, None) => return Err(not_now("no version is on trial")),
    };
    let Some(stable) = &observed.stable else {
        return Err(not_now(format!("nothing else serves than {candidate} would; change the values instead")));
    };
    let message = format!("{candidate} is rejected, {} serves all requests", stable.spec.version);
    Ok((Action::Reject { reason: "aborted by hand".to_owned() }, message))
}

fn retry(values: &Values, observed: &Observed, now: Instant) -> Result<(Action, String), VerbError> {
    let target = Target::of(values);
    let version = &target.spec.version;
    if let Some(staging) = &observed.staging {
        return match &staging.state {
            StagingState::Failed { retry_at, .. } if now < *retry_at => {
                let message = format!("{} is staged again now", staging.target.spec.version);
                Ok((Action::Stage { target: staging.target.clone() }, message))
            }
            _ => Err(not_now(format!("{} is being staged already", staging.target.spec.version))),
        };
    }
    let resolved = observed.memory.resolve(&target.spec);
    if observed.memory.rejection(&target, resolved).is_none() {
        return Err(not_now(format!("{version} is not rejected")));
    }
    let message = format!("{version} is tried again");
    Ok((Action::Forgive { target }, message))
}

fn on_trial(observed: &Observed) -> Result<&Trial, VerbError> {
    observed.trial.as_ref().ok_or_else(|| {
        not_now(match &observed.staging {
            Some(staging) => format!("{} is still being staged", staging.target.spec.version),
            None => "no version is on trial".to_owned(),
        })
    })
}

fn not_now(reason: impl Into<String>) -> VerbError {
    VerbError::NotNow(reason.into())
}
