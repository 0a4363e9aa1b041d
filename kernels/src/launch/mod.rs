//! Starting kernels of ours on candle's device: their machine code, grids, and the checks before an address is handed over.
//!
//! Everything goes to the stream of the tensor's own device, behind what candle has put there.

mod counts;
mod grid;
mod module;

use candle_core::cuda_backend::cudarc::driver::CudaView;
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorage};
use candle_core::{Error, Layout, Result, bail};

// Named, so that it is linked: cudarc's calls of CUDA end in its trampolines.
use cuda_lazy as _;

pub use counts::Counts;
pub(crate) use grid::{line, plane};
pub(crate) use module::{Module, function};

/// The elements of a contiguous tensor, within its storage.
pub(crate) fn elements<'a, T: CudaDType>(
    storage: &'a CudaStorage,
    layout: &Layout,
    op: &'static str,
) -> Result<CudaView<'a, T>> {
    let Some((start, end)) = layout.contiguous_offsets() else { return Err(Error::RequiresContiguous { op }) };
    match storage.as_cuda_slice::<T>()?.try_slice(start..end) {
        Some(view) => Ok(view),
        None => bail!("{op}: layout {layout:?} reaches past its storage"),
    }
}

/// Whether both are one device, and so one stream and one memory.
pub(crate) fn together(a: &CudaDevice, b: &CudaDevice, op: &'static str) -> Result<()> {
    use candle_core::backend::BackendDevice;
    if a.same_device(b) { Ok(()) } else { bail!("{op}: the tensors are on several devices") }
}
