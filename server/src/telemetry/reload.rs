//! How often versions were brought up, how it ended, and how long each phase took.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// From a millisecond to ten minutes.
const SECONDS_BUCKETS: [f64; 12] = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0];

/// What can refuse a version, in its order.
const PHASES: [&str; 5] = ["pull", "admit", "load", "warm", "gate"];

/// How a reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReloadResult {
    /// The version is ready for traffic.
    Success,
    /// It is not, and says why in the status.
    Failure,
}

impl ReloadResult {
    const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    model: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    model: String,
    phase: &'static str,
}

/// Counts and durations of reloads.
#[derive(Debug, Clone)]
pub struct ReloadMetrics {
    total: Family<ResultLabels, Counter>,
    failures: Family<PhaseLabels, Counter>,
    phase_seconds: Family<PhaseLabels, Histogram, fn() -> Histogram>,
}

impl ReloadMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let buckets: fn() -> Histogram = || Histogram::new(SECONDS_BUCKETS);
        let metrics = Self {
            total: Family::default(),
            failures: Family::default(),
            phase_seconds: Family::new_with_constructor(buckets),
        };
        registry.register("sluice_reload", "Versions brought up, by result", metrics.total.clone());
        registry.register(
            "sluice_reload_failures",
            "Versions that did not come up, by the phase that refused them",
            metrics.failures.clone(),
        );
        registry.register(
            "sluice_reload_phase_duration_seconds",
            "Time spent in each phase of bringing a version up",
            metrics.phase_seconds.clone(),
        );
        metrics
    }

    /// Shows every series of a model, so that its first failure is an increase and not a beginning.
    pub fn started(&self, model: &str) {
        for result in [ReloadResult::Success, ReloadResult::Failure] {
            drop(self.total.get_or_create(&ResultLabels { model: model.to_owned(), result: result.name() }));
        }
        for phase in PHASES {
            drop(self.failures.get_or_create(&PhaseLabels { model: model.to_owned(), phase }));
        }
    }

    /// Counts one reload.
    pub fn finished(&self, model: &str, result: ReloadResult) {
        self.total.get_or_create(&ResultLabels { model: model.to_owned(), result: result.name() }).inc();
    }

    /// Counts one version that a phase of its bring-up refused.
    pub fn failed(&self, model: &str, phase: &'static str) {
        self.failures.get_or_create(&PhaseLabels { model: model.to_owned(), phase }).inc();
    }

    /// Notes how long a phase took.
    pub fn phase(&self, model: &str, phase: &'static str, duration: std::time::Duration) {
        self.phase_seconds
            .get_or_create(&PhaseLabels { model: model.to_owned(), phase })
            .observe(duration.as_secs_f64());
    }
}
