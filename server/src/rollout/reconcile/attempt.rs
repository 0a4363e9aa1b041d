//! The task of one attempt to stage a version. It ends when its owner drops it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::super::port::{StageError, StagePhase, StageRequest, Stager};
use super::{AttemptEvent, Progress};

/// Progress is news this often at most.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// An attempt under way.
pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) phase: Option<StagePhase>,
    /// Dropping it gives the attempt up.
    _task: AbortOnDropHandle<()>,
}

impl Attempt {
    pub(super) fn start<S: Stager>(
        stager: Arc<S>,
        request: StageRequest,
        number: u64,
        events: mpsc::Sender<AttemptEvent<S::Live>>,
    ) -> Self {
        let span = tracing::info_span!("stage", model = %request.model, version = %request.spec.version);
        let task = tokio::spawn(drive(stager, request, number, events).instrument(span));
        Self { number, phase: None, _task: AbortOnDropHandle::new(task) }
    }
}

async fn drive<S: Stager>(
    stager: Arc<S>,
    request: StageRequest,
    number: u64,
    events: mpsc::Sender<AttemptEvent<S::Live>>,
) {
    let model = request.model.clone();
    let event = |progress| AttemptEvent { model: model.clone(), number, progress };
    let (phase_sender, mut phase) = watch::channel(StagePhase::Pulling { done_bytes: 0, total_bytes: 0 });
    let result = AssertUnwindSafe(async move { stager.stage(request, phase_sender).await }).catch_unwind();
    tokio::pin!(result);

    let mut quiet_until = Instant::now();
    let mut phase_open = true;
    loop {
        let phase_changed = async {
            sleep_until(quiet_until).await;
            phase.changed().await
        };
        tokio::select! {
            biased;
            result = &mut result => {
                let result = result.unwrap_or_else(|_| Err(panicked()));
                // Without a receiver the process is ending.
                let _ = events.send(event(Progress::Done(result))).await;
                return;
            }
            changed = phase_changed, if phase_open => {
                phase_open = changed.is_ok();
                quiet_until = Instant::now() + PROGRESS_INTERVAL;
                let newest = *phase.borrow_and_update();
                // Progress that finds no room is old by the time there is some.
                let _ = events.try_send(event(Progress::Phase(newest)));
            }
        }
    }
}

/// A panic would come again with the same bytes; what it said is in the log, not for callers.
fn panicked() -> StageError {
    StageError {
        phase: "staging",
        reason: "the version made the server panic, see its log".to_owned(),
        permanent: true,
        no_room: false,
        digest: None,
    }
}
