//! What is recorded of each judged request: one outcome, and how long it took.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::histogram::{BUCKETS, bucket, middle};

/// How a judged request ended. A caller's own errors, cancelled requests and version-pinned requests are not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Success,
    /// The model failed.
    ModelError,
    /// An output held NaN or Inf.
    NonFinite,
    /// Not answered in time.
    Deadline,
    /// The version's own queue was full.
    Overload,
}

const OUTCOMES: usize = 5;

/// What one version did since it became resident. Recording takes two relaxed increments and never blocks.
#[derive(Debug)]
pub struct Evidence {
    outcomes: [AtomicU64; OUTCOMES],
    latencies: Box<[AtomicU64]>,
}

/// A reading of [`Evidence`]: plain numbers that add up across processes and subtract across time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    outcomes: [u64; OUTCOMES],
    latencies: Box<[u64]>,
}

// === impl Evidence ===

impl Evidence {
    /// Nothing recorded yet.
    #[must_use]
    pub fn new() -> Self {
        Self { outcomes: Default::default(), latencies: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Records one judged request.
    ///
    /// `latency` counts for answers and missed deadlines only: an early failure is quick, and would make a broken
    /// version look fast.
    pub fn record(&self, outcome: Outcome, latency: Duration) {
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
        if matches!(outcome, Outcome::Success | Outcome::Deadline) {
            self.latencies[bucket(latency)].fetch_add(1, Relaxed);
        }
    }

    /// A reading. Requests recorded meanwhile may be in it by half; each number alone never goes backwards.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            outcomes: std::array::from_fn(|i| self.outcomes[i].load(Relaxed)),
            latencies: self.latencies.iter().map(|count| count.load(Relaxed)).collect(),
        }
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Counts ===

impl Counts {
    /// How many requests ended with `outcome`.
    #[must_use]
    pub const fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// How many requests were judged.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.outcomes.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How many requests have a latency.
    #[must_use]
    pub fn timed(&self) -> u64 {
        self.latencies.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The share of judged requests that were answered, `0..=1`; `None` without requests.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        self.share(Outcome::Success)
    }

    /// The share of judged requests whose outputs held NaN or Inf, `0..=1`; `None` without requests.
    #[must_use]
    pub fn nan_share(&self) -> Option<f64> {
        self.share(Outcome::NonFinite)
    }

    /// The latency that the share `q` of timed requests did not exceed (within 3 %); `None` without requests.
    ///
    /// `q` is held inside `0..=1`.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let timed = self.timed();
        let rank = ((q.clamp(0.0, 1.0) * timed as f64).ceil() as u64).clamp(1, timed.max(1));
        let mut seen = 0u64;
        self.latencies
            .iter()
            .position(|count| {
                seen = seen.saturating_add(*count);
                seen >= rank
            })
            .map(middle)
    }

    /// What happened after `earlier`; `None` where a number went backwards, so that `earlier` is of something else.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let mut counts = self.clone();
        for (count, before) in counts.numbers_mut().zip(earlier.numbers()) {
            *count = count.checked_sub(before)?;
        }
        Some(counts)
    }

    /// Adds what another process counted of the same version.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.numbers_mut().zip(other.numbers()) {
            *count = count.saturating_add(more);
        }
    }

    fn share(&self, outcome: Outcome) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| self.of(outcome) as f64 / total as f64)
    }

    fn numbers(&self) -> impl Iterator<Item = u64> {
        self.outcomes.iter().chain(&self.latencies).copied()
    }

    fn numbers_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        self.outcomes.iter_mut().chain(&mut self.latencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_subtract_and_merge() {
        let evidence = Evidence::new();
        evidence.record(Outcome::Success, Duration::from_millis(3));
        let earlier = evidence.counts();
        evidence.record(Outcome::NonFinite, Duration::from_millis(1));
        evidence.record(Outcome::Success, Duration::from_millis(5));
        let later = evidence.counts();

        let mut window = later.since(&earlier).expect("later is after earlier");
        assert_eq!((window.total(), window.timed()), (2, 1));
        assert_eq!(window.nan_share(), Some(0.5));
        assert_eq!(earlier.since(&later), None, "time does not run backwards");

        window.merge(&earlier);
        assert_eq!(window, later);
    }

    #[test]
    fn quantiles_are_within_three_percent() {
        let evidence = Evidence::new();
        for micros in 1..=10_000u64 {
            evidence.record(Outcome::Success, Duration::from_micros(micros));
        }
        let counts = evidence.counts();
        for (q, expected) in [(0.0, 1.0), (0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let micros = counts.quantile(q).expect("there are requests").as_nanos() as f64 / 1e3;
            assert!((micros - expected).abs() / expected <= 0.03, "q {q}: {micros} µs, expected {expected}");
        }
    }

    #[test]
    fn nothing_recorded_gives_no_value() {
        let counts = Evidence::new().counts();
        assert_eq!((counts.success_rate(), counts.nan_share(), counts.quantile(0.99)), (None, None, None));
    }

    #[test]
    fn a_quick_failure_does_not_make_a_version_fast() {
        let evidence = Evidence::new();
        evidence.record(Outcome::Deadline, Duration::from_secs(1));
        evidence.record(Outcome::Overload, Duration::from_nanos(1));
        evidence.record(Outcome::ModelError, Duration::from_nanos(1));
        assert_eq!((evidence.counts().total(), evidence.counts().timed()), (3, 1));
    }
}
