//! No version serves: which one should, and what to do when it cannot.
//!
//! First that applies: the decision remembered for what the values ask for; the `stable` they declare; the last
//! version promoted here; what they ask for, after every gate. A rejected version is never among them.
//!
//! A declared `stable` that cannot be staged is tried again for ever and nothing takes its place: it was declared so
//! that a pod does not serve an untried version, and one that is not ready harms less than one that is wrong. A
//! remembered version was not declared by anybody, so one that cannot be staged is forgotten.

use config::{Digest, Values, VersionSpec};
use tokio::time::Instant;

use super::super::release::Target;
use super::{Action, Observed, Phase, Plan, Staging, StagingState, Why, after, warm};

/// What a process that serves nothing should serve.
enum Choice {
    Serve(VersionSpec, Origin),
    Nothing(String),
}

/// Where the choice comes from.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    /// The values' own `model`, with this reason.
    Model(Why),
    /// The values' `stable`.
    Declared,
    /// Promoted here earlier, with these bytes.
    Remembered(Digest),
    /// Made room for a successor that failed.
    Evicted,
}

pub(super) fn plan(values: &Values, observed: &Observed, now: Instant) -> Plan {
    let (spec, origin) = match choose(values, observed) {
        Choice::Serve(spec, origin) => (spec, origin),
        Choice::Nothing(reason) if observed.staging.is_some() => {
            return Plan::Act(Action::CancelStaging { reason });
        }
        Choice::Nothing(reason) => return Plan::rest(Phase::Degraded, reason),
    };
    let target = Target { spec, retry: values.retry };
    match &observed.staging {
        Some(staging) if staging.target == target => staging_plan(values, observed, staging, origin, now),
        Some(staging) => {
            let reason = format!("{} is wanted instead of {}", target.spec.version, staging.target.spec.version);
            Plan::Act(Action::CancelStaging { reason })
        }
        None => Plan::Act(Action::Stage { target }),
    }
}

fn choose(values: &Values, observed: &Observed) -> Choice {
    let memory = &observed.memory;
    let target = Target::of(values);
    let allowed = |spec: &VersionSpec| {
        let target = Target { spec: spec.clone(), retry: values.retry };
        memory.rejection(&target, memory.resolve(spec)).is_none()
    };
    let wanted = &target.spec;
    if let Some(evicted) = &observed.evicted {
        return if allowed(wanted) && !evicted.is(wanted) {
            Choice::Serve(wanted.clone(), Origin::Model(Why::NoRoom))
        } else {
            Choice::Serve(evicted.spec.clone(), Origin::Evicted)
        };
    }
    if allowed(wanted) && memory.recently_promoted(wanted, values.strategy.rollback_window_revisions) {
        return Choice::Serve(wanted.clone(), Origin::Model(Why::Remembered));
    }
    if let Some(stable) = values.stable.as_ref().filter(|stable| allowed(stable)) {
        return Choice::Serve(stable.clone(), Origin::Declared);
    }
    let mut promoted = memory.promoted().iter();
    if let Some(release) = promoted.find(|release| !release.is(wanted) && allowed(&release.spec)) {
        return Choice::Serve(release.spec.clone(), Origin::Remembered(release.digest));
    }
    match memory.rejection(&target, memory.resolve(wanted)) {
        None => Choice::Serve(wanted.clone(), Origin::Model(Why::First)),
        Some(rejection) => Choice::Nothing(format!(
            "nothing serves: {} was rejected ({}); declare stable, ask for another version, or bump retry",
            wanted.version, rejection.reason
        )),
    }
}

fn staging_plan(values: &Values, observed: &Observed, staging: &Staging, origin: Origin, now: Instant) -> Plan {
    let version = &staging.target.spec.version;
    match &staging.state {
        StagingState::Running => {
            let deadline = after(staging.since, values.strategy.progress_deadline);
            let overdue = now >= deadline;
            let phase = if overdue { Phase::Degraded } else { Phase::Progressing };
            let late = if overdue { ", longer than its progress deadline" } else { "" };
            let message = format!("nothing serves yet: {version} is being staged{late}");
            Plan::rest_until(phase, message, (!overdue).then_some(deadline))
        }
        StagingState::Failed { reason, permanent: true, retry_at, .. } => match origin {
            Origin::Model(_) => Plan::Act(Action::Reject { reason: reason.clone() }),
            Origin::Remembered(digest) => Plan::Act(Action::Forget { digest }),
            Origin::Declared | Origin::Evicted => again(staging, reason, *retry_at, now),
        },
        StagingState::Failed { .. } if gives_up(values, observed, staging, origin, now) => {
            Plan::Act(Action::Reject { reason: warm::overdue(values, staging) })
        }
        StagingState::Failed { reason, retry_at, .. } => again(staging, reason, *retry_at, now),
        StagingState::Ready { digest } => match observed.memory.rejection(&staging.target, Some(*digest)) {
            Some(rejection) => Plan::Act(Action::Reject { reason: rejection.reason.clone() }),
            None => Plan::Act(Action::Promote(match origin {
                Origin::Model(why) => why,
                Origin::Declared => Why::DeclaredStable,
                Origin::Remembered(_) | Origin::Evicted => Why::Remembered,
            })),
        },
    }
}

/// Only where there is something to go back to: the version that made room.
fn gives_up(values: &Values, observed: &Observed, staging: &Staging, origin: Origin, now: Instant) -> bool {
    let strategy = &values.strategy;
    observed.evicted.is_some()
        && matches!(origin, Origin::Model(_))
        && strategy.progress_deadline_abort
        && now >= after(staging.since, strategy.progress_deadline)
}

fn again(staging: &Staging, reason: &str, retry_at: Instant, now: Instant) -> Plan {
    if now >= retry_at {
        return Plan::Act(Action::Stage { target: staging.target.clone() });
    }
    let version = &staging.target.spec.version;
    let attempts = staging.attempts;
    let message = format!("nothing serves: {version} could not be staged ({reason}); attempt {attempts}, trying again");
    Plan::rest_until(Phase::Degraded, message, Some(retry_at))
}
