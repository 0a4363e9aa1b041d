//! `analysisTemplates` as written.

use schemars::JsonSchema;

use super::{DurationText, zero};
use crate::values::defaults;

/// Metrics that judge together; the worst verdict wins.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AnalysisTemplate {
    /// The metrics, at most 16.
    #[schemars(length(min = 1, max = 16))]
    metrics: Vec<Metric>,
}

/// One metric, what is acceptable of it, and when it stops a trial.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Metric {
    /// `request-success-rate` (percent of judged requests), `request-duration` (a quantile, in milliseconds) or `nan-share` (percent of judged requests whose answer held NaN or Inf).
    name: MetricName,
    /// Window of one measurement, 1s to 1h.
    #[schemars(default = "interval")]
    interval: DurationText,
    /// Wait before the first measurement.
    #[schemars(default = "zero")]
    initial_delay: DurationText,
    /// Which quantile of `request-duration`; 0.99 by default.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    quantile: Option<f64>,
    /// What is acceptable; `nan-share` is `{max: 0}` by default.
    threshold_range: Option<ThresholdRange>,
    /// With fewer samples a measurement is inconclusive, never failed.
    #[schemars(default = "min_samples", range(min = 1, max = 1_000_000_000))]
    min_samples: u64,
    /// More failed measurements than this abort the trial; -1 never does.
    #[schemars(default = "failure_limit", range(min = -1, max = 1_000_000))]
    failure_limit: i64,
    /// This many failed measurements in a row abort the trial; 0 is off.
    #[schemars(default, range(max = 1_000_000))]
    consecutive_failure_limit: u32,
    /// This many successful measurements in a row pass early; 0 is off.
    #[schemars(default, range(max = 1_000_000))]
    consecutive_success_limit: u32,
    /// More inconclusive measurements than this pause the trial; -1 waits for ever.
    #[schemars(default = "inconclusive_limit", range(min = -1, max = 1_000_000))]
    inconclusive_limit: i64,
    /// More measurement errors in a row than this pause the trial.
    #[schemars(default = "consecutive_error_limit", range(max = 1_000_000))]
    consecutive_error_limit: u32,
    /// One failed measurement aborts the trial.
    #[schemars(default)]
    critical: bool,
    /// Measure and report, never decide.
    #[schemars(default)]
    dry_run: bool,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "kebab-case")]
enum MetricName {
    RequestSuccessRate,
    RequestDuration,
    NanShare,
}

/// Inclusive bounds, at least one.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, extend("minProperties" = 1))]
struct ThresholdRange {
    /// Lowest acceptable value, in percent or milliseconds.
    #[schemars(range(min = 0.0))]
    min: Option<f64>,
    /// Highest acceptable value, in percent or milliseconds.
    #[schemars(range(min = 0.0))]
    max: Option<f64>,
}

const fn interval() -> DurationText {
    DurationText(defaults::INTERVAL)
}

const fn min_samples() -> u64 {
    defaults::MIN_SAMPLES
}

fn failure_limit() -> i64 {
    i64::from(defaults::FAILURE_LIMIT)
}

const fn inconclusive_limit() -> i64 {
    -1
}

const fn consecutive_error_limit() -> u32 {
    defaults::CONSECUTIVE_ERROR_LIMIT
}
