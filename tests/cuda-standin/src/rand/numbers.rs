//! From rows of bits to numbers of each sort, by the formulas of `curand_uniform.h` and `curand_normal.h`.

use super::xorwow::{Row, SUBSEQUENCES};
use std::ops::Range;

/// 2^−32, as the library writes it.
const STEP: f32 = 2.328_306_4e-10;
const STEP_OF_TURN: f32 = STEP * std::f32::consts::TAU;

/// A sort of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Draw {
    Bits,
    Uniform,
    UniformDouble,
    Normal { mean: f32, deviation: f32 },
    NormalDouble { mean: f64, deviation: f64 },
    LogNormal { mean: f32, deviation: f32 },
    LogNormalDouble { mean: f64, deviation: f64 },
}

impl Draw {
    /// Bytes of a number.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Bits | Self::Uniform | Self::Normal { .. } | Self::LogNormal { .. } => 4,
            Self::UniformDouble | Self::NormalDouble { .. } | Self::LogNormalDouble { .. } => 8,
        }
    }

    /// Numbers come in pairs.
    pub(super) fn pairs(self) -> bool {
        !matches!(self, Self::Bits | Self::Uniform | Self::UniformDouble)
    }

    /// How many rows make how many numbers.
    pub(super) fn takes(self) -> (u64, u64) {
        let numbers = SUBSEQUENCES as u64 * if self.pairs() { 2 } else { 1 };
        match self {
            Self::Bits | Self::Uniform => (1, numbers),
            Self::UniformDouble | Self::Normal { .. } | Self::LogNormal { .. } => (2, numbers),
            Self::NormalDouble { .. } | Self::LogNormalDouble { .. } => (4, numbers),
        }
    }

    /// Appends the numbers of a range of what these rows make.
    pub(super) fn put(self, rows: &[Row], which: Range<usize>, out: &mut Vec<u8>) {
        for index in which {
            let place = if self.pairs() { index / 2 } else { index };
            let bits = |row: usize| rows[row][place];
            let of_pair = |(first, second): (f64, f64)| if index % 2 == 0 { first } else { second };
            let normal = || of_pair(pair(uniform(bits(0)).into(), turn(bits(1)).into()));
            let normal_double = || {
                let (size, turn) = (uniform_double(bits(0), bits(1)), uniform_double(bits(2), bits(3)));
                of_pair(pair(size, turn * std::f64::consts::TAU))
            };
            match self {
                Self::Bits => out.extend(bits(0).to_le_bytes()),
                Self::Uniform => out.extend(uniform(bits(0)).to_le_bytes()),
                Self::UniformDouble => out.extend(uniform_double(bits(0), bits(1)).to_le_bytes()),
                Self::Normal { mean, deviation } => out.extend((normal() as f32 * deviation + mean).to_le_bytes()),
                Self::LogNormal { mean, deviation } => {
                    out.extend((normal() as f32 * deviation + mean).exp().to_le_bytes());
                }
                Self::NormalDouble { mean, deviation } => {
                    out.extend((normal_double() * deviation + mean).to_le_bytes())
                }
                Self::LogNormalDouble { mean, deviation } => {
                    out.extend((normal_double() * deviation + mean).exp().to_le_bytes());
                }
            }
        }
    }
}

/// In (0, 1].
fn uniform(bits: u32) -> f32 {
    (bits as f32).mul_add(STEP, STEP / 2.0)
}

/// In (0, 1], of 53 bits.
fn uniform_double(low: u32, high: u32) -> f64 {
    let bits = u64::from(low) ^ u64::from(high) << 21;
    (bits as f64).mul_add(2f64.powi(-53), 2f64.powi(-54))
}

/// In (0, 2π].
fn turn(bits: u32) -> f32 {
    (bits as f32).mul_add(STEP_OF_TURN, STEP_OF_TURN / 2.0)
}

/// Two normal numbers, by Box and Muller.
fn pair(uniform: f64, turn: f64) -> (f64, f64) {
    let size = (-2.0 * uniform.ln()).sqrt();
    (size * turn.sin(), size * turn.cos())
}
