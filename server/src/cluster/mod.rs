//! What the server says of its rollouts inside a Kubernetes cluster: annotations on the ConfigMap that its values are
//! mounted from, which Argo CD reads as the health of a commit (`deploy/argocd/config/health.lua`).
//!
//! Each process decides about its canary by itself, so each has its own say. It keeps one line in the annotation
//! [`REPORTS`], and whoever writes there writes phase and message of all lines together beside it: a function of
//! the lines, so that no two processes write different things (`notice`, pure). `pace` says when (pure), `object`
//! reads and writes, and [`Reporter`] waits. Nothing else waits for any of it, and a cluster that cannot be reached is a
//! line in the log and a metric.

mod notice;
mod object;
mod pace;
mod place;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub use notice::{MESSAGE, OBSERVED_REVISION, PHASE, REPORTS};
pub use place::{Place, PlaceError};

use crate::rollout::Status;
use crate::telemetry::{AnnotationMetrics, WriteResult};
use notice::{Now, Report, Sightings};
use object::{Object, ObjectError};
use pace::Pace;

/// How long the last word may take when the process ends.
const LEAVE_MAX: Duration = Duration::from_secs(3);
/// Conflicts that the last word may meet: somebody else wrote between reading and writing.
const LEAVE_ATTEMPTS: u32 = 5;

/// Keeps the annotations of one ConfigMap true about this process.
pub struct Reporter {
    object: Object,
    /// The name of this process's line.
    name: String,
    pace: Pace,
    sightings: Sightings,
    metrics: AnnotationMetrics,
    /// Uniform in `0..1`, for backoff.
    jitter: Box<dyn FnMut() -> f64 + Send>,
}

// === impl Reporter ===

impl Reporter {
    /// A reporter on the ConfigMap `configmap` of `place`.
    #[must_use]
    pub fn new(
        place: &Place,
        configmap: &str,
        metrics: AnnotationMetrics,
        jitter: Box<dyn FnMut() -> f64 + Send>,
    ) -> Self {
        let object = Object::new(place.clone(), configmap.to_owned());
        let (name, pace) = (place.reporter.clone(), Pace::new(Instant::now()));
        Self { object, name, pace, sightings: Sightings::default(), metrics, jitter }
    }

    /// Follows `status` until `stop`; then takes this process's line away.
    pub async fn run(mut self, mut status: watch::Receiver<Arc<Status>>, stop: CancellationToken) {
        tracing::info!(configmap = self.object.name(), reporter = self.name, "telling the cluster about rollouts");
        let mut open = true;
        loop {
            let report = Report::of(&status.borrow_and_update());
            let due = report.as_ref().map(|report| self.pace.due(report));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = status.changed(), if open => open = changed.is_ok(),
                () = reached(due) => tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = self.tell(report) => {}
                },
            }
        }
        self.leave().await;
    }

    /// Writes `report` in, and settles when it is looked at again.
    async fn tell(&mut self, report: Option<Report>) {
        let Some(report) = report else { return };
        match self.write(Some(&report)).await {
            Ok(result) => {
                self.metrics.wrote(result);
                if self.pace.told(report, Instant::now()) {
                    tracing::info!(configmap = self.object.name(), "the cluster can be told about rollouts again");
                }
            }
            Err(error) => {
                self.metrics.wrote(error.result());
                if self.pace.failed(&error, Instant::now(), (self.jitter)()) {
                    let configmap = self.object.name();
                    tracing::warn!(configmap, %error, "cannot tell the cluster about rollouts, trying again");
                }
            }
        }
    }

    /// One reading, and one writing where that changes anything.
    async fn write(&mut self, report: Option<&Report>) -> Result<WriteResult, ObjectError> {
        let seen = self.object.read().await?;
        match notice::update(&seen, &mut self.sightings, &self.name, report, Now::get()) {
            Some(annotations) => self.object.write(&seen, &annotations).await.map(|()| WriteResult::Written),
            None => Ok(WriteResult::Unchanged),
        }
    }

    /// A process that ends is no server that is behind.
    async fn leave(mut self) {
        let leaving = async {
            for attempt in 1..=LEAVE_ATTEMPTS {
                match self.write(None).await {
                    Err(error @ ObjectError::Conflict) => self.metrics.wrote(error.result()),
                    ended => return ended.map(drop),
                }
                // Others end at the same moment.
                tokio::time::sleep(pace::conflict_wait(attempt, (self.jitter)())).await;
            }
            Err(ObjectError::Conflict)
        };
        match timeout(LEAVE_MAX, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the cluster was not told that this process ends"),
            Err(_) => tracing::warn!("the cluster was not told that this process ends: no answer in time"),
        }
    }
}

async fn reached(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
