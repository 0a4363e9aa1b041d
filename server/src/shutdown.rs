//! The life of the process as everyone sees it: serving, going, drained.
//!
//! SIGTERM makes readiness false first, so that load balancers send no more; after a moment the listeners stop and
//! drain; what is left when the grace period ends is cut off.

use std::time::Duration;

use tokio::sync::watch;

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Takes requests.
    Serving,
    /// Still takes requests, but says it is not ready.
    NotReady,
    /// Listeners are closed; requests inside finish.
    Draining,
    /// The grace period is over.
    Stopped,
}

/// Tells and asks where the process stands; cheap to clone.
#[derive(Debug, Clone)]
pub struct Lifecycle(watch::Sender<Stage>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Serving))
    }
}

impl Lifecycle {
    /// The stage now.
    #[must_use]
    pub fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// Whether new requests are pointless.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stage() == Stage::Stopped
    }

    /// Moves on; never back.
    pub fn advance(&self, stage: Stage) {
        self.0.send_if_modified(|now| {
            let later = stage > *now;
            if later {
                *now = stage;
            }
            later
        });
    }

    /// Returns when `stage` or a later one is reached.
    pub async fn reached(&self, stage: Stage) {
        let mut stages = self.0.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = stages.wait_for(|now| *now >= stage).await;
    }
}

/// Resolves on SIGTERM or SIGINT, with its name. The handlers are in place when this returns: a signal that comes
/// before the future is awaited is not lost.
pub fn signal() -> std::io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// How the grace period is spent.
#[derive(Debug, Clone, Copy)]
pub struct Grace {
    /// Not ready, still serving: time for load balancers to look away.
    pub not_ready_wait: Duration,
    /// From the signal to the exit, at most.
    pub period: Duration,
}

impl Lifecycle {
    /// Walks through the stages; `drained` resolves when no request is left.
    pub async fn shut_down(&self, grace: Grace, drained: impl Future<Output = ()>) -> bool {
        let finish = async {
            self.advance(Stage::NotReady);
            tokio::time::sleep(grace.not_ready_wait.min(grace.period)).await;
            self.advance(Stage::Draining);
            drained.await;
        };
        let in_time = tokio::time::timeout(grace.period, finish).await.is_ok();
        self.advance(Stage::Stopped);
        in_time
    }
}
