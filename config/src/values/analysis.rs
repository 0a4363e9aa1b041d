//! `analysisTemplates`: what is measured of a canary and what is acceptable.

use std::time::Duration;

/// A named list of metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisTemplate {
    /// Judged together; the worst verdict wins.
    pub metrics: Vec<Metric>,
}

/// One metric of a template.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// As written; `kind` follows from it.
    pub name: String,
    /// What is measured.
    pub kind: MetricKind,
    /// Window of one measurement.
    pub interval: Duration,
    /// Wait before the first measurement.
    pub initial_delay: Duration,
    /// Absolute bounds, inclusive pass.
    pub threshold_range: ThresholdRange,
    /// Below it a measurement is Inconclusive, never Failed.
    pub min_samples: u64,
    /// More failed measurements than this abort; `None` never aborts.
    pub failure_limit: Option<u32>,
    /// This many failures in a row abort; `None` is off.
    pub consecutive_failure_limit: Option<u32>,
    /// This many successes in a row pass early; `None` is off.
    pub consecutive_success_limit: Option<u32>,
    /// More inconclusive measurements (with enough samples or not) than this pause the rollout; `None` waits forever.
    pub inconclusive_limit: Option<u32>,
    /// More measurement errors in a row than this pause the rollout.
    pub consecutive_error_limit: u32,
    /// One failed measurement aborts.
    pub critical: bool,
    /// Measure and report, never decide.
    pub dry_run: bool,
}

/// What a metric measures, by its name in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// `request-success-rate`: percent of judged requests answered without a model error, NaN, deadline or own overload.
    SuccessRate,
    /// `request-duration`: this quantile (0 to 1) of request latency, in milliseconds.
    Duration {
        /// `0.99` unless `quantile` says otherwise.
        quantile: f64,
    },
    /// `nan-share`: percent of judged requests whose outputs held NaN or Inf.
    NanShare,
}

/// `thresholdRange`: inclusive bounds in the metric's unit (percent or milliseconds).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ThresholdRange {
    /// Lowest acceptable value.
    pub min: Option<f64>,
    /// Highest acceptable value.
    pub max: Option<f64>,
}
