//! Where models run.
//!
//! One OS thread owns each device and takes closures through a bounded channel, so device state is only ever touched
//! by one thread and a slow batch never blocks the runtime. Batches of different models interleave in arrival order:
//! each version has at most one batch here at a time, which keeps it fair between models. The memory account says
//! what a load may still take before it starts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use models::{Dim, Model, NamedTensor, RunError, Signature, TensorSpec};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::background::Background;

/// Batches cheaper than this run on the calling thread: handing one over costs two thread switches, some tens of
/// microseconds, which is more than this work takes (about 1 FLOP per 0.1 ns on one core).
const INLINE_FLOPS_MAX: u64 = 400_000;
/// The same bound in bytes read and written.
const INLINE_BYTES_MAX: u64 = 512 * 1024;
/// Jobs that may wait for the device thread: one in work and one ready per version is the steady state.
const JOBS_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// Why a batch has no outputs.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExecuteError {
    /// A caller's values, not the model, are at fault.
    #[error("{0}")]
    Input(String),
    /// The model failed.
    #[error("{0}")]
    Model(String),
    /// A NaN came up that no output could have carried.
    #[error("{0}")]
    NonFinite(String),
    /// The device thread is gone.
    #[error("the device is not available")]
    DeviceGone,
}

/// Bytes that models may take of this machine or container: four fifths of the smaller of the two, the rest is for
/// buffers and requests.
#[must_use]
pub fn host_memory_limit() -> u64 {
    let cgroup =
        std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        kib.trim().trim_end_matches(" kB").parse::<u64>().ok()?.checked_mul(1024)
    });
    let smaller = [cgroup, machine].into_iter().flatten().min();
    smaller.unwrap_or(u64::MAX) / 5 * 4
}

/// A handle of one device; cheap to clone.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

struct Inner {
    name: String,
    candle: candle_core::Device,
    jobs: mpsc::Sender<Job>,
    gone: CancellationToken,
    memory: Arc<Memory>,
    background: Background,
}

#[derive(Debug)]
struct Memory {
    limit_bytes: u64,
    used_bytes: AtomicU64,
}

/// A model asked for more than is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model needs {needed_bytes} bytes, but only {free_bytes} of {limit_bytes} are free on the device")]
pub struct OutOfMemory {
    /// The estimate of the load.
    pub needed_bytes: u64,
    /// What is free now.
    pub free_bytes: u64,
    /// What there is in all.
    pub limit_bytes: u64,
}

/// Bytes set aside for one model; given back on drop.
#[derive(Debug)]
pub struct Reservation {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.used_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Device {
    /// Starts the CPU device with `memory_limit_bytes` for models. Models are tried out, and freed, in `background`.
    pub fn cpu(memory_limit_bytes: u64, background: Background) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(JOBS_MAX);
        let gone = CancellationToken::new();
        let end = gone.clone().drop_guard();
        std::thread::Builder::new().name("device-cpu".to_owned()).spawn(move || {
            // Told however the thread ends, a panic included.
            let _end = end;
            while let Some(job) = queue.blocking_recv() {
                job();
            }
        })?;
        let memory = Arc::new(Memory { limit_bytes: memory_limit_bytes, used_bytes: AtomicU64::new(0) });
        let name = "cpu".to_owned();
        Ok(Self(Arc::new(Inner { name, candle: candle_core::Device::Cpu, jobs, gone, memory, background })))
    }

    /// Its name in status and logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns when the device's thread has ended: nothing runs there any more, and only a new process gets it back.
    pub async fn gone(&self) {
        self.0.gone.cancelled().await;
    }

    /// The candle device that tensors live on.
    #[must_use]
    pub fn candle(&self) -> &candle_core::Device {
        &self.0.candle
    }

    /// Bytes set aside by models, and the limit.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        (self.0.memory.used_bytes.load(Ordering::Acquire), self.0.memory.limit_bytes)
    }

    /// Sets `bytes` aside, or says what is missing.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, OutOfMemory> {
        let memory = &self.0.memory;
        let fits = |used: u64| used.checked_add(bytes).filter(|total| *total <= memory.limit_bytes);
        match memory.used_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits) {
            Ok(_) => Ok(Reservation { memory: Arc::clone(memory), bytes }),
            Err(used) => Err(OutOfMemory {
                needed_bytes: bytes,
                free_bytes: memory.limit_bytes.saturating_sub(used),
                limit_bytes: memory.limit_bytes,
            }),
        }
    }

    /// Runs `job` on the device's thread, after what waits there already.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, ExecuteError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            // What breaks a job must not take the thread from the others.
            let done = catch_unwind(AssertUnwindSafe(job));
            let _gone = reply.send(done.map_err(|_| ExecuteError::Model("its batch panicked".to_owned())));
        });
        self.0.jobs.send(job).await.map_err(|_| ExecuteError::DeviceGone)?;
        answer.await.map_err(|_| ExecuteError::DeviceGone)?
    }
}

#[cfg(test)]
impl Device {
    /// Ends the thread as a bug would.
    pub(crate) async fn kill(&self) {
        // Not through `run`, which would catch it.
        let planted: Job = Box::new(|| panic!("planted"));
        assert!(self.0.jobs.send(planted).await.is_ok(), "the thread lives until then");
        self.gone().await;
    }
}

/// A loaded model on its device. When its `Arc`'s last clone is gone, the weights are freed and then the reservation.
pub struct Executable {
    /// `None` only while it is dropped.
    loaded: Option<Loaded>,
    device: Device,
    inline_rows_max: usize,
    /// Some axis besides the batch may have any size, so a request says how large it is.
    stretches: bool,
}

/// Weights, and the memory that was set aside for them: dropped in this order.
struct Loaded {
    model: Model,
    _reservation: Reservation,
}

impl Drop for Executable {
    /// The last owner is often a thread that has just answered a request; freeing large weights would hold it up.
    fn drop(&mut self) {
        self.device.0.background.discard(self.loaded.take());
    }
}

impl Executable {
    /// Binds a loaded model to its device; `rows_max` is the largest batch it will see.
    #[must_use]
    pub fn new(model: Model, device: Device, reservation: Reservation, rows_max: usize) -> Self {
        let cheap = |rows: &usize| {
            let cost = model.cost(*rows);
            cost.flops <= INLINE_FLOPS_MAX && cost.bytes <= INLINE_BYTES_MAX
        };
        let inline_rows_max = (1..=rows_max).take_while(cheap).last().unwrap_or(0);
        let stretches = model.signature().inputs.iter().any(|spec| free_axes(model.signature(), spec).next().is_some());
        let loaded = Some(Loaded { model, _reservation: reservation });
        Self { loaded, device, inline_rows_max, stretches }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.loaded.as_ref().expect("it is taken only by drop").model
    }

    /// Whether `inputs`, in the signature's order, are cheap enough for the calling thread.
    #[must_use]
    pub fn runs_inline(&self, rows: usize, inputs: &[NamedTensor]) -> bool {
        if !self.stretches || rows > self.inline_rows_max {
            return rows <= self.inline_rows_max;
        }
        // The estimate is for free axes of size 1. Attention grows with the square of an axis, little grows faster.
        let stretch = stretch(self.model().signature(), inputs);
        let square = stretch.saturating_mul(stretch);
        let cost = self.model().cost(rows);
        cost.flops.saturating_mul(square) <= INLINE_FLOPS_MAX && cost.bytes.saturating_mul(square) <= INLINE_BYTES_MAX
    }

    /// Computes on the calling thread. `inputs` are in the signature's order, and were checked against it.
    pub fn run_inline(&self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, ExecuteError> {
        // A panic in a model is that model's failure, not the process's: the plan holds no state between runs.
        match catch_unwind(AssertUnwindSafe(|| self.model().run_checked(inputs))) {
            Ok(Ok(outputs)) => Ok(outputs),
            Ok(Err(error)) => Err(execute_error(&error)),
            Err(_) => Err(ExecuteError::Model("the model panicked".to_owned())),
        }
    }

    /// Does `job` on the device's thread, when its turn has come.
    pub async fn on_device<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, ExecuteError> {
        self.device.run(job).await
    }

    /// Computes beside the live batches, which go first: for trying a model out before it has callers. The host's
    /// memory belongs to no thread, so this needs none of the device's time.
    pub async fn run_aside(self: &Arc<Self>, inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, ExecuteError> {
        let executable = Arc::clone(self);
        let computed = self.device.0.background.compute(move || executable.run_inline(&inputs)).await;
        computed.map_err(|_| ExecuteError::DeviceGone)?
    }
}

/// Positions of the axes that may have any size, the batch aside.
fn free_axes<'a>(signature: &Signature, spec: &'a TensorSpec) -> impl Iterator<Item = usize> + use<'a> {
    let first = usize::from(signature.batched);
    spec.shape.iter().enumerate().skip(first).filter(|(_, dim)| **dim == Dim::Any).map(|(axis, _)| axis)
}

/// How much larger the largest of `inputs` is than a sample whose free axes are 1.
fn stretch(signature: &Signature, inputs: &[NamedTensor]) -> u64 {
    let sizes = signature.inputs.iter().zip(inputs).map(|(spec, input)| {
        let sizes = free_axes(signature, spec).filter_map(|axis| input.tensor.shape().get(axis));
        sizes.fold(1_u64, |product, size| product.saturating_mul(*size as u64))
    });
    sizes.max().unwrap_or(1)
}

fn execute_error(error: &RunError) -> ExecuteError {
    let text = error.to_string();
    match error {
        error if error.is_callers() => ExecuteError::Input(text),
        error if error.is_non_finite() => ExecuteError::NonFinite(text),
        _ => ExecuteError::Model(text),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_end_of_the_devices_thread_is_told() {
        let device = Device::cpu(1 << 30, Background::start().unwrap()).unwrap();
        assert!(device.run(|| 7).await.is_ok_and(|answer| answer == 7));
        let broken = device.run(|| -> u8 { panic!("planted") }).await;
        assert!(matches!(broken, Err(ExecuteError::Model(_))), "the thread goes on");
        assert!(device.gone().now_or_never().is_none());
        device.kill().await;
        device.gone().await;
        assert!(matches!(device.run(|| 7).await, Err(ExecuteError::DeviceGone)));
    }
}
