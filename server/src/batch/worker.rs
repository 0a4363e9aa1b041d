//! Moves requests from a version's queue to its device and the answers back.
//!
//! A batch is cut on the device's thread, when its turn has come: until then more requests may join it, and those whose
//! callers leave are not computed.
//!
//! One task per version. It ends when the [`Queue`] is dropped, which happens when the last request and the last route
//! of its version are gone: draining is ownership, not counting.

use std::sync::Arc;
use std::time::Duration;

use models::{NamedTensor, Tensor};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::builder::{Builder, Cut, Due, Full, Limits, Pending};
use crate::device::{Executable, ExecuteError};
use crate::telemetry::VersionMetrics;

/// Inputs in the signature's order, and where the answer goes.
pub struct Work {
    /// Checked inputs.
    pub inputs: Vec<NamedTensor>,
    /// Dropped by a caller that left.
    pub reply: oneshot::Sender<Result<Answer, BatchError>>,
}

/// One request's share of a batch.
#[derive(Debug)]
pub struct Answer {
    /// Every output of the signature.
    pub outputs: Vec<NamedTensor>,
    /// From arrival to the cut of its batch.
    pub queued: Duration,
    /// Join, compute and split of its batch.
    pub compute: Duration,
}

/// Why a request has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BatchError {
    /// The device or the model said no.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The queue was dropped under the request: the process is going away.
    #[error("the version is gone")]
    Gone,
}

struct Shared {
    builder: Mutex<Builder<Work>>,
    /// Woken by a new request, and once by the drop of the queue.
    wake: Notify,
    executable: Arc<Executable>,
    metrics: Arc<VersionMetrics>,
}

impl Shared {
    fn due(&self) -> Due {
        self.builder.lock().due(Instant::now(), |work| !work.reply.is_closed())
    }

    fn cut(&self) -> Cut<Work> {
        let mut builder = self.builder.lock();
        let cut = builder.cut(Instant::now(), |work| !work.reply.is_closed());
        self.metrics.queue_rows(builder.rows());
        cut
    }
}

/// The bounded queue of one version. Dropping it ends its worker.
pub struct Queue {
    shared: Arc<Shared>,
    worker: tokio::task::JoinHandle<()>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Queue {
    /// Starts the worker of a queue with these limits.
    #[must_use]
    pub fn spawn(limits: Limits, executable: Arc<Executable>, metrics: Arc<VersionMetrics>) -> Self {
        let shared =
            Arc::new(Shared { builder: Mutex::new(Builder::new(limits)), wake: Notify::new(), executable, metrics });
        let worker = tokio::spawn(work(Arc::clone(&shared)));
        Self { shared, worker }
    }

    /// Rows that wait.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shared.builder.lock().rows()
    }

    /// Queues a request, unless the queue is full of requests whose callers still wait.
    pub fn push(&self, pending: Pending<Work>) -> Result<(), Full> {
        let mut builder = self.shared.builder.lock();
        if !builder.fits(pending.rows) {
            // Rows of callers that left must not crowd out those that are here.
            builder.drop_dead(pending.arrived, |work| !work.reply.is_closed());
        }
        builder.push(pending)?;
        self.shared.metrics.queue_rows(builder.rows());
        drop(builder);
        self.shared.wake.notify_one();
        Ok(())
    }
}

async fn work(shared: Arc<Shared>) {
    loop {
        match shared.due() {
            Due::Now => run_next(&shared).await,
            Due::Never => shared.wake.notified().await,
            Due::At(until) => {
                tokio::select! {
                    () = shared.wake.notified() => {}
                    () = tokio::time::sleep_until(until) => {}
                }
            }
        }
    }
}

/// Waits for the device, cuts a batch there and runs it.
async fn run_next(shared: &Arc<Shared>) {
    let (there, runtime) = (Arc::clone(shared), Handle::current());
    let ran = shared.executable.on_device(move || {
        // The device's thread keeps the runtime's time.
        let _time = runtime.enter();
        match there.cut() {
            Cut::Batch(batch) => run_batch(&there, batch),
            // Everyone has left.
            Cut::Empty | Cut::Wait(_) => Ran::Answered,
        }
    });
    match ran.await {
        Ok(Ran::Answered) => {}
        Ok(Ran::Failed(batch)) => run_singly(shared, batch).await,
        Err(gone @ ExecuteError::DeviceGone) => {
            if let Cut::Batch(batch) = shared.cut() {
                fail(batch, &gone);
            }
        }
        // Its callers see that their request was dropped; those that wait have their turn.
        Err(error) => tracing::error!(%error, "a batch was lost"),
    }
}

/// What came of a batch.
enum Ran {
    /// Every caller knows.
    Answered,
    /// One request's values may have failed the whole batch: each is to have its own verdict.
    Failed(Vec<Pending<Work>>),
}

fn run_batch(shared: &Shared, batch: Vec<Pending<Work>>) -> Ran {
    let cut_at = Instant::now();
    let rows: Vec<usize> = batch.iter().map(|pending| pending.rows).collect();
    let result = join(&batch).and_then(|inputs| {
        let joined_at = Instant::now();
        let outputs = shared.executable.run_inline(&inputs);
        shared.metrics.batch(rows.iter().sum(), joined_at - cut_at, joined_at.elapsed());
        split(&outputs?, &rows)
    });
    match result {
        Ok(shares) => reply(batch, shares, cut_at),
        // Alone it would get no other answer of a device that is gone.
        Err(error) if batch.len() == 1 || matches!(error, ExecuteError::DeviceGone) => fail(batch, &error),
        Err(_) => return Ran::Failed(batch),
    }
    Ran::Answered
}

/// Each in a turn of its own, so that other models are served between them.
async fn run_singly(shared: &Arc<Shared>, batch: Vec<Pending<Work>>) {
    for pending in batch {
        let (there, runtime) = (Arc::clone(shared), Handle::current());
        let ran = shared.executable.on_device(move || {
            let _time = runtime.enter();
            // Each waits for those before it, so its caller may have given up meanwhile.
            if pending.deadline > Instant::now() && !pending.work.reply.is_closed() {
                run_batch(&there, vec![pending]);
            }
        });
        // Without a device nobody is left to answer: callers see that their request was dropped.
        let _gone = ran.await;
    }
}

/// The batch's inputs, joined input by input.
fn join(batch: &[Pending<Work>]) -> Result<Vec<NamedTensor>, ExecuteError> {
    if let [only] = batch {
        return Ok(only.work.inputs.clone());
    }
    let inputs = &batch[0].work.inputs;
    let joined = inputs.iter().enumerate().map(|(index, input)| {
        let parts: Vec<Tensor> = batch.iter().map(|pending| pending.work.inputs[index].tensor.clone()).collect();
        let tensor = Tensor::concat(&parts).map_err(|error| ExecuteError::Model(error.to_string()))?;
        Ok(NamedTensor { name: Arc::clone(&input.name), tensor })
    });
    joined.collect()
}

/// Each request's rows of every output.
fn split(outputs: &[NamedTensor], rows: &[usize]) -> Result<Vec<Vec<NamedTensor>>, ExecuteError> {
    if rows.len() == 1 {
        return Ok(vec![outputs.to_vec()]);
    }
    let mut shares = vec![Vec::with_capacity(outputs.len()); rows.len()];
    for output in outputs {
        let pieces = output.tensor.split(rows).map_err(|error| ExecuteError::Model(error.to_string()))?;
        for (share, tensor) in shares.iter_mut().zip(pieces) {
            share.push(NamedTensor { name: Arc::clone(&output.name), tensor });
        }
    }
    Ok(shares)
}

fn reply(batch: Vec<Pending<Work>>, shares: Vec<Vec<NamedTensor>>, cut_at: Instant) {
    let compute = cut_at.elapsed();
    for (pending, outputs) in batch.into_iter().zip(shares) {
        let queued = cut_at.saturating_duration_since(pending.arrived);
        let _caller_left = pending.work.reply.send(Ok(Answer { outputs, queued, compute }));
    }
}

fn fail(batch: Vec<Pending<Work>>, error: &ExecuteError) {
    for pending in batch {
        let _caller_left = pending.work.reply.send(Err(BatchError::Execute(error.clone())));
    }
}
