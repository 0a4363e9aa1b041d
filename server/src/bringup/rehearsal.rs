//! A version tried without a server around it, for `sluice check`. Loader, warm-up and golden requests are a server's
//! own, so that what passes here is not refused there for its bytes. Nothing that is made here could be routed.

use std::sync::Arc;

use models::{ModelFiles, Signature};

use super::gate::{self, Answers};
use super::{Loaded, failed, load, read_blocking, warm};
use crate::background::Background;
use crate::device::{Device, Executable, host_memory_limit};
use crate::rollout::StageError;
use crate::store::VerifiedArtifact;

/// A version that is loaded on this machine's CPU, and warm.
pub(crate) struct Rehearsal {
    executable: Arc<Executable>,
    files: ModelFiles,
}

impl Rehearsal {
    /// Loads and warms up; `rows_max` is the largest batch that a server would make.
    pub(crate) async fn of(
        artifact: &VerifiedArtifact,
        format: Option<&str>,
        rows_max: usize,
    ) -> Result<Self, StageError> {
        let no_device =
            |error: std::io::Error| failed("load", format!("this machine has no threads for it: {error}"), false);
        let background = Background::start().map_err(no_device)?;
        let device = Device::cpu(host_memory_limit(), background.clone()).map_err(no_device)?;
        let loaded = load(&background, &device, artifact, format.map(str::to_owned), rows_max).await?;
        let Loaded { executable, files } = loaded;
        warm::run(&executable, rows_max).await?;
        Ok(Self { executable, files })
    }

    /// What its callers have to keep to.
    pub(crate) fn signature(&self) -> &Signature {
        self.executable.model().signature()
    }

    /// Asks its golden requests.
    pub(crate) async fn answers(&self) -> Result<Answers, StageError> {
        gate::answers(&self.executable, &self.files).await
    }
}

/// The signature of an artifact that is not tried itself.
pub(crate) async fn signature(artifact: &VerifiedArtifact) -> Result<Arc<Signature>, StageError> {
    let artifact = artifact.clone();
    let inspected = tokio::task::spawn_blocking(move || {
        let files = read_blocking(&artifact)?;
        models::inspect(&files).map_err(|error| failed("load", error.to_string(), true))
    });
    let inspected = inspected.await.map_err(|_| failed("load", "the model's loader panicked".to_owned(), true))?;
    inspected.map(|inspection| inspection.signature)
}
