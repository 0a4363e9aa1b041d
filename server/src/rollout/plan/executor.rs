//! A small executor for tests of the planner: staging succeeds or fails when the test says so, time goes when it is
//! told to, and every published route is held against the invariants.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use config::{Digest, Step, Values, VersionSpec, Weight};
use tokio::time::Instant;

use super::super::analysis::{Evidence, Outcome};
use super::super::memory::Memory;
use super::super::release::Target;
use super::super::testing::digest;
use super::*;

pub(super) struct World {
    pub(super) values: Arc<Values>,
    pub(super) observed: Observed,
    pub(super) now: Instant,
    pub(super) rest: Rest,
    /// Every action done, oldest first.
    pub(super) log: Vec<Action>,
    /// How often a version on trial (and not on its way) was rejected.
    pub(super) rejected_on_trial: usize,
    analyses: Analyses,
    evidence: HashMap<Digest, Arc<Evidence>>,
    verified: HashSet<Digest>,
    /// What the reconciler would hold.
    residents: HashSet<Digest>,
}

impl World {
    /// A process that starts with these values and this memory.
    pub(super) fn start(values: Values, memory: Memory) -> Self {
        let mut world = Self {
            values: Arc::new(values),
            observed: Observed::cold(memory),
            now: Instant::now(),
            rest: Rest { phase: Phase::Progressing, message: String::new(), wake_at: None },
            log: Vec::new(),
            rejected_on_trial: 0,
            analyses: Analyses::default(),
            evidence: HashMap::new(),
            verified: HashSet::new(),
            residents: HashSet::new(),
        };
        world.settle();
        world
    }

    /// A process on which `values` are settled: the version is stable.
    pub(super) fn settled(values: Values) -> Self {
        let mut world = Self::start(values, Memory::default());
        world.staged();
        assert_eq!(world.rest.phase, Phase::Healthy);
        world
    }

    pub(super) fn restart(&mut self) {
        *self = Self::start(Values::clone(&self.values), self.observed.saved.clone());
    }

    pub(super) fn ask(&mut self, change: impl FnOnce(&mut Values)) {
        change(Arc::make_mut(&mut self.values));
        self.settle();
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now += by;
        self.settle();
    }

    /// The bytes that a version has: those of its pin, else of its number.
    fn bytes_of(spec: &VersionSpec) -> Digest {
        spec.digest.unwrap_or_else(|| digest(spec.version.as_str()[1..].parse().unwrap()))
    }

    /// The attempt under way succeeds.
    pub(super) fn staged(&mut self) {
        let Some(spec) = self.running() else { return };
        self.staged_as(Self::bytes_of(&spec));
    }

    pub(super) fn staged_as(&mut self, digest: Digest) {
        self.verified.insert(digest);
        self.residents.insert(digest);
        self.evidence.entry(digest).or_default();
        self.observed.staged(StagingState::Ready { digest });
        self.settle();
    }

    /// The attempt under way fails.
    pub(super) fn failed(&mut self, permanent: bool, no_room: bool) {
        if self.running().is_none() {
            return;
        }
        self.observed.staged(StagingState::Failed {
            reason: "pull: no such object".to_owned(),
            digest: None,
            permanent,
            no_room,
            retry_at: self.now + Duration::from_secs(1),
        });
        self.settle();
    }

    pub(super) fn running(&self) -> Option<VersionSpec> {
        let staging = self.observed.staging.as_ref()?;
        (staging.state == StagingState::Running).then(|| staging.target.spec.clone())
    }

    /// The canary answers `times` requests like this.
    pub(super) fn traffic(&mut self, outcome: Outcome, times: u64) {
        if let Some(trial) = &self.observed.trial {
            let evidence = &self.evidence[&trial.release.digest];
            (0..times).for_each(|_| evidence.record(outcome, Duration::from_millis(1)));
        }
    }

    pub(super) fn command(&mut self, verb: Verb) -> Result<String, VerbError> {
        let (action, message) = command(verb, &self.values, &self.observed, self.now)?;
        self.execute(action);
        self.settle();
        Ok(message)
    }

    pub(super) fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let trial = self.observed.trial.as_ref();
            let evidence = &self.evidence;
            self.analyses.follow(trial, || evidence[&trial.unwrap().release.digest].counts(), self.now);
            match next_actions(&self.values, &self.observed, &self.analyses.verdicts(), self.now) {
                Plan::Act(action) => self.execute(action),
                Plan::Rest(rest) => {
                    self.rest = rest.or_wake_at(self.analyses.next_at());
                    assert!(self.rest.wake_at.is_none_or(|at| at > self.now), "a busy loop: {:?}", self.rest);
                    assert!(!self.rest.message.is_empty());
                    return;
                }
            }
        }
        panic!("the plan does not settle: {:#?}", &self.log[self.log.len() - 8..]);
    }

    fn execute(&mut self, action: Action) {
        if let Action::Publish(routing) = &action {
            self.check_routing(routing);
        }
        let held = self.observed.trial.as_ref().is_some_and(|trial| trial.hold.is_some());
        if matches!(action, Action::StartStep(_)) && held {
            self.analyses.acknowledge();
        }
        let on_trial = self.observed.trial.is_some();
        self.rejected_on_trial += usize::from(on_trial && matches!(action, Action::Reject { .. }));
        if action == Action::Promote(Why::Remembered) {
            self.check_remembered();
        }
        self.observed.apply(&action, &self.values, Moment { instant: self.now, wall: UNIX_EPOCH });
        self.residents.retain(|digest| self.observed.needs(*digest));
        self.log.push(action);
    }

    fn check_remembered(&self) {
        let state = self.observed.staging.as_ref().map(|staging| &staging.state);
        let Some(StagingState::Ready { digest }) = state else { panic!("not staged: {state:?}") };
        let known = self.observed.memory.promoted().iter().any(|release| release.digest == *digest);
        assert!(known, "{digest:?} was never promoted here");
    }

    fn check_routing(&self, routing: &Routing) {
        for release in routing.stable.iter().chain(&routing.canary) {
            assert!(self.verified.contains(&release.digest), "unverified {release:?} would get traffic");
            assert!(self.residents.contains(&release.digest), "{release:?} would get traffic and is not resident");
        }
        if let Some(stable) = &routing.stable {
            let target = Target { spec: stable.spec.clone(), retry: self.values.retry };
            assert!(self.observed.memory.rejection(&target, Some(stable.digest)).is_none(), "a rejected stable");
        }
        let canary = routing.canary.as_ref();
        let Some(canary) = canary else {
            assert_eq!(routing.canary_weight, Weight::ZERO, "weight without a canary");
            return;
        };
        assert!(routing.stable.is_some(), "a canary needs a stable beside it");
        let target = Target { spec: canary.spec.clone(), retry: self.observed.trial.as_ref().unwrap().target.retry };
        assert!(self.observed.memory.rejection(&target, Some(canary.digest)).is_none(), "a rejected canary");
        let steps = &self.observed.trial.as_ref().unwrap().values.strategy.steps;
        let named = |step: &Step| *step == Step::SetWeight(routing.canary_weight);
        assert!(routing.canary_weight == Weight::ZERO || steps.iter().any(named), "a weight that no step names");
    }

    // What callers and operators see.

    pub(super) fn stable(&self) -> Option<&str> {
        let routing = self.observed.published.as_ref().expect("settled means published");
        routing.stable.as_ref().map(|release| release.spec.version.as_str())
    }

    pub(super) fn canary(&self) -> Option<(&str, f64)> {
        let routing = self.observed.published.as_ref().expect("settled means published");
        routing.canary.as_ref().map(|release| (release.spec.version.as_str(), routing.canary_weight.percent()))
    }

    pub(super) fn promotions(&self) -> Vec<Why> {
        let why = |action: &Action| if let Action::Promote(why) = action { Some(*why) } else { None };
        self.log.iter().filter_map(why).collect()
    }

    pub(super) fn rejections(&self) -> usize {
        self.log.iter().filter(|action| matches!(action, Action::Reject { .. })).count()
    }
}
