//! `analysisTemplates`: metrics and their bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::model::optional;
use super::serving::bounds;
use super::{Cursor, Map, Report};
use crate::problem::did_you_mean;
use crate::values::{AnalysisTemplate, Metric, MetricKind, ModelName, Refused, ThresholdRange, defaults};

const TEMPLATES_MAX: usize = 16;
const METRICS_MAX: usize = 16;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const COUNT_MAX: u64 = 1_000_000;
const METRICS: [&str; 3] = ["request-success-rate", "request-duration", "nan-share"];
const NOT_BUILT: [&str; 3] = ["prediction-drift", "accuracy", "model-error-rate"];

/// `analysisTemplates`.
pub(super) fn templates(here: &Cursor<'_>, report: &mut Report) -> Option<BTreeMap<String, AnalysisTemplate>> {
    let named = here.named(report, TEMPLATES_MAX)?;
    let mut templates = BTreeMap::new();
    let mut whole = true;
    for (entry, cursor) in named {
        // The rule for a template's name is the rule for a model's.
        if let Err(Refused(why)) = ModelName::new(&entry.key) {
            report.wrong(entry.start, &cursor.path, format!("the name is refused: {why}"));
            whole = false;
        }
        match template(&cursor, report) {
            Some(template) => drop(templates.insert(entry.key.clone(), template)),
            None => whole = false,
        }
    }
    whole.then_some(templates)
}

fn template(here: &Cursor<'_>, report: &mut Report) -> Option<AnalysisTemplate> {
    let mut map = here.map(report, "AnalysisTemplate")?;
    let list = map.required("metrics", "write a list of metrics, such as `- name: request-success-rate`", report);
    map.finish(report);
    let list = list?;
    let mut seen: Vec<(String, f64)> = Vec::new();
    let metrics = list.each(report, METRICS_MAX, |cursor, report| {
        let metric = metric(cursor, report)?;
        let quantile = if let MetricKind::Duration { quantile } = metric.kind { quantile } else { 0.0 };
        let identity = (metric.name.clone(), quantile);
        if seen.contains(&identity) {
            cursor.wrong(report, format!("{} is here twice; keep one, or give another quantile", metric.name));
            return None;
        }
        seen.push(identity);
        Some(metric)
    })?;
    if metrics.is_empty() {
        list.wrong(report, "the list is empty; write at least one metric, such as `- name: request-success-rate`");
        return None;
    }
    Some(AnalysisTemplate { metrics })
}

fn metric(here: &Cursor<'_>, report: &mut Report) -> Option<Metric> {
    let mut map = here.map(report, "Metric")?;
    let name = map.required("name", "write request-success-rate, request-duration or nan-share", report);
    let name = name.and_then(|cursor| metric_name(&cursor, report));
    let kind = kind(&mut map, name, report);
    let threshold_range = threshold_range(&mut map, name, report);
    let pace = pace(&mut map, report);
    let limits = limits(&mut map, report);
    map.refuse("compare", "compare is not built yet; bound the metric with thresholdRange", report);
    let confidence = "a metric has no confidence of its own; write strategy.canary.analysis.confidence, \
                      which is split over the metrics of the trial";
    map.refuse("confidence", confidence, report);
    map.finish_but(&["compare", "confidence"], report);
    let (interval, initial_delay, min_samples) = pace?;
    let metric = Metric {
        name: name?.to_owned(),
        kind: kind?,
        interval,
        initial_delay,
        threshold_range: threshold_range?,
        min_samples,
        ..default_metric()
    };
    limits.map(|limits| limits.put(metric))
}

fn metric_name(cursor: &Cursor<'_>, report: &mut Report) -> Option<&'static str> {
    let written = cursor.text(report)?;
    if let Some(name) = METRICS.iter().find(|name| **name == written) {
        return Some(name);
    }
    let found = cursor.node.found();
    if NOT_BUILT.contains(&written) {
        cursor.wrong(report, format!("{found} is not built yet; write {}", METRICS.join(", ")));
    } else {
        let hint = did_you_mean(written, METRICS);
        cursor.wrong(report, format!("{found} is not a metric; write {}{hint}", METRICS.join(", ")));
    }
    None
}

fn kind(map: &mut Map<'_>, name: Option<&str>, report: &mut Report) -> Option<MetricKind> {
    let field = map.get("quantile");
    if let (Some(cursor), Some("request-success-rate" | "nan-share")) = (&field, name) {
        cursor.wrong(report, "only request-duration has a quantile; remove it");
        return None;
    }
    let quantile = optional(field, report, |cursor, report| {
        let what = "write a quantile between 0 and 1, such as 0.99";
        let quantile = cursor.number(report, 0.0..=1.0, what)?;
        if quantile <= 0.0 || quantile >= 1.0 {
            cursor.wrong(report, format!("{} is no quantile that can be estimated; {what}", cursor.node.found()));
            return None;
        }
        Some(quantile)
    });
    let quantile = quantile?.unwrap_or(defaults::QUANTILE);
    match name? {
        "request-success-rate" => Some(MetricKind::SuccessRate),
        "request-duration" => Some(MetricKind::Duration { quantile }),
        _ => Some(MetricKind::NanShare),
    }
}

fn threshold_range(map: &mut Map<'_>, name: Option<&str>, report: &mut Report) -> Option<ThresholdRange> {
    let Some(cursor) = map.get("thresholdRange") else {
        if name == Some("nan-share") {
            return Some(ThresholdRange { min: None, max: Some(0.0) });
        }
        let hint = "write {min: 99.5} (percent) or {max: 150} (milliseconds)";
        map.required("thresholdRange", hint, report);
        return None;
    };
    let mut range = cursor.map(report, "ThresholdRange")?;
    let unit = if name == Some("request-duration") { 0.0..=f64::MAX } else { 0.0..=100.0 };
    let bounds = bounds(&mut range, unit, report);
    range.finish(report);
    bounds.map(|(min, max)| ThresholdRange { min, max })
}

fn pace(map: &mut Map<'_>, report: &mut Report) -> Option<(Duration, Duration, u64)> {
    let second = Duration::from_secs(1);
    let interval = optional(map.get("interval"), report, |c, report| c.duration(report, second..=HOUR));
    let delay = optional(map.get("initialDelay"), report, |c, report| c.duration(report, Duration::ZERO..=DAY));
    let samples = optional(map.get("minSamples"), report, |c, report| c.whole(report, 1..=1_000_000_000));
    let base = default_metric();
    Some((
        interval?.unwrap_or(base.interval),
        delay?.unwrap_or(base.initial_delay),
        samples?.unwrap_or(base.min_samples),
    ))
}

/// When a metric's measurements stop a trial.
struct Limits {
    failure: Option<u32>,
    consecutive_failure: Option<u32>,
    consecutive_success: Option<u32>,
    inconclusive: Option<u32>,
    consecutive_error: u32,
    critical: bool,
    dry_run: bool,
}

impl Limits {
    fn put(self, metric: Metric) -> Metric {
        Metric {
            failure_limit: self.failure,
            consecutive_failure_limit: self.consecutive_failure,
            consecutive_success_limit: self.consecutive_success,
            inconclusive_limit: self.inconclusive,
            consecutive_error_limit: self.consecutive_error,
            critical: self.critical,
            dry_run: self.dry_run,
            ..metric
        }
    }
}

fn limits(map: &mut Map<'_>, report: &mut Report) -> Option<Limits> {
    let failure = optional(map.get("failureLimit"), report, or_never);
    let consecutive_failure = optional(map.get("consecutiveFailureLimit"), report, or_off);
    let consecutive_success = optional(map.get("consecutiveSuccessLimit"), report, or_off);
    let inconclusive = optional(map.get("inconclusiveLimit"), report, or_never);
    let error = optional(map.get("consecutiveErrorLimit"), report, count);
    let critical = optional(map.get("critical"), report, |cursor, report| cursor.flag(report));
    let dry_run = optional(map.get("dryRun"), report, |cursor, report| cursor.flag(report));
    Some(Limits {
        failure: failure?.unwrap_or(Some(defaults::FAILURE_LIMIT)),
        consecutive_failure: consecutive_failure?.flatten(),
        consecutive_success: consecutive_success?.flatten(),
        inconclusive: inconclusive?.flatten(),
        consecutive_error: error?.unwrap_or(defaults::CONSECUTIVE_ERROR_LIMIT),
        critical: critical?.unwrap_or(false),
        dry_run: dry_run?.unwrap_or(false),
    })
}

fn count(cursor: &Cursor<'_>, report: &mut Report) -> Option<u32> {
    cursor.whole(report, 0..=COUNT_MAX).and_then(|count| u32::try_from(count).ok())
}

/// A count, or -1 for "never", as Argo Rollouts writes it.
fn or_never(cursor: &Cursor<'_>, report: &mut Report) -> Option<Option<u32>> {
    if cursor.node.text() == Some("-1") { Some(None) } else { count(cursor, report).map(Some) }
}

/// A count, where 0 is "off".
fn or_off(cursor: &Cursor<'_>, report: &mut Report) -> Option<Option<u32>> {
    count(cursor, report).map(|count| (count > 0).then_some(count))
}

/// NaN answers are never acceptable, whether or not a template says so: one is enough, whatever the sample.
pub(super) fn nan_share() -> Metric {
    Metric { min_samples: 1, critical: true, ..default_metric() }
}

/// What a metric's absent fields mean; as it stands, the NaN share with nothing tolerated.
fn default_metric() -> Metric {
    Metric {
        name: "nan-share".to_owned(),
        kind: MetricKind::NanShare,
        interval: defaults::INTERVAL,
        initial_delay: Duration::ZERO,
        threshold_range: ThresholdRange { min: None, max: Some(0.0) },
        min_samples: defaults::MIN_SAMPLES,
        failure_limit: Some(defaults::FAILURE_LIMIT),
        consecutive_failure_limit: None,
        consecutive_success_limit: None,
        inconclusive_limit: None,
        consecutive_error_limit: defaults::CONSECUTIVE_ERROR_LIMIT,
        critical: false,
        dry_run: false,
    }
}
