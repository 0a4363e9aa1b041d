//! `serving` and `gate`.

use std::time::Duration;

use super::model::optional;
use super::{Cursor, Report};
use crate::values::{Gate, GateMetric, MemoryPolicy, Refused, Serving, defaults};

const BATCH_MAX: u64 = 65_536;
const QUEUE_ROWS_MAX: u64 = 1 << 24;
const GATE_METRICS_MAX: usize = 64;

/// What the absence of `serving` means.
pub(super) fn default_serving() -> Serving {
    Serving {
        max_batch_size: defaults::MAX_BATCH_SIZE,
        queue_delay_max: Duration::ZERO,
        queue_rows_max: defaults::MAX_BATCH_SIZE * defaults::QUEUE_BATCHES,
        timeout_default: defaults::TIMEOUT,
        memory_policy: MemoryPolicy::Availability,
    }
}

/// `serving`.
pub(super) fn serving(here: &Cursor<'_>, report: &mut Report) -> Option<Serving> {
    const POLICIES: [(&str, MemoryPolicy); 3] = [
        ("availability", MemoryPolicy::Availability),
        ("resource", MemoryPolicy::Resource),
        ("refuse", MemoryPolicy::Refuse),
    ];
    let mut map = here.map(report, "Serving")?;
    let batch = optional(map.get("maxBatchSize"), report, |cursor, report| rows(cursor, BATCH_MAX, report));
    let delay = optional(map.get("queueDelayMax"), report, |cursor, report| {
        cursor.duration(report, Duration::ZERO..=Duration::from_secs(10))
    });
    let queue_rows = optional(map.get("queueRowsMax"), report, |cursor, report| {
        let rows = rows(cursor, QUEUE_ROWS_MAX, report)?;
        let batch = batch.flatten().unwrap_or(defaults::MAX_BATCH_SIZE);
        if rows < batch {
            cursor.wrong(report, format!("{rows} is under maxBatchSize {batch}; no full batch could wait: write more"));
            return None;
        }
        Some(rows)
    });
    let timeout = optional(map.get("timeoutDefault"), report, |cursor, report| {
        cursor.duration(report, Duration::from_millis(1)..=Duration::from_secs(3600))
    });
    let policy = optional(map.get("memoryPolicy"), report, |cursor, report| cursor.choice(report, &POLICIES));
    map.finish(report);
    let max_batch_size = batch?.unwrap_or(defaults::MAX_BATCH_SIZE);
    Some(Serving {
        max_batch_size,
        queue_delay_max: delay?.unwrap_or(Duration::ZERO),
        queue_rows_max: queue_rows?.unwrap_or(max_batch_size * defaults::QUEUE_BATCHES),
        timeout_default: timeout?.unwrap_or(defaults::TIMEOUT),
        memory_policy: policy?.unwrap_or(MemoryPolicy::Availability),
    })
}

fn rows(cursor: &Cursor<'_>, max: u64, report: &mut Report) -> Option<usize> {
    cursor.whole(report, 1..=max).and_then(|rows| usize::try_from(rows).ok())
}

/// `gate`.
pub(super) fn gate(here: &Cursor<'_>, report: &mut Report) -> Option<Gate> {
    let mut map = here.map(report, "Gate")?;
    let tag = optional(map.get("offlineTestsTag"), report, |cursor, report| cursor.parsed(report, key));
    let metrics =
        optional(map.get("metrics"), report, |cursor, report| cursor.each(report, GATE_METRICS_MAX, gate_metric));
    map.finish(report);
    Some(Gate { offline_tests_tag: tag?, metrics: metrics?.unwrap_or_default() })
}

fn gate_metric(here: &Cursor<'_>, report: &mut Report) -> Option<GateMetric> {
    let mut map = here.map(report, "GateMetric")?;
    let name = map.required("name", "write the metric's name in the registry", report);
    let name = name.and_then(|cursor| cursor.parsed(report, key));
    let bounds = bounds(&mut map, f64::MIN..=f64::MAX, report);
    map.finish(report);
    let (min, max) = bounds?;
    Some(GateMetric { name: name?, min, max })
}

/// `min` and `max`: at least one, and in order.
pub(super) fn bounds(
    map: &mut super::Map<'_>,
    range: std::ops::RangeInclusive<f64>,
    report: &mut Report,
) -> Option<(Option<f64>, Option<f64>)> {
    let what = match (*range.start(), *range.end()) {
        (f64::MIN, _) => "write a number".to_owned(),
        (low, f64::MAX) => format!("write a number from {low}"),
        (low, high) => format!("write a number of {low} to {high}"),
    };
    let min = optional(map.get("min"), report, |cursor, report| cursor.number(report, range.clone(), &what));
    let max = optional(map.get("max"), report, |cursor, report| cursor.number(report, range.clone(), &what));
    let (min, max) = (min?, max?);
    match (min, max) {
        (None, None) => map.here.wrong(report, "neither min nor max is here; write at least one"),
        (Some(min), Some(max)) if min > max => {
            map.here.wrong(report, format!("min {min} is over max {max}; nothing could pass"));
        }
        _ => return Some((min, max)),
    }
    None
}

fn key(text: &str) -> Result<String, Refused> {
    let fits = !text.trim().is_empty() && text.len() <= 250 && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(Refused("use 1 to 250 printable characters".to_owned())) }
}
