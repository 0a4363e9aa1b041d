//! What front ends may ask about models: views made from one routing snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use config::Digest;
use models::Signature;

use crate::infer::InferError;
use crate::rollout::Resident;
use crate::route::table::RoutingTable;
use crate::route::{ModelRoutes, Routes, Variant};
use crate::shutdown::{Lifecycle, Stage};
pub use crate::telemetry::{DurationStat, Statistics};
use crate::version::LiveVersion;

/// Which models must answer before the process calls itself ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadinessRule {
    /// Every declared model; a model that is declared later does not take readiness away while it comes up.
    All,
    /// At least one.
    Any,
    /// These.
    Models(Vec<String>),
}

/// Answers questions about models; cheap to clone.
#[derive(Clone)]
pub struct Catalog(Inner);

#[derive(Clone)]
enum Inner {
    Real(Source),
    /// What a test of the front ends says.
    #[cfg(test)]
    Fixed {
        ready: bool,
        models: Vec<ModelView>,
    },
}

#[derive(Clone)]
struct Source {
    routes: Routes,
    lifecycle: Lifecycle,
    rule: Arc<ReadinessRule>,
    /// Whether the process has been ready: from then on a model that is added does not take it away.
    was_ready: Arc<AtomicBool>,
}

/// One model and its reachable versions.
#[derive(Debug, Clone)]
pub struct ModelView {
    /// Model name.
    pub name: Arc<str>,
    /// Whether it answers requests.
    pub ready: bool,
    /// Stable first.
    pub versions: Vec<VersionView>,
}

/// One reachable version.
#[derive(Debug, Clone)]
pub struct VersionView {
    /// Model name.
    pub model: Arc<str>,
    /// Release label.
    pub version: Arc<str>,
    /// Its role.
    pub variant: Option<Variant>,
    /// Root digest.
    pub digest: Digest,
    /// Engine, such as `onnx_sluice`.
    pub platform: &'static str,
    /// Inputs and outputs.
    pub signature: Arc<Signature>,
    /// Rows of one batch; 0 where requests are never joined, as Triton counts.
    pub max_batch_size: usize,
    /// How long a batch may wait.
    pub queue_delay_max: Duration,
    /// Rows that wait in its queue now.
    pub queue_rows: usize,
    /// Counters since the version came up.
    pub statistics: Statistics,
}

impl Catalog {
    /// Reads `routes`; ready by `rule`.
    #[must_use]
    pub fn new(routes: Routes, lifecycle: Lifecycle, rule: ReadinessRule) -> Self {
        Self(Inner::Real(Source { routes, lifecycle, rule: Arc::new(rule), was_ready: Arc::default() }))
    }

    /// Says always the same.
    #[cfg(test)]
    pub(crate) const fn fixed(ready: bool, models: Vec<ModelView>) -> Self {
        Self(Inner::Fixed { ready, models })
    }

    /// The process works at all.
    #[must_use]
    pub fn live(&self) -> bool {
        match &self.0 {
            Inner::Real(source) => !source.lifecycle.stopped(),
            #[cfg(test)]
            Inner::Fixed { .. } => true,
        }
    }

    /// The process should get traffic. Loading a new version never changes it while an old one serves.
    #[must_use]
    pub fn ready(&self) -> bool {
        match &self.0 {
            Inner::Real(source) => source.ready(),
            #[cfg(test)]
            Inner::Fixed { ready, .. } => *ready,
        }
    }

    /// Every declared model, by name.
    #[must_use]
    pub fn models(&self) -> Vec<ModelView> {
        let mut models: Vec<ModelView> = match &self.0 {
            Inner::Real(source) => source.routes.snapshot().models().map(|routes| model_view(routes)).collect(),
            #[cfg(test)]
            Inner::Fixed { models, .. } => models.clone(),
        };
        models.sort_by(|a, b| a.name.cmp(&b.name));
        models
    }

    /// One model.
    pub fn model(&self, name: &str) -> Result<ModelView, InferError> {
        let found = match &self.0 {
            Inner::Real(source) => source.routes.model(name).map(|routes| model_view(&routes)),
            #[cfg(test)]
            Inner::Fixed { models, .. } => models.iter().find(|model| *model.name == *name).cloned(),
        };
        found.ok_or_else(|| InferError::ModelNotFound { model: name.to_owned() })
    }

    /// One version; stable when none is named.
    pub fn version(&self, name: &str, version: Option<&str>) -> Result<VersionView, InferError> {
        let Some(version) = version else { return self.label(name, Variant::Stable) };
        let model = self.model(name)?;
        let found = model.versions.into_iter().find(|view| *view.version == *version);
        found.ok_or_else(|| InferError::VersionNotFound { model: name.to_owned(), version: version.to_owned() })
    }

    /// The version in a role.
    pub fn label(&self, name: &str, variant: Variant) -> Result<VersionView, InferError> {
        let model = self.model(name)?;
        let found = model.versions.into_iter().find(|view| view.variant == Some(variant));
        found.ok_or_else(|| match variant {
            Variant::Stable => InferError::NotReady { model: name.to_owned() },
            Variant::Canary => InferError::VariantNotFound { model: name.to_owned(), variant },
        })
    }
}

impl Source {
    fn ready(&self) -> bool {
        if self.lifecycle.stage() != Stage::Serving {
            return false;
        }
        let table = self.routes.snapshot();
        let answers = |routes: &Arc<ModelRoutes>| routes.stable.is_some();
        match &*self.rule {
            ReadinessRule::All => self.all_ready(&table),
            ReadinessRule::Any => table.models().any(answers),
            ReadinessRule::Models(names) => {
                names.iter().all(|name| self.routes.model(name).as_ref().is_some_and(answers))
            }
        }
    }

    /// At first every model; later every model that has served, so that a broken new one does not take the pod out.
    fn all_ready(&self, table: &RoutingTable) -> bool {
        let was_ready = self.was_ready.load(Ordering::Relaxed);
        let counts = |routes: &&Arc<ModelRoutes>| !was_ready || routes.has_served;
        let ready =
            table.models().next().is_some() && table.models().filter(counts).all(|routes| routes.stable.is_some());
        if ready {
            self.was_ready.store(true, Ordering::Relaxed);
        }
        ready
    }
}

fn model_view(routes: &ModelRoutes) -> ModelView {
    let versions = routes.versions().map(|(variant, live)| version_view(variant, live)).collect();
    ModelView { name: Arc::clone(&routes.name), ready: routes.stable.is_some(), versions }
}

fn version_view(variant: Variant, live: &LiveVersion) -> VersionView {
    VersionView {
        model: Arc::clone(live.model()),
        version: Arc::clone(live.version()),
        variant: Some(variant),
        digest: live.digest(),
        platform: live.platform(),
        signature: Arc::clone(live.signature()),
        max_batch_size: if live.signature().batched { live.serving().max_batch_size } else { 0 },
        queue_delay_max: live.serving().queue_delay_max,
        queue_rows: live.queue_rows(),
        statistics: live.metrics().statistics(),
    }
}
