//! The gather on a CUDA device, of any datatype: bytes are moved, as many at once as the addresses allow.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{
    CudaView, CudaViewMut, DevicePtr, DevicePtrMut, DeviceRepr, PushKernelArg,
};
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorage, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{DType, Layout, Result, Shape, Storage, Tensor, bail};
use half::{bf16, f16};

use crate::launch::{Counts, Module, elements, function, plane, together};

const OP: &str = "gather";
static MODULE: Module =
    Module { name: "embedding", image: include_bytes!(concat!(env!("OUT_DIR"), "/embedding.fatbin")) };
/// By how many bytes they move at once, from the most.
static NAMES: &[&str] = &["gather_16", "gather_8", "gather_4", "gather_2", "gather_1"];

/// Whether there is a kernel for this table.
pub(super) fn computes(table: &Tensor) -> bool {
    table.device().is_cuda()
        && matches!(
            table.dtype(),
            DType::U8 | DType::U32 | DType::I64 | DType::F16 | DType::BF16 | DType::F32 | DType::F64
        )
}

/// [`super::gather`] for indices that are on the device already, without waiting for it: entries of `table` along `axis`
/// at `indices` (I64 of any shape; negative ones count from the end). An index out of range gives zeros, and is counted.
///
/// # Errors
/// Tensors that are not on one CUDA device or not contiguous, an axis that the table does not have, indices of another
/// datatype, a counter that is not there, and what the driver says.
pub fn gather_on_device(
    table: &Tensor,
    indices: &Tensor,
    axis: usize,
    refused: &mut Counts,
    slot: usize,
) -> Result<Tensor> {
    let (table_storage, layout) = table.storage_and_layout();
    let (row_storage, rows_layout) = indices.storage_and_layout();
    let (Storage::Cuda(storage), Storage::Cuda(rows)) = (&*table_storage, &*row_storage) else {
        bail!("{OP}: the tensors are not on a CUDA device")
    };
    if axis >= table.rank() {
        bail!("{OP}: axis {axis} of shape {:?}", table.dims());
    }
    together(&storage.device, refused.device(), OP)?;
    let counter = refused.slot(slot)?;
    let (out, _) = forward(storage, layout, rows, rows_layout, axis, Some(counter))?;
    let shape = [&table.dims()[..axis], indices.dims(), &table.dims()[axis + 1..]].concat();
    Ok(Tensor::from_storage(Storage::Cuda(out), shape, BackpropOp::none(), false))
}

/// The rows that are asked for; `axis` is one of the table's.
pub(super) fn forward(
    table: &CudaStorage,
    layout: &Layout,
    rows: &CudaStorage,
    rows_layout: &Layout,
    axis: usize,
    refused: Option<CudaViewMut<'_, u64>>,
) -> Result<(CudaStorage, Shape)> {
    together(&table.device, &rows.device, OP)?;
    let rows = elements::<i64>(rows, rows_layout, OP)?;
    let count = rows_layout.shape().elem_count();
    let dims = layout.dims();
    let geometry = Geometry {
        outer: dims[..axis].iter().product(),
        size: dims[axis],
        inner: dims[axis + 1..].iter().product(),
        count,
    };
    let shape = Shape::from([&dims[..axis], &[count], &dims[axis + 1..]].concat());
    macro_rules! moved {
        ($($dtype:ident: $ty:ty),*) => {
            match table.dtype() {
                $(DType::$dtype => {
                    let view = elements::<$ty>(table, layout, OP)?;
                    geometry.gather(&table.device, &view, &rows, refused)
                })*
                other => bail!("{OP}: no tables of {}", other.as_str()),
            }
        };
    }
    let storage = moved!(U8: u8, U32: u32, I64: i64, F16: f16, BF16: bf16, F32: f32, F64: f64)?;
    Ok((storage, shape))
}

/// A table of `[outer, size, inner]`, of which `count` rows are asked for.
struct Geometry {
    outer: usize,
    size: usize,
    inner: usize,
    count: usize,
}

impl Geometry {
    fn gather<T: CudaDType + DeviceRepr>(
        &self,
        device: &CudaDevice,
        table: &CudaView<'_, T>,
        rows: &CudaView<'_, i64>,
        refused: Option<CudaViewMut<'_, u64>>,
    ) -> Result<CudaStorage> {
        let lines = self.outer * self.count;
        // SAFETY: the kernel writes every element of it, before anything else on the stream reads one.
        let mut out = unsafe { device.alloc::<T>(lines * self.inner) }?;
        if lines > 0 && self.inner > 0 {
            self.launch(device, table, rows, &mut out.as_view_mut(), refused)?;
        }
        Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
    }

    fn launch<T: CudaDType + DeviceRepr>(
        &self,
        device: &CudaDevice,
        table: &CudaView<'_, T>,
        rows: &CudaView<'_, i64>,
        out: &mut CudaViewMut<'_, T>,
        mut refused: Option<CudaViewMut<'_, u64>>,
    ) -> Result<()> {
        let stream = device.cuda_stream();
        let lines = self.outer * self.count;
        // The guards record the use of the memory when they are dropped, behind the launch.
        let (from, _read) = table.device_ptr(&stream);
        let (to, _write) = out.device_ptr_mut(&stream);
        let (name, units) = unit(from | to, self.inner * size_of::<T>());
        let function = function(device, &MODULE, NAMES, name)?;
        let dims = [self.outer, self.size, units, self.count].map(|dim| dim as u64);
        let mut launch = stream.launch_builder(&function);
        launch.arg(&from).arg(rows).arg(&to);
        dims.iter().for_each(|dim| {
            launch.arg(dim);
        });
        match &mut refused {
            Some(counter) => launch.arg(counter),
            None => launch.arg(&0_u64),
        };
        // SAFETY: these are the kernel's parameters in their order. A row is `units` moves of the kernel's width, and both
        // addresses are multiples of it. `table` has outer × size rows, of which the kernel checks each number; `rows` has
        // `count` numbers and `out` outer × count rows. All of it lives until the stream is past the kernel.
        unsafe { launch.launch(plane(lines, units)) }.w()?;
        Ok(())
    }
}

/// The kernel that moves the most bytes at once where addresses (as one number, all their bits) and rows are multiples of
/// as many, and the number of moves of a row.
fn unit(addresses: u64, row_bytes: usize) -> (&'static str, usize) {
    let common = (addresses | row_bytes as u64 | 16).trailing_zeros() as usize;
    (NAMES[4 - common.min(4)], row_bytes >> common.min(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_bytes_as_everything_is_a_multiple_of() {
        assert_eq!(unit(0x1000, 3072), ("gather_16", 192));
        assert_eq!(unit(0x1008, 3072), ("gather_8", 384));
        assert_eq!(unit(0x1000, 20), ("gather_4", 5));
        assert_eq!(unit(0x1000 | 0x1002, 20), ("gather_2", 10));
        assert_eq!(unit(0x1000, 7), ("gather_1", 7));
    }
}
