//! The part of `/status` that commands read. Every field may be absent, so that a command works with a server that is
//! a little older or newer than itself.

use serde::Deserialize;

use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::rollout::Status;

/// What a server says of its models.
#[derive(Debug, Clone, PartialEq, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StatusView {
    /// Sorted by name.
    pub(crate) models: Vec<ModelView>,
    /// What is wrong with values files that belong to no model yet.
    pub(crate) problems: Vec<String>,
    /// SHA-256 of each values file as it was last read, in force or refused.
    pub(crate) revisions: Vec<String>,
    /// What should be known of the way values files are watched.
    pub(crate) notes: Vec<String>,
    /// What the models run on.
    pub(crate) device: DeviceView,
}

/// What models run on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeviceView {
    pub(crate) name: String,
    /// As its driver calls it.
    pub(crate) model: Option<String>,
    /// Whether it only stands in for a GPU.
    pub(crate) simulated: bool,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ModelView {
    pub(crate) name: String,
    pub(crate) phase: String,
    pub(crate) message: String,
    /// `sha256:…` of the values file in force.
    pub(crate) observed_revision: String,
    /// Why a newer values file is not in force.
    pub(crate) values_error: Option<String>,
    /// What to know, and nothing waits for.
    pub(crate) notes: Vec<String>,
    pub(crate) desired_version: String,
    pub(crate) stable: Option<VersionView>,
    pub(crate) canary: Option<CanaryView>,
    pub(crate) analysis: Vec<MetricView>,
    pub(crate) rejected: Vec<RejectedView>,
    pub(crate) promoted: Vec<VersionView>,
    /// Oldest first.
    pub(crate) history: Vec<EventView>,
}

/// One version and what it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VersionView {
    pub(crate) version: String,
    pub(crate) digest: Option<String>,
    pub(crate) state: String,
}

/// The version on trial, or on its way.
#[derive(Debug, Clone, PartialEq, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CanaryView {
    #[serde(flatten)]
    pub(crate) version: VersionView,
    pub(crate) weight_percent: f64,
    pub(crate) step: usize,
    pub(crate) steps: usize,
    /// RFC 3339.
    pub(crate) next_at: Option<String>,
}

/// One metric of the analysis.
#[derive(Debug, Clone, PartialEq, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MetricView {
    pub(crate) name: String,
    pub(crate) value: Option<f64>,
    pub(crate) samples: u64,
    pub(crate) verdict: String,
    pub(crate) reason: String,
    pub(crate) dry_run: bool,
}

/// One rejected version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RejectedView {
    pub(crate) version: String,
    pub(crate) digest: Option<String>,
    pub(crate) reason: String,
    pub(crate) at: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EventView {
    pub(crate) at: String,
    pub(crate) event: String,
    pub(crate) version: String,
    pub(crate) reason: String,
}

// === impl StatusView ===

impl StatusView {
    /// Asks a server.
    pub(crate) async fn ask(client: &Client) -> Result<Self, Failure> {
        client.get(&["status"]).await
    }

    /// What a server of this process says.
    pub(crate) fn of(status: &Status) -> Result<Self, Failure> {
        let view = serde_json::to_value(status).and_then(serde_json::from_value);
        view.map_err(|error| Failure::failed(format_args!("the status cannot be read: {error}")))
    }

    /// The model called `name`.
    pub(crate) fn model(&self, name: &str) -> Result<&ModelView, Failure> {
        let found = self.models.iter().find(|model| model.name == name);
        found.ok_or_else(|| Failure::input(format_args!("there is no model {name:?}")).hint(self.known()))
    }

    /// The models there are, for who named another.
    fn known(&self) -> String {
        let names: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
        if names.is_empty() { "the server has no models".to_owned() } else { format!("models: {}", names.join(", ")) }
    }
}
