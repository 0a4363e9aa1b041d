//! One metric over one window of counts gives one measurement. Pure.

use config::{Metric, MetricKind};
use serde::Serialize;

use super::Counts;

/// What a window said of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// In the metric's unit (percent or milliseconds); `None` without data.
    pub value: Option<f64>,
    /// Requests in the window that the value is made of.
    pub samples: u64,
    /// Good, bad, or neither.
    pub finding: Finding,
    /// One sentence, for people.
    pub reason: String,
}

/// The result of one measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Finding {
    /// Inside the bounds.
    Successful,
    /// Outside the bounds.
    Failed,
    /// Too few samples, or no bound to hold it against.
    Inconclusive,
    /// The counts make no sense: a fault of ours, never held against the canary.
    Error,
}

/// Measures `metric` over `window`; `None` stands for counts that went backwards.
#[must_use]
pub fn measure(metric: &Metric, window: Option<&Counts>) -> Measurement {
    let Some(window) = window else {
        return Measurement {
            value: None,
            samples: 0,
            finding: Finding::Error,
            reason: "the counts went backwards".to_owned(),
        };
    };
    let (value, samples) = read(metric.kind, window);
    let (finding, reason) = assess(metric, value, samples);
    Measurement { value, samples, finding, reason }
}

fn read(kind: MetricKind, window: &Counts) -> (Option<f64>, u64) {
    match kind {
        MetricKind::SuccessRate => (window.success_rate().map(percent), window.total()),
        MetricKind::NanShare => (window.nan_share().map(percent), window.total()),
        MetricKind::Duration { quantile } => {
            (window.quantile(quantile).map(|latency| latency.as_secs_f64() * 1e3), window.timed())
        }
    }
}

fn percent(share: f64) -> f64 {
    share * 100.0
}

fn assess(metric: &Metric, value: Option<f64>, samples: u64) -> (Finding, String) {
    let range = metric.threshold_range;
    let Some(value) = value.filter(|_| samples >= metric.min_samples) else {
        let needed = metric.min_samples.max(1);
        return (Finding::Inconclusive, format!("{samples} of {needed} samples so far"));
    };
    let unit = unit(metric.kind);
    let of = population(metric.kind, samples);
    match (range.min, range.max) {
        (Some(min), _) if value < min => {
            let value = apart(value, min);
            (Finding::Failed, format!("{value} {unit} {of}, at least {min} {unit} needed"))
        }
        (_, Some(max)) if value > max => {
            let value = apart(value, max);
            (Finding::Failed, format!("{value} {unit} {of}, at most {max} {unit} allowed"))
        }
        // Argo's documents call this Inconclusive and its code Successful. A metric without a bound has said nothing.
        (None, None) => (Finding::Inconclusive, format!("{value:.3} {unit}, with no bound to hold it against")),
        _ => (Finding::Successful, format!("{value:.3} {unit} is within bounds")),
    }
}

const fn unit(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::SuccessRate | MetricKind::NanShare => "%",
        MetricKind::Duration { .. } => "ms",
    }
}

/// What the value is a value of, for people.
fn population(kind: MetricKind, samples: u64) -> String {
    match kind {
        MetricKind::SuccessRate | MetricKind::NanShare => format!("of {samples} requests"),
        MetricKind::Duration { quantile } => format!("at quantile {quantile} of {samples} requests"),
    }
}

/// `value` with one decimal, or with as many more as tell it from the `bound` that it missed: "99.0 %, at least 99 %"
/// would explain nothing.
fn apart(value: f64, bound: f64) -> String {
    const DECIMALS_MAX: usize = 6;
    let shown = (1..DECIMALS_MAX).map(|decimals| format!("{value:.decimals$}"));
    let side = |value: f64| (value < bound, value > bound);
    let mut distinct = shown.filter(|text| text.parse().is_ok_and(|shown| side(shown) == side(value)));
    distinct.next().unwrap_or_else(|| format!("{value:.DECIMALS_MAX$}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::metric;
    use super::super::{Evidence, Outcome};
    use super::*;

    fn counts(good: u64, bad: u64) -> Counts {
        let evidence = Evidence::new();
        (0..good).for_each(|_| evidence.record(Outcome::Success, Duration::from_millis(10)));
        (0..bad).for_each(|_| evidence.record(Outcome::NonFinite, Duration::ZERO));
        evidence.counts()
    }

    #[test]
    fn bounds_are_inclusive_and_few_samples_say_nothing() {
        let rate = |min| metric(MetricKind::SuccessRate, Some(min), None);
        let check = |metric: &Metric, good, bad, expect| {
            let found = measure(metric, Some(&counts(good, bad)));
            assert_eq!(found.finding, expect, "{good} good, {bad} bad: {}", found.reason);
        };
        check(&rate(99.0), 99, 1, Finding::Successful);
        check(&rate(99.1), 99, 1, Finding::Failed);
        check(&rate(99.0), 0, 9, Finding::Inconclusive);
        check(&rate(99.0), 0, 10, Finding::Failed);
        check(&metric(MetricKind::NanShare, None, Some(0.0)), 100, 0, Finding::Successful);
        check(&metric(MetricKind::NanShare, None, Some(0.0)), 10_000, 1, Finding::Failed);
        check(&metric(MetricKind::Duration { quantile: 0.99 }, None, Some(10.5)), 100, 0, Finding::Successful);
        check(&metric(MetricKind::Duration { quantile: 0.99 }, None, Some(9.0)), 100, 0, Finding::Failed);
        check(&metric(MetricKind::Duration { quantile: 0.99 }, None, Some(9.0)), 0, 100, Finding::Inconclusive);
        check(&metric(MetricKind::SuccessRate, None, None), 100, 0, Finding::Inconclusive);
    }

    #[test]
    fn a_failure_says_what_was_measured_of_how_many_and_what_is_allowed() {
        let told = |metric: &Metric, good, bad| measure(metric, Some(&counts(good, bad))).reason;
        let nan = metric(MetricKind::NanShare, None, Some(0.0));
        assert_eq!(told(&nan, 16, 2), "11.1 % of 18 requests, at most 0 % allowed");
        assert_eq!(told(&nan, 9_999, 1), "0.01 % of 10000 requests, at most 0 % allowed");
        let rate = metric(MetricKind::SuccessRate, Some(99.0), None);
        assert_eq!(told(&rate, 989, 11), "98.9 % of 1000 requests, at least 99 % needed");
        assert_eq!(told(&rate, 9_899, 101), "98.99 % of 10000 requests, at least 99 % needed", "not 99.0 %");
    }

    #[test]
    fn a_duration_that_is_too_long_is_told_in_milliseconds() {
        let slow = measure(&metric(MetricKind::Duration { quantile: 0.99 }, None, Some(9.0)), Some(&counts(100, 0)));
        let value = slow.value.map(|value| format!("{value:.1}")).unwrap_or_default();
        assert_eq!(slow.reason, format!("{value} ms at quantile 0.99 of 100 requests, at most 9 ms allowed"));
    }

    #[test]
    fn no_data_is_inconclusive_even_when_no_samples_are_demanded() {
        let metric = Metric { min_samples: 0, ..metric(MetricKind::SuccessRate, Some(99.0), None) };
        assert_eq!(measure(&metric, Some(&counts(0, 0))).finding, Finding::Inconclusive);
        assert_eq!(measure(&metric, None).finding, Finding::Error);
    }
}
