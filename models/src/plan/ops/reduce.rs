//! Sums, means and extremes over axes. None of them hides a NaN: what judges a version looks for it in the outputs.

use candle_core::{DType, Tensor};

use super::shape::normalise_axis;
use crate::error::OpError;
use crate::plan::op::Reduce;
use crate::plan::value::{Value, is_float};
use crate::tensor::Datatype;

pub(crate) fn reduce(x: &Value, kind: Reduce, axes: Option<&[i64]>, keep: bool) -> Result<Value, OpError> {
    let tensor = x.float("reduce")?;
    let mut axes = match axes {
        Some(axes) => axes.iter().map(|axis| normalise_axis(*axis, tensor.rank())).collect::<Result<Vec<_>, _>>()?,
        None => (0..tensor.rank()).collect(),
    };
    axes.sort_unstable();
    axes.dedup();
    if tensor.elem_count() == 0 {
        return Err(OpError::Shape(format!("shape {:?} has nothing to reduce", x.dims())));
    }
    let mut out = match kind {
        Reduce::SumSquare | Reduce::L2 => tensor.sqr()?,
        Reduce::L1 => tensor.abs()?,
        Reduce::Sum | Reduce::Mean | Reduce::Max | Reduce::Min => tensor.contiguous()?,
    };
    for axis in &axes {
        out = match kind {
            Reduce::Sum | Reduce::SumSquare | Reduce::L1 | Reduce::L2 => out.sum_keepdim(*axis)?,
            Reduce::Mean => out.mean_keepdim(*axis)?,
            Reduce::Max => carry_nan(&out, *axis, out.max_keepdim(*axis)?)?,
            Reduce::Min => carry_nan(&out, *axis, out.min_keepdim(*axis)?)?,
        };
    }
    if kind == Reduce::L2 {
        out = out.sqrt()?;
    }
    if !keep {
        for axis in axes.iter().rev() {
            out = out.squeeze(*axis)?;
        }
    }
    Ok(Value::engine(out, x.datatype()))
}

/// `extremes` of `x` along `axis`, and NaN where a NaN was among the elements: candle's comparisons pass over it.
fn carry_nan(x: &Tensor, axis: usize, extremes: Tensor) -> Result<Tensor, OpError> {
    // Only a NaN differs from itself.
    let lost = x.ne(x)?.max_keepdim(axis)?;
    Ok(lost.where_cond(&extremes.affine(0.0, f64::NAN)?, &extremes)?)
}

/// The first of equal elements. A position cannot be NaN, and one that was picked among NaNs would look like any other,
/// so a NaN is an error here, of a kind of its own: the gate, the trial and the caller get to know of it.
pub(crate) fn argmax(x: &Value, axis: i64, keep: bool) -> Result<Value, OpError> {
    let tensor = x.tensor("argmax")?;
    let nan = || -> Result<u32, OpError> { Ok(tensor.ne(tensor)?.to_dtype(DType::U32)?.max_all()?.to_scalar()?) };
    if is_float(x.datatype()) && tensor.elem_count() > 0 && nan()? != 0 {
        return Err(OpError::NonFinite);
    }
    argmax_of_any(x, axis, keep)
}

/// [`argmax`], some position where there is a NaN.
pub(crate) fn argmax_of_any(x: &Value, axis: i64, keep: bool) -> Result<Value, OpError> {
    let tensor = x.tensor("argmax")?;
    let axis = normalise_axis(axis, tensor.rank())?;
    if tensor.elem_count() == 0 {
        return Err(OpError::Shape(format!("shape {:?} has no largest element", x.dims())));
    }
    let out = tensor.contiguous()?.argmax_keepdim(axis)?.to_dtype(DType::I64)?;
    let out = if keep { out } else { out.squeeze(axis)? };
    Ok(Value::engine(out, Datatype::Int64))
}
