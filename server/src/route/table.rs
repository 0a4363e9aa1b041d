//! The routing snapshot: which versions of each model are reachable, and with what share.
//!
//! Versions and weights change together in one `ArcSwap`, so no request ever sees a weight without its version. The
//! [`RoutePublisher`] is not `Clone`: the reconciler owns the only one, and everything else reads through [`Routes`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use config::{ModelName, OnFailure, Weight};
use http::HeaderName;

use super::split::Variant;
use crate::rollout::{self, RouteUpdate};
use crate::version::LiveVersion;

/// The routes of one model.
pub struct ModelRoutes {
    /// The model's name.
    pub name: Arc<str>,
    /// Answers everything the canary does not; `None` until the first version is up.
    pub stable: Option<Arc<LiveVersion>>,
    /// The version on trial; reachable by header even at weight zero.
    pub canary: Option<Arc<LiveVersion>>,
    /// The canary's share of live traffic.
    pub canary_weight: Weight,
    /// The header whose value keeps a caller on one version.
    pub affinity: Option<HeaderName>,
    /// What a caller gets when the canary fails its request.
    pub on_failure: OnFailure,
    /// Deadline of a request that brings none.
    pub timeout_default: Duration,
    /// Whether it had a stable version at some time: a model without one is then in a gap, not new.
    pub has_served: bool,
}

impl ModelRoutes {
    /// The version in that role.
    #[must_use]
    pub fn variant(&self, variant: Variant) -> Option<&Arc<LiveVersion>> {
        match variant {
            Variant::Stable => self.stable.as_ref(),
            Variant::Canary => self.canary.as_ref(),
        }
    }

    /// The versions that can be reached, with their roles.
    pub fn versions(&self) -> impl Iterator<Item = (Variant, &Arc<LiveVersion>)> {
        Variant::ALL.into_iter().filter_map(|variant| self.variant(variant).map(|live| (variant, live)))
    }
}

/// All routes at one moment.
#[derive(Default)]
pub struct RoutingTable {
    models: HashMap<Arc<str>, Arc<ModelRoutes>>,
}

impl RoutingTable {
    /// Every model with routes, in no order.
    pub fn models(&self) -> impl Iterator<Item = &Arc<ModelRoutes>> {
        self.models.values()
    }
}

/// Read access to the current snapshot; cheap to clone.
#[derive(Clone)]
pub struct Routes(Arc<ArcSwap<RoutingTable>>);

impl Routes {
    /// The routes of one model now. The snapshot's guard is released before this returns, so nothing holds an old
    /// table over an `await`.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<Arc<ModelRoutes>> {
        self.0.load().models.get(name).cloned()
    }

    /// The whole table now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<RoutingTable> {
        self.0.load_full()
    }
}

/// Write access, for the reconciler alone.
pub struct RoutePublisher(Arc<ArcSwap<RoutingTable>>);

impl rollout::Routes for RoutePublisher {
    type Live = LiveVersion;

    fn publish(&self, update: RouteUpdate<LiveVersion>) {
        let name: Arc<str> = update.model.as_str().into();
        let mut models = self.0.load().models.clone();
        let has_served = update.stable.is_some() || models.get(&name).is_some_and(|routes| routes.has_served);
        let routes = ModelRoutes {
            name: Arc::clone(&name),
            stable: update.stable,
            canary: update.canary,
            canary_weight: update.canary_weight,
            // The values file's header was checked where it was parsed; one that HTTP cannot carry never matches.
            affinity: update.affinity.and_then(|header| HeaderName::try_from(header).ok()),
            on_failure: update.on_failure,
            timeout_default: update.timeout_default,
            has_served,
        };
        models.insert(name, Arc::new(routes));
        self.0.store(Arc::new(RoutingTable { models }));
    }

    fn remove(&self, model: &ModelName) {
        let mut models = self.0.load().models.clone();
        models.remove(model.as_str());
        self.0.store(Arc::new(RoutingTable { models }));
    }
}

/// An empty table: its reader and its one writer.
#[must_use]
pub fn routes() -> (Routes, RoutePublisher) {
    let table = Arc::new(ArcSwap::from_pointee(RoutingTable::default()));
    (Routes(Arc::clone(&table)), RoutePublisher(table))
}
