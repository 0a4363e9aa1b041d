//! The count on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, PushKernelArg};
use candle_core::cuda_backend::{CudaDType, CudaStorage, WrapErr};
use candle_core::{DType, Layout, Result, Storage, Tensor, bail};
use half::{bf16, f16};

use crate::launch::{Counts, Module, elements, function, line, together};

const OP: &str = "non_finite";
static MODULE: Module = Module { name: "health", image: include_bytes!(concat!(env!("OUT_DIR"), "/health.fatbin")) };
static NAMES: &[&str] = &["non_finite_f16", "non_finite_bf16", "non_finite_f32", "non_finite_f64"];

/// Adds how many elements of `x` are NaN or infinite to a counter. Only starts the count: [`Counts::read`] waits for it.
/// Tensors of integers add nothing.
///
/// # Errors
/// A tensor that is not contiguous or not on the counters' device, a counter that is not there, and what the driver says.
pub fn count_on_device(x: &Tensor, counts: &mut Counts, slot: usize) -> Result<()> {
    let (storage, layout) = x.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { bail!("{OP}: the tensor is not on a CUDA device") };
    match storage.dtype() {
        DType::F16 => add::<f16>(storage, layout, "non_finite_f16", counts, slot),
        DType::BF16 => add::<bf16>(storage, layout, "non_finite_bf16", counts, slot),
        DType::F32 => add::<f32>(storage, layout, "non_finite_f32", counts, slot),
        DType::F64 => add::<f64>(storage, layout, "non_finite_f64", counts, slot),
        DType::U8 | DType::U32 | DType::I16 | DType::I32 | DType::I64 => Ok(()),
        other => bail!("{OP}: no counts of {}", other.as_str()),
    }
}

fn add<T: CudaDType + DeviceRepr>(
    storage: &CudaStorage,
    layout: &Layout,
    name: &'static str,
    counts: &mut Counts,
    slot: usize,
) -> Result<()> {
    together(&storage.device, counts.device(), OP)?;
    let values = elements::<T>(storage, layout, OP)?;
    let len = layout.shape().elem_count();
    let mut counter = counts.slot(slot)?;
    if len == 0 {
        return Ok(());
    }
    let function = function(&storage.device, &MODULE, NAMES, name)?;
    let stream = storage.device.cuda_stream();
    let count = len as u64;
    let mut launch = stream.launch_builder(&function);
    launch.arg(&values).arg(&count).arg(&mut counter);
    // SAFETY: these are the kernel's parameters in their order. It reads `len` elements of `values`, which has as many, and
    // adds to one counter. Both live until the stream is past it: candle frees memory in the order of the stream.
    unsafe { launch.launch(line(len)) }.w()?;
    Ok(())
}
