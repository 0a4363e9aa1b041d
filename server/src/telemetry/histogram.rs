//! A histogram that is recorded with two relaxed additions. The library's own takes a lock for each observation, which
//! the threads of one busy model would all wait for.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

/// From 50 µs to 30 s, in nanoseconds: fine below a millisecond, where small models live.
const BOUNDS_NS: [u64; 19] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    3_000_000,
    5_000_000,
    7_500_000,
    10_000_000,
    20_000_000,
    30_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    30_000_000_000,
];
const BOUNDS_ROWS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const NS_PER_SECOND: f64 = 1e9;

/// Counts of whole numbers by size.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [u64],
    /// What one unit of the exposition is, in units of the bounds.
    unit: f64,
    /// One more than bounds: the last is everything over them.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Of durations; its exposition is in seconds.
    pub(super) fn seconds() -> Self {
        Self::new(&BOUNDS_NS, NS_PER_SECOND)
    }

    /// Of rows in a batch.
    pub(super) fn rows() -> Self {
        Self::new(&BOUNDS_ROWS, 1.0)
    }

    fn new(bounds: &'static [u64], unit: f64) -> Self {
        Self { bounds, unit, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Counts one value. A reading taken meanwhile may have it in one of its two figures only.
    pub(super) fn observe(&self, value: u64) {
        // Most values lie in the first few buckets, so a scan from below ends soonest.
        let bucket = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// Counts one duration, in nanoseconds.
    pub(super) fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Writes the series of one label set.
    #[expect(clippy::cast_precision_loss, reason = "the exposition's numbers are floats")]
    pub(super) fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / self.unit).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(self.counts.iter().map(|count| count.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum.load(Relaxed) as f64 / self.unit, count, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::DescriptorEncoder;
    use prometheus_client::metrics::MetricType;
    use prometheus_client::registry::Registry;

    use super::*;

    #[derive(Debug)]
    struct Shown(Histogram);

    impl Collector for Shown {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            self.0.encode(encoder.encode_descriptor("h", "Help", None, MetricType::Histogram)?)
        }
    }

    fn exposition(histogram: Histogram) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Shown(histogram)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn values_are_counted_at_and_over_their_bounds() {
        let histogram = Histogram::rows();
        for rows in [1, 2, 3, 1024, 1025, 9000] {
            histogram.observe(rows);
        }
        let text = exposition(histogram);
        for line in [
            "h_sum 11055.0",
            "h_count 6",
            "h_bucket{le=\"1.0\"} 1",
            "h_bucket{le=\"2.0\"} 2",
            "h_bucket{le=\"4.0\"} 3",
            "h_bucket{le=\"512.0\"} 3",
            "h_bucket{le=\"1024.0\"} 4",
            "h_bucket{le=\"+Inf\"} 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn durations_are_shown_in_seconds() {
        let histogram = Histogram::seconds();
        histogram.observe_duration(Duration::from_micros(50));
        histogram.observe_duration(Duration::from_millis(1500));
        histogram.observe_duration(Duration::ZERO);
        let text = exposition(histogram);
        for line in ["h_sum 1.50005", "h_bucket{le=\"0.00005\"} 2", "h_bucket{le=\"1.0\"} 2", "h_bucket{le=\"5.0\"} 3"]
        {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
