//! The exposition of versions, devices and the build, made from their counters at each scrape.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use models::cuda::Memory;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::State;
use super::histogram::Histogram;
use super::version::{VariantMetrics, VersionMetrics};
use crate::device::Device;
use crate::infer::error::Code;
use crate::route::Variant;

/// Reads the process's counters at each scrape.
#[derive(Debug)]
pub struct Collector {
    state: Arc<State>,
    device: DeviceHandle,
}

struct DeviceHandle(Device);

impl fmt::Debug for DeviceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

type Versions = Vec<Arc<VersionMetrics>>;

impl Collector {
    pub(super) const fn new(state: Arc<State>, device: Device) -> Self {
        Self { state, device: DeviceHandle(device) }
    }

    /// The newest holder of each label set: a retried version may live twice for a moment.
    fn versions(&self) -> Versions {
        let mut seen = HashSet::new();
        let all = self.state.versions.lock();
        let newest_first = all.iter().rev().filter_map(std::sync::Weak::upgrade);
        newest_first
            .filter(|metrics| seen.insert((Arc::clone(&metrics.identity.model), Arc::clone(&metrics.identity.version))))
            .collect()
    }
}

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let versions = self.versions();
        histograms(&mut encoder, &versions)?;
        requests(&mut encoder, &versions, &self.state)?;
        queue_depth(&mut encoder, &versions)?;
        unverified(&mut encoder, &versions)?;
        triton_aliases(&mut encoder, &versions)?;
        device(&mut encoder, &self.device.0)?;
        build_info(&mut encoder)
    }
}

fn histograms(encoder: &mut DescriptorEncoder<'_>, versions: &Versions) -> fmt::Result {
    type Pick = fn(&VariantMetrics) -> &Histogram;
    let families: [(&str, &str, Pick); 3] = [
        ("sluice_request_duration_seconds", "Time from the request's arrival to its answer", |v| &v.request_seconds),
        ("sluice_queue_duration_seconds", "Time a request waited in its version's queue", |v| &v.queue_seconds),
        ("sluice_compute_duration_seconds", "Time of the request's batch on the device", |v| &v.compute_seconds),
    ];
    for (name, help, histogram) in families {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        each_variant(versions, |version, variant, metrics| {
            histogram(metrics).encode(family.encode_family(&labels(version, variant))?)
        })?;
    }
    let mut family = encoder.encode_descriptor("sluice_batch_size", "Rows of a batch", None, MetricType::Histogram)?;
    for version in versions {
        version.batch_size.encode(family.encode_family(&version_labels(version))?)?;
    }
    Ok(())
}

fn requests(encoder: &mut DescriptorEncoder<'_>, versions: &Versions, state: &State) -> fmt::Result {
    let mut family =
        encoder.encode_descriptor("sluice_requests", "Requests by how they ended", None, MetricType::Counter)?;
    each_variant(versions, |version, variant, metrics| {
        for code in Code::ALL {
            let count = metrics.codes[code as usize].load(Ordering::Relaxed);
            let [model, version, variant] = labels(version, variant);
            counter(&mut family, &[model, version, variant, ("code", code.name())], count)?;
        }
        Ok(())
    })?;
    let mut family =
        encoder.encode_descriptor("sluice_request_errors", "Error answers to callers", None, MetricType::Counter)?;
    for code in Code::ALL.into_iter().filter(|code| !matches!(code, Code::Ok | Code::Cancelled)) {
        counter(&mut family, &[("code", code.name())], state.refused[code as usize].load(Ordering::Relaxed))?;
    }
    Ok(())
}

fn queue_depth(encoder: &mut DescriptorEncoder<'_>, versions: &Versions) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "sluice_queue_depth",
        "Rows that wait in the version's queue",
        None,
        MetricType::Gauge,
    )?;
    for version in versions {
        gauge(&mut family, &version_labels(version), version.queue_rows.load(Ordering::Relaxed))?;
    }
    Ok(())
}

fn unverified(encoder: &mut DescriptorEncoder<'_>, versions: &Versions) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "sluice_signature_unverified",
        "1 for a version that is loaded although no signature covers it",
        None,
        MetricType::Gauge,
    )?;
    for version in versions {
        let unverified = u64::from(version.unverified.load(Ordering::Relaxed));
        gauge(&mut family, &version_labels(version), unverified)?;
    }
    Ok(())
}

/// Triton's names, so that its dashboards keep working. They are gauges here only because the text format would add
/// `_total` to the name of a counter; `rate()` reads them the same.
fn triton_aliases(encoder: &mut DescriptorEncoder<'_>, versions: &Versions) -> fmt::Result {
    type Read = fn(&super::Statistics) -> u64;
    let aliases: [(&str, &str, Read); 9] = [
        ("nv_inference_request_success", "Requests answered", |s| s.success.count),
        ("nv_inference_request_failure", "Requests failed", |s| s.fail.count + s.reject.count + s.cancel.count),
        ("nv_inference_count", "Rows computed", |s| s.inference_count),
        ("nv_inference_exec_count", "Batches computed", |s| s.execution_count),
        ("nv_inference_request_duration_us", "Total request time in microseconds", |s| s.success.ns / 1000),
        ("nv_inference_queue_duration_us", "Total queue time in microseconds", |s| s.queue.ns / 1000),
        ("nv_inference_compute_input_duration_us", "Total time joining inputs in microseconds", |s| {
            s.compute_input.ns / 1000
        }),
        ("nv_inference_compute_infer_duration_us", "Total compute time in microseconds", |s| s.compute_infer.ns / 1000),
        ("nv_inference_compute_output_duration_us", "Total time splitting outputs in microseconds", |s| {
            s.compute_output.ns / 1000
        }),
    ];
    let statistics: Vec<_> = versions.iter().map(|version| (version, version.statistics())).collect();
    for (name, help, read) in aliases {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (version, statistics) in &statistics {
            gauge(&mut family, &version_labels(version), read(statistics))?;
        }
    }
    let mut family =
        encoder.encode_descriptor("nv_inference_pending_request_count", "Rows that wait", None, MetricType::Gauge)?;
    for version in versions {
        gauge(&mut family, &version_labels(version), version.queue_rows.load(Ordering::Relaxed))?;
    }
    Ok(())
}

fn device(encoder: &mut DescriptorEncoder<'_>, device: &Device) -> fmt::Result {
    let mut family =
        encoder.encode_descriptor("sluice_device_memory_bytes", "Device memory of models", None, MetricType::Gauge)?;
    for (kind, bytes) in memory_kinds(device.memory(), device.gpu_memory()) {
        gauge(&mut family, &[("device", device.name()), ("kind", kind)], bytes)?;
    }
    let help = "Always 1; what models run on is in the labels";
    let mut family = encoder.encode_descriptor("sluice_device_info", help, None, MetricType::Gauge)?;
    let about = device.about();
    let (model, simulated) = (about.model.as_deref().unwrap_or_default(), about.simulated.to_string());
    gauge(&mut family, &[("device", &about.name), ("model", model), ("simulated", &simulated)], 1)
}

/// What was promised to models, and what a GPU's driver says beside that.
fn memory_kinds((reserved, limit): (u64, u64), gpu: Option<Memory>) -> Vec<(&'static str, u64)> {
    let mut kinds = vec![("reserved", reserved), ("limit", limit)];
    if let Some(memory) = gpu {
        kinds.extend([
            ("used", memory.used_bytes()),
            ("free", memory.free_bytes),
            ("pool_held", memory.pool_held_bytes),
            ("pool_used", memory.pool_used_bytes),
        ]);
    }
    kinds
}

fn build_info(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "sluice_build_info",
        "Always 1; the build is in the labels",
        None,
        MetricType::Gauge,
    )?;
    gauge(&mut family, &[("version", env!("CARGO_PKG_VERSION"))], 1)
}

fn each_variant(
    versions: &Versions,
    mut encode: impl FnMut(&VersionMetrics, Variant, &VariantMetrics) -> fmt::Result,
) -> fmt::Result {
    for version in versions {
        for variant in Variant::ALL {
            encode(version, variant, &version.variants[variant as usize])?;
        }
    }
    Ok(())
}

fn labels(version: &VersionMetrics, variant: Variant) -> [(&str, &str); 3] {
    let [model, version] = version_labels(version);
    [model, version, ("variant", variant.name())]
}

fn version_labels(version: &VersionMetrics) -> [(&str, &str); 2] {
    [("model", &version.identity.model), ("version", &version.identity.version)]
}

fn counter(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(family.encode_family(&labels)?)
}

fn gauge(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], value: u64) -> fmt::Result {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(family.encode_family(&labels)?)
}
