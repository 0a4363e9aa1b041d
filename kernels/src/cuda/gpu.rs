//! An open device.

use std::sync::{Arc, OnceLock};
use std::{fmt, mem};

use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, CudaView, CudaViewMut};
use candle_core::cuda_backend::{CudaError, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Device, Error, Result, Storage, Tensor, bail};
use parking_lot::Mutex;

use super::memory::pieces;
use super::pool::Pool;
use super::staging::{self, Staging};
use super::{Absent, Details, Element, Facts, Fault, Memory, found, said};
use crate::launch::Counts;

/// Tensors that are counted at once, which is more than a model has outputs.
const COUNTED_MAX: usize = 64;

/// An open device; cheap to clone. The last clone closes it.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

struct Inner {
    facts: Facts,
    pool: Pool,
    /// `None` only while it is dropped.
    open: Option<Open>,
    lost: OnceLock<Fault>,
}

struct Open {
    /// For one thread, so nobody ever waits for it.
    staging: Mutex<Staging>,
    counts: Mutex<Counts>,
    device: CudaDevice,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        if self.lost.get().is_some() {
            // Nothing of a dead context can be freed, each try answers its error again, and candle's handles of cuBLAS
            // and cuRAND panic on that. The process is about to end, and the driver frees all of it then.
            mem::forget(open);
        }
    }
}

impl Gpu {
    /// Opens the device of that number, with a stream of its own. For the thread that will own it.
    ///
    /// # Errors
    /// There is no such device, or it cannot be used.
    pub fn open(index: usize) -> std::result::Result<Self, Absent> {
        let devices = found()?;
        let count = devices.len();
        let Some(facts) = devices.into_iter().nth(index) else {
            return Err(Absent::Driver(format!(
                "there is no device {index}; the driver shows {count}, counted from 0"
            )));
        };
        Self::with(facts).map_err(|error| Absent::Driver(format!("the device cannot be used: {error}")))
    }

    fn with(facts: Facts) -> Result<Self> {
        let device = CudaDevice::new_with_stream(facts.index)?;
        // SAFETY: events would order the uses of a tensor by several streams. There is one stream, which orders
        // everything, and one thread that uses it.
        unsafe { device.disable_event_tracking() };
        let stream = device.cuda_stream();
        let pool = Pool::of(stream.context())?;
        let (staging, counts) = (Mutex::new(Staging::new(stream)?), Mutex::new(Counts::zeroed(&device, COUNTED_MAX)?));
        let open = Some(Open { staging, counts, device });
        Ok(Self(Arc::new(Inner { facts, pool, open, lost: OnceLock::new() })))
    }

    /// What it is.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// What else it tells of itself.
    ///
    /// # Errors
    /// What the device says.
    pub fn details(&self) -> Result<Details> {
        let driver = cuda_lazy::presence().map_err(Error::wrap)?;
        let stream = self.stream();
        let context = stream.context();
        let multiprocessors = context.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT).w()?;
        Ok(Details {
            driver_cuda: driver.version.to_string(),
            capability: context.compute_capability().w()?,
            multiprocessors,
            memory_bytes: self.memory()?.total_bytes,
        })
    }

    /// As the engine knows it.
    #[must_use]
    pub fn candle(&self) -> Device {
        Device::Cuda(self.opened().device.clone())
    }

    /// Its memory as it is.
    ///
    /// # Errors
    /// What the device says.
    pub fn memory(&self) -> Result<Memory> {
        let (free, total) = self.stream().context().mem_get_info().w()?;
        let (pool_held_bytes, pool_used_bytes) = self.0.pool.bytes()?;
        Ok(Memory { free_bytes: free as u64, total_bytes: total as u64, pool_held_bytes, pool_used_bytes })
    }

    /// Waits for all work, gives back what the pool holds for nobody but for `kept` bytes, and says what there is then.
    ///
    /// # Errors
    /// What the device says.
    pub fn trim(&self, kept: u64) -> Result<Memory> {
        self.opened().staging.lock().settle()?;
        self.0.pool.trim(kept)?;
        self.memory()
    }

    /// Waits for all work.
    pub(super) fn settle(&self) -> Result<()> {
        self.opened().staging.lock().settle()
    }

    /// What ended it, if something was seen to.
    #[must_use]
    pub fn lost(&self) -> Option<&Fault> {
        self.0.lost.get()
    }

    /// Asks whether it still answers, after something on it failed. A call that is refused leaves the device as it was;
    /// after a fault in a kernel everything is refused, waiting too.
    #[must_use]
    pub fn ask(&self) -> Option<&Fault> {
        let mut staging = self.opened().staging.lock();
        // The first answer may be an error that a drop left behind, which is told once.
        if let Err(error) = staging.settle().or_else(|_| staging.settle()) {
            let _first = self.0.lost.set(Fault(said(&error)));
        }
        self.lost()
    }

    /// How many elements of each of `tensors`, which are on this device, are NaN or infinite; of the first
    /// 64 only.
    ///
    /// # Errors
    /// What the device says, of the work before too.
    pub fn non_finite(&self, tensors: &[&Tensor]) -> Result<Vec<u64>> {
        if tensors.is_empty() {
            return Ok(Vec::new());
        }
        let mut counts = self.opened().counts.lock();
        counts.reset()?;
        for (slot, tensor) in tensors.iter().take(COUNTED_MAX).enumerate() {
            crate::health::count_on_device(&tensor.contiguous()?, &mut counts, slot)?;
        }
        let mut counted = counts.read()?;
        counted.truncate(tensors.len());
        Ok(counted)
    }

    /// A tensor of `shape`. `fill` is given the number of the first element and room for a piece, and writes all of it.
    ///
    /// # Errors
    /// What the device says.
    pub fn upload<T: Element>(&self, shape: &[usize], mut fill: impl FnMut(usize, &mut [T])) -> Result<Tensor> {
        let len = shape.iter().product();
        let mut slice = staging::allocate::<T>(&self.stream(), len)?;
        for piece in pieces(len, size_of::<T>()) {
            self.send(&mut slice.slice_mut(piece.clone()), |into| fill(piece.start, into))?;
        }
        Ok(self.wrap(slice, shape))
    }

    /// Shows the elements of `tensor`, which is on this device, to `take`, a piece at a time and in order.
    ///
    /// # Errors
    /// The tensor is elsewhere or of another datatype; what the device says.
    pub fn download<T: Element>(&self, tensor: &Tensor, mut take: impl FnMut(&[T])) -> Result<()> {
        let tensor = tensor.contiguous()?;
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else { bail!("the tensor is not on the device") };
        let (start, len) = (layout.start_offset(), tensor.elem_count());
        let slice = storage.as_cuda_slice::<T>()?;
        for piece in pieces(len, size_of::<T>()) {
            let Some(view) = slice.try_slice(start + piece.start..start + piece.end) else {
                bail!("the tensor reaches past its storage")
            };
            self.receive(&view, &mut take)?;
        }
        Ok(())
    }

    pub(super) fn stream(&self) -> Arc<CudaStream> {
        self.opened().device.cuda_stream()
    }

    pub(super) fn send<T: Element>(&self, target: &mut CudaViewMut<'_, T>, fill: impl FnOnce(&mut [T])) -> Result<()> {
        self.opened().staging.lock().send(target, fill)
    }

    fn receive<T: Element>(&self, source: &CudaView<'_, T>, take: impl FnOnce(&[T])) -> Result<()> {
        self.opened().staging.lock().receive(source, take)
    }

    pub(super) fn wrap<T: Element>(&self, slice: CudaSlice<T>, shape: &[usize]) -> Tensor {
        let storage = CudaStorage::wrap_cuda_slice(slice, self.opened().device.clone());
        Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
    }

    fn opened(&self) -> &Open {
        self.0.open.as_ref().expect("it is taken only by drop")
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({}: {})", self.0.facts.index, self.0.facts.name)
    }
}

/// Whether a device had no memory left for something.
#[must_use]
pub fn is_out_of_memory(error: &Error) -> bool {
    use candle_core::cuda_backend::cudarc::driver::sys::CUresult;
    match error {
        Error::Cuda(inner) => match inner.downcast_ref::<CudaError>() {
            Some(CudaError::Cuda(error) | CudaError::Load { cuda: error, .. }) => {
                error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY
            }
            _ => false,
        },
        Error::WithBacktrace { inner, .. } | Error::Context { inner, .. } | Error::WithPath { inner, .. } => {
            is_out_of_memory(inner)
        }
        _ => false,
    }
}
