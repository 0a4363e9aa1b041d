//! The thread of a GPU: it opens the device, does everything that touches it, and closes it.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use models::cuda::{self, Facts, Gpu};
use models::{Inspection, LoadError, Model};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::choice::{Choice, choose};
use super::lanes::{Lanes, Piecework, Turn};
use super::{ExecuteError, JOBS_MAX, Job};

/// What stays in the pool when a version was freed, for the batches of those that are there.
const KEPT_BYTES: u64 = 64 << 20;

/// What others hold of a GPU's thread.
pub(super) struct Lane {
    pub(super) facts: Facts,
    aside: mpsc::UnboundedSender<Piecework<Gpu>>,
    seen: Arc<Seen>,
    /// One token for each model that is on the device.
    resident: TaskTracker,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread saw last.
#[derive(Default)]
pub(super) struct Seen {
    memory: Mutex<cuda::Memory>,
    /// It was asked to look again, and has not yet.
    asked: AtomicBool,
    fault: Mutex<Option<String>>,
}

/// Why a model did not get to the device.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The device, or what is wrong with the model on it.
    #[error("{0}")]
    Load(String),
    /// It had no room, although there should have been.
    #[error("the device ran out of memory: {0}")]
    OutOfMemory(String),
    /// Its thread is gone.
    #[error("the device is not available")]
    Gone,
}

/// A thread that has opened a device.
pub(super) struct Opened {
    pub(super) lane: Lane,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) memory: cuda::Memory,
}

/// What there is for a setting.
pub(super) enum Found<T> {
    Gpu(T),
    /// The CPU, and why no GPU where one might have been taken.
    Cpu(Option<String>),
}

impl<T> Found<T> {
    fn map<U>(self, open: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::Gpu(gpu) => Found::Gpu(open(gpu)),
            Self::Cpu(why) => Found::Cpu(why),
        }
    }
}

/// Finds the device that is wanted and opens it, on a thread that owns it from then on. `gone` is told when that ends.
/// Where it is the CPU, the thread ends at once. A device that cannot be had is the inner error.
pub(super) async fn open(
    wanted: config::Device,
    allow_simulated: bool,
    gone: CancellationToken,
) -> std::io::Result<Result<Found<Opened>, String>> {
    let (jobs, live) = mpsc::channel::<Job>(JOBS_MAX);
    let (aside, pieces) = mpsc::unbounded_channel();
    let (reply, answer) = oneshot::channel();
    let seen = Arc::new(Seen::default());
    let there = Arc::clone(&seen);
    let thread = std::thread::Builder::new().name("device-cuda".to_owned()).spawn(move || {
        let (gpu, memory) = match find(wanted, allow_simulated) {
            Ok(Found::Gpu(opened)) => opened,
            Ok(Found::Cpu(why)) => return drop(reply.send(Ok(Found::Cpu(why)))),
            Err(refused) => return drop(reply.send(Err(refused))),
        };
        // Told however the thread ends, a panic included.
        let _end = gone.drop_guard();
        there.look(&gpu, Ok(memory));
        if reply.send(Ok(Found::Gpu((gpu.facts().clone(), memory)))).is_ok() {
            Lanes::new(live, pieces).work(&gpu, |gpu| there.ended(gpu));
        }
    })?;
    let found = answer.await.map_err(|_| std::io::Error::other("the thread of the device ended while it opened it"))?;
    let opened = |(facts, memory)| {
        let lane = Lane { facts, aside, seen, resident: TaskTracker::new(), thread: Mutex::new(Some(thread)) };
        Opened { lane, jobs, memory }
    };
    Ok(found.map(|found| found.map(opened)))
}

fn find(wanted: config::Device, allow_simulated: bool) -> Result<Found<(Gpu, cuda::Memory)>, String> {
    let index = match choose(wanted, allow_simulated, cuda::found)? {
        Choice::Cpu { why } => return Ok(Found::Cpu(why)),
        Choice::Cuda(index) => index,
    };
    let opened = Gpu::open(index).map_err(|error| error.to_string());
    let ready = opened.and_then(|gpu| gpu.memory().map(|memory| (gpu, memory)).map_err(|error| error.to_string()));
    match (ready, wanted) {
        (Ok(ready), _) => Ok(Found::Gpu(ready)),
        (Err(why), config::Device::Auto) => Ok(Found::Cpu(Some(why))),
        (Err(why), _) => Err(format!("--device cuda:{index}: {why}")),
    }
}

impl Seen {
    /// Looks whether the device is lost, and keeps why.
    fn ended(&self, gpu: &Gpu) -> bool {
        let fault = gpu.lost().map(ToString::to_string);
        let ended = fault.is_some();
        if let Some(fault) = fault {
            tracing::error!(device = gpu.facts().name, fault, "the device is lost");
            *self.fault.lock() = Some(fault);
        }
        ended
    }

    /// Keeps what the device says of its memory. One that does not say may be lost.
    fn look(&self, gpu: &Gpu, memory: candle_core::Result<cuda::Memory>) {
        match memory {
            Ok(memory) => *self.memory.lock() = memory,
            Err(_) => {
                let _told_by_the_state = gpu.ask();
            }
        }
    }
}

impl Lane {
    /// What the thread saw of the device's memory last; it looks again as soon as it can.
    pub(super) fn memory(&self) -> cuda::Memory {
        // Once, however often it is asked while the thread is busy.
        if !self.seen.asked.swap(true, Ordering::AcqRel) {
            let seen = Arc::clone(&self.seen);
            let _gone = self.send(Box::new(move |gpu| {
                seen.asked.store(false, Ordering::Release);
                seen.look(gpu, gpu.memory());
                Turn::Done
            }));
        }
        *self.seen.memory.lock()
    }

    /// What ended the device.
    pub(super) fn fault(&self) -> Option<String> {
        self.seen.fault.lock().clone()
    }

    /// Has the thread do `work` between live batches.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Gpu) -> R + Send + 'static,
    ) -> Result<R, ExecuteError> {
        let (reply, answer) = oneshot::channel();
        let mut once = Some((work, reply));
        self.send(Box::new(move |gpu| {
            if let Some((work, reply)) = once.take()
                && !reply.is_closed()
            {
                let _gone = reply.send(work(gpu));
            }
            Turn::Done
        }))?;
        answer.await.map_err(|_| ExecuteError::DeviceGone)
    }

    /// What is free once all work is done and the pool gave back what nobody uses.
    pub(super) async fn free(&self) -> Result<candle_core::Result<cuda::Memory>, ExecuteError> {
        let seen = Arc::clone(&self.seen);
        self.run(move |gpu| {
            let memory = gpu.trim(0);
            seen.look(gpu, gpu.memory());
            memory
        })
        .await
    }

    /// Moves a model to the device, piece by piece. `made` gets it there, so that whatever becomes of it is decided on
    /// the device's thread.
    pub(super) async fn place<R: Send + 'static>(
        &self,
        inspection: Inspection,
        made: impl FnOnce(OnGpu) -> R + Send + 'static,
    ) -> Result<R, PlaceError> {
        let (reply, answer) = oneshot::channel();
        let mut load = Some((ManuallyDrop::new(inspection.placing()), made, reply));
        let (seen, token) = (Arc::clone(&self.seen), self.resident.token());
        let mut token = Some(token);
        self.send(Box::new(move |gpu| {
            let Some((placing, _, reply)) = &mut load else { return Turn::Done };
            let step = if reply.is_closed() { Err(None) } else { placing.step(gpu).map_err(Some) };
            if matches!(step, Ok(false)) {
                return Turn::More;
            }
            let Some((placing, made, reply)) = load.take() else { return Turn::Done };
            let placing = ManuallyDrop::into_inner(placing);
            let answer = match step {
                Ok(_) => Some(Ok(made(OnGpu { model: placing.finish(gpu), token: token.take() }))),
                Err(error) => {
                    // Freed at once: this is its thread.
                    drop(placing);
                    error.map(|error| Err(not_placed(&error, gpu)))
                }
            };
            seen.look(gpu, gpu.memory());
            if let Some(answer) = answer {
                let _unwanted = reply.send(answer);
            }
            Turn::Done
        }))
        .map_err(|_| PlaceError::Gone)?;
        answer.await.map_err(|_| PlaceError::Gone)?
    }

    /// Has the thread drop `value`, which holds memory of the device. Where the device is lost or its thread gone,
    /// nothing can free it any more, and another thread must not try: it is left to the end of the process.
    pub(super) fn discard(&self, value: impl Send + 'static) {
        let mut held = Some(ManuallyDrop::new(value));
        let seen = Arc::clone(&self.seen);
        let _left = self.send(Box::new(move |gpu| {
            if let Some(value) = held.take() {
                drop(ManuallyDrop::into_inner(value));
                seen.look(gpu, gpu.trim(KEPT_BYTES));
            }
            Turn::Done
        }));
    }

    /// Waits until no model is on the device, then closes it.
    pub(super) async fn close(&self) {
        self.resident.close();
        self.resident.wait().await;
        let _gone = self.send(Box::new(|_| Turn::Last));
        // What the thread holds for itself, such as loaded kernels, goes after its last work.
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ended = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn send(&self, work: Piecework<Gpu>) -> Result<(), ExecuteError> {
        self.aside.send(work).map_err(|_| ExecuteError::DeviceGone)
    }
}

/// A model on a GPU. Drop it on that GPU's thread only.
pub(super) struct OnGpu {
    pub(super) model: Model,
    pub(super) token: Option<TaskTrackerToken>,
}

fn not_placed(error: &LoadError, gpu: &Gpu) -> PlaceError {
    match error {
        LoadError::Device(inner) if cuda::is_out_of_memory(inner) => PlaceError::OutOfMemory(error.to_string()),
        _ if gpu.ask().is_some() => PlaceError::Gone,
        _ => PlaceError::Load(error.to_string()),
    }
}
