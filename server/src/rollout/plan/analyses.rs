//! The analyses that belong to a trial: which ones run at which step. Pure.

use config::{AnalysisTemplate, Step};
use tokio::time::Instant;

use super::super::analysis::{Conclusion, Counts, Run, Verdict};
use super::Trial;

/// The running analyses of one model.
#[derive(Debug, Clone, Default)]
pub struct Analyses {
    /// The built-in bound, from the first step on.
    guard: Option<Run>,
    background: Option<Run>,
    /// The blocking analysis, with the step it belongs to.
    step: Option<(usize, Run)>,
}

/// What the planner sees of them; `None` where no such analysis runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdicts {
    /// Of what judges beside the steps: the guard, and the background analysis once it runs.
    pub background: Option<Verdict>,
    /// Of the analysis that is the current step.
    pub step: Option<Verdict>,
}

// === impl Analyses ===

impl Analyses {
    /// Starts and ends analyses so that they fit `trial`, then measures what is due. `counts` is asked for at most
    /// once, and only where something runs.
    pub fn follow(&mut self, trial: Option<&Trial>, counts: impl FnOnce() -> Counts, now: Instant) {
        let Some(trial) = trial else {
            *self = Self::default();
            return;
        };
        let guard = trial.values.strategy.guard.as_ref();
        let (background, step) = (background_templates(trial), step_templates(trial));
        self.step.take_if(|(index, _)| *index != trial.step || step.is_none());
        if guard.is_none() && background.is_none() && step.is_none() {
            return;
        }
        let counts = counts();
        if let Some(template) = guard {
            self.guard.get_or_insert_with(|| Run::start([template], &counts, now)).observe(&counts, now);
        }
        if let Some(templates) = background {
            self.background.get_or_insert_with(|| Run::start(templates, &counts, now)).observe(&counts, now);
        }
        if let Some(templates) = step {
            let (_, run) = self.step.get_or_insert_with(|| (trial.step, Run::start(templates, &counts, now)));
            run.observe(&counts, now);
        }
    }

    /// The verdicts so far.
    #[must_use]
    pub fn verdicts(&self) -> Verdicts {
        let beside = || self.guard.iter().chain(&self.background);
        Verdicts {
            background: beside().next().map(|_| Verdict::worst(beside().map(Run::verdict))),
            step: self.step.as_ref().map(|(_, run)| run.verdict()),
        }
    }

    /// When a metric is due next.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.runs().filter_map(Run::next_at).min()
    }

    /// A person let the trial go on: what asked for one is settled.
    pub fn acknowledge(&mut self) {
        let beside = self.guard.iter_mut().chain(&mut self.background);
        beside.chain(self.step.iter_mut().map(|(_, run)| run)).for_each(Run::acknowledge);
    }

    /// Those beside the steps first.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.guard.iter().chain(&self.background).chain(self.step.iter().map(|(_, run)| run))
    }
}

/// The background analysis' templates, from its starting step on; at the latest when all steps are done.
fn background_templates(trial: &Trial) -> Option<Vec<&AnalysisTemplate>> {
    let strategy = &trial.values.strategy;
    let analysis = strategy.analysis.as_ref().filter(|analysis| !analysis.templates.is_empty())?;
    let starts_at = analysis.starting_step.min(strategy.steps.len());
    (trial.step >= starts_at).then(|| templates(trial, &analysis.templates))
}

fn step_templates(trial: &Trial) -> Option<Vec<&AnalysisTemplate>> {
    match trial.values.strategy.steps.get(trial.step)? {
        Step::Analysis(names) => Some(templates(trial, names)),
        Step::SetWeight(_) | Step::Pause(_) => None,
    }
}

/// A name without a template was refused with the values file; were one here, it would only measure nothing.
fn templates<'a>(trial: &'a Trial, names: &[String]) -> Vec<&'a AnalysisTemplate> {
    names.iter().filter_map(|name| trial.values.analysis_templates.get(name)).collect()
}

// === impl Verdicts ===

impl Verdicts {
    pub(super) fn find(&self, is: impl Fn(Conclusion) -> bool) -> Option<&Verdict> {
        self.background.iter().chain(&self.step).find(|verdict| is(verdict.conclusion))
    }
}
