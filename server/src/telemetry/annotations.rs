//! How often the annotations of the values' ConfigMap were written, and how it went.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// How one look at the ConfigMap ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteResult {
    /// It says what it should now.
    Written,
    /// It said so already.
    Unchanged,
    /// Another process wrote at the same moment; tried again within seconds.
    Conflict,
    /// The cluster does not let this process, or has no such ConfigMap.
    Refused,
    /// The cluster was not reached, or could not.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

/// Counts of looks at the ConfigMap.
#[derive(Debug, Clone, Default)]
pub struct AnnotationMetrics(Family<Labels, Counter>);

// === impl WriteResult ===

impl WriteResult {
    const ALL: [Self; 5] = [Self::Written, Self::Unchanged, Self::Conflict, Self::Refused, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Unchanged => "unchanged",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

// === impl AnnotationMetrics ===

impl AnnotationMetrics {
    /// Shows every series from the start, so that a first failure is an increase.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for result in WriteResult::ALL {
            drop(metrics.0.get_or_create(&Labels { result: result.name() }));
        }
        let help = "Looks at the ConfigMap that the values are mounted from, by how they ended";
        registry.register("sluice_status_annotations", help, metrics.0.clone());
        metrics
    }

    /// Counts one look.
    pub fn wrote(&self, result: WriteResult) {
        self.0.get_or_create(&Labels { result: result.name() }).inc();
    }
}
