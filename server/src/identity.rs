//! Which version of which model, and which bytes.

use std::sync::Arc;

use config::Digest;

/// Names and bytes of a version.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Model name.
    pub model: Arc<str>,
    /// Release label.
    pub version: Arc<str>,
    /// Root digest of the artifact.
    pub digest: Digest,
}
