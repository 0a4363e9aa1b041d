//! What is seen from outside: metrics, logs and traces.
//!
//! Hot paths hold their own counters ([`VersionMetrics`]); the exposition is made from them at scrape time, so series
//! of a version vanish with the version and nothing on the request path looks up a label.

pub mod annotations;
pub mod collect;
#[cfg(test)]
mod documented;
pub mod front;
mod histogram;
pub mod logs;
pub mod reload;
pub mod rollout;
pub mod traces;
pub mod version;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use prometheus_client::registry::Registry;

pub use annotations::{AnnotationMetrics, WriteResult};
pub use reload::ReloadMetrics;
pub use version::{DurationStat, Served, Statistics, VersionMetrics};

use crate::device::Device;
use crate::identity::Identity;
use crate::infer::error::Code;

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    state: Arc<State>,
    /// Counts and durations of reloads.
    pub reload: ReloadMetrics,
    /// Counts of what was told to the cluster.
    pub annotations: AnnotationMetrics,
}

/// What the collector reads.
#[derive(Debug, Default)]
struct State {
    versions: Mutex<Vec<Weak<VersionMetrics>>>,
    /// Requests that never reached a version, by code.
    refused: [AtomicU64; Code::ALL.len()],
}

impl Metrics {
    /// The registry of a process that runs models on `device`.
    #[must_use]
    pub fn new(device: &Device) -> Self {
        let mut registry = Registry::default();
        let state = Arc::new(State::default());
        let reload = ReloadMetrics::register(&mut registry);
        let annotations = AnnotationMetrics::register(&mut registry);
        registry.register_collector(Box::new(collect::Collector::new(Arc::clone(&state), device.clone())));
        Self { registry: Mutex::new(registry), state, reload, annotations }
    }

    /// Lets another part add what it knows at scrape time.
    pub fn register(&self, collector: Box<dyn prometheus_client::collector::Collector>) {
        self.registry.lock().register_collector(collector);
    }

    /// The counters of a new version; its series last as long as the returned `Arc`.
    #[must_use]
    pub fn version(&self, identity: &Identity) -> Arc<VersionMetrics> {
        let metrics = Arc::new(VersionMetrics::new(identity.clone()));
        let mut versions = self.state.versions.lock();
        versions.retain(|version| version.strong_count() > 0);
        versions.push(Arc::downgrade(&metrics));
        metrics
    }

    /// Counts a request that ended with an error; those that reached a version are counted there too.
    pub fn refused(&self, code: Code) {
        self.state.refused[code as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The exposition in OpenMetrics text.
    #[must_use]
    pub fn exposition(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())
            .expect("writing to a string cannot fail");
        text
    }
}
