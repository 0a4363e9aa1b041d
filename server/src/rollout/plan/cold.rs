//! No version serves: which one should, and what to do when it cannot.
//!
//! First that applies: the decision remembered for what the values ask for; the `stable` they declare; the last
//! version promoted here; what they ask for, after every gate. A rejected version is never among them.
//!
//! A declared `stable` that cannot be staged is tried again for ever and nothing takes its place: it was declared so
//! that a pod does not serve an untried version, and one that is not ready harms less than one that is wrong. A
//! remembered version was not declared by anybody, so one that cannot be staged is forgotten.
//!
//! What was promoted here is asked for by its bytes, pinned in the values or not: they are in the cache, and what became
//! of the place they came from does not matter. Only where trying again would not help (they are neither in the cache nor
//! in the bucket, or a gate refuses them) is the promotion forgotten, and the version one like any other.
//!
//! A version that made room for its successor comes back as soon as that one failed twice, took too long or is not
//! wanted any more: nothing serves meanwhile.

use config::{Digest, Values, VersionSpec};
use tokio::time::Instant;

use super::super::memory::Memory;
use super::super::release::Target;
use super::{Action, Observed, Phase, Plan, Staging, StagingState, TRY_AGAIN, Why, after, warm};

/// Attempts for which an evicted version stays away. Not one: its memory is given back a moment after its eviction.
const ATTEMPTS_EVICTED_MAX: u32 = 2;

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
    /// Promoted here earlier.
    Remembered,
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
        // Room was made for what is on its way; another version would have to be pulled first.
        let on_its_way = observed.staging.as_ref().is_some_and(|staging| staging.target == target);
        return if on_its_way && allowed(wanted) && !evicted.is(wanted) {
            Choice::Serve(wanted.clone(), Origin::Model(Why::NoRoom))
        } else {
            Choice::Serve(evicted.clone().pinned().spec, Origin::Evicted)
        };
    }
    let window = values.strategy.rollback_window_revisions;
    if allowed(wanted) && memory.recently_promoted(wanted, window).is_some() {
        return Choice::Serve(by_bytes(memory, wanted), Origin::Model(Why::Remembered));
    }
    if let Some(stable) = values.stable.as_ref().filter(|stable| allowed(stable)) {
        return Choice::Serve(by_bytes(memory, stable), Origin::Declared);
    }
    let mut promoted = memory.promoted().iter();
    if let Some(release) = promoted.find(|release| !release.is(wanted) && allowed(&release.spec)) {
        return Choice::Serve(release.spec.clone(), Origin::Remembered);
    }
    match memory.rejection(&target, memory.resolve(wanted)) {
        None => Choice::Serve(wanted.clone(), Origin::Model(Why::First)),
        Some(rejection) => Choice::Nothing(format!(
            "nothing serves: {} was rejected ({}); declare stable, ask for another version, {TRY_AGAIN}",
            wanted.version, rejection.reason
        )),
    }
}

/// `spec` with the bytes that it was promoted with, where it was.
fn by_bytes(memory: &Memory, spec: &VersionSpec) -> VersionSpec {
    let promoted = memory.promoted().iter().find(|release| release.is(spec));
    VersionSpec { digest: spec.digest.or(promoted.map(|release| release.digest)), ..spec.clone() }
}

fn staging_plan(values: &Values, observed: &Observed, staging: &Staging, origin: Origin, now: Instant) -> Plan {
    if let Some(reason) = gives_up(values, observed, staging, origin, now) {
        return Plan::Act(Action::Reject { reason });
    }
    let version = &staging.target.spec.version;
    let deadline = after(staging.since, values.strategy.progress_deadline);
    match &staging.state {
        StagingState::Running => {
            let overdue = now >= deadline;
            let phase = if overdue { Phase::Degraded } else { Phase::Progressing };
            let late = if overdue { ", longer than its progress deadline" } else { "" };
            let message = format!("nothing serves yet: {version} is being staged{late}");
            Plan::rest_until(phase, message, (!overdue).then_some(deadline))
        }
        StagingState::Failed { reason, permanent: true, retry_at, .. } => {
            let again = || again(staging, reason, *retry_at, Phase::Degraded, now);
            refused(observed, staging, origin, reason).map_or_else(again, Plan::Act)
        }
        // The first deployment meets a bucket's hiccup too, and `sluice wait` ends at Degraded.
        StagingState::Failed { reason, retry_at, .. } if now < deadline => {
            let plan = again(staging, reason, *retry_at, Phase::Progressing, now);
            if let Plan::Rest(rest) = plan { Plan::Rest(rest.or_wake_at(Some(deadline))) } else { plan }
        }
        StagingState::Failed { reason, retry_at, .. } => again(staging, reason, *retry_at, Phase::Degraded, now),
        StagingState::Ready { digest } => match observed.memory.rejection(&staging.target, Some(*digest)) {
            Some(rejection) => Plan::Act(Action::Reject { reason: rejection.reason.clone() }),
            None => Plan::Act(Action::Promote(match origin {
                Origin::Model(why) => why,
                Origin::Declared => Why::DeclaredStable,
                Origin::Remembered | Origin::Evicted => Why::Remembered,
            })),
        },
    }
}

/// What follows where trying again would not help; `None` where there is nothing else to do than that.
fn refused(observed: &Observed, staging: &Staging, origin: Origin, reason: &str) -> Option<Action> {
    let remembered = |digest| observed.memory.promoted().iter().any(|release| release.digest == digest);
    let forgettable = |digest: &Digest| remembered(*digest) || origin == Origin::Evicted;
    if let Some(digest) = staging.target.spec.digest.filter(forgettable) {
        return Some(Action::Forget { digest });
    }
    matches!(origin, Origin::Model(_)).then(|| Action::Reject { reason: reason.to_owned() })
}

/// Why a version that room was made for is sent away; only then is there one to go back to. Whether a deadline ends a
/// staging is the operator's choice while another version serves, and none serves here.
fn gives_up(values: &Values, observed: &Observed, staging: &Staging, origin: Origin, now: Instant) -> Option<String> {
    observed.evicted.as_ref().filter(|_| matches!(origin, Origin::Model(_)))?;
    match &staging.state {
        StagingState::Failed { reason, .. } if staging.attempts >= ATTEMPTS_EVICTED_MAX => Some(format!(
            "room was made for it and it could not be staged {} times, at last: {reason}",
            staging.attempts
        )),
        StagingState::Running | StagingState::Failed { .. }
            if now >= after(staging.since, values.strategy.progress_deadline) =>
        {
            Some(warm::overdue(values, staging))
        }
        _ => None,
    }
}

fn again(staging: &Staging, reason: &str, retry_at: Instant, phase: Phase, now: Instant) -> Plan {
    if now >= retry_at {
        return Plan::Act(Action::Stage { target: staging.target.clone() });
    }
    let version = &staging.target.spec.version;
    let attempts = staging.attempts;
    let message = format!("nothing serves: {version} could not be staged ({reason}); attempt {attempts}, trying again");
    Plan::rest_until(phase, message, Some(retry_at))
}
