//! Ops that scale rows or channels to a norm.

use candle_core::{D, Tensor};
use kernels::softmax::Kind;

use super::shape::{normalise_axis, normalise_cut};
use crate::error::OpError;
use crate::plan::op::Norm;
use crate::plan::value::Value;

pub(crate) fn softmax(x: &Value, axis: i64, kind: Kind, flatten: bool) -> Result<Value, OpError> {
    let tensor = x.float("softmax")?;
    let out = if flatten {
        // Before opset 13 the axis cuts the shape in two, as that of `Flatten` does.
        let axis = normalise_cut(axis, tensor.rank())?;
        let rows = tensor.dims()[..axis].iter().product::<usize>();
        let columns = tensor.dims()[axis..].iter().product::<usize>();
        kernels::softmax::softmax(&tensor.reshape((rows, columns))?, 1, kind)?.reshape(tensor.shape())?
    } else {
        kernels::softmax::softmax(tensor, normalise_axis(axis, tensor.rank())?, kind)?
    };
    Ok(Value::engine(out, x.datatype()))
}

/// A row of zeros stays as it is.
pub(crate) fn normalise(x: &Value, norm: Norm) -> Result<Value, OpError> {
    let tensor = x.float("normalise")?;
    if tensor.rank() == 0 || tensor.elem_count() == 0 {
        return Err(OpError::Shape(format!("rows of shape {:?} have no norm", x.dims())));
    }
    let size = match norm {
        Norm::Max => tensor.max_keepdim(D::Minus1)?,
        Norm::L1 => tensor.abs()?.sum_keepdim(D::Minus1)?,
        Norm::L2 => tensor.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?,
    };
    let size = size.eq(&size.zeros_like()?)?.where_cond(&size.ones_like()?, &size)?;
    Ok(Value::engine(tensor.broadcast_div(&size)?, x.datatype()))
}

/// `x * scale + shift`, both of `[C]`, along axis 1.
pub(crate) fn channels(x: &Value, scale: &Tensor, shift: &Tensor) -> Result<Value, OpError> {
    let tensor = x.float("channels")?;
    let channels = scale.elem_count();
    if tensor.dims().get(1) != Some(&channels) {
        return Err(OpError::Shape(format!("shape {:?} does not have {channels} channels", x.dims())));
    }
    let mut shape = vec![1; tensor.rank()];
    shape[1] = channels;
    let out = tensor.broadcast_mul(&scale.reshape(&shape[..])?)?.broadcast_add(&shift.reshape(&shape[..])?)?;
    Ok(Value::engine(out, x.datatype()))
}
