//! The plain version: decode each float and ask it.
#![cfg(test)]

use half::{bf16, f16};

pub(super) fn f16(values: &[f16]) -> usize {
    values.iter().filter(|v| v.is_nan() || v.is_infinite()).count()
}

pub(super) fn bf16(values: &[bf16]) -> usize {
    values.iter().filter(|v| v.is_nan() || v.is_infinite()).count()
}

pub(super) fn f32(values: &[f32]) -> usize {
    values.iter().filter(|v| !v.is_finite()).count()
}

pub(super) fn f64(values: &[f64]) -> usize {
    values.iter().filter(|v| !v.is_finite()).count()
}
