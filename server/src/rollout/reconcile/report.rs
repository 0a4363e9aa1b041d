//! What a model says about itself: its history, and its part of the status.

use std::time::{SystemTime, UNIX_EPOCH};

use config::Step;
use tokio::time::Instant;

use super::super::plan::{Action, Phase, Rest, StagingState};
use super::super::port::{Resident, StagePhase};
use super::super::release::Release;
use super::super::status::{
    CanaryStatus, HISTORY_MAX, HistoryEvent, MetricStatus, ModelStatus, RejectedStatus, VersionStatus,
};
use super::model::{Model, headline};

impl<L: Resident> Model<L> {
    /// Writes down what is about to be done.
    pub(super) fn note(&mut self, action: &Action) {
        let Some((event, reason)) = self.describe(action) else { return };
        let version = self.subject(action);
        tracing::info!(model = %self.name, %version, event, %reason, "rollout");
        self.remember_event(event, &version, reason);
    }

    /// The word and the reason of an action worth remembering.
    fn describe(&self, action: &Action) -> Option<(&'static str, String)> {
        Some(match action {
            Action::Stage { .. } => ("staging", "the values ask for it".to_owned()),
            Action::Reuse { .. } => ("staging", "it is still resident".to_owned()),
            Action::CancelStaging { reason } => ("cancelled", reason.clone()),
            Action::BeginTrial => ("trialStarted", "gates passed".to_owned()),
            Action::StartStep(step) => ("step", self.step(*step)),
            Action::Hold { reason } => ("paused", reason.clone()),
            Action::Promote(why) => ("promoted", why.to_string()),
            Action::Reject { reason } => ("rejected", reason.clone()),
            Action::DropCandidate { reason } => ("dropped", reason.clone()),
            Action::Relabel { digest, spec } if self.observed.label(*digest) == Some(&spec.version) => return None,
            Action::Relabel { .. } => ("relabeled", "the same bytes under another label or place".to_owned()),
            Action::MakeRoom => {
                ("unloaded", "makes room for its successor: nothing serves until that one does".to_owned())
            }
            Action::Forgive { .. } => ("retried", "retried by hand".to_owned()),
            Action::Forget { .. } => ("forgotten", "a remembered version can not be staged any more".to_owned()),
            Action::Unload { .. } => ("unloaded", "its time without a role is over".to_owned()),
            Action::Publish(_) | Action::Remember => return None,
        })
    }

    fn step(&self, index: usize) -> String {
        let steps = self.observed.trial.as_ref().map_or(&[][..], |trial| &trial.values.strategy.steps);
        let (place, count) = (index + 1, steps.len());
        match steps.get(index) {
            Some(Step::SetWeight(weight)) => format!("step {place} of {count}: weight {weight}"),
            Some(Step::Pause(Some(duration))) => {
                format!("step {place} of {count}: pause of {} s", duration.as_secs_f64())
            }
            Some(Step::Pause(None)) => format!("step {place} of {count}: pause until promoted"),
            Some(Step::Analysis(_)) => format!("step {place} of {count}: analysis"),
            None => format!("all {count} steps are done"),
        }
    }

    /// Adds to the history, which forgets its oldest.
    pub(super) fn remember_event(&mut self, event: &'static str, version: &str, reason: String) {
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        let at = SystemTime::now().max(UNIX_EPOCH);
        self.history.push_back(HistoryEvent { at, event, version: version.to_owned(), reason });
    }

    /// The version that an action is about.
    fn subject(&self, action: &Action) -> String {
        let observed = &self.observed;
        match action {
            Action::Stage { target } | Action::Reuse { target, .. } | Action::Forgive { target } => {
                target.spec.version.to_string()
            }
            Action::Relabel { spec, .. } => spec.version.to_string(),
            Action::Unload { digest } | Action::Forget { digest } => {
                observed.label(*digest).map_or_else(|| digest.short(), ToString::to_string)
            }
            Action::MakeRoom => observed.stable.as_ref().map(|r| r.spec.version.to_string()).unwrap_or_default(),
            _ => match (&observed.trial, &observed.staging) {
                (Some(trial), _) => trial.release.spec.version.to_string(),
                (None, Some(staging)) => staging.target.spec.version.to_string(),
                (None, None) => self.values.model.target.version.to_string(),
            },
        }
    }

    /// This model's part of the status.
    pub(super) fn status(&self) -> ModelStatus {
        let (phase, message) = self.outward();
        let analysis = self.analyses.runs().flat_map(|run| run.metrics()).map(MetricStatus::from);
        let memory = &self.observed.memory;
        ModelStatus {
            name: self.name.to_string(),
            phase,
            message,
            observed_revision: self.revision.clone(),
            values_error: self.problem.clone(),
            notes: self.notes(),
            desired_version: self.values.model.target.version.to_string(),
            stable: self.observed.stable.as_ref().map(|release| VersionStatus::new(release, "Serving".to_owned())),
            canary: self.canary(),
            analysis: analysis.collect(),
            rejected: memory.rejected().iter().map(RejectedStatus::from).collect(),
            promoted: memory.promoted().iter().map(|r| VersionStatus::new(r, "Promoted".to_owned())).collect(),
            history: self.history.iter().cloned().collect(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let trial = self.observed.trial.as_ref().map(|trial| &trial.release);
        let of = |release: &Release| {
            let version = release.spec.version.clone();
            let notes = self.notes.get(&release.digest).into_iter().flatten();
            notes.map(move |note| format!("{version}: {note}"))
        };
        let versions = self.observed.stable.iter().chain(trial).flat_map(of);
        let unwritten = self.unwritten.as_ref();
        let unwritten =
            unwritten.map(|why| format!("decisions are not on disk, a restart will not remember them: {why}"));
        versions.chain(unwritten).collect()
    }

    /// A model whose values are not in force is not healthy, however well it serves.
    fn outward(&self) -> (Phase, String) {
        let Rest { phase, message, .. } = &self.rest;
        let complaint = match (&self.problem, self.missing) {
            (Some(problem), _) => format!("the values file is refused: {}; ", headline(problem)),
            (None, true) => "the values file is missing, the last good one stays in force; ".to_owned(),
            (None, false) => return (*phase, message.clone()),
        };
        let phase = if *phase == Phase::Healthy { Phase::Degraded } else { *phase };
        (phase, complaint + message)
    }

    fn canary(&self) -> Option<CanaryStatus> {
        let next_at = self.rest.wake_at.map(|at| SystemTime::now() + at.saturating_duration_since(Instant::now()));
        if let Some(trial) = &self.observed.trial {
            let state = if trial.hold.is_some() { "Held" } else { "Canary" };
            let published = self.observed.published.as_ref();
            let steps = trial.values.strategy.steps.len();
            return Some(CanaryStatus {
                version: VersionStatus::new(&trial.release, state.to_owned()),
                weight_percent: published.map_or(0.0, |routing| routing.canary_weight.percent()),
                step: (trial.step + 1).min(steps),
                steps,
                next_at,
            });
        }
        let staging = self.observed.staging.as_ref()?;
        let digest = match staging.state {
            StagingState::Ready { digest } => Some(digest),
            StagingState::Failed { digest, .. } => digest.or(staging.target.spec.digest),
            StagingState::Running => staging.target.spec.digest,
        };
        Some(CanaryStatus {
            version: VersionStatus {
                version: staging.target.spec.version.to_string(),
                digest: digest.map(|digest| digest.to_string()),
                state: self.staging_state(&staging.state),
            },
            weight_percent: 0.0,
            step: 0,
            steps: self.values.strategy.steps.len(),
            next_at,
        })
    }

    fn staging_state(&self, state: &StagingState) -> String {
        match state {
            StagingState::Failed { .. } => "Waiting".to_owned(),
            StagingState::Ready { .. } => "Staged".to_owned(),
            StagingState::Running => match self.attempt.as_ref().and_then(|attempt| attempt.phase) {
                None => "Pulling".to_owned(),
                Some(StagePhase::Pulling { total_bytes: 0, .. }) => "Pulling".to_owned(),
                Some(StagePhase::Pulling { done_bytes, total_bytes }) => {
                    format!("Pulling {} %", done_bytes.saturating_mul(100) / total_bytes)
                }
                Some(StagePhase::Verifying) => "Verifying".to_owned(),
                Some(StagePhase::Loading) => "Loading".to_owned(),
                Some(StagePhase::Warming) => "Warming".to_owned(),
                Some(StagePhase::Gating) => "Gating".to_owned(),
            },
        }
    }
}
