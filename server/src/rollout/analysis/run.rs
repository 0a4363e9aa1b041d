//! An analysis over time: when each metric is measured, over which window, and the verdict so far. Pure.

use std::time::Duration;

use config::{AnalysisTemplate, Metric};
use tokio::time::Instant;

use super::{Counts, Finding, Measurement, Tally, Verdict, judge, measure};

/// Some metrics of one version, measured from a start on.
#[derive(Debug, Clone)]
pub struct Run {
    metrics: Vec<MetricState>,
}

/// One metric of a [`Run`].
#[derive(Debug, Clone)]
pub struct MetricState {
    /// What is measured and what is acceptable.
    pub metric: Metric,
    /// The measurements so far.
    pub tally: Tally,
    /// The newest measurement.
    pub last: Option<Measurement>,
    /// What the last measurement outside the bounds found. A verdict of failure says it, whatever was measured since.
    failure: Option<String>,
    /// The counts at which the window opened; `None` during the initial delay.
    window: Option<Counts>,
    next_at: Instant,
}

// === impl Run ===

impl Run {
    /// Starts measuring: `counts` are where the first windows open, except where a metric waits first.
    #[must_use]
    pub fn start<'a>(templates: impl IntoIterator<Item = &'a AnalysisTemplate>, counts: &Counts, now: Instant) -> Self {
        let metrics = templates.into_iter().flat_map(|template| &template.metrics);
        Self { metrics: metrics.map(|metric| MetricState::start(metric.clone(), counts, now)).collect() }
    }

    /// Measures every metric that is due.
    pub fn observe(&mut self, counts: &Counts, now: Instant) {
        for state in &mut self.metrics {
            state.observe(counts, now);
        }
    }

    /// The worst verdict of the metrics that decide. Where all are dry runs nothing objects; where there is none at
    /// all, nothing is known.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.metrics.is_empty() {
            return Verdict::running("the analysis has no metric to judge by");
        }
        Verdict::worst(self.metrics.iter().filter(|state| !state.metric.dry_run).map(MetricState::verdict))
    }

    /// When a metric is due next; `None` without metrics.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.metrics.iter().map(|state| state.next_at).min()
    }

    /// The metrics, for status.
    #[must_use]
    pub fn metrics(&self) -> &[MetricState] {
        &self.metrics
    }

    /// A person answered: forget what asked for one.
    pub fn acknowledge(&mut self) {
        self.metrics.iter_mut().for_each(|state| state.tally.acknowledge());
    }
}

// === impl MetricState ===

impl MetricState {
    fn start(metric: Metric, counts: &Counts, now: Instant) -> Self {
        let (window, next_at) = if metric.initial_delay.is_zero() {
            (Some(counts.clone()), later(now, metric.interval))
        } else {
            (None, later(now, metric.initial_delay))
        };
        Self { metric, tally: Tally::default(), last: None, failure: None, window, next_at }
    }

    /// What the measurements so far mean.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        judge(&self.metric, &self.tally, self.failure.as_deref())
    }

    fn observe(&mut self, counts: &Counts, now: Instant) {
        if now < self.next_at {
            return;
        }
        self.next_at = later(now, self.metric.interval);
        let Some(window) = &self.window else {
            self.window = Some(counts.clone());
            return;
        };
        let measurement = measure(&self.metric, counts.since(window).as_ref());
        self.tally.add(&self.metric, &measurement);
        // A window that said nothing stays open: at low traffic samples add up until they say something, where a
        // fresh window each time would be too small for ever.
        if measurement.finding != Finding::Inconclusive {
            self.window = Some(counts.clone());
        }
        if measurement.finding == Finding::Failed {
            self.failure = Some(measurement.reason.clone());
        }
        self.last = Some(measurement);
    }
}

/// `now + wait`, within a tenth of a second and a month: never a busy loop, never an overflow.
fn later(now: Instant, wait: Duration) -> Instant {
    now + wait.clamp(Duration::from_millis(100), Duration::from_secs(30 * 24 * 3600))
}

#[cfg(test)]
mod tests {
    use config::MetricKind;

    use super::super::testing::metric;
    use super::super::{Conclusion, Evidence, Outcome};
    use super::*;

    fn run(metric: Metric, evidence: &Evidence, now: Instant) -> Run {
        Run::start([&AnalysisTemplate { metrics: vec![metric] }], &evidence.counts(), now)
    }

    fn record(evidence: &Evidence, outcome: Outcome, times: u64) {
        (0..times).for_each(|_| evidence.record(outcome, Duration::from_millis(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn samples_add_up_across_quiet_windows() {
        let (evidence, start) = (Evidence::new(), Instant::now());
        let mut run = run(metric(MetricKind::SuccessRate, Some(99.0), None), &evidence, start);
        let mut now = start;
        for expect in [Conclusion::Running, Conclusion::Running, Conclusion::Running, Conclusion::Successful] {
            record(&evidence, Outcome::Success, 3);
            now += Duration::from_secs(10);
            run.observe(&evidence.counts(), now);
            assert_eq!(run.verdict().conclusion, expect);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_happened_before_the_delay_is_not_held_against_it() {
        let (evidence, start) = (Evidence::new(), Instant::now());
        let delayed =
            Metric { initial_delay: Duration::from_secs(30), ..metric(MetricKind::SuccessRate, Some(99.0), None) };
        let mut run = run(delayed, &evidence, start);
        record(&evidence, Outcome::ModelError, 1_000);
        run.observe(&evidence.counts(), start + Duration::from_secs(30));
        record(&evidence, Outcome::Success, 1_000);
        run.observe(&evidence.counts(), start + Duration::from_secs(39));
        assert_eq!(run.verdict().conclusion, Conclusion::Running, "the window is still open");
        run.observe(&evidence.counts(), start + Duration::from_secs(40));
        assert_eq!(run.verdict().conclusion, Conclusion::Successful);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_with_its_numbers_whatever_comes_after_it() {
        let (evidence, start) = (Evidence::new(), Instant::now());
        let told = |change: &dyn Fn(&mut Metric)| {
            let mut nan = metric(MetricKind::NanShare, None, Some(0.0));
            change(&mut nan);
            run(nan, &evidence, start)
        };
        let mut runs = [
            told(&|nan| nan.critical = true),
            told(&|_| ()),
            told(&|nan| (nan.failure_limit, nan.consecutive_failure_limit) = (None, Some(1))),
        ];
        record(&evidence, Outcome::Success, 16);
        record(&evidence, Outcome::NonFinite, 2);
        let counts = evidence.counts();
        runs.iter_mut().for_each(|run| run.observe(&counts, start + Duration::from_secs(10)));
        let reasons = runs.each_ref().map(|run| run.verdict().reason);
        let numbers = "11.1 % of 18 requests, at most 0 % allowed";
        assert_eq!(
            reasons,
            [
                format!("nan-share failed and is critical: {numbers}"),
                format!("nan-share failed 1 times, over its failureLimit of 0: {numbers}"),
                format!("nan-share failed 1 times in a row: {numbers}"),
            ]
        );
        record(&evidence, Outcome::Success, 100);
        runs[0].observe(&evidence.counts(), start + Duration::from_secs(20));
        assert_eq!(runs[0].verdict().reason, reasons[0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dry_run_is_measured_and_never_decides() {
        let (evidence, start) = (Evidence::new(), Instant::now());
        let dry = Metric { dry_run: true, ..metric(MetricKind::SuccessRate, Some(99.0), None) };
        let mut run = run(dry, &evidence, start);
        record(&evidence, Outcome::ModelError, 1_000);
        run.observe(&evidence.counts(), start + Duration::from_secs(10));
        assert_eq!(run.metrics()[0].tally.failed, 1);
        assert_eq!(run.verdict().conclusion, Conclusion::Successful);
    }
}
