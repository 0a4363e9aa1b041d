//! A constant on its way to the device, a piece at a time, so that live batches can go between.

use std::fmt;

use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{DType, Result, Tensor, bail};

use super::gpu::Gpu;
use super::memory::pieces;
use super::{Element, staging};

/// A tensor on its way to a device.
pub struct Transfer {
    step: Step,
}

type Step = Box<dyn FnMut(&Gpu) -> Result<Option<Tensor>> + Send>;

impl Transfer {
    /// Takes the memory for `source`, a tensor of the host. Nothing is copied yet.
    ///
    /// # Errors
    /// The device has no memory left; a datatype that has no kernels on it.
    pub fn start(source: &Tensor, gpu: &Gpu) -> Result<Self> {
        match source.dtype() {
            DType::F32 => Self::of::<f32>(source, gpu),
            DType::F64 => Self::of::<f64>(source, gpu),
            DType::F16 => Self::of::<half::f16>(source, gpu),
            DType::U8 => Self::of::<u8>(source, gpu),
            DType::U32 => Self::of::<u32>(source, gpu),
            DType::I64 => Self::of::<i64>(source, gpu),
            other => bail!("a tensor of {} has no place on the device", other.as_str()),
        }
    }

    /// Copies the next piece. The last one gives the tensor.
    ///
    /// # Errors
    /// What the device says. What was allocated is freed when this is dropped.
    pub fn step(&mut self, gpu: &Gpu) -> Result<Option<Tensor>> {
        (self.step)(gpu)
    }

    fn of<T: Element>(source: &Tensor, gpu: &Gpu) -> Result<Self> {
        let source = source.contiguous()?;
        let len = source.elem_count();
        let mut target: Option<CudaSlice<T>> = Some(staging::allocate(&gpu.stream(), len)?);
        let mut left = pieces(len, size_of::<T>());
        let step = move |gpu: &Gpu| {
            let Some(slice) = target.as_mut() else { bail!("the tensor was handed out already") };
            if let Some(piece) = left.next() {
                let (storage, layout) = source.storage_and_layout();
                let candle_core::Storage::Cpu(storage) = &*storage else { bail!("the tensor is not the host's") };
                let Some(values) =
                    storage.as_slice::<T>()?.get(layout.start_offset()..).and_then(|all| all.get(piece.clone()))
                else {
                    bail!("the tensor reaches past its storage")
                };
                gpu.send(&mut slice.slice_mut(piece.clone()), |into| into.copy_from_slice(values))?;
                if piece.end < len {
                    return Ok(None);
                }
            }
            Ok(target.take().map(|slice| gpu.wrap(slice, source.dims())))
        };
        Ok(Self { step: Box::new(step) })
    }
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transfer")
    }
}
