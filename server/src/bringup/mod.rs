//! From a values file's version to a version that may get traffic: pull, verify, admit, load, warm, gate.
//!
//! The only maker of [`LiveVersion`]s, so nothing unverified can be routed. It implements the reconciler's
//! [`Stager`]; it never decides *whether* a version gets traffic.

mod gate;
#[cfg(test)]
pub(crate) mod onnx;
mod rehearsal;
#[cfg(test)]
mod tests;
mod warm;

use std::sync::Arc;

use config::VersionSpec;
use futures::FutureExt;
use futures::future::BoxFuture;
use models::{Inspection, ModelFiles};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use crate::background::Background;
use crate::device::{AdmitError, Device, Executable, ExecuteError, PlaceError};
use crate::identity::Identity;
use crate::rollout::{StageError, StagePhase, StageRequest, Staged, Stager};
use crate::store::{Fetch, Progress, ProgressPhase, Store, VerifiedArtifact};
use crate::telemetry::{Metrics, reload::ReloadResult};
use crate::version::LiveVersion;

pub(crate) use gate::Answers;
pub(crate) use rehearsal::{Rehearsal, signature};

/// Names of the points where a test may stop or abort a bring-up.
pub const FAIL_POINTS: &[&str] = &[
    "bringup::before_load",
    "bringup::after_load",
    "bringup::before_warm",
    "bringup::before_gate",
    "bringup::after_gate",
];

/// Brings versions up on one device.
#[derive(Clone)]
pub struct Bringup {
    store: Arc<Store>,
    device: Device,
    background: Background,
    metrics: Arc<Metrics>,
}

impl Bringup {
    /// Pulls through `store`, runs on `device`; all of it in `background`.
    #[must_use]
    pub const fn new(store: Arc<Store>, device: Device, background: Background, metrics: Arc<Metrics>) -> Self {
        Self { store, device, background, metrics }
    }

    async fn bring_up(
        &self,
        request: StageRequest,
        phases: watch::Sender<StagePhase>,
    ) -> Result<Staged<LiveVersion>, StageError> {
        let (this, wanted) = (self.clone(), request.clone());
        let preparing = async move { this.prepare(&wanted, &phases).await }.in_current_span();
        let prepared = self.background.run(preparing).await;
        let (artifact, gated) = prepared.map_err(|_| failed("load", "the bring-up panicked".to_owned(), true))??;
        // Here and not there: what starts now serves requests.
        Ok(self.live(&request, artifact, gated))
    }

    /// Everything before there is a queue.
    async fn prepare(
        &self,
        request: &StageRequest,
        phases: &watch::Sender<StagePhase>,
    ) -> Result<(VerifiedArtifact, Gated), StageError> {
        let model = request.model.to_string();
        let clock = PhaseClock { metrics: &self.metrics, model: &model };
        let artifact = clock.time("pull", self.pull(request, phases)).await?;
        let digest = artifact.digest();
        let result = self.load(request, artifact, phases, &clock).await;
        result.map_err(|error| StageError { digest: Some(digest), ..error })
    }

    async fn pull(
        &self,
        request: &StageRequest,
        phases: &watch::Sender<StagePhase>,
    ) -> Result<VerifiedArtifact, StageError> {
        let (progress, mut seen) = watch::channel(Progress::default());
        let fetch = self
            .store
            .fetch(Fetch { model: &request.model, spec: &request.spec, signing: &request.signing }, &progress);
        tokio::pin!(fetch);
        loop {
            tokio::select! {
                result = &mut fetch => {
                    return result.map_err(|error| StageError {
                        phase: "pull",
                        reason: error.to_string(),
                        permanent: error.permanent(),
                        no_room: false,
                        digest: None,
                    });
                }
                Ok(()) = seen.changed() => { phases.send_replace(stage_phase(&seen.borrow_and_update())); }
            }
        }
    }

    async fn load(
        &self,
        request: &StageRequest,
        artifact: VerifiedArtifact,
        phases: &watch::Sender<StagePhase>,
        clock: &PhaseClock<'_>,
    ) -> Result<(VerifiedArtifact, Gated), StageError> {
        phases.send_replace(StagePhase::Loading);
        fail::fail_point!("bringup::before_load");
        let (artifact, loaded) = clock.time("load", self.load_executable(request, artifact)).await?;
        fail::fail_point!("bringup::after_load");
        phases.send_replace(StagePhase::Warming);
        fail::fail_point!("bringup::before_warm");
        clock.time("warm", warm::run(&loaded.executable, request.serving.max_batch_size)).await?;
        phases.send_replace(StagePhase::Gating);
        fail::fail_point!("bringup::before_gate");
        let checked = gate::check(&loaded.executable, &loaded.files, request.compatible_with.as_deref());
        let notes = clock.time("gate", checked).await?;
        fail::fail_point!("bringup::after_gate");
        Ok((artifact, Gated { executable: loaded.executable, notes }))
    }

    /// Reads, parses and places the model.
    async fn load_executable(
        &self,
        request: &StageRequest,
        artifact: VerifiedArtifact,
    ) -> Result<(VerifiedArtifact, Loaded), StageError> {
        let format = request.format.clone();
        let loaded = load(&self.background, &self.device, &artifact, format, request.serving.max_batch_size).await?;
        Ok((artifact, loaded))
    }

    fn live(
        &self,
        request: &StageRequest,
        artifact: VerifiedArtifact,
        Gated { executable, notes }: Gated,
    ) -> Staged<LiveVersion> {
        let digest = artifact.digest();
        let identity =
            Identity { model: request.model.as_str().into(), version: request.spec.version.as_str().into(), digest };
        let notes = artifact.notes().iter().cloned().chain(notes).collect();
        let live = LiveVersion::new(
            identity,
            request.serving.clone(),
            executable,
            Arc::clone(&self.metrics),
            Arc::new(artifact),
        );
        Staged { digest, live: Arc::new(live), notes }
    }
}

impl Stager for Bringup {
    type Live = LiveVersion;

    fn stage(
        &self,
        request: StageRequest,
        phase: watch::Sender<StagePhase>,
    ) -> BoxFuture<'static, Result<Staged<LiveVersion>, StageError>> {
        let this = self.clone();
        async move {
            let (metrics, model) = (Arc::clone(&this.metrics), request.model.to_string());
            let VersionSpec { version, .. } = request.spec.clone();
            let started = Instant::now();
            metrics.reload.started(&model);
            let result = this.bring_up(request, phase).await;
            let ended = if result.is_ok() { ReloadResult::Success } else { ReloadResult::Failure };
            metrics.reload.finished(&model, ended);
            match &result {
                Ok(staged) => tracing::info!(model, %version, digest = %staged.digest, elapsed_ms = started.elapsed().as_millis(), "version is up"),
                Err(error) => {
                    metrics.reload.failed(&model, error.phase);
                    tracing::warn!(model, %version, phase = error.phase, reason = error.reason, "version did not come up");
                }
            }
            result
        }
        .boxed()
    }
}

struct Loaded {
    executable: Arc<Executable>,
    files: ModelFiles,
}

/// What went through the gate.
struct Gated {
    executable: Arc<Executable>,
    /// What an operator should know of it.
    notes: Vec<String>,
}

/// Reads, parses and tries the model in `background`, sets memory aside for it, and puts it onto the device.
async fn load(
    background: &Background,
    device: &Device,
    artifact: &VerifiedArtifact,
    format: Option<String>,
    rows_max: usize,
) -> Result<Loaded, StageError> {
    let artifact = artifact.clone();
    let inspecting = background.compute(move || inspect_blocking(&artifact, format.as_deref()));
    let inspected = inspecting.await.map_err(|_| failed("load", "the model's loader panicked".to_owned(), true))?;
    let (inspection, files) = inspected?;
    let reservation = device.admit(&inspection, rows_max).await.map_err(not_admitted)?;
    let placed = device.place(inspection, reservation, rows_max).await.map_err(not_placed)?;
    Ok(Loaded { executable: Arc::new(placed), files })
}

fn inspect_blocking(artifact: &VerifiedArtifact, format: Option<&str>) -> Result<(Inspection, ModelFiles), StageError> {
    let files = read_blocking(artifact)?;
    let inspection = models::inspect(&files).map_err(|error| failed("load", error.to_string(), true))?;
    if let Some(declared) = format
        && declared != inspection.format
    {
        let reason = format!("model.format says `{declared}`, but the artifact holds `{}`", inspection.format);
        return Err(failed("load", reason, true));
    }
    Ok((inspection, files))
}

fn read_blocking(artifact: &VerifiedArtifact) -> Result<ModelFiles, StageError> {
    let read = artifact
        .files()
        .map_err(|error| failed("load", format!("the cached artifact cannot be read: {error}"), false))?;
    let mut files = ModelFiles::new();
    for (name, data) in read {
        files.insert(name, data).map_err(|error| failed("load", error.to_string(), true))?;
    }
    Ok(files)
}

/// Room can be made for a version beside others, and not for one that is larger than the device. That says nothing of
/// its bytes: a smaller `maxBatchSize` or a larger device takes them.
fn not_admitted(error: AdmitError) -> StageError {
    let no_room = matches!(&error, AdmitError::OutOfMemory(missing) if missing.needed_bytes <= missing.limit_bytes);
    StageError { no_room, ..failed("admit", error.to_string(), false) }
}

/// What was set aside may be gone all the same, to another process or in small pieces: room can be made then, too.
fn not_placed(error: PlaceError) -> StageError {
    let (no_room, permanent) = match error {
        PlaceError::OutOfMemory(_) => (true, false),
        PlaceError::Gone => (false, false),
        PlaceError::Load(_) => (false, true),
    };
    StageError { no_room, ..failed("load", error.to_string(), permanent) }
}

fn failed(phase: &'static str, reason: String, permanent: bool) -> StageError {
    StageError { phase, reason, permanent, no_room: false, digest: None }
}

/// A version that could not be computed failed; one whose device is gone did not get its turn.
fn not_computed(phase: &'static str, what: &str, error: &ExecuteError) -> StageError {
    failed(phase, format!("{what}: {error}"), !matches!(error, ExecuteError::DeviceGone))
}

fn stage_phase(progress: &Progress) -> StagePhase {
    match progress.phase {
        ProgressPhase::Pulling => {
            StagePhase::Pulling { done_bytes: progress.done_bytes, total_bytes: progress.total_bytes }
        }
        ProgressPhase::Verifying => StagePhase::Verifying,
    }
}

struct PhaseClock<'a> {
    metrics: &'a Metrics,
    model: &'a str,
}

impl PhaseClock<'_> {
    async fn time<T>(&self, phase: &'static str, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = work.await;
        self.metrics.reload.phase(self.model, phase, started.elapsed());
        result
    }
}
