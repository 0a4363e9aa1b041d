//! `serving` and `gate` as written.

use schemars::JsonSchema;

use super::{DurationText, zero};
use crate::values::defaults;

/// Limits of the model's batches, queues and requests.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Serving {
    /// Rows of one batch, at most.
    #[schemars(default = "max_batch_size", range(min = 1, max = 65_536))]
    max_batch_size: usize,
    /// How long a batch may wait for more rows, at most 10s. With 0 the next batch forms while the device works.
    #[schemars(default = "zero")]
    queue_delay_max: DurationText,
    /// Rows that may wait in one version's queue, before callers are told to come back; 16 times `maxBatchSize` by default.
    #[schemars(range(min = 1, max = 16_777_216))]
    queue_rows_max: Option<usize>,
    /// Deadline of a request that brings none, 1ms to 1h.
    #[schemars(default = "timeout_default")]
    timeout_default: DurationText,
    /// When two versions do not fit the device: `availability` loads the new one beside the old one, then swaps; `resource` unloads the old one first; `refuse` refuses the new one.
    #[schemars(default)]
    memory_policy: MemoryPolicy,
}

#[derive(JsonSchema, Default, serde::Serialize)]
#[schemars(inline, rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
enum MemoryPolicy {
    #[default]
    Availability,
    Resource,
    Refuse,
}

/// What `sluice check` demands before a merge.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Gate {
    /// The registry tag that must say `passed`.
    #[schemars(length(min = 1, max = 250))]
    offline_tests_tag: Option<String>,
    /// Bounds on the metrics that the registry recorded, at most 64.
    #[schemars(length(max = 64))]
    metrics: Option<Vec<GateMetric>>,
}

/// A bound on a recorded metric; at least one of `min` and `max`.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct GateMetric {
    /// The metric's name in the registry.
    #[schemars(length(min = 1, max = 250))]
    name: String,
    /// Lowest acceptable value.
    min: Option<f64>,
    /// Highest acceptable value.
    max: Option<f64>,
}

const fn max_batch_size() -> usize {
    defaults::MAX_BATCH_SIZE
}

const fn timeout_default() -> DurationText {
    DurationText(defaults::TIMEOUT)
}
