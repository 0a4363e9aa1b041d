//! Which routes follow from the state: a function, so that routes can never disagree with it.

use std::time::Duration;

use config::{OnFailure, Step, Values, Weight};

use super::super::release::Release;
use super::Observed;

/// Who gets a model's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// Gets everything the canary does not get. `None`: the model is not ready.
    pub stable: Option<Release>,
    /// The version on trial.
    pub canary: Option<Release>,
    /// The canary's share.
    pub canary_weight: Weight,
    /// Request header that keeps a caller on one version.
    pub affinity: Option<String>,
    /// What a caller gets when the canary fails.
    pub on_failure: OnFailure,
    /// Deadline of a request that brings none.
    pub timeout_default: Duration,
}

impl Routing {
    /// The routes that belong to `observed`. During a trial the strategy it began with holds.
    #[must_use]
    pub fn wanted(values: &Values, observed: &Observed) -> Self {
        let trial = observed.trial.as_ref();
        let strategy = trial.map_or(&values.strategy, |trial| &trial.values.strategy);
        Self {
            stable: observed.stable.clone(),
            canary: trial.map(|trial| trial.release.clone()),
            canary_weight: trial.map_or(Weight::ZERO, |trial| weight_at(&strategy.steps, trial.step)),
            affinity: strategy.session_affinity.as_ref().map(|affinity| affinity.header.clone()),
            on_failure: strategy.on_failure,
            timeout_default: values.serving.timeout_default,
        }
    }
}

/// The weight of the last `setWeight` up to and including `step`.
fn weight_at(steps: &[Step], step: usize) -> Weight {
    let reached = steps.iter().take(step.saturating_add(1));
    let mut weights = reached.filter_map(|step| match step {
        Step::SetWeight(weight) => Some(*weight),
        Step::Pause(_) | Step::Analysis(_) => None,
    });
    weights.next_back().unwrap_or(Weight::ZERO)
}
