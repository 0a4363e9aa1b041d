//! `serving` and `gate`.

use std::time::Duration;

/// `serving`: limits of one model's queue, batches and requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Serving {
    /// Rows of one batch, at most. Default 64.
    pub max_batch_size: usize,
    /// How long a batch may wait for more rows. Default zero: the next batch forms while the device works.
    pub queue_delay_max: Duration,
    /// Rows that may wait in one version's queue. Default 16 × `max_batch_size`.
    pub queue_rows_max: usize,
    /// Deadline of a request that brings none. Default 30 s.
    pub timeout_default: Duration,
    /// What to do when two versions do not fit. Default `availability`.
    pub memory_policy: MemoryPolicy,
}

/// `serving.memoryPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryPolicy {
    /// Load the new version beside the old one, then swap.
    Availability,
    /// Unload the old version first: a gap, announced.
    Resource,
    /// Refuse a version that does not fit beside the live one.
    Refuse,
}

/// `gate`: what `sluice check` demands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gate {
    /// The registry tag that must say `passed`.
    pub offline_tests_tag: Option<String>,
    /// Bounds on the registry's recorded metrics.
    pub metrics: Vec<GateMetric>,
}

/// One entry of `gate.metrics`.
#[derive(Debug, Clone, PartialEq)]
pub struct GateMetric {
    /// The metric's name in the registry.
    pub name: String,
    /// Lowest acceptable value.
    pub min: Option<f64>,
    /// Highest acceptable value.
    pub max: Option<f64>,
}
