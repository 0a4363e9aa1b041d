//! Arithmetic of whole numbers, which wraps as it does in every ONNX runtime. Candle's own panics on a division by
//! zero, and on overflow where overflow checks are on.

use candle_core::{DType, Device, Tensor};

use crate::error::OpError;
use crate::plan::op::Binary;

/// `a` and `b` are of the same type, I64 or U8, and already of one shape.
pub(super) fn binary(a: &Tensor, b: &Tensor, kind: Binary) -> Result<Tensor, OpError> {
    let numbers = |t: &Tensor| t.to_device(&Device::Cpu)?.to_dtype(DType::I64)?.flatten_all()?.to_vec1::<i64>();
    let function = |a: i64, b: i64| match kind {
        Binary::Add => Ok(a.wrapping_add(b)),
        Binary::Sub => Ok(a.wrapping_sub(b)),
        Binary::Mul => Ok(a.wrapping_mul(b)),
        Binary::Div if b == 0 => Err(OpError::Value("division of a whole number by zero")),
        Binary::Div => Ok(a.wrapping_div(b)),
        Binary::Max => Ok(a.max(b)),
        Binary::Min => Ok(a.min(b)),
        _ => Err(OpError::Value("not defined on whole numbers")),
    };
    let values: Result<Vec<i64>, OpError> =
        numbers(a)?.into_iter().zip(numbers(b)?).map(|(a, b)| function(a, b)).collect();
    rebuilt(values?, a)
}

/// Every element through `function`.
pub(super) fn unary(x: &Tensor, function: impl Fn(i64) -> i64) -> Result<Tensor, OpError> {
    let values = x.to_device(&Device::Cpu)?.to_dtype(DType::I64)?.flatten_all()?.to_vec1::<i64>()?;
    rebuilt(values.into_iter().map(function).collect(), x)
}

/// With the shape, type and device of `like`.
fn rebuilt(values: Vec<i64>, like: &Tensor) -> Result<Tensor, OpError> {
    Ok(Tensor::from_vec(values, like.dims(), &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())?)
}
