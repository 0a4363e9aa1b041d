//! The two element types that ops compute in, and how their slices come out of candle's storage.

use candle_core::{CpuStorage, Error, Layout, Result, WithDType, bail};

/// A float type that ops compute in: `f32` or `f64`.
pub trait Float:
    WithDType
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Below every number.
    const NEG_INFINITY: Self;
    /// From a parameter, rounded.
    fn of(value: f64) -> Self;
    /// e to this power.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// ln(1 + self), accurate near 0.
    fn ln_1p(self) -> Self;
    /// e^self - 1, accurate near 0.
    fn exp_m1(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Error function.
    fn erf(self) -> Self;
    /// `self * a + b`, rounded once. Only fast where the target has the instruction.
    fn mul_add(self, a: Self, b: Self) -> Self;
}

macro_rules! float {
    ($ty:ident, $erf:path) => {
        impl Float for $ty {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NEG_INFINITY: Self = $ty::NEG_INFINITY;
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $ty
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $ty::exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                $ty::ln(self)
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                $ty::ln_1p(self)
            }
            #[inline(always)]
            fn exp_m1(self) -> Self {
                $ty::exp_m1(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $ty::tanh(self)
            }
            #[inline(always)]
            fn erf(self) -> Self {
                $erf(self)
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                $ty::mul_add(self, a, b)
            }
        }
    };
}
float!(f32, candle_core::cpu::erf::erf_f32);
float!(f64, candle_core::cpu::erf::erf_f64);

/// The elements of a contiguous tensor.
pub(crate) fn elements<'a, T: WithDType>(
    storage: &'a CpuStorage,
    layout: &Layout,
    op: &'static str,
) -> Result<&'a [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else { return Err(Error::RequiresContiguous { op }) };
    match storage.as_slice::<T>()?.get(start..end) {
        Some(slice) => Ok(slice),
        None => bail!("{op}: layout {layout:?} reaches past its storage"),
    }
}
