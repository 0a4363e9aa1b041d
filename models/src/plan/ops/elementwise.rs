//! Element by element: activations, arithmetic, limits and conversions.

use candle_core::DType;
use kernels::Activation;

use super::{broadcast_shape, compare, int, together};
use crate::error::OpError;
use crate::plan::op::{Binary, Unary};
use crate::plan::value::{Value, engine_dtype, is_float};
use crate::tensor::Datatype;

pub(crate) fn activate(x: &Value, activation: Activation) -> Result<Value, OpError> {
    let out = kernels::bias_activation::activate(x.float("activate")?, activation)?;
    Ok(Value::engine(out, x.datatype()))
}

pub(crate) fn scale(x: &Value, factor: f64) -> Result<Value, OpError> {
    Ok(Value::engine(x.float("scale")?.affine(factor, 0.0)?, x.datatype()))
}

pub(crate) fn unary(x: &Value, kind: Unary) -> Result<Value, OpError> {
    let (tensor, datatype) = (x.tensor("unary")?, x.datatype());
    match kind {
        Unary::Not => {
            if datatype != Datatype::Bool {
                return Err(OpError::Datatype { op: "not", datatype });
            }
            return Ok(Value::engine(tensor.eq(0_u8)?, Datatype::Bool));
        }
        // Only a NaN differs from itself.
        Unary::IsNan => return Ok(Value::engine(x.float("isnan")?.ne(tensor)?, Datatype::Bool)),
        Unary::Neg if !is_float(datatype) => {
            return Ok(Value::engine(int::unary(tensor, i64::wrapping_neg)?, datatype));
        }
        Unary::Abs if !is_float(datatype) => {
            return Ok(Value::engine(int::unary(tensor, i64::wrapping_abs)?, datatype));
        }
        _ => {}
    }
    let x = x.float("unary")?;
    let out = match kind {
        Unary::Neg => x.neg(),
        Unary::Sqrt => x.sqrt(),
        Unary::Exp => x.exp(),
        Unary::Log => x.log(),
        Unary::Abs => x.abs(),
        Unary::Erf => x.erf(),
        Unary::Reciprocal => x.recip(),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Not | Unary::IsNan => return Err(OpError::Value("handled above")),
    };
    Ok(Value::engine(out?, datatype))
}

pub(crate) fn binary(a: &Value, b: &Value, kind: Binary) -> Result<Value, OpError> {
    if kind == Binary::Pow {
        return pow(a, b);
    }
    let datatype = a.datatype();
    if datatype != b.datatype() {
        return Err(OpError::Mixed(datatype, b.datatype()));
    }
    let (x, y) = together(a.tensor("binary")?, b.tensor("binary")?)?;
    let shape = broadcast_shape(x.dims(), y.dims())?;
    match kind {
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Max | Binary::Min => {
            let out = if is_float(datatype) {
                float_binary(&x, &y, kind)?
            } else {
                int::binary(&x.broadcast_as(&shape[..])?, &y.broadcast_as(&shape[..])?, kind)?
            };
            Ok(Value::engine(out, datatype))
        }
        Binary::And | Binary::Or | Binary::Xor => compare::logic(&x, &y, kind, datatype),
        _ => compare::compare(&x, &y, kind),
    }
}

fn float_binary(
    x: &candle_core::Tensor,
    y: &candle_core::Tensor,
    kind: Binary,
) -> Result<candle_core::Tensor, OpError> {
    Ok(match kind {
        Binary::Add => x.broadcast_add(y)?,
        Binary::Sub => x.broadcast_sub(y)?,
        Binary::Mul => x.broadcast_mul(y)?,
        Binary::Div => x.broadcast_div(y)?,
        // Candle's keep a NaN of the first operand only; a NaN of the second must not be hidden either.
        Binary::Max => keep_nan(x.broadcast_maximum(y)?, y)?,
        Binary::Min => keep_nan(x.broadcast_minimum(y)?, y)?,
        _ => return Err(OpError::Value("not arithmetic")),
    })
}

fn keep_nan(out: candle_core::Tensor, operand: &candle_core::Tensor) -> Result<candle_core::Tensor, OpError> {
    let operand = operand.broadcast_as(out.shape())?;
    Ok(operand.ne(&operand)?.where_cond(&operand, &out)?)
}

/// The exponent is one number; candle's `pow` of two tensors takes a logarithm, which loses negative bases.
fn pow(base: &Value, exponent: &Value) -> Result<Value, OpError> {
    let exponent = exponent.tensor("pow")?;
    if exponent.elem_count() != 1 {
        return Err(OpError::Value("pow with more than one exponent is not supported"));
    }
    let exponent = exponent.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?[0];
    let x = base.float("pow")?;
    let out = if exponent == 2.0 { x.sqr()? } else { x.powf(exponent)? };
    Ok(Value::engine(out, base.datatype()))
}

pub(crate) fn clip(x: &Value, min: Option<f64>, max: Option<f64>) -> Result<Value, OpError> {
    let datatype = x.datatype();
    if !is_float(datatype) {
        // Bounds of whole numbers come from whole numbers.
        let (min, max) = (min.map_or(i64::MIN, |v| v as i64), max.map_or(i64::MAX, |v| v as i64));
        return Ok(Value::engine(int::unary(x.tensor("clip")?, |v| v.max(min).min(max))?, datatype));
    }
    let mut out = x.float("clip")?.clone();
    if let Some(min) = min {
        out = out.maximum(min)?;
    }
    if let Some(max) = max {
        out = out.minimum(max)?;
    }
    Ok(Value::engine(out, datatype))
}

pub(crate) fn cast(x: &Value, to: Datatype) -> Result<Value, OpError> {
    let from = x.datatype();
    if from == to {
        return Ok(x.clone());
    }
    let tensor = x.tensor("cast")?;
    let dtype = engine_dtype(to).ok_or(OpError::Datatype { op: "cast", datatype: to })?;
    let out = match to {
        Datatype::Bool => tensor.ne(&tensor.zeros_like()?)?,
        // Rounded now, since later steps must see what half precision can hold.
        Datatype::Fp16 => tensor.to_dtype(DType::F16)?.to_dtype(dtype)?,
        Datatype::Bf16 => tensor.to_dtype(DType::BF16)?.to_dtype(dtype)?,
        Datatype::Int8 => wrap(tensor, |v| i64::from(v as i8))?,
        Datatype::Int16 => wrap(tensor, |v| i64::from(v as i16))?,
        Datatype::Int32 => wrap(tensor, |v| i64::from(v as i32))?,
        Datatype::Uint16 => wrap(tensor, |v| i64::from(v as u16))?,
        Datatype::Uint32 => wrap(tensor, |v| i64::from(v as u32))?,
        _ => tensor.to_dtype(dtype)?,
    };
    Ok(Value::engine(out, to))
}

/// To I64, then to what the narrow type can hold.
fn wrap(x: &candle_core::Tensor, narrow: impl Fn(i64) -> i64) -> Result<candle_core::Tensor, OpError> {
    int::unary(&x.to_dtype(DType::I64)?, narrow)
}
