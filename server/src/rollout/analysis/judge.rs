//! The fold: measurements of one metric make a tally, a tally makes a verdict. Pure.

use std::fmt;

use config::Metric;
use serde::Serialize;

use super::{Finding, Measurement};

/// How often a metric was measured, and with what result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Measurements inside the bounds.
    pub successful: u32,
    /// Measurements outside the bounds.
    pub failed: u32,
    /// Measurements that said neither.
    pub inconclusive: u32,
    /// Measurements that could not be made.
    pub error: u32,
    /// Good measurements since the last bad one.
    pub consecutive_successful: u32,
    /// Bad measurements since the last good one.
    pub consecutive_failed: u32,
    /// Errors since the last measurement that could be made.
    pub consecutive_error: u32,
    /// `consecutiveSuccessLimit` was reached once: later measurements can still fail the metric, but it has passed.
    pub passed: bool,
}

/// What the measurements so far mean, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub conclusion: Conclusion,
    /// One sentence, for people.
    pub reason: String,
}

/// The decision part of a [`Verdict`], from what needs least attention to what needs most: the worst of several
/// metrics is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Conclusion {
    /// Good enough to go on.
    Successful,
    /// Nothing conclusive yet: wait.
    Running,
    /// Too often neither good nor bad: a person decides.
    Inconclusive,
    /// Too often not measurable: a person decides. Never a reason to roll back.
    Error,
    /// Bad: roll back.
    Failed,
}

impl Conclusion {
    /// Every conclusion, from best to worst.
    pub const ALL: [Self; 5] = [Self::Successful, Self::Running, Self::Inconclusive, Self::Error, Self::Failed];

    /// The word in `/status` and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Successful => "Successful",
            Self::Running => "Running",
            Self::Inconclusive => "Inconclusive",
            Self::Error => "Error",
            Self::Failed => "Failed",
        }
    }
}

// === impl Tally ===

impl Tally {
    /// Counts one more measurement.
    pub fn add(&mut self, metric: &Metric, measurement: &Measurement) {
        match measurement.finding {
            Finding::Successful => {
                self.successful = self.successful.saturating_add(1);
                self.consecutive_successful = self.consecutive_successful.saturating_add(1);
                self.consecutive_failed = 0;
            }
            Finding::Failed => {
                self.failed = self.failed.saturating_add(1);
                self.consecutive_failed = self.consecutive_failed.saturating_add(1);
                self.consecutive_successful = 0;
            }
            Finding::Inconclusive => self.inconclusive = self.inconclusive.saturating_add(1),
            Finding::Error => self.error = self.error.saturating_add(1),
        }
        self.consecutive_error = match measurement.finding {
            Finding::Error => self.consecutive_error.saturating_add(1),
            Finding::Successful | Finding::Failed | Finding::Inconclusive => 0,
        };
        let limit = metric.consecutive_success_limit;
        self.passed |= limit.is_some_and(|limit| self.consecutive_successful >= limit);
    }

    /// Forgets what only asks for a person, once a person has answered. Failures stay.
    pub const fn acknowledge(&mut self) {
        self.inconclusive = 0;
        self.error = 0;
        self.consecutive_error = 0;
    }

    /// Whether the last conclusive measurement was good, or the metric passed early.
    const fn good(&self) -> bool {
        self.passed || (self.consecutive_successful > 0 && self.consecutive_failed == 0)
    }
}

/// What `tally` means under the limits of `metric`; `failure` is what the last measurement outside the bounds found.
/// Failure is asked first: where two limits are passed, it wins.
#[must_use]
pub fn judge(metric: &Metric, tally: &Tally, failure: Option<&str>) -> Verdict {
    let name = &metric.name;
    let failed = |how: String| {
        let found = failure.map(|found| format!(": {found}")).unwrap_or_default();
        (Conclusion::Failed, format!("{name} failed {how}{found}"))
    };
    let over = |count: u32, limit: Option<u32>| limit.is_some_and(|limit| count > limit);
    let (conclusion, reason) = if metric.critical && tally.failed > 0 {
        failed("and is critical".to_owned())
    } else if over(tally.failed, metric.failure_limit) {
        let limit = metric.failure_limit.unwrap_or_default();
        failed(format!("{} times, over its failureLimit of {limit}", tally.failed))
    } else if metric.consecutive_failure_limit.is_some_and(|limit| tally.consecutive_failed >= limit.max(1)) {
        failed(format!("{} times in a row", tally.consecutive_failed))
    } else if tally.consecutive_error > metric.consecutive_error_limit {
        (Conclusion::Error, format!("{name} could not be measured {} times in a row", tally.consecutive_error))
    } else if over(tally.inconclusive, metric.inconclusive_limit) {
        let limit = metric.inconclusive_limit.unwrap_or_default();
        let count = tally.inconclusive;
        (
            Conclusion::Inconclusive,
            format!("{name} was inconclusive {count} times, over its inconclusiveLimit of {limit}"),
        )
    } else if tally.good() && (tally.passed || metric.consecutive_success_limit.is_none()) {
        (Conclusion::Successful, format!("{name} is within bounds"))
    } else {
        (Conclusion::Running, format!("{name} has no passing measurement yet"))
    };
    Verdict { conclusion, reason }
}

// === impl Verdict ===

impl Verdict {
    /// The verdict before anything was measured.
    #[must_use]
    pub fn running(reason: impl Into<String>) -> Self {
        Self { conclusion: Conclusion::Running, reason: reason.into() }
    }

    /// The verdict of several metrics: the worst one's. Without metrics there is nothing to object to.
    #[must_use]
    pub fn worst(verdicts: impl IntoIterator<Item = Self>) -> Self {
        let nothing = Self { conclusion: Conclusion::Successful, reason: "every metric is within bounds".to_owned() };
        verdicts.into_iter().fold(nothing, |worst, next| if next.conclusion > worst.conclusion { next } else { worst })
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use config::MetricKind;

    use super::super::testing::metric;
    use super::*;

    /// Folds a string of findings: `s`uccessful, `f`ailed, `i`nconclusive, `e`rror.
    fn fold(metric: &Metric, findings: &str) -> Conclusion {
        let mut tally = Tally::default();
        for letter in findings.chars() {
            let finding = match letter {
                's' => Finding::Successful,
                'f' => Finding::Failed,
                'i' => Finding::Inconclusive,
                _ => Finding::Error,
            };
            tally.add(metric, &Measurement { value: None, samples: 0, finding, reason: String::new() });
        }
        judge(metric, &tally, None).conclusion
    }

    #[test]
    fn verdicts() {
        use Conclusion::{Error, Failed, Inconclusive, Running, Successful};
        let base = metric(MetricKind::SuccessRate, Some(99.0), None);
        let check = |change: &dyn Fn(&mut Metric), cases: &[(&str, Conclusion)]| {
            let mut metric = base.clone();
            change(&mut metric);
            for (findings, expect) in cases {
                assert_eq!(fold(&metric, findings), *expect, "{findings:?} under {metric:?}");
            }
        };
        // As Argo's code has it: N failures go on, N + 1 abort.
        check(
            &|m| m.failure_limit = Some(2),
            &[("ff", Running), ("ffs", Successful), ("fsfsf", Failed), ("fff", Failed)],
        );
        check(&|m| m.failure_limit = Some(0), &[("", Running), ("s", Successful), ("sf", Failed)]);
        check(&|m| m.failure_limit = None, &[("ffffffffff", Running), ("ffffs", Successful)]);
        check(
            &|m| {
                m.failure_limit = None;
                m.consecutive_failure_limit = Some(2);
            },
            &[("fsfsf", Running), ("sff", Failed), ("fif", Failed)],
        );
        check(
            &|m| {
                m.consecutive_success_limit = Some(3);
                m.failure_limit = Some(1);
            },
            &[("ss", Running), ("sfss", Running), ("sssf", Successful), ("sssff", Failed)],
        );
        check(&|m| m.inconclusive_limit = Some(1), &[("i", Running), ("ii", Inconclusive), ("iif", Failed)]);
        check(&|m| m.inconclusive_limit = None, &[("iiiiiiiiiiiiiiiiiiii", Running)]);
        check(&|m| m.consecutive_error_limit = 1, &[("e", Running), ("ee", Error), ("ese", Successful)]);
        check(
            &|m| {
                m.critical = true;
                m.failure_limit = None;
            },
            &[("sf", Failed)],
        );
        // The last conclusive measurement counts: one good window long ago does not promote.
        check(&|m| m.failure_limit = Some(5), &[("sf", Running), ("sfi", Running), ("si", Successful)]);
    }

    #[test]
    fn the_worst_metric_decides_and_none_objects_to_nothing() {
        let verdict = |conclusion| Verdict { conclusion, reason: String::new() };
        let worst = |list: &[Conclusion]| Verdict::worst(list.iter().map(|c| verdict(*c))).conclusion;
        assert_eq!(worst(&[]), Conclusion::Successful);
        assert_eq!(worst(&[Conclusion::Successful, Conclusion::Running]), Conclusion::Running);
        assert_eq!(worst(&[Conclusion::Failed, Conclusion::Error, Conclusion::Inconclusive]), Conclusion::Failed);
    }

    #[test]
    fn a_person_settles_what_was_unclear_but_not_what_failed() {
        let metric = metric(MetricKind::SuccessRate, Some(99.0), None);
        let mut tally = Tally { inconclusive: 9, consecutive_error: 9, error: 9, failed: 1, ..Tally::default() };
        tally.acknowledge();
        assert_eq!((tally.inconclusive, tally.error, tally.failed), (0, 0, 1));
        assert_eq!(judge(&metric, &tally, None).conclusion, Conclusion::Failed);
    }
}
