//! A version serves: how what the values ask for comes to serve in its place.

use config::{Digest, MemoryPolicy, Values, VersionSpec};
use tokio::time::Instant;

use super::super::release::{Release, Target};
use super::{Action, Observed, Phase, Plan, Staging, StagingState, TRY_AGAIN, Verdicts, Why, after, trial};

/// Failures for want of room, in a row, until it is believed. Not one: what a version took is given back a moment after
/// it was let go of, and the versions before this one may just have been.
const NO_ROOM_BELIEVED: u32 = 2;

pub(super) fn plan(values: &Values, observed: &Observed, stable: &Release, verdicts: &Verdicts, now: Instant) -> Plan {
    let target = Target::of(values);
    if stable.is(&target.spec) {
        return settled(observed, stable, &target);
    }
    let on_trial = observed.trial.as_ref().map(|trial| &trial.release).filter(|canary| canary.is(&target.spec));
    let resolved = on_trial.map(|canary| canary.digest).or_else(|| observed.memory.resolve(&target.spec));
    if let Some(rejection) = observed.memory.rejection(&target, resolved) {
        return rejected(observed, stable, &target, &rejection.reason);
    }
    if let Some(trial) = &observed.trial {
        return if trial.target.same_trial(&target, Some(trial.release.digest)) {
            trial::plan(stable, trial, &target, verdicts, now)
        } else {
            Plan::Act(Action::DropCandidate { reason: superseded(&target, &trial.release.spec) })
        };
    }
    if let Some(staging) = observed.staging.as_ref().filter(|staging| staging.target != target) {
        return Plan::Act(Action::CancelStaging { reason: superseded(&target, &staging.target.spec) });
    }
    match &observed.staging {
        Some(staging) => staging_plan(values, observed, stable, staging, now),
        None => Plan::Act(start(observed, target, resolved)),
    }
}

/// What the values ask for serves already: whatever else is going on ends, at once and without steps.
fn settled(observed: &Observed, stable: &Release, target: &Target) -> Plan {
    let version = &target.spec.version;
    let reason = || format!("the values ask for {version} again, which serves");
    if let Some(action) = end(observed, reason) {
        return Plan::Act(action);
    }
    if stable.spec != target.spec {
        return Plan::Act(Action::Relabel { digest: stable.digest, spec: target.spec.clone() });
    }
    Plan::rest(Phase::Healthy, format!("{version} serves all requests"))
}

/// What the values ask for was found bad: stable serves on, until something is changed.
fn rejected(observed: &Observed, stable: &Release, target: &Target, reason: &str) -> Plan {
    let (version, stable) = (&target.spec.version, &stable.spec.version);
    if let Some(action) = end(observed, || format!("{version} was rejected")) {
        return Plan::Act(action);
    }
    let message = format!(
        "{version} was rejected ({reason}); {stable} keeps serving: revert, ask for another version, {TRY_AGAIN}"
    );
    Plan::rest(Phase::Degraded, message)
}

/// Ends whatever is under way.
fn end(observed: &Observed, reason: impl FnOnce() -> String) -> Option<Action> {
    match (&observed.trial, &observed.staging) {
        (Some(_), _) => Some(Action::DropCandidate { reason: reason() }),
        (None, Some(_)) => Some(Action::CancelStaging { reason: reason() }),
        (None, None) => None,
    }
}

fn superseded(target: &Target, old: &VersionSpec) -> String {
    format!("{} is wanted instead of {}", target.spec.version, old.version)
}

fn start(observed: &Observed, target: Target, resolved: Option<Digest>) -> Action {
    let resident = |retained: &&super::Retained| Some(retained.release.digest) == resolved;
    match observed.retained.iter().find(resident) {
        Some(retained) => Action::Reuse { target, digest: retained.release.digest },
        None => Action::Stage { target },
    }
}

fn staging_plan(values: &Values, observed: &Observed, stable: &Release, staging: &Staging, now: Instant) -> Plan {
    let strategy = &values.strategy;
    let deadline = after(staging.since, strategy.progress_deadline);
    let version = &staging.target.spec.version;
    match &staging.state {
        StagingState::Ready { digest } => Plan::Act(ready(values, observed, stable, staging, *digest)),
        StagingState::Failed { permanent: true, reason, .. } => Plan::Act(Action::Reject { reason: reason.clone() }),
        StagingState::Failed { no_room: true, .. } if !observed.retained.is_empty() => {
            Plan::Act(Action::Unload { digest: observed.retained[0].release.digest })
        }
        StagingState::Failed { no_room: true, reason, .. }
            if staging.no_room >= NO_ROOM_BELIEVED && values.serving.memory_policy == MemoryPolicy::Refuse =>
        {
            Plan::Act(Action::Reject { reason: reason.clone() })
        }
        // Not after the deadline, which would send the successor away at once.
        StagingState::Failed { no_room: true, .. }
            if staging.no_room >= NO_ROOM_BELIEVED
                && values.serving.memory_policy == MemoryPolicy::Resource
                && now < deadline =>
        {
            Plan::Act(Action::MakeRoom)
        }
        StagingState::Running | StagingState::Failed { .. } if now >= deadline && strategy.progress_deadline_abort => {
            Plan::Act(Action::Reject { reason: overdue(values, staging) })
        }
        StagingState::Running if now >= deadline => Plan::rest(Phase::Degraded, overdue(values, staging)),
        StagingState::Running => {
            let message = format!("{version} is being staged while {} serves", stable.spec.version);
            Plan::rest_until(Phase::Progressing, message, Some(deadline))
        }
        StagingState::Failed { retry_at, .. } if now >= *retry_at => {
            Plan::Act(Action::Stage { target: staging.target.clone() })
        }
        StagingState::Failed { reason, retry_at, .. } => {
            let phase = if now >= deadline { Phase::Degraded } else { Phase::Progressing };
            let attempts = staging.attempts;
            let message = format!(
                "{version} could not be staged ({reason}); attempt {attempts}, trying again while {} serves",
                stable.spec.version
            );
            let wake_at = if now >= deadline { *retry_at } else { deadline.min(*retry_at) };
            Plan::rest_until(phase, message, Some(wake_at))
        }
    }
}

/// Through its gates. What happens now depends on what is known of these bytes.
fn ready(values: &Values, observed: &Observed, stable: &Release, staging: &Staging, digest: Digest) -> Action {
    let target = &staging.target;
    let strategy = &values.strategy;
    if digest == stable.digest {
        return Action::Relabel { digest, spec: target.spec.clone() };
    }
    if let Some(rejection) = observed.memory.rejection(target, Some(digest)) {
        return Action::Reject { reason: rejection.reason.clone() };
    }
    let known = VersionSpec { digest: Some(digest), ..target.spec.clone() };
    if observed.memory.recently_promoted(&known, strategy.rollback_window_revisions).is_some() {
        return Action::Promote(Why::Rollback);
    }
    if strategy.skip_analysis || strategy.steps.is_empty() {
        return Action::Promote(Why::NoTrial);
    }
    Action::BeginTrial
}

/// Why a version that took too long is sent away.
pub(super) fn overdue(values: &Values, staging: &Staging) -> String {
    let seconds = values.strategy.progress_deadline.as_secs();
    let last = match &staging.state {
        StagingState::Failed { reason, .. } => format!(", last error: {reason}"),
        StagingState::Running | StagingState::Ready { .. } => String::new(),
    };
    let version = &staging.target.spec.version;
    format!("{version} could not be staged within its progress deadline of {seconds} s{last}")
}
