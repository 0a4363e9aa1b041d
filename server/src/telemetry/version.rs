//! Counters and histograms of one version, updated on the request path without a lookup.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::histogram::Histogram;
use crate::identity::Identity;
use crate::infer::error::Code;
use crate::route::Variant;

/// Where the time of an answered request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// In the version's queue.
    pub queued: Duration,
    /// In its batch on the device.
    pub compute: Duration,
}

/// Batches of up to this many rows are counted without a lock; larger ones take longer than a lock does.
const SIZES_COUNTED: usize = 64;

/// Counters of one version in both roles.
#[derive(Debug)]
pub struct VersionMetrics {
    pub(super) identity: Identity,
    pub(super) variants: [VariantMetrics; 2],
    pub(super) batch_size: Histogram,
    batches: Batches,
    /// Rows waiting now, as the queue last said.
    pub(super) queue_rows: AtomicU64,
    /// Whether it serves although its signature does not cover it.
    pub(super) unverified: AtomicBool,
}

/// Counters of one version in one role.
#[derive(Debug)]
pub(super) struct VariantMetrics {
    pub(super) request_seconds: Histogram,
    pub(super) queue_seconds: Histogram,
    pub(super) compute_seconds: Histogram,
    pub(super) codes: [AtomicU64; Code::ALL.len()],
    stats: Stats,
}

/// What Triton's statistics count.
#[derive(Debug, Default)]
struct Stats {
    success: Stat,
    fail: Stat,
    cancel: Stat,
    reject: Stat,
    queue: Stat,
    rows: AtomicU64,
    last_inference_ms: AtomicU64,
}

#[derive(Debug)]
struct Batches {
    input: Stat,
    infer: Stat,
    small: [Stat; SIZES_COUNTED],
    large: parking_lot::Mutex<BTreeMap<u64, DurationStat>>,
}

/// A count and a total duration.
#[derive(Debug, Default)]
struct Stat {
    count: AtomicU64,
    ns: AtomicU64,
}

/// A count and a total duration, as read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DurationStat {
    /// How often.
    pub count: u64,
    /// How long in all, in nanoseconds.
    pub ns: u64,
}

/// One version's statistics, as Triton's extension names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Requests answered.
    pub success: DurationStat,
    /// Requests failed.
    pub fail: DurationStat,
    /// Requests whose caller left.
    pub cancel: DurationStat,
    /// Requests refused by the full queue.
    pub reject: DurationStat,
    /// Time in the queue.
    pub queue: DurationStat,
    /// Joining inputs.
    pub compute_input: DurationStat,
    /// Computing.
    pub compute_infer: DurationStat,
    /// Splitting outputs; part of `compute_infer` here.
    pub compute_output: DurationStat,
    /// Rows computed.
    pub inference_count: u64,
    /// Batches computed.
    pub execution_count: u64,
    /// Unix time of the last answer, in milliseconds.
    pub last_inference_ms: u64,
    /// Batches by size.
    pub batches: Vec<(u64, DurationStat)>,
}

impl Stat {
    fn add(&self, duration: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.ns.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> DurationStat {
        DurationStat { count: self.count.load(Ordering::Relaxed), ns: self.ns.load(Ordering::Relaxed) }
    }
}

impl Batches {
    fn new() -> Self {
        Self {
            input: Stat::default(),
            infer: Stat::default(),
            small: std::array::from_fn(|_| Stat::default()),
            large: parking_lot::Mutex::default(),
        }
    }

    fn add(&self, rows: usize, input: Duration, infer: Duration) {
        self.input.add(input);
        self.infer.add(infer);
        match rows.checked_sub(1).and_then(|index| self.small.get(index)) {
            Some(stat) => stat.add(infer),
            None => {
                let mut large = self.large.lock();
                let stat = large.entry(rows as u64).or_default();
                stat.count += 1;
                stat.ns += u64::try_from(infer.as_nanos()).unwrap_or(u64::MAX);
            }
        }
    }

    /// Every size that was seen, the smallest first.
    fn by_size(&self) -> Vec<(u64, DurationStat)> {
        let small = (1..).zip(self.small.iter().map(Stat::get)).filter(|(_, stat)| stat.count > 0);
        let large = self.large.lock();
        small.chain(large.iter().map(|(size, stat)| (*size, *stat))).collect()
    }
}

impl VariantMetrics {
    fn new() -> Self {
        Self {
            request_seconds: Histogram::seconds(),
            queue_seconds: Histogram::seconds(),
            compute_seconds: Histogram::seconds(),
            codes: Default::default(),
            stats: Stats::default(),
        }
    }
}

impl VersionMetrics {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            variants: [VariantMetrics::new(), VariantMetrics::new()],
            batch_size: Histogram::rows(),
            batches: Batches::new(),
            queue_rows: AtomicU64::new(0),
            unverified: AtomicBool::new(false),
        }
    }

    /// Says that it serves although its signature does not cover it.
    pub fn set_unverified(&self, unverified: bool) {
        self.unverified.store(unverified, Ordering::Relaxed);
    }

    /// Counts one finished attempt.
    pub fn request(&self, variant: Variant, code: Code, latency: Duration, served: Option<Served>, rows: usize) {
        let metrics = &self.variants[variant as usize];
        metrics.codes[code as usize].fetch_add(1, Ordering::Relaxed);
        metrics.request_seconds.observe_duration(latency);
        match (served, code) {
            (Some(served), _) => metrics.answered(latency, served, rows),
            (None, Code::Overloaded) => metrics.stats.reject.add(latency),
            (None, _) => metrics.stats.fail.add(latency),
        }
    }

    /// Counts one batch.
    pub fn batch(&self, rows: usize, input: Duration, infer: Duration) {
        self.batch_size.observe(rows as u64);
        self.batches.add(rows, input, infer);
    }

    /// Notes how many rows wait.
    pub fn queue_rows(&self, rows: usize) {
        self.queue_rows.store(rows as u64, Ordering::Relaxed);
    }

    /// Counts a cancel unless disarmed: dropped with the request's future when its caller leaves.
    #[must_use]
    pub fn count_cancel_on_drop(self: &Arc<Self>, variant: Variant, started: Instant) -> CancelGuard {
        CancelGuard(Some((Arc::clone(self), variant, started)))
    }

    /// Both roles together.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let sum = |stat: fn(&Stats) -> &Stat| {
            self.variants
                .iter()
                .map(|variant| stat(&variant.stats).get())
                .fold(DurationStat::default(), |a, b| DurationStat { count: a.count + b.count, ns: a.ns + b.ns })
        };
        let number = |number: fn(&Stats) -> &AtomicU64| {
            self.variants.iter().map(move |variant| number(&variant.stats).load(Ordering::Relaxed))
        };
        Statistics {
            success: sum(|stats| &stats.success),
            fail: sum(|stats| &stats.fail),
            cancel: sum(|stats| &stats.cancel),
            reject: sum(|stats| &stats.reject),
            queue: sum(|stats| &stats.queue),
            compute_input: self.batches.input.get(),
            compute_infer: self.batches.infer.get(),
            compute_output: DurationStat { count: self.batches.infer.get().count, ns: 0 },
            inference_count: number(|stats| &stats.rows).sum(),
            execution_count: self.batches.infer.get().count,
            last_inference_ms: number(|stats| &stats.last_inference_ms).max().unwrap_or(0),
            batches: self.batches.by_size(),
        }
    }
}

impl VariantMetrics {
    fn answered(&self, latency: Duration, served: Served, rows: usize) {
        self.queue_seconds.observe_duration(served.queued);
        self.compute_seconds.observe_duration(served.compute);
        self.stats.success.add(latency);
        self.stats.queue.add(served.queued);
        self.stats.rows.fetch_add(rows as u64, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.stats.last_inference_ms.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Counts a cancel when dropped armed.
#[derive(Debug)]
pub struct CancelGuard(Option<(Arc<VersionMetrics>, Variant, Instant)>);

impl CancelGuard {
    /// The request finished by itself.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some((metrics, variant, started)) = self.0.take() {
            let variant = &metrics.variants[variant as usize];
            variant.codes[Code::Cancelled as usize].fetch_add(1, Ordering::Relaxed);
            variant.stats.cancel.add(started.elapsed());
        }
    }
}
