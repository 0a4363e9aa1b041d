//! When the ConfigMap is looked at next. Pure: what was said, how it went, and `now` are arguments.

use std::time::Duration;

use tokio::time::Instant;

use super::notice::{RENEWAL, Report};
use super::object::ObjectError;
use crate::rollout::backoff;

/// Between two writings, whatever changes.
const WRITES_APART: Duration = Duration::from_secs(1);
/// Between two writings of which only the message changes: a trial says a new sentence at every step.
const MESSAGES_APART: Duration = Duration::from_secs(10);
/// The first wait after a conflict, and the longest. Whoever wrote first is done within milliseconds.
const CONFLICT_WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Failures of one kind are told once in this time.
const COMPLAINTS_APART: Duration = Duration::from_secs(600);
/// Conflicts in a row that are nothing to tell.
const CONFLICTS_USUAL: u32 = 8;

/// What was said, and how well it is heard.
#[derive(Debug)]
pub(super) struct Pace {
    told: Option<(Report, Instant)>,
    not_before: Instant,
    failures: u32,
    complained: Option<Instant>,
}

// === impl Pace ===

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self { told: None, not_before: now, failures: 0, complained: None }
    }

    /// When `report` is to be told.
    pub(super) fn due(&self, report: &Report) -> Instant {
        let Some((told, at)) = &self.told else { return self.not_before };
        let apart = if (told.phase, &told.revision) != (report.phase, &report.revision) {
            WRITES_APART
        } else if told.message != report.message {
            MESSAGES_APART
        } else {
            RENEWAL
        };
        (*at + apart).max(self.not_before)
    }

    /// Remembers that `report` was told; whether that ends a complaint.
    pub(super) fn told(&mut self, report: Report, now: Instant) -> bool {
        self.told = Some((report, now));
        self.failures = 0;
        self.complained.take().is_some()
    }

    /// Remembers that it failed; whether that is worth a complaint.
    pub(super) fn failed(&mut self, error: &ObjectError, now: Instant, jitter: f64) -> bool {
        self.failures = self.failures.saturating_add(1);
        let conflict = *error == ObjectError::Conflict;
        let wait = if conflict { conflict_wait(self.failures, jitter) } else { backoff::delay(self.failures, jitter) };
        self.not_before = now + wait;
        let usual = conflict && self.failures <= CONFLICTS_USUAL;
        let lately = self.complained.is_some_and(|at| now < at + COMPLAINTS_APART);
        if usual || lately {
            return false;
        }
        self.complained = Some(now);
        true
    }
}

/// Doubles up to a limit. All of it is up to chance: those who met should not meet again.
pub(super) fn conflict_wait(failures: u32, jitter: f64) -> Duration {
    let (first, longest) = CONFLICT_WAITS;
    let doublings = failures.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(longest).mul_f64(jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::Phase;

    fn report(phase: Phase, message: &str, revision: &str) -> Report {
        Report { phase, message: message.to_owned(), revision: revision.to_owned() }
    }

    fn refused() -> ObjectError {
        ObjectError::Refused { code: 403, reason: "no".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_matters_is_told_at_once_and_the_rest_in_its_time() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let healthy = report(Phase::Healthy, "fine", "a");
        assert_eq!(pace.due(&healthy), now, "the first word");
        assert!(!pace.told(healthy.clone(), now));
        for (next, after) in [
            (report(Phase::Degraded, "fine", "a"), WRITES_APART),
            (report(Phase::Healthy, "fine", "b"), WRITES_APART),
            (report(Phase::Healthy, "better", "a"), MESSAGES_APART),
            (healthy, RENEWAL),
        ] {
            assert_eq!(pace.due(&next), now + after, "{next:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_and_longer_and_a_success_forgets_them() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let word = report(Phase::Healthy, "fine", "a");
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            pace.failed(&refused(), now, 0.0);
            assert_eq!(pace.due(&word), now + Duration::from_secs(seconds));
        }
        pace.told(word.clone(), now);
        pace.failed(&ObjectError::Failed("gone".to_owned()), now, 0.0);
        assert_eq!(pace.due(&report(Phase::Degraded, "bad", "a")), now + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn conflicts_are_settled_by_chance_and_soon() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let word = report(Phase::Healthy, "fine", "a");
        for (jitter, millis) in [(1.0, 100), (0.5, 100), (0.0, 0), (1.0, 800)] {
            assert!(!pace.failed(&ObjectError::Conflict, now, jitter), "nothing to tell");
            assert_eq!(pace.due(&word), now + Duration::from_millis(millis));
        }
        assert_eq!(conflict_wait(u32::MAX, 2.0), CONFLICT_WAITS.1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_streak_of_failures_is_told_once_in_a_while_and_its_end_once() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let at = |seconds| now + Duration::from_secs(seconds);
        let told: Vec<bool> =
            [0, 1, 599, 600, 601].into_iter().map(|seconds| pace.failed(&refused(), at(seconds), 0.0)).collect();
        assert_eq!(told, [true, false, false, true, false]);
        assert!(pace.told(report(Phase::Healthy, "fine", "a"), at(602)));
        assert!(!pace.told(report(Phase::Healthy, "fine", "a"), at(603)));
        let many = (0..=CONFLICTS_USUAL).map(|_| pace.failed(&ObjectError::Conflict, at(604), 0.5)).collect::<Vec<_>>();
        assert_eq!(many.iter().filter(|told| **told).count(), 1, "an unusual streak of conflicts");
    }
}
