//! Softmax and its logarithm over one axis.

mod reference;

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};

use crate::element::{Float, elements};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Shares that add up to 1.
    Softmax,
    /// Their natural logarithms, computed without taking the logarithm of a share.
    LogSoftmax,
}

/// Softmax of `x` along `axis`.
///
/// # Errors
/// An axis that `x` does not have; on the CPU, datatypes other than F32 and F64.
pub fn softmax(x: &Tensor, axis: usize, kind: Kind) -> Result<Tensor> {
    let rank = x.rank();
    if axis >= rank {
        bail!("softmax: axis {axis} of shape {:?}", x.dims());
    }
    if axis + 1 != rank {
        return softmax(&x.transpose(axis, rank - 1)?, rank - 1, kind)?.transpose(axis, rank - 1)?.contiguous();
    }
    let x = x.contiguous()?;
    if x.device().is_cpu() {
        return x.apply_op1_no_bwd(&Softmax { kind });
    }
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1)?)?;
    let total = shifted.exp()?.sum_keepdim(D::Minus1)?;
    match kind {
        Kind::Softmax => shifted.exp()?.broadcast_div(&total),
        Kind::LogSoftmax => shifted.broadcast_sub(&total.log()?),
    }
}

struct Softmax {
    kind: Kind,
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = layout.dims().last().copied().unwrap_or(1);
        let out = match storage {
            CpuStorage::F32(_) => CpuStorage::F32(rows::<f32>(elements(storage, layout, "softmax")?, width, self.kind)),
            CpuStorage::F64(_) => CpuStorage::F64(rows::<f64>(elements(storage, layout, "softmax")?, width, self.kind)),
            _ => bail!("softmax computes in F32 and F64"),
        };
        Ok((out, layout.shape().clone()))
    }
}

fn rows<T: Float>(x: &[T], width: usize, kind: Kind) -> Vec<T> {
    let mut out = x.to_vec();
    for row in out.chunks_exact_mut(width.max(1)) {
        // The largest element is taken out first, so that no exponential overflows.
        let largest = row.iter().fold(T::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
        match kind {
            Kind::Softmax => {
                row.iter_mut().for_each(|v| *v = (*v - largest).exp());
                let total = row.iter().fold(T::ZERO, |a, b| a + *b);
                row.iter_mut().for_each(|v| *v /= total);
            }
            Kind::LogSoftmax => {
                row.iter_mut().for_each(|v| *v -= largest);
                let total = row.iter().fold(T::ZERO, |a, b| a + b.exp()).ln();
                row.iter_mut().for_each(|v| *v -= total);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
