//! Rows of a table by their numbers (ONNX `Gather`, embeddings), every number checked before one is used.

#[cfg(feature = "cuda")]
mod launch;
mod reference;
#[cfg(feature = "cuda")]
mod suite;

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor, bail};

use crate::element::elements;
#[cfg(feature = "cuda")]
pub use launch::gather_on_device;
#[cfg(feature = "cuda")]
pub(crate) use suite::CASES;

/// Why rows could not be gathered.
#[derive(Debug)]
pub enum GatherError {
    /// An index outside `-size..size`.
    OutOfRange {
        /// As given.
        index: i64,
        /// Entries along the axis.
        size: usize,
    },
    /// Shapes or datatypes that do not fit, or the device.
    Tensor(candle_core::Error),
}

impl From<candle_core::Error> for GatherError {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor(error)
    }
}

/// Entries of `table` along `axis` at `indices` (I64 of any shape; negative ones count from the end). The answer has
/// the table's shape with `axis` replaced by the shape of `indices`.
///
/// # Errors
/// An index out of range; an axis the table does not have; indices of another datatype.
pub fn gather(table: &Tensor, indices: &Tensor, axis: usize) -> Result<Tensor, GatherError> {
    let Some(&size) = table.dims().get(axis) else {
        return Err(candle_core::Error::Msg(format!("gather: axis {axis} of shape {:?}", table.dims())).into());
    };
    let mut rows = indices.flatten_all()?.to_vec1::<i64>()?;
    for index in &mut rows {
        *index = normalise(*index, size).ok_or(GatherError::OutOfRange { index: *index, size })?;
    }
    let shape = [&table.dims()[..axis], indices.dims(), &table.dims()[axis + 1..]].concat();
    let count = rows.len();
    let rows = Tensor::from_vec(rows, count, table.device())?;
    let out = if gathers(table) {
        table.contiguous()?.apply_op2_no_bwd(&rows, &Gather { axis })?
    } else {
        table.contiguous()?.index_select(&rows, axis)?
    };
    Ok(out.reshape(shape)?)
}

/// Whether rows are gathered here rather than by candle.
fn gathers(table: &Tensor) -> bool {
    #[cfg(feature = "cuda")]
    if launch::computes(table) {
        return true;
    }
    table.device().is_cpu()
}

/// The index counted from the start, where it is one of `size` entries.
fn normalise(index: i64, size: usize) -> Option<i64> {
    let size = i64::try_from(size).ok()?;
    let from_start = if index < 0 { index.checked_add(size)? } else { index };
    (0..size).contains(&from_start).then_some(from_start)
}

struct Gather {
    axis: usize,
}

impl CustomOp2 for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn cpu_fwd(
        &self,
        table: &CpuStorage,
        layout: &Layout,
        rows: &CpuStorage,
        rows_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        use candle_core::backend::BackendStorage;
        let rows = elements::<i64>(rows, rows_layout, "gather")?;
        let dims = layout.dims();
        let inner = dims[self.axis + 1..].iter().product::<usize>();
        let geometry = Geometry { size: dims[self.axis], inner };
        let mut shape = dims.to_vec();
        shape[self.axis] = rows.len();
        macro_rules! copy {
            ($($variant:ident: $ty:ty),*) => {
                match table {
                    $(CpuStorage::$variant(_) =>
                        CpuStorage::$variant(geometry.copy(elements::<$ty>(table, layout, "gather")?, rows)),)*
                    other => bail!("gather: no tables of {:?}", DType::as_str(&other.dtype())),
                }
            };
        }
        let storage = copy!(U8: u8, U32: u32, I64: i64, F32: f32, F64: f64, F16: half::f16, BF16: half::bf16);
        Ok((storage, Shape::from(shape)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        table: &candle_core::CudaStorage,
        layout: &Layout,
        rows: &candle_core::CudaStorage,
        rows_layout: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        launch::forward(table, layout, rows, rows_layout, self.axis, None)
    }
}

struct Geometry {
    /// Entries along the gathered axis.
    size: usize,
    /// Elements of one entry.
    inner: usize,
}

impl Geometry {
    /// `rows` are already known to be within `size`.
    fn copy<T: Copy>(&self, table: &[T], rows: &[i64]) -> Vec<T> {
        let slab = self.size * self.inner;
        if slab == 0 {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(table.len() / slab * rows.len() * self.inner);
        for slab in table.chunks_exact(slab) {
            for row in rows {
                let start = *row as usize * self.inner;
                out.extend_from_slice(&slab[start..start + self.inner]);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests;
