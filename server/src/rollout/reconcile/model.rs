//! One model: asks the planner, does what it says, and holds the resident versions that the state speaks of.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use config::{Digest, ModelName, Values, VersionSpec};
use fail::fail_point;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::analysis::Evidence;
use super::super::backoff;
use super::super::desired::DesiredModel;
use super::super::memory::{Memory, Writer};
use super::super::plan::{
    self, Action, Analyses, Moment, Observed, Phase, Plan, ROUNDS_MAX, Rest, Routing, StagingState, Verb, VerbError,
};
use super::super::port::{Resident, RouteUpdate, Routes, StageError, StagePhase, StageRequest, Staged, Stager};
use super::super::release::{Release, Target};
use super::super::status::{HISTORY_MAX, HistoryEvent};
use super::AttemptEvent;
use super::attempt::Attempt;

/// What all models share.
pub(super) struct Shell<S: Stager, R> {
    pub(super) stager: Arc<S>,
    pub(super) routes: R,
    pub(super) memory: Writer,
    pub(super) jitter: Box<dyn FnMut() -> f64 + Send>,
    pub(super) events: mpsc::Sender<AttemptEvent<S::Live>>,
    pub(super) attempts: u64,
}

/// One model.
pub(super) struct Model<L> {
    pub(super) name: ModelName,
    pub(super) values: Arc<Values>,
    pub(super) revision: String,
    pub(super) problem: Option<String>,
    /// Its values file is not there, and was not removed on purpose either.
    pub(super) missing: bool,
    pub(super) observed: Observed,
    pub(super) analyses: Analyses,
    pub(super) rest: Rest,
    pub(super) attempt: Option<Attempt>,
    pub(super) history: VecDeque<HistoryEvent>,
    /// Why the newest decisions are not on disk.
    pub(super) unwritten: Option<String>,
    /// What an operator should know of a resident version.
    pub(super) notes: HashMap<Digest, Vec<String>>,
    /// By digest: one version is resident once, whatever its roles.
    residents: HashMap<Digest, Arc<L>>,
    /// What callers were promised: the signature of the last stable version.
    contract: Option<Arc<models::Signature>>,
}

/// One problem as it is, and of several how many there are: each has its line in `valuesError`.
pub(super) fn headline(problem: &str) -> String {
    match problem.lines().count() {
        0 | 1 => problem.to_owned(),
        count => format!("{count} problems"),
    }
}

// === impl Model ===

impl<L: Resident> Model<L> {
    pub(super) fn new(name: ModelName, asked: &DesiredModel, memory: Memory) -> Self {
        Self {
            name,
            values: Arc::clone(&asked.values),
            revision: asked.revision.clone(),
            problem: asked.problem.clone(),
            missing: false,
            observed: Observed::cold(memory),
            analyses: Analyses::default(),
            rest: Rest { phase: Phase::Progressing, message: "begins".to_owned(), wake_at: None },
            attempt: None,
            history: VecDeque::with_capacity(HISTORY_MAX),
            unwritten: None,
            notes: HashMap::new(),
            residents: HashMap::new(),
            contract: None,
        }
    }

    pub(super) fn observe(&mut self, asked: &DesiredModel) {
        if asked.problem != self.problem
            && let Some(problem) = &asked.problem
        {
            self.remember_event("valuesRefused", &asked.values.model.target.version.to_string(), headline(problem));
        }
        if asked.revision != self.revision {
            self.remember_event(
                "valuesObserved",
                &asked.values.model.target.version.to_string(),
                asked.revision.clone(),
            );
        }
        self.values = Arc::clone(&asked.values);
        self.revision.clone_from(&asked.revision);
        self.problem.clone_from(&asked.problem);
    }

    pub(super) fn set_missing(&mut self, missing: bool) {
        self.missing = missing;
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.rest.wake_at
    }

    pub(super) fn set_phase(&mut self, number: u64, phase: StagePhase) {
        if let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.number == number) {
            attempt.phase = Some(phase);
        }
    }

    /// Takes in the result of an attempt; whether it was one that is still wanted.
    pub(super) fn finish(&mut self, number: u64, result: Result<Staged<L>, StageError>, jitter: f64) -> bool {
        if self.attempt.take_if(|attempt| attempt.number == number).is_none() {
            return false;
        }
        fail_point!("rollout::after_staged");
        let attempts = self.observed.staging.as_ref().map_or(1, |staging| staging.attempts);
        let version = self.observed.staging.as_ref().map(|s| s.target.spec.version.to_string()).unwrap_or_default();
        let state = match result {
            Ok(staged) => {
                let notes = staged.notes.join("; ");
                let reason =
                    if notes.is_empty() { "verified, warmed up, and nothing to note".to_owned() } else { notes };
                self.remember_event("staged", &version, reason);
                self.notes.insert(staged.digest, staged.notes);
                self.adopt(staged.digest, staged.live);
                StagingState::Ready { digest: staged.digest }
            }
            Err(error) => {
                self.remember_event("stageFailed", &version, error.to_string());
                StagingState::Failed {
                    reason: error.to_string(),
                    digest: error.digest,
                    permanent: error.permanent,
                    no_room: error.no_room,
                    retry_at: Instant::now() + backoff::delay(attempts, jitter),
                }
            }
        };
        self.observed.staged(state);
        true
    }

    /// The same bytes may be resident already. In a role, they stay and the new copy goes; else the new copy is
    /// taken, whose evidence starts at nothing.
    fn adopt(&mut self, digest: Digest, live: Arc<L>) {
        let serves = |release: &Release| release.digest == digest;
        let in_role = self.observed.stable.as_ref().is_some_and(serves)
            || self.observed.trial.as_ref().is_some_and(|trial| serves(&trial.release));
        if !in_role {
            self.residents.insert(digest, live);
        }
    }

    pub(super) fn command<S, R>(&mut self, verb: Verb, shell: &mut Shell<S, R>) -> Result<String, VerbError>
    where
        S: Stager<Live = L>,
        R: Routes<Live = L>,
    {
        let (action, message) = plan::command(verb, &self.values, &self.observed, Instant::now())?;
        self.execute(&action, shell);
        self.settle(shell);
        Ok(message)
    }

    /// Plans and acts until there is nothing to do.
    pub(super) fn settle<S, R>(&mut self, shell: &mut Shell<S, R>)
    where
        S: Stager<Live = L>,
        R: Routes<Live = L>,
    {
        for _ in 0..ROUNDS_MAX {
            let now = Instant::now();
            self.follow(now);
            match plan::next_actions(&self.values, &self.observed, &self.analyses.verdicts(), now) {
                Plan::Act(action) => self.execute(&action, shell),
                Plan::Rest(rest) => {
                    self.rest = rest.or_wake_at(self.analyses.next_at());
                    return;
                }
            }
        }
        tracing::error!(model = %self.name, rounds = ROUNDS_MAX, "the plan does not settle, waiting for the next event");
        self.rest = Rest { phase: Phase::Degraded, message: "the plan does not settle".to_owned(), wake_at: None };
    }

    fn follow(&mut self, now: Instant) {
        let trial = self.observed.trial.as_ref();
        let evidence = trial.and_then(|trial| self.residents.get(&trial.release.digest)).map(|live| live.evidence());
        let counts = || evidence.map_or_else(|| Evidence::new().counts(), |evidence| evidence.counts());
        self.analyses.follow(trial, counts, now);
    }

    fn execute<S, R>(&mut self, action: &Action, shell: &mut Shell<S, R>)
    where
        S: Stager<Live = L>,
        R: Routes<Live = L>,
    {
        self.note(action);
        match action {
            Action::Stage { target } => self.stage(target, shell),
            Action::Publish(routing) => self.publish(routing, &shell.routes),
            Action::Remember => shell.memory.save(&self.name, self.observed.memory.clone()),
            Action::Relabel { digest, spec } => self.relabel(*digest, spec),
            Action::StartStep(_) if self.observed.trial.as_ref().is_some_and(|trial| trial.hold.is_some()) => {
                self.analyses.acknowledge();
            }
            // These change roles only; bytes, tasks and routes follow from the roles.
            Action::StartStep(_)
            | Action::Reuse { .. }
            | Action::CancelStaging { .. }
            | Action::BeginTrial
            | Action::Hold { .. }
            | Action::Promote(_)
            | Action::Reject { .. }
            | Action::DropCandidate { .. }
            | Action::MakeRoom
            | Action::Forgive { .. }
            | Action::Forget { .. }
            | Action::Unload { .. } => {}
        }
        self.observed.apply(action, &self.values, now());
        self.release_unneeded();
        match action {
            Action::Promote(_) => {
                self.contract = self.stable().map(|live| Arc::clone(live.signature()));
                fail_point!("rollout::after_promote");
            }
            Action::Reject { .. } => fail_point!("rollout::after_reject"),
            _ => {}
        }
    }

    fn stage<S, R>(&mut self, target: &Target, shell: &mut Shell<S, R>)
    where
        S: Stager<Live = L>,
    {
        fail_point!("rollout::before_stage");
        let strategy = &self.values.strategy;
        // A version that comes back was what callers had before: what its successor learnt to accept since does not
        // bind it, or a rollback could be refused.
        let comes_back =
            self.observed.memory.recently_promoted(&target.spec, strategy.rollback_window_revisions).is_some();
        let request = StageRequest {
            model: self.name.clone(),
            spec: target.spec.clone(),
            signing: self.values.model.signing.clone(),
            serving: self.values.serving.clone(),
            format: self.values.model.format.clone(),
            compatible_with: self.contract.clone().filter(|_| !comes_back),
        };
        shell.attempts += 1;
        self.attempt = Some(Attempt::start(Arc::clone(&shell.stager), request, shell.attempts, shell.events.clone()));
    }

    fn publish(&self, routing: &Routing, routes: &impl Routes<Live = L>) {
        fail_point!("rollout::before_publish");
        let live = |release: &Option<Release>| {
            release.as_ref().and_then(|release| self.residents.get(&release.digest)).map(Arc::clone)
        };
        routes.publish(RouteUpdate {
            model: self.name.clone(),
            stable: live(&routing.stable),
            canary: live(&routing.canary),
            canary_weight: routing.canary_weight,
            affinity: routing.affinity.clone(),
            on_failure: routing.on_failure,
            timeout_default: routing.timeout_default,
        });
        fail_point!("rollout::after_publish");
    }

    fn relabel(&mut self, digest: Digest, spec: &VersionSpec) {
        // Another pin or place alone is nothing that callers see.
        let renamed = self.observed.label(digest) != Some(&spec.version);
        if let Some(live) = self.residents.get_mut(&digest).filter(|_| renamed) {
            *live = live.relabeled(&spec.version);
        }
    }

    fn stable(&self) -> Option<&Arc<L>> {
        self.observed.stable.as_ref().and_then(|stable| self.residents.get(&stable.digest))
    }

    /// What has no role any more is let go of here and nowhere else: bytes by their last `Arc`, attempts by their task.
    fn release_unneeded(&mut self) {
        self.residents.retain(|digest, _| self.observed.needs(*digest));
        self.notes.retain(|digest, _| self.residents.contains_key(digest));
        let staging = self.observed.staging.as_ref().is_some_and(|staging| staging.state == StagingState::Running);
        self.attempt.take_if(|_| !staging);
    }
}

/// Now. A clock before 1970 reads as 1970: it cannot be written down.
fn now() -> Moment {
    Moment { instant: Instant::now(), wall: SystemTime::now().max(UNIX_EPOCH) }
}
