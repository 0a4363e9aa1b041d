//! What the values files ask for, all models together.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{ModelName, Values};

/// The last good state of every values file.
#[derive(Debug, Clone, Default)]
pub struct DesiredModels {
    /// By name.
    pub models: BTreeMap<ModelName, DesiredModel>,
    /// What is wrong with files that gave no model, or with the listing itself: one sentence each. While there is any,
    /// a model that is missing from `models` is not taken for removed.
    pub problems: Vec<String>,
    /// SHA-256 of each values file as it was last read, whether or not its content is in force. Sorted.
    pub revisions: Vec<String>,
    /// What an operator should know of the way files are watched, such as a mount that can never change.
    pub notes: Vec<String>,
}

/// What one values file asks for.
#[derive(Debug, Clone)]
pub struct DesiredModel {
    /// The last good content.
    pub values: Arc<Values>,
    /// Digest of the file that `values` came from, for `observedRevision`.
    pub revision: String,
    /// Why a newer content of the file is not used.
    pub problem: Option<String>,
}

// === impl DesiredModels ===

impl DesiredModels {
    /// Whether `name` was taken away on purpose.
    ///
    /// An empty folder and an unreadable file look like an outage of the mount or a mistake; a model is only removed
    /// when its file is gone while every other file is there and readable. The watcher keeps what it knew of a file
    /// until then (`config::Observed`).
    #[must_use]
    pub fn removes(&self, name: &ModelName) -> bool {
        !self.models.contains_key(name) && !self.models.is_empty() && self.problems.is_empty()
    }
}
