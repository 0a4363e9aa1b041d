//! V1's answer about a label of a model, which a serving port gives to whoever may send it requests.

use serde::Deserialize;

use super::client::Client;
use super::exit::Failure;

/// The versions under a label: one, in an answer of ours.
#[derive(Deserialize)]
pub(super) struct LabelAnswer {
    model_version_status: Vec<LabelVersion>,
}

#[derive(Deserialize)]
struct LabelVersion {
    version: String,
}

impl LabelAnswer {
    /// The version under the label.
    pub(super) fn version(self) -> Option<String> {
        self.model_version_status.into_iter().next().map(|status| status.version)
    }
}

/// Where the label of `model` is asked for.
pub(super) const fn path<'a>(model: &'a str, label: &'a str) -> [&'a str; 5] {
    ["v1", "models", model, "labels", label]
}

/// The version of `model` under `label`.
pub(super) async fn version(client: &Client, model: &str, label: &str) -> Result<Option<String>, Failure> {
    Ok(client.get::<LabelAnswer>(&path(model, label)).await?.version())
}
