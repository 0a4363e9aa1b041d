//! What each op computes, one file per family. Shapes and datatypes are checked before the engine sees them: some of
//! candle's functions panic on whole numbers.

pub(crate) mod compare;
pub(crate) mod elementwise;
pub(crate) mod gather;
mod int;
pub(crate) mod matrix;
pub(crate) mod normal;
pub(crate) mod reduce;
pub(crate) mod shape;

use candle_core::Tensor;

use super::ELEMENTS_MAX;
use crate::error::OpError;

/// The shape that two shapes are broadcast to, by NumPy's rule.
pub(crate) fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, OpError> {
    let rank = a.len().max(b.len());
    let size = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |at| dims[at]);
    let mut out = Vec::with_capacity(rank);
    for axis in 0..rank {
        out.push(match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => return Err(OpError::Shape(format!("shapes {a:?} and {b:?} do not broadcast"))),
        });
    }
    bounded(&out)?;
    Ok(out)
}

/// Refuses a shape of more elements than a value may have.
pub(crate) fn bounded(shape: &[usize]) -> Result<usize, OpError> {
    let elements = shape.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    match elements {
        Some(elements) if elements <= ELEMENTS_MAX => Ok(elements),
        other => Err(OpError::TooLarge { elements: other.map_or(u64::MAX, |e| e as u64), limit: ELEMENTS_MAX as u64 }),
    }
}

/// Both on one device: values computed from shapes are in host memory, whatever the plan's device.
pub(crate) fn together(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor), OpError> {
    let device = if a.device().is_cpu() { b.device() } else { a.device() };
    Ok((a.to_device(device)?, b.to_device(device)?))
}
