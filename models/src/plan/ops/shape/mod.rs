//! Ops that move elements without computing on them; `BYTES` pass through those that only rename axes.

pub(crate) mod slice;

use candle_core::{DType, Device};

use super::{bounded, broadcast_shape, together};
use crate::error::OpError;
use crate::plan::value::Value;
use crate::tensor::{Datatype, Tensor};

/// An axis counted from the start; negative ones count from the end.
pub(crate) fn normalise_axis(axis: i64, rank: usize) -> Result<usize, OpError> {
    let from_start = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    from_start
        .and_then(|axis| usize::try_from(axis).ok())
        .filter(|axis| *axis < rank)
        .ok_or_else(|| OpError::Shape(format!("axis {axis} of a tensor of rank {rank}")))
}

/// Where a shape is cut in two: an axis as [`normalise_axis`] has it, or the rank itself. Only an axis counted from the
/// start may be the rank; negative ones count from the last axis, as ever.
pub(crate) fn normalise_cut(axis: i64, rank: usize) -> Result<usize, OpError> {
    if usize::try_from(axis) == Ok(rank) { Ok(rank) } else { normalise_axis(axis, rank) }
}

/// `x` itself, if it is that wide.
pub(crate) fn width(x: &Value, width: usize) -> Result<Value, OpError> {
    match x.dims().last() {
        Some(last) if *last == width => Ok(x.clone()),
        _ => Err(OpError::Shape(format!("shape {:?} does not have {width} columns", x.dims()))),
    }
}

/// The same elements in the same order under another shape.
fn with_shape(x: &Value, shape: Vec<usize>) -> Result<Value, OpError> {
    let elements = |dims: &[usize]| dims.iter().try_fold(1_usize, |p, d| p.checked_mul(*d));
    if elements(x.dims()) != elements(&shape) {
        return Err(OpError::Shape(format!("shape {:?} does not have the elements of {shape:?}", x.dims())));
    }
    Ok(match x {
        Value::Host(tensor) => Value::Host(Tensor::new(tensor.datatype(), shape, tensor.data().clone())?),
        Value::Engine { tensor, datatype } => Value::engine(tensor.reshape(shape)?, *datatype),
    })
}

/// `-1` is what is left over; `0` copies the size of that axis unless it may mean zero.
pub(crate) fn reshape(x: &Value, shape: &Value, zero_copies: bool) -> Result<Value, OpError> {
    let wanted = shape.to_ints("reshape")?;
    let unfit = || OpError::Shape(format!("shape {:?} cannot become {wanted:?}", x.dims()));
    let mut out = Vec::with_capacity(wanted.len());
    let mut left_over = None;
    for (axis, size) in wanted.iter().enumerate() {
        out.push(match size {
            0 if zero_copies => *x.dims().get(axis).ok_or_else(unfit)?,
            -1 if left_over.is_none() => {
                left_over = Some(axis);
                1
            }
            size => usize::try_from(*size).map_err(|_| unfit())?,
        });
    }
    if let Some(axis) = left_over {
        let elements = x.dims().iter().product::<usize>();
        let others = bounded(&out)?;
        if others == 0 || elements % others != 0 {
            return Err(unfit());
        }
        out[axis] = elements / others;
    }
    with_shape(x, out)
}

pub(crate) fn flatten(x: &Value, axis: i64) -> Result<Value, OpError> {
    let axis = normalise_cut(axis, x.dims().len())?;
    let rows = x.dims()[..axis].iter().product();
    let columns = x.dims()[axis..].iter().product();
    with_shape(x, vec![rows, columns])
}

pub(crate) fn squeeze(x: &Value, axes: Option<&[i64]>) -> Result<Value, OpError> {
    let dims = x.dims();
    let drop: Vec<usize> = match axes {
        Some(axes) => axes.iter().map(|axis| normalise_axis(*axis, dims.len())).collect::<Result<_, _>>()?,
        None => (0..dims.len()).filter(|axis| dims[*axis] == 1).collect(),
    };
    if let Some(axis) = drop.iter().find(|axis| dims[**axis] != 1) {
        return Err(OpError::Shape(format!("axis {axis} of shape {dims:?} is not 1")));
    }
    let shape = (0..dims.len()).filter(|axis| !drop.contains(axis)).map(|axis| dims[axis]).collect();
    with_shape(x, shape)
}

pub(crate) fn unsqueeze(x: &Value, axes: &[i64]) -> Result<Value, OpError> {
    let rank = x.dims().len() + axes.len();
    let mut new: Vec<usize> = axes.iter().map(|axis| normalise_axis(*axis, rank)).collect::<Result<_, _>>()?;
    new.sort_unstable();
    new.dedup();
    if new.len() != axes.len() {
        return Err(OpError::Shape(format!("axes {axes:?} name one axis twice")));
    }
    let mut shape = x.dims().to_vec();
    for axis in new {
        shape.insert(axis, 1);
    }
    with_shape(x, shape)
}

pub(crate) fn transpose(x: &Value, order: Option<&[i64]>) -> Result<Value, OpError> {
    let tensor = x.tensor("transpose")?;
    let rank = tensor.rank();
    let order: Vec<usize> = match order {
        Some(order) => order.iter().map(|axis| normalise_axis(*axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(OpError::Shape(format!("{order:?} is not an order of {rank} axes")));
    }
    Ok(Value::engine(tensor.permute(order)?.contiguous()?, x.datatype()))
}

pub(crate) fn expand(x: &Value, shape: &Value) -> Result<Value, OpError> {
    let wanted = shape.to_ints("expand")?;
    let wanted: Option<Vec<usize>> = wanted.iter().map(|size| usize::try_from(*size).ok()).collect();
    let Some(wanted) = wanted else { return Err(OpError::Value("expand to a negative size")) };
    let shape = broadcast_shape(x.dims(), &wanted)?;
    Ok(Value::engine(x.tensor("expand")?.broadcast_as(shape)?.contiguous()?, x.datatype()))
}

pub(crate) fn shape(x: &Value, start: i64, end: Option<i64>) -> Result<Value, OpError> {
    let dims = x.dims();
    let rank = dims.len() as i64;
    let clamp = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (clamp(start), clamp(end.unwrap_or(rank)));
    Value::ints(dims.get(start..end).unwrap_or_default().iter().map(|dim| *dim as i64).collect())
}

pub(crate) fn concat(args: &[Option<&Value>], axis: i64) -> Result<Value, OpError> {
    let parts: Vec<&Value> = args.iter().copied().flatten().collect();
    let Some(first) = parts.first() else { return Err(OpError::Value("nothing to join")) };
    let axis = normalise_axis(axis, first.dims().len())?;
    for part in &parts {
        if part.datatype() != first.datatype() {
            return Err(OpError::Mixed(first.datatype(), part.datatype()));
        }
        let same = part.dims().len() == first.dims().len()
            && part.dims().iter().zip(first.dims()).enumerate().all(|(at, (a, b))| at == axis || a == b);
        if !same {
            let shapes: Vec<_> = parts.iter().map(|part| part.dims()).collect();
            return Err(OpError::Shape(format!("shapes {shapes:?} cannot be joined along axis {axis}")));
        }
    }
    let mut shape = first.dims().to_vec();
    shape[axis] = parts.iter().map(|part| part.dims()[axis]).sum();
    bounded(&shape)?;
    if first.datatype() == Datatype::Bytes {
        return concat_bytes(&parts, axis, shape);
    }
    let mut tensors = parts.iter().map(|part| part.tensor("concat").cloned()).collect::<Result<Vec<_>, _>>()?;
    for index in 1..tensors.len() {
        (tensors[0], tensors[index]) = together(&tensors[0], &tensors[index])?;
    }
    let device = tensors[0].device().clone();
    let tensors = tensors.iter().map(|t| t.to_device(&device)?.contiguous()).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::engine(candle_core::Tensor::cat(&tensors, axis)?, first.datatype()))
}

fn concat_bytes(parts: &[&Value], axis: usize, shape: Vec<usize>) -> Result<Value, OpError> {
    let parts: Vec<Tensor> = parts.iter().map(|part| part.download(None)).collect::<Result<_, _>>()?;
    let elements: Vec<Vec<&[u8]>> = parts.iter().map(|part| part.byte_elements().collect()).collect();
    let outer = shape[..axis].iter().product::<usize>();
    let mut joined = Vec::new();
    for o in 0..outer {
        for (part, elements) in parts.iter().zip(&elements) {
            let width = part.shape()[axis..].iter().product::<usize>();
            joined.extend_from_slice(&elements[o * width..(o + 1) * width]);
        }
    }
    Ok(Value::Host(Tensor::from_elements(shape, &joined)?))
}

/// Positions along one axis, in order.
fn pick(x: &Value, axis: usize, positions: Vec<i64>) -> Result<Value, OpError> {
    let tensor = x.tensor("slice")?;
    let count = positions.len();
    let positions = candle_core::Tensor::from_vec(positions, count, &Device::Cpu)?.to_dtype(DType::I64)?;
    let picked = kernels::embedding::gather(tensor, &positions, axis)?;
    Ok(Value::engine(picked, x.datatype()))
}
