//! What is there: one model's versions in their roles, and what each action changes about them. Pure.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::{Digest, Values, Version, VersionSpec};
use tokio::time::Instant;

use super::super::memory::{Memory, Rejection};
use super::super::release::{Release, Target};
use super::{Action, Routing, after};

/// Resident versions kept without a role, at most: each costs device memory.
const RETAINED_MAX: usize = 2;

/// Now, on both clocks: one to wait by, one to write down.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For waiting.
    pub instant: Instant,
    /// For people and for the next process.
    pub wall: SystemTime,
}

/// The versions of one model and the roles they have.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Serves whatever the canary does not.
    pub stable: Option<Release>,
    /// On its way to the device, or there and not yet given a role.
    pub staging: Option<Staging>,
    /// The canary.
    pub trial: Option<Trial>,
    /// Resident without a role, oldest first.
    pub retained: Vec<Retained>,
    /// Stable until it had to make room for its successor; comes back if that one fails.
    pub evicted: Option<Release>,
    /// The routes as last published.
    pub published: Option<Routing>,
    /// Decisions.
    pub memory: Memory,
    /// Decisions as last given to be written.
    pub saved: Memory,
}

/// A version on its way: `Running → Ready`, or `Running → Failed → Running …`.
#[derive(Debug, Clone, PartialEq)]
pub struct Staging {
    /// What was asked for.
    pub target: Target,
    /// When the first attempt began; the progress deadline counts from here.
    pub since: Instant,
    /// Attempts begun, this one included; since room was made, where it was.
    pub attempts: u32,
    /// Failures for want of room, in a row and since something was last freed for it.
    pub no_room: u32,
    /// How far it is.
    pub state: StagingState,
}

/// How far a staging is.
#[derive(Debug, Clone, PartialEq)]
pub enum StagingState {
    /// An attempt is under way.
    Running,
    /// The attempt failed.
    Failed {
        /// What went wrong, and during which phase.
        reason: String,
        /// What the bytes were, where that is known.
        digest: Option<Digest>,
        /// The same bytes would fail again.
        permanent: bool,
        /// It does not fit beside what is resident.
        no_room: bool,
        /// When to try again.
        retry_at: Instant,
    },
    /// Verified, loaded, warm, and through its gates.
    Ready {
        /// What was verified.
        digest: Digest,
    },
}

/// A canary on trial.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What was asked for.
    pub target: Target,
    /// What serves as canary.
    pub release: Release,
    /// The values when the trial began: its strategy does not change under it.
    pub values: Arc<Values>,
    /// Index of the current step; the number of steps when all are done.
    pub step: usize,
    /// When the step began.
    pub step_since: Instant,
    /// Set while a person is waited for.
    pub hold: Option<Hold>,
}

/// Why a trial waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// In one sentence.
    pub reason: String,
}

/// A resident version without a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retained {
    /// Which.
    pub release: Release,
    /// When it is freed; `None` keeps it until it is replaced.
    pub until: Option<Instant>,
}

// === impl Staging ===

impl Staging {
    /// Something was freed: what failed for want of room is tried again at once.
    fn has_room(&mut self, now: Instant) {
        self.no_room = 0;
        if let StagingState::Failed { no_room: true, retry_at, .. } = &mut self.state {
            *retry_at = now;
        }
    }
}

// === impl Observed ===

impl Observed {
    /// A process that just started.
    #[must_use]
    pub fn cold(memory: Memory) -> Self {
        Self { saved: memory.clone(), memory, ..Self::default() }
    }

    /// Whether the bytes behind `digest` must stay resident.
    #[must_use]
    pub fn needs(&self, digest: Digest) -> bool {
        let is = |release: &Release| release.digest == digest;
        self.stable.as_ref().is_some_and(is)
            || self.trial.as_ref().is_some_and(|trial| is(&trial.release))
            || self
                .staging
                .as_ref()
                .is_some_and(|s| matches!(s.state, StagingState::Ready { digest: d } if d == digest))
            || self.retained.iter().any(|retained| is(&retained.release))
    }

    /// What the version of `digest` is called now, in whatever role.
    #[must_use]
    pub fn label(&self, digest: Digest) -> Option<&Version> {
        let trial = self.trial.as_ref().map(|trial| &trial.release);
        let retained = self.retained.iter().map(|retained| &retained.release);
        let mut releases = self.stable.iter().chain(trial).chain(retained);
        releases.find(|release| release.digest == digest).map(|release| &release.spec.version)
    }

    /// What staging came to.
    pub fn staged(&mut self, state: StagingState) {
        if let StagingState::Ready { digest } = state {
            self.retained.retain(|retained| retained.release.digest != digest);
        }
        if let Some(staging) = &mut self.staging {
            let no_room = matches!(state, StagingState::Failed { no_room: true, .. });
            staging.no_room = if no_room { staging.no_room.saturating_add(1) } else { 0 };
            staging.state = state;
        }
    }

    /// What `action` changes. Doing one that does not fit the state changes nothing.
    pub fn apply(&mut self, action: &Action, values: &Arc<Values>, now: Moment) {
        match action {
            Action::Stage { target } => self.stage(target, now.instant),
            Action::Reuse { target, digest } => self.reuse(target, *digest, now.instant),
            Action::CancelStaging { .. } => self.staging = None,
            Action::BeginTrial => self.begin_trial(values, now.instant),
            Action::StartStep(step) => self.start_step(*step, now.instant),
            Action::Hold { reason } => {
                if let Some(trial) = &mut self.trial {
                    trial.hold = Some(Hold { reason: reason.clone() });
                }
            }
            Action::Promote(_) => self.promote(values, now.instant),
            Action::Reject { reason } => self.reject(reason, now),
            Action::DropCandidate { .. } => self.trial = None,
            Action::Relabel { digest, spec } => self.relabel(*digest, spec),
            Action::MakeRoom => self.make_room(now.instant),
            Action::Forgive { target } => {
                self.memory.forgive(target);
            }
            Action::Forget { digest } => {
                self.memory.forget(*digest);
                self.evicted.take_if(|evicted| evicted.digest == *digest);
                self.staging = None;
            }
            Action::Unload { digest } => self.unload(*digest, now.instant),
            Action::Publish(routing) => self.published = Some(Routing::clone(routing)),
            Action::Remember => self.saved = self.memory.clone(),
        }
    }

    fn stage(&mut self, target: &Target, now: Instant) {
        let again = self.staging.take().filter(|staging| staging.target == *target);
        let (since, attempts, no_room) = again.map_or((now, 0, 0), |s| (s.since, s.attempts, s.no_room));
        let (target, attempts) = (target.clone(), attempts.saturating_add(1));
        self.staging = Some(Staging { target, since, attempts, no_room, state: StagingState::Running });
        // "Kept until it is replaced" ends here: the device memory is needed now.
        self.retained.retain(|retained| retained.until.is_some());
    }

    fn reuse(&mut self, target: &Target, digest: Digest, now: Instant) {
        self.retained.retain(|retained| retained.release.digest != digest);
        let state = StagingState::Ready { digest };
        self.staging = Some(Staging { target: target.clone(), since: now, attempts: 0, no_room: 0, state });
    }

    /// The staging goes on, with the deadline it had: nothing serves until it ends.
    fn make_room(&mut self, now: Instant) {
        self.evicted = self.stable.take();
        if let Some(staging) = &mut self.staging {
            staging.attempts = 0;
            staging.has_room(now);
        }
    }

    fn unload(&mut self, digest: Digest, now: Instant) {
        self.retained.retain(|retained| retained.release.digest != digest);
        if let Some(staging) = &mut self.staging {
            staging.has_room(now);
        }
    }

    /// The staged version, taken out of staging.
    fn take_ready(&mut self) -> Option<(Target, Release)> {
        let ready = self.staging.take_if(|staging| matches!(staging.state, StagingState::Ready { .. }))?;
        let StagingState::Ready { digest } = ready.state else { return None };
        Some((ready.target.clone(), Release { spec: ready.target.spec, digest }))
    }

    fn begin_trial(&mut self, values: &Arc<Values>, now: Instant) {
        if let Some((target, release)) = self.take_ready() {
            let values = Arc::clone(values);
            self.trial = Some(Trial { target, release, values, step: 0, step_since: now, hold: None });
        }
    }

    fn start_step(&mut self, step: usize, now: Instant) {
        if let Some(trial) = &mut self.trial {
            trial.step = step.min(trial.values.strategy.steps.len());
            trial.step_since = now;
            trial.hold = None;
        }
    }

    fn relabel(&mut self, digest: Digest, spec: &VersionSpec) {
        if let Some(stable) = self.stable.as_mut().filter(|stable| stable.digest == digest) {
            stable.spec = spec.clone();
            self.memory.relabel(stable);
        }
        if let Some(trial) = self.trial.as_mut().filter(|trial| trial.release.digest == digest) {
            trial.release.spec = spec.clone();
            trial.target.spec = spec.clone();
        }
    }

    fn promote(&mut self, values: &Arc<Values>, now: Instant) {
        let promoted = match self.trial.take() {
            Some(trial) => Some((trial.release, trial.values.strategy.scale_down_delay)),
            None => self.take_ready().map(|(_, release)| (release, values.strategy.scale_down_delay)),
        };
        let Some((release, delay)) = promoted else { return };
        if let Some(old) = self.stable.replace(release.clone()) {
            self.retain(old, Some(delay), now);
        }
        self.evicted = None;
        self.memory.promote(release);
    }

    fn reject(&mut self, reason: &str, now: Moment) {
        let (target, digest) = if let Some(trial) = self.trial.take() {
            let digest = trial.release.digest;
            let delay = trial.values.strategy.abort_scale_down_delay;
            self.retain(trial.release, (!delay.is_zero()).then_some(delay), now.instant);
            (trial.target, Some(digest))
        } else if let Some(staging) = self.staging.take() {
            // With a pin, the pin is what was asked for: other bytes than those say nothing about it.
            let digest = match staging.state {
                StagingState::Ready { digest } => Some(digest),
                StagingState::Failed { digest, .. } => staging.target.spec.digest.or(digest),
                StagingState::Running => staging.target.spec.digest,
            };
            (staging.target, digest)
        } else {
            return;
        };
        self.memory.reject(Rejection { target, digest, reason: reason.to_owned(), at: now.wall });
    }

    fn retain(&mut self, release: Release, delay: Option<Duration>, now: Instant) {
        self.retained.push(Retained { release, until: delay.map(|delay| after(now, delay)) });
        let surplus = self.retained.len().saturating_sub(RETAINED_MAX);
        self.retained.drain(..surplus);
    }
}
