//! Where models run.
//!
//! One OS thread owns each device and takes closures through a bounded channel, so device state is only ever touched
//! by one thread and a slow batch never blocks the runtime. Batches of different models interleave in arrival order:
//! each version has at most one batch here at a time, which keeps it fair between models. The memory account says
//! what a load may still take before it starts.
//!
//! The host's memory belongs to no thread, so on the CPU small batches run where they are, and loads and rehearsals in
//! the background. A GPU is touched by its thread alone (`gpu`), where both go between live batches (`lanes`).

mod admission;
mod choice;
mod executable;
mod gpu;
mod lanes;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use models::{Inspection, cuda};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::background::Background;

pub use choice::gpu_index;
pub use executable::Executable;
use executable::Loaded;
pub use gpu::PlaceError;
use gpu::{Found, Lane, OnGpu};

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
    /// The device is lost, or its thread is gone.
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
    about: About,
    jobs: mpsc::Sender<Job>,
    gone: CancellationToken,
    memory: Arc<Memory>,
    background: Background,
    /// Where it is a GPU.
    gpu: Option<Lane>,
}

/// What is told of a device.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct About {
    /// Such as `cpu` or `cuda:0`.
    pub name: String,
    /// As the driver calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether it only stands in for a GPU.
    pub simulated: bool,
    /// Why it is the CPU, where it might have been a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl About {
    /// The CPU, and why not a GPU.
    #[must_use]
    pub fn cpu(reason: Option<String>) -> Self {
        Self { name: "cpu".to_owned(), model: None, simulated: false, reason }
    }
}

/// Why a device did not start.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// There is none as it was asked for.
    #[error("{0}")]
    Refused(String),
    /// The system gives no thread.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

#[derive(Debug)]
struct Memory {
    limit_bytes: u64,
    used_bytes: AtomicU64,
}

/// Why a model is not let onto a device.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdmitError {
    /// It has no room now, or never.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// The device does not say what is free.
    #[error("the device does not say how much memory is free: {0}")]
    Unknown(String),
    /// The device is lost, or its thread is gone.
    #[error("the device is not available")]
    Gone,
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
    /// The device that a setting asks for. Models are tried out, and freed, in `background` where it is the CPU.
    ///
    /// # Errors
    /// There is no such device, or the system gives no thread.
    pub async fn start(
        wanted: config::Device,
        allow_simulated: bool,
        background: Background,
    ) -> Result<Self, DeviceError> {
        if wanted == config::Device::Cpu {
            return Ok(Self::cpu(host_memory_limit(), background)?);
        }
        let gone = CancellationToken::new();
        match gpu::open(wanted, allow_simulated, gone.clone()).await?.map_err(DeviceError::Refused)? {
            Found::Cpu(reason) => Ok(Self::on_cpu(host_memory_limit(), background, reason)?),
            Found::Gpu(opened) => {
                let facts = &opened.lane.facts;
                let (name, simulated) = (format!("cuda:{}", facts.index), facts.simulated());
                let about = About { name, model: Some(facts.name.clone()), simulated, reason: None };
                let memory = Memory::of(admission::limit(&opened.memory));
                let (jobs, gpu) = (opened.jobs, Some(opened.lane));
                Ok(Self(Arc::new(Inner { about, jobs, gone, memory, background, gpu })))
            }
        }
    }

    /// Starts the CPU device with `memory_limit_bytes` for models. Models are tried out, and freed, in `background`.
    pub fn cpu(memory_limit_bytes: u64, background: Background) -> std::io::Result<Self> {
        Self::on_cpu(memory_limit_bytes, background, None)
    }

    fn on_cpu(memory_limit_bytes: u64, background: Background, reason: Option<String>) -> std::io::Result<Self> {
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
        let about = About::cpu(reason);
        let memory = Memory::of(memory_limit_bytes);
        Ok(Self(Arc::new(Inner { about, jobs, gone, memory, background, gpu: None })))
    }

    /// Its name in status and logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.about.name
    }

    /// What is told of it.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.0.about
    }

    /// Returns when the device's thread has ended: nothing runs there any more, and only a new process gets it back.
    pub async fn gone(&self) {
        self.0.gone.cancelled().await;
    }

    /// What ended it, where something on it did.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.0.gpu.as_ref().and_then(Lane::fault)
    }

    /// Bytes set aside by models, and the limit.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        (self.0.memory.used_bytes.load(Ordering::Acquire), self.0.memory.limit_bytes)
    }

    /// What the driver said last of a GPU's memory.
    #[must_use]
    pub fn gpu_memory(&self) -> Option<cuda::Memory> {
        self.0.gpu.as_ref().map(Lane::memory)
    }

    /// Sets aside what a model needs for batches of `rows` rows, or says what is missing.
    pub async fn admit(&self, inspection: &Inspection, rows: usize) -> Result<Reservation, AdmitError> {
        let Some(gpu) = &self.0.gpu else { return Ok(self.0.memory.reserve(inspection.memory_bytes(rows))?) };
        let needed = inspection.device_memory_bytes(rows);
        let free = gpu.free().await.map_err(|_| AdmitError::Gone)?;
        let free = free.map_err(|error| AdmitError::Unknown(error.to_string()))?;
        let memory = &self.0.memory;
        admission::admit(needed, memory.used_bytes.load(Ordering::Acquire), memory.limit_bytes, &free)?;
        Ok(memory.reserve(needed)?)
    }

    /// Puts a model onto the device. `rows_max` is the largest batch that it will see.
    pub async fn place(
        &self,
        inspection: Inspection,
        reservation: Reservation,
        rows_max: usize,
    ) -> Result<Executable, PlaceError> {
        let device = self.clone();
        let Some(gpu) = &self.0.gpu else {
            return Ok(Executable::new(inspection.load(), device, reservation, rows_max));
        };
        let made = move |OnGpu { model, token }| Executable::on_gpu(model, device, reservation, rows_max, token);
        gpu.place(inspection, made).await
    }

    /// Waits until nothing is left on a GPU, and closes it: what is freed only by the end of the process looks like a leak.
    pub(crate) async fn close(&self) {
        // What is on a lost device is never freed.
        if let Some(gpu) = self.0.gpu.as_ref().filter(|_| !self.0.gone.is_cancelled()) {
            gpu.close().await;
        }
    }

    fn is_gpu(&self) -> bool {
        self.0.gpu.is_some()
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

    /// Runs `job` where live batches go first.
    async fn aside<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Result<R, ExecuteError> {
        match &self.0.gpu {
            Some(gpu) => gpu.run(move |_| job()).await,
            None => self.0.background.compute(job).await.map_err(|_| ExecuteError::DeviceGone),
        }
    }

    /// Drops a model where it may be dropped.
    fn discard(&self, loaded: Option<Loaded>) {
        match (&self.0.gpu, loaded) {
            (Some(gpu), Some(loaded)) => gpu.discard(loaded),
            (_, loaded) => self.0.background.discard(loaded),
        }
    }
}

impl Memory {
    fn of(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self { limit_bytes, used_bytes: AtomicU64::new(0) })
    }

    fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, OutOfMemory> {
        let fits = |used: u64| used.checked_add(bytes).filter(|total| *total <= self.limit_bytes);
        match self.used_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits) {
            Ok(_) => Ok(Reservation { memory: Arc::clone(self), bytes }),
            Err(used) => Err(OutOfMemory {
                needed_bytes: bytes,
                free_bytes: self.limit_bytes.saturating_sub(used),
                limit_bytes: self.limit_bytes,
            }),
        }
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
