//! What a canary did, and what that means.
//!
//! Four steps, each usable alone: [`Evidence`] counts requests on the hot path; [`measure`] turns the counts of one
//! window into a [`Measurement`]; [`judge`] folds measurements into a [`Verdict`]; [`Run`] does this for a list of
//! metrics over time. Everything but `Evidence` is pure and takes `now` as an argument.
//!
//! It must not know steps, weights, routes or versions: the planner sees a [`Verdict`] and its reason, so that
//! thresholds can give way to sequential tests, and counts of one process to merged counts of a fleet, without a
//! change outside this module.

mod evidence;
mod histogram;
mod judge;
mod measure;
mod run;

pub use evidence::{Counts, Evidence, Outcome};
pub use judge::{Conclusion, Tally, Verdict, judge};
pub use measure::{Finding, Measurement, measure};
pub use run::{MetricState, Run};

#[cfg(test)]
pub(super) mod testing {
    use std::time::Duration;

    use config::{Metric, MetricKind, ThresholdRange};

    /// A metric measured every 10 s over at least 10 samples, with the defaults of a values file otherwise.
    pub(in crate::rollout) fn metric(kind: MetricKind, min: Option<f64>, max: Option<f64>) -> Metric {
        Metric {
            name: match kind {
                MetricKind::SuccessRate => "request-success-rate",
                MetricKind::Duration { .. } => "request-duration",
                MetricKind::NanShare => "nan-share",
            }
            .to_owned(),
            kind,
            interval: Duration::from_secs(10),
            initial_delay: Duration::ZERO,
            threshold_range: ThresholdRange { min, max },
            min_samples: 10,
            failure_limit: Some(0),
            consecutive_failure_limit: None,
            consecutive_success_limit: None,
            inconclusive_limit: None,
            consecutive_error_limit: 4,
            critical: false,
            dry_run: false,
        }
    }
}
