//! Types of numbers in memory, and the two that are computed with.

use half::{bf16, f16};

/// A `cudaDataType` that products take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    F32,
    F64,
    F16,
    Bf16,
}

impl Type {
    pub(super) fn of(code: i32) -> Option<Self> {
        Some(match code {
            0 => Self::F32,
            1 => Self::F64,
            2 => Self::F16,
            14 => Self::Bf16,
            _ => return None,
        })
    }

    pub(super) fn width(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Appends the numbers of these bytes.
    pub(super) fn read<T: Real>(self, bytes: &[u8], to: &mut Vec<T>) {
        let pair = |it: &[u8]| [it[0], it[1]];
        match self {
            Self::F64 => {
                to.extend(bytes.chunks_exact(8).map(|it| T::of_f64(f64::from_le_bytes(std::array::from_fn(|i| it[i])))))
            }
            Self::F32 => {
                to.extend(bytes.chunks_exact(4).map(|it| T::of_f32(f32::from_le_bytes([it[0], it[1], it[2], it[3]]))))
            }
            Self::F16 => to.extend(bytes.chunks_exact(2).map(|it| T::of_f32(f16::from_le_bytes(pair(it)).to_f32()))),
            Self::Bf16 => to.extend(bytes.chunks_exact(2).map(|it| T::of_f32(bf16::from_le_bytes(pair(it)).to_f32()))),
        }
    }

    /// The bytes of these numbers, rounded to nearest.
    pub(super) fn write<T: Real>(self, numbers: &[T]) -> Vec<u8> {
        match self {
            Self::F64 => numbers.iter().flat_map(|it| it.to_f64().to_le_bytes()).collect(),
            Self::F32 => numbers.iter().flat_map(|it| (it.to_f64() as f32).to_le_bytes()).collect(),
            Self::F16 => numbers.iter().flat_map(|it| f16::from_f64(it.to_f64()).to_le_bytes()).collect(),
            Self::Bf16 => numbers.iter().flat_map(|it| bf16::from_f64(it.to_f64()).to_le_bytes()).collect(),
        }
    }
}

/// What is computed with: f32 or f64.
pub(super) trait Real:
    Copy + Default + PartialEq + std::ops::Add<Output = Self> + std::ops::Mul<Output = Self> + std::ops::AddAssign
{
    fn of_f32(value: f32) -> Self;
    fn of_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    fn of_f32(value: f32) -> Self {
        value
    }
    fn of_f64(value: f64) -> Self {
        value as Self
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    fn of_f32(value: f32) -> Self {
        value.into()
    }
    fn of_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
}
