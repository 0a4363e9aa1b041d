//! Parts of a tensor: ranges with steps, and cuts along an axis.

use super::{normalise_axis, pick};
use crate::error::OpError;
use crate::plan::op::Parts;
use crate::plan::value::Value;

/// Ends are exclusive; numbers past either end stop there; a negative step walks backwards.
pub(crate) fn slice(
    x: &Value,
    starts: &Value,
    ends: &Value,
    axes: Option<&Value>,
    steps: Option<&Value>,
) -> Result<Value, OpError> {
    let (starts, ends) = (starts.to_ints("slice")?, ends.to_ints("slice")?);
    let axes = match axes {
        Some(axes) => axes.to_ints("slice")?,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match steps {
        Some(steps) => steps.to_ints("slice")?,
        None => vec![1; starts.len()],
    };
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(OpError::Shape("starts, ends, axes and steps differ in number".into()));
    }
    let mut out = x.clone();
    for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
        let axis = normalise_axis(axis, out.dims().len())?;
        out = along(&out, axis, start, end, step)?;
    }
    Ok(out)
}

fn along(x: &Value, axis: usize, start: i64, end: i64, step: i64) -> Result<Value, OpError> {
    let size = x.dims()[axis] as i64;
    let from_start = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    match step {
        0 => Err(OpError::Value("a slice with step 0")),
        1 => {
            let start = from_start(start).clamp(0, size);
            let end = from_start(end).clamp(start, size);
            narrow(x, axis, start as usize, (end - start) as usize)
        }
        step if step > 0 => {
            let (start, end) = (from_start(start).clamp(0, size), from_start(end).clamp(0, size));
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            pick(x, axis, (start..end).step_by(step).collect())
        }
        step => {
            let (start, end) = (from_start(start).clamp(-1, size - 1), from_start(end).clamp(-1, size - 1));
            let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
            pick(x, axis, (end + 1..=start).rev().step_by(step).collect())
        }
    }
}

/// One of the parts that an axis is cut into.
pub(crate) fn part(x: &Value, axis: i64, index: usize, parts: &Parts) -> Result<Value, OpError> {
    let axis = normalise_axis(axis, x.dims().len())?;
    let size = x.dims()[axis];
    let (start, length) = match parts {
        Parts::Count(count) => {
            let width = size.div_ceil((*count).max(1));
            let start = (index * width).min(size);
            (start, width.min(size - start))
        }
        Parts::Sizes(sizes) => {
            if sizes.iter().sum::<usize>() != size {
                return Err(OpError::Shape(format!("axis {axis} of shape {:?} is not cut into {sizes:?}", x.dims())));
            }
            (sizes[..index].iter().sum(), sizes[index])
        }
    };
    narrow(x, axis, start, length)
}

fn narrow(x: &Value, axis: usize, start: usize, length: usize) -> Result<Value, OpError> {
    Ok(Value::engine(x.tensor("slice")?.narrow(axis, start, length)?.contiguous()?, x.datatype()))
}
