//! The rollout as metrics, made from the same status that `/status` shows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::sync::watch;

use crate::rollout::analysis::Conclusion;
use crate::rollout::status::{MetricStatus, ModelStatus};
use crate::rollout::{Phase, Status};

/// Reads the newest status at each scrape.
#[derive(Debug)]
pub struct RolloutCollector(watch::Receiver<Arc<Status>>);

impl RolloutCollector {
    /// Follows `status`.
    #[must_use]
    pub const fn new(status: watch::Receiver<Arc<Status>>) -> Self {
        Self(status)
    }
}

impl prometheus_client::collector::Collector for RolloutCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = Arc::clone(&self.0.borrow());
        let models = &status.models;
        one_hot(&mut encoder, "sluice_rollout_phase", "1 for the phase the model is in", models, |model| {
            Phase::ALL.into_iter().map(|phase| ("phase", phase.name(), phase == model.phase)).collect()
        })?;
        weights(&mut encoder, models)?;
        steps(&mut encoder, models)?;
        verdicts(&mut encoder, models)?;
        rejections(&mut encoder, models)?;
        values_errors(&mut encoder, models)?;
        values_problems(&mut encoder, &status.problems)
    }
}

type Labelled = Vec<(&'static str, &'static str, bool)>;

fn one_hot(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    models: &[ModelStatus],
    states: impl Fn(&ModelStatus) -> Labelled,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for model in models {
        for (key, value, on) in states(model) {
            gauge(&mut family, &[("model", &model.name), (key, value)], f64::from(u8::from(on)))?;
        }
    }
    Ok(())
}

fn weights(encoder: &mut DescriptorEncoder<'_>, models: &[ModelStatus]) -> fmt::Result {
    let help = "Share of live traffic in percent";
    let mut family = encoder.encode_descriptor("sluice_rollout_weight", help, None, MetricType::Gauge)?;
    for model in models {
        let canary = model.canary.as_ref().map_or(0.0, |canary| canary.weight_percent);
        let stable = if model.stable.is_some() { 100.0 - canary } else { 0.0 };
        gauge(&mut family, &[("model", &model.name), ("variant", "stable")], stable)?;
        gauge(&mut family, &[("model", &model.name), ("variant", "canary")], canary)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a trial has at most 64 steps")]
fn steps(encoder: &mut DescriptorEncoder<'_>, models: &[ModelStatus]) -> fmt::Result {
    let help = "Steps of the trial that have begun";
    let mut family = encoder.encode_descriptor("sluice_rollout_step", help, None, MetricType::Gauge)?;
    for model in models {
        let step = model.canary.as_ref().map_or(0, |canary| canary.step);
        gauge(&mut family, &[("model", &model.name)], step as f64)?;
    }
    Ok(())
}

fn verdicts(encoder: &mut DescriptorEncoder<'_>, models: &[ModelStatus]) -> fmt::Result {
    let help = "1 for the verdict on each metric of the canary";
    let mut family = encoder.encode_descriptor("sluice_rollout_verdict", help, None, MetricType::Gauge)?;
    for model in models {
        for (metric, verdict) in by_metric(&model.analysis) {
            for conclusion in Conclusion::ALL {
                let labels = [("model", &*model.name), ("metric", metric), ("verdict", conclusion.name())];
                gauge(&mut family, &labels, f64::from(u8::from(conclusion == verdict)))?;
            }
        }
    }
    Ok(())
}

/// One verdict for each name: several templates may measure the same, and then the worst counts, of those that decide
/// where there are such.
fn by_metric(analysis: &[MetricStatus]) -> BTreeMap<&str, Conclusion> {
    let mut worst: BTreeMap<&str, (bool, Conclusion)> = BTreeMap::new();
    for metric in analysis {
        let found = (!metric.dry_run, metric.verdict);
        let so_far = worst.entry(&metric.name).or_insert(found);
        *so_far = (*so_far).max(found);
    }
    worst.into_iter().map(|(name, (_, verdict))| (name, verdict)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a few versions of a model")]
fn rejections(encoder: &mut DescriptorEncoder<'_>, models: &[ModelStatus]) -> fmt::Result {
    let help = "Versions that were rejected and stay away until they are retried";
    let mut family = encoder.encode_descriptor("sluice_rollout_rejected", help, None, MetricType::Gauge)?;
    for model in models {
        gauge(&mut family, &[("model", &model.name)], model.rejected.len() as f64)?;
    }
    Ok(())
}

fn values_errors(encoder: &mut DescriptorEncoder<'_>, models: &[ModelStatus]) -> fmt::Result {
    let help = "1 while the newest values file is refused and the last good one is in force";
    let mut family = encoder.encode_descriptor("sluice_values_error", help, None, MetricType::Gauge)?;
    for model in models {
        gauge(&mut family, &[("model", &model.name)], f64::from(u8::from(model.values_error.is_some())))?;
    }
    Ok(())
}

/// A file that was never good names no model, so this has no label.
#[expect(clippy::cast_precision_loss, reason = "a few for each of at most 256 files of a folder")]
fn values_problems(encoder: &mut DescriptorEncoder<'_>, problems: &[String]) -> fmt::Result {
    let help = "Problems with values files that belong to no model";
    let family = encoder.encode_descriptor("sluice_values_problems", help, None, MetricType::Gauge)?;
    ConstGauge::new(problems.len() as f64).encode(family)
}

fn gauge(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(family.encode_family(&labels)?)
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::rollout::analysis::Tally;

    #[test]
    fn a_file_that_was_never_good_is_counted_without_a_model() {
        let (sender, status) = watch::channel(Arc::default());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(RolloutCollector::new(status)));
        let problems = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text.lines().find(|line| line.starts_with("sluice_values_problems ")).map(str::to_owned)
        };
        assert_eq!(problems().as_deref(), Some("sluice_values_problems 0.0"));
        sender.send_replace(Arc::new(Status { problems: vec!["not YAML".to_owned()], ..Status::default() }));
        assert_eq!(problems().as_deref(), Some("sluice_values_problems 1.0"));
    }

    #[test]
    fn a_metric_of_several_templates_has_one_verdict() {
        let metric = |name: &str, verdict, dry_run| MetricStatus {
            name: name.to_owned(),
            value: None,
            samples: 0,
            measurement: None,
            verdict,
            reason: String::new(),
            dry_run,
            counts: Tally::default(),
        };
        let analysis = [
            metric("nan-share", Conclusion::Failed, true),
            metric("nan-share", Conclusion::Running, false),
            metric("nan-share", Conclusion::Successful, false),
            metric("request-duration", Conclusion::Error, true),
        ];
        let verdicts: Vec<_> = by_metric(&analysis).into_iter().collect();
        assert_eq!(verdicts, [("nan-share", Conclusion::Running), ("request-duration", Conclusion::Error)]);
    }
}
