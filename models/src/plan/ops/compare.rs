//! Comparisons, logic and choice.

use candle_core::Tensor;

use super::{broadcast_shape, together};
use crate::error::OpError;
use crate::plan::op::Binary;
use crate::plan::value::Value;
use crate::tensor::Datatype;

pub(super) fn compare(x: &Tensor, y: &Tensor, kind: Binary) -> Result<Value, OpError> {
    let out = match kind {
        Binary::Equal => x.broadcast_eq(y),
        Binary::Less => x.broadcast_lt(y),
        Binary::LessOrEqual => x.broadcast_le(y),
        Binary::Greater => x.broadcast_gt(y),
        Binary::GreaterOrEqual => x.broadcast_ge(y),
        _ => return Err(OpError::Value("not a comparison")),
    };
    Ok(Value::engine(out?, Datatype::Bool))
}

/// Truths are 0 and 1.
pub(super) fn logic(x: &Tensor, y: &Tensor, kind: Binary, datatype: Datatype) -> Result<Value, OpError> {
    if datatype != Datatype::Bool {
        return Err(OpError::Datatype { op: "logic", datatype });
    }
    let out = match kind {
        Binary::And => x.broadcast_minimum(y),
        Binary::Or => x.broadcast_maximum(y),
        Binary::Xor => x.broadcast_ne(y),
        _ => return Err(OpError::Value("not logic")),
    };
    Ok(Value::engine(out?, Datatype::Bool))
}

pub(crate) fn select(condition: &Value, a: &Value, b: &Value) -> Result<Value, OpError> {
    if condition.datatype() != Datatype::Bool {
        return Err(OpError::Datatype { op: "where", datatype: condition.datatype() });
    }
    if a.datatype() != b.datatype() {
        return Err(OpError::Mixed(a.datatype(), b.datatype()));
    }
    let (x, y) = together(a.tensor("where")?, b.tensor("where")?)?;
    let condition = condition.tensor("where")?.to_device(x.device())?;
    let shape = broadcast_shape(condition.dims(), &broadcast_shape(x.dims(), y.dims())?)?;
    let [condition, x, y] = [condition, x, y].map(|t| t.broadcast_as(&shape[..]).and_then(|t| t.contiguous()));
    Ok(Value::engine(condition?.where_cond(&x?, &y?)?, a.datatype()))
}
