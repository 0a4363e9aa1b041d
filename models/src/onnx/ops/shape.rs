//! Constants, conversions and ops that move elements.

use super::super::lower::{Lowered, Lowering};
use super::super::tensor::datatype;
use crate::plan::{Arg, Op, Parts};
use crate::tensor::{Datatype, Tensor};

/// The value under another name; no step.
pub(super) fn identity(l: &mut Lowering<'_>) -> Lowered {
    let x = l.operand(0)?;
    l.output(0, x);
    Ok(())
}

pub(super) fn constant(l: &mut Lowering<'_>) -> Lowered {
    let node = l.node;
    let one = |data: &[u8], datatype| Tensor::new(datatype, vec![], data.to_vec().into());
    let many = |data: Vec<u8>, datatype, count| Tensor::new(datatype, vec![count], data.into());
    let tensor = if let Some(tensor) = node.tensor("value")? {
        Ok(tensor.clone())
    } else if let Some(value) = node.float("value_float")? {
        one(&value.to_le_bytes(), Datatype::Fp32)
    } else if let Some(value) = node.int("value_int")? {
        one(&value.to_le_bytes(), Datatype::Int64)
    } else if let Some(values) = node.floats("value_floats")? {
        many(values.iter().flat_map(|v| v.to_le_bytes()).collect(), Datatype::Fp32, values.len())
    } else if let Some(values) = node.ints("value_ints")? {
        many(values.iter().flat_map(|v| v.to_le_bytes()).collect(), Datatype::Int64, values.len())
    } else if let Some(text) = node.text("value_string")? {
        Tensor::from_elements(vec![], &[text])
    } else if let Some(texts) = node.texts("value_strings")? {
        Tensor::from_elements(vec![texts.len()], texts)
    } else {
        return Err("it has no value of a supported kind".to_owned());
    };
    let arg = l.constant(&tensor.map_err(|error| error.to_string())?)?;
    l.output(0, arg);
    Ok(())
}

pub(super) fn constant_of_shape(l: &mut Lowering<'_>) -> Lowered {
    let value = match l.node.tensor("value")? {
        Some(tensor) if tensor.elements() == 1 => l.constant(&tensor.clone())?,
        Some(tensor) => return Err(format!("value must be one number, not shape {:?}", tensor.shape())),
        None => l.floats(&[0.0], vec![1])?,
    };
    let scalar = l.push(Op::Squeeze { axes: None }, &[value])?;
    let shape = l.operand(0)?;
    let out = l.push(Op::Expand, &[scalar, shape])?;
    l.output(0, out);
    Ok(())
}

pub(super) fn shape(l: &mut Lowering<'_>) -> Lowered {
    let (start, end) = (l.node.int("start")?.unwrap_or(0), l.node.int("end")?);
    l.simple(Op::Shape { start, end }, 1)
}

pub(super) fn reshape(l: &mut Lowering<'_>) -> Lowered {
    let zero_copies = l.node.int("allowzero")?.unwrap_or(0) == 0;
    l.simple(Op::Reshape { zero_copies }, 2)
}

pub(super) fn flatten(l: &mut Lowering<'_>) -> Lowered {
    let axis = l.node.int("axis")?.unwrap_or(1);
    l.simple(Op::Flatten { axis }, 1)
}

/// Axes are an attribute before opset 13, an operand from then on.
fn axes(l: &Lowering<'_>) -> Result<Option<Vec<i64>>, String> {
    if l.node.opset < 13 { Ok(l.node.ints("axes")?.map(<[i64]>::to_vec)) } else { l.known_ints(1, "axes") }
}

pub(super) fn squeeze(l: &mut Lowering<'_>) -> Lowered {
    let axes = axes(l)?;
    l.simple(Op::Squeeze { axes }, 1)
}

pub(super) fn unsqueeze(l: &mut Lowering<'_>) -> Lowered {
    let axes = axes(l)?.ok_or("axes are missing")?;
    l.simple(Op::Unsqueeze { axes }, 1)
}

pub(super) fn transpose(l: &mut Lowering<'_>) -> Lowered {
    let order = l.node.ints("perm")?.map(<[i64]>::to_vec);
    l.simple(Op::Transpose { order }, 1)
}

/// Bounds are attributes before opset 10, operands from then on.
pub(super) fn slice(l: &mut Lowering<'_>) -> Lowered {
    let args = if l.node.opset < 10 {
        let list = |name: &str| l.node.ints(name).map(|ints| ints.map(<[i64]>::to_vec));
        let starts = list("starts")?.ok_or("starts are missing")?;
        let ends = list("ends")?.ok_or("ends are missing")?;
        let axes = list("axes")?;
        let x = l.operand(0)?;
        let axes = axes.map(|axes| l.ints(&axes)).transpose()?.unwrap_or(Arg::Absent);
        vec![x, l.ints(&starts)?, l.ints(&ends)?, axes, Arg::Absent]
    } else {
        vec![l.operand(0)?, l.operand(1)?, l.operand(2)?, l.optional(3), l.optional(4)]
    };
    let out = l.push(Op::Slice, &args)?;
    l.output(0, out);
    Ok(())
}

/// Sizes are an attribute before opset 13, an operand from then on; without them, equal parts.
pub(super) fn split(l: &mut Lowering<'_>) -> Lowered {
    let axis = l.node.int("axis")?.unwrap_or(0);
    let sizes = if l.node.opset < 13 { l.node.ints("split")?.map(<[i64]>::to_vec) } else { l.known_ints(1, "split")? };
    let parts = match sizes {
        None => Parts::Count(l.node.outputs.len()),
        Some(sizes) => {
            let sizes: Option<Vec<usize>> = sizes.iter().map(|size| usize::try_from(*size).ok()).collect();
            let sizes = sizes.ok_or("a size in split is negative")?;
            if sizes.len() != l.node.outputs.len() {
                return Err(format!("{} sizes for {} outputs", sizes.len(), l.node.outputs.len()));
            }
            Parts::Sizes(sizes)
        }
    };
    let x = l.operand(0)?;
    for index in 0..l.node.outputs.len() {
        let out = l.push(Op::Part { axis, index, parts: parts.clone() }, &[x])?;
        l.output(index, out);
    }
    Ok(())
}

pub(super) fn concat(l: &mut Lowering<'_>) -> Lowered {
    let axis = l.node.int("axis")?.ok_or("axis is missing")?;
    let out = l.push(Op::Concat { axis }, &l.operands())?;
    l.output(0, out);
    Ok(())
}

pub(super) fn expand(l: &mut Lowering<'_>) -> Lowered {
    l.simple(Op::Expand, 2)
}

pub(super) fn gather(l: &mut Lowering<'_>) -> Lowered {
    let axis = l.node.int("axis")?.unwrap_or(0);
    l.simple(Op::Gather { axis }, 2)
}

pub(super) fn cast(l: &mut Lowering<'_>) -> Lowered {
    let to = l.node.int("to")?.ok_or("attribute `to` is missing")?;
    let to = datatype(i32::try_from(to).unwrap_or(0))?;
    l.simple(Op::Cast { to }, 1)
}
