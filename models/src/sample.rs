//! Inputs made from a specification, for warming up and for trial runs.

use crate::signature::{Dim, TensorSpec};
use crate::tensor::{Datatype, Tensor};

/// What samples are filled with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Ones, zeros, empty texts: legal for nearly every model.
    Plain,
    /// Numbers that differ from one to the next, and 1 for whole numbers.
    Varied,
    /// As varied, but whole numbers 0: for tables of one row.
    VariedFloats,
}

/// Elements of one sample. A shape of fixed axes beyond this is not one that a request could send.
pub(crate) const SAMPLE_ELEMENTS_MAX: usize = 1 << 26;

/// A tensor of that specification: `rows` for a free first axis, `size` for every other free one.
pub(crate) fn sample(spec: &TensorSpec, rows: usize, size: usize, pattern: Pattern) -> Option<Tensor> {
    let axis = |(axis, dim): (usize, &Dim)| match dim {
        Dim::Fixed(fixed) => *fixed,
        Dim::Any if axis == 0 => rows,
        Dim::Any => size,
    };
    let shape: Vec<usize> = spec.shape.iter().enumerate().map(axis).collect();
    let elements = shape.iter().try_fold(1_usize, |p, d| p.checked_mul(*d)).filter(|e| *e <= SAMPLE_ELEMENTS_MAX)?;
    let float = |index: usize| match pattern {
        Pattern::Plain => 1.0,
        // Between 0.5 and 1, in no order that a sum over an axis would cancel.
        Pattern::Varied | Pattern::VariedFloats => 0.5 + ((index * 37 + 11) % 101) as f64 / 202.0,
    };
    let whole = u8::from(pattern == Pattern::Varied);
    let data: Vec<u8> = match spec.datatype {
        Datatype::Fp16 => (0..elements).flat_map(|i| half::f16::from_f64(float(i)).to_le_bytes()).collect(),
        Datatype::Bf16 => (0..elements).flat_map(|i| half::bf16::from_f64(float(i)).to_le_bytes()).collect(),
        Datatype::Fp32 => (0..elements).flat_map(|i| (float(i) as f32).to_le_bytes()).collect(),
        Datatype::Fp64 => (0..elements).flat_map(|i| float(i).to_le_bytes()).collect(),
        Datatype::Bytes => vec![0; elements.checked_mul(4)?],
        whole_numbers => {
            let width = whole_numbers.size()?;
            (0..elements * width).map(|at| if at % width == 0 { whole } else { 0 }).collect()
        }
    };
    Tensor::new(spec.datatype, shape, data.into()).ok()
}
