//! Sums, means and extremes over axes.

use super::shape::normalise_axis;
use crate::error::OpError;
use crate::plan::op::Reduce;
use crate::plan::value::Value;
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
            Reduce::Max => out.max_keepdim(*axis)?,
            Reduce::Min => out.min_keepdim(*axis)?,
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

/// The first of equal elements.
pub(crate) fn argmax(x: &Value, axis: i64, keep: bool) -> Result<Value, OpError> {
    let tensor = x.tensor("argmax")?;
    let axis = normalise_axis(axis, tensor.rank())?;
    if tensor.elem_count() == 0 {
        return Err(OpError::Shape(format!("shape {:?} has no largest element", x.dims())));
    }
    let out = tensor.contiguous()?.argmax_keepdim(axis)?.to_dtype(candle_core::DType::I64)?;
    let out = if keep { out } else { out.squeeze(axis)? };
    Ok(Value::engine(out, Datatype::Int64))
}
