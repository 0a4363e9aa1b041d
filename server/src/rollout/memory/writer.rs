//! Writes decisions beside the reconciler, so that a disk that hangs holds up no rollback of any model.
//!
//! Nothing that the reconciler does waits for a decision to be on disk: routes are published before, and a process that
//! dies in between decides again. One write of a model at a time, and the newest decisions win: what is waiting is
//! bounded by one [`Memory`] for each model.

use std::collections::BTreeMap;
use std::time::Duration;

use config::ModelName;
use fail::fail_point;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Memory, MemoryDir};

/// A write that takes longer is told of.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long the end of the process waits for what is not on disk yet, all models together.
const FINISH_MAX: Duration = Duration::from_secs(2);

/// The decisions of all models, in memory and on their way to disk.
pub struct Writer {
    files: MemoryDir,
    news: mpsc::Sender<Written>,
    /// One for every model that was ever served here: a model that comes back finds what is not on disk yet.
    models: BTreeMap<ModelName, Slot>,
}

struct Slot {
    newest: watch::Sender<Memory>,
    task: JoinHandle<()>,
}

/// How a model's decisions stand with the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Whose.
    pub model: ModelName,
    /// Why they are not on disk, where they are not.
    pub problem: Option<String>,
}

// === impl Writer ===

impl Writer {
    /// Reads and writes `files`; changes between good and bad go to `news`.
    #[must_use]
    pub const fn new(files: MemoryDir, news: mpsc::Sender<Written>) -> Self {
        Self { files, news, models: BTreeMap::new() }
    }

    /// What is remembered of `model`.
    pub async fn load(&mut self, model: &ModelName) -> Memory {
        if let Some(slot) = self.models.get(model) {
            return slot.newest.borrow().clone();
        }
        let (files, name) = (self.files.clone(), model.clone());
        let memory = spawn_blocking(move || files.load(&name)).await.unwrap_or_default();
        let (newest, wanted) = watch::channel(memory.clone());
        let task = tokio::spawn(follow(self.files.clone(), model.clone(), wanted, self.news.clone()));
        self.models.insert(model.clone(), Slot { newest, task });
        memory
    }

    /// Has `memory` written in place of whatever waits. Does not wait.
    pub fn save(&self, model: &ModelName, memory: Memory) {
        if let Some(slot) = self.models.get(model) {
            slot.newest.send_replace(memory);
        }
    }

    /// Lets what waits be written, for a moment.
    pub async fn finish(self) {
        let deadline = Instant::now() + FINISH_MAX;
        for (model, Slot { newest, task }) in self.models {
            drop(newest);
            if timeout_at(deadline, task).await.is_err() {
                tracing::error!(%model, "decisions are not on disk at the end, a restart will not remember them");
            }
        }
    }
}

/// Writes whatever is newest, until nobody has anything to say.
async fn follow(files: MemoryDir, model: ModelName, mut wanted: watch::Receiver<Memory>, news: mpsc::Sender<Written>) {
    while wanted.changed().await.is_ok() {
        fail_point!("rollout::before_remember");
        let (files, name, memory) = (files.clone(), model.clone(), wanted.borrow_and_update().clone());
        let mut write = spawn_blocking(move || files.save(&name, &memory));
        let written = match timeout(WRITE_MAX, &mut write).await {
            Ok(written) => written,
            Err(_) => {
                let seconds = WRITE_MAX.as_secs();
                tell(&news, &model, Some(format!("writing has taken more than {seconds} s"))).await;
                write.await
            }
        };
        let problem = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        fail_point!("rollout::after_remember");
        tell(&news, &model, problem).await;
    }
}

/// A full disk must not stop a rollout or a rollback: this process knows, only the next one will not.
async fn tell(news: &mpsc::Sender<Written>, model: &ModelName, problem: Option<String>) {
    if let Some(problem) = &problem {
        tracing::error!(%model, problem, "decisions are not on disk, a restart will not remember them");
    }
    // Nobody listens any more while the process ends.
    let _ = news.send(Written { model: model.clone(), problem }).await;
}
