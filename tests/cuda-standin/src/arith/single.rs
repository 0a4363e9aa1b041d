//! 32-bit floats. The processor rounds to the nearest itself; other directions, and the fused multiply-add, go over an
//! exact or odd-rounded double, from which one more rounding is right (53 bits are at least 2 × 24 + 2).

use super::{Mode, Pure, Rounding, lanes};

const NAN: u64 = 0x7fff_ffff;

pub(super) const NEAREST: u8 = 0;
pub(super) const ZERO: u8 = 1;
pub(super) const DOWN: u8 = 2;
pub(super) const UP: u8 = 3;

/// One instance of a scalar function for each rounding, flush and saturation.
macro_rules! by_mode {
    ($mode:expr, |$($x:ident),+| $f:ident) => {
        match $mode.rounding {
            Rounding::Nearest => by_mode!(@ $mode, NEAREST, |$($x),+| $f),
            Rounding::Zero => by_mode!(@ $mode, ZERO, |$($x),+| $f),
            Rounding::Down => by_mode!(@ $mode, DOWN, |$($x),+| $f),
            Rounding::Up => by_mode!(@ $mode, UP, |$($x),+| $f),
        }
    };
    (@ $mode:expr, $r:ident, |$($x:ident),+| $f:ident) => {
        match ($mode.flush, $mode.saturate) {
            (false, false) => lanes!(|$($x),+| $f::<$r, false, false>($($x),+)),
            (false, true) => lanes!(|$($x),+| $f::<$r, false, true>($($x),+)),
            (true, false) => lanes!(|$($x),+| $f::<$r, true, false>($($x),+)),
            (true, true) => lanes!(|$($x),+| $f::<$r, true, true>($($x),+)),
        }
    };
}

fn read<const FLUSH: bool>(bits: u64) -> f32 {
    let value = f32::from_bits(bits as u32);
    if FLUSH && value.abs() < f32::MIN_POSITIVE { 0f32.copysign(value) } else { value }
}

/// The bits of a result; `exact` is what it was before rounding, for it is that which is flushed.
fn write<const FLUSH: bool, const SATURATE: bool>(value: f32, exact: f64) -> u64 {
    let flushed = FLUSH && exact.abs() < f64::from(f32::MIN_POSITIVE);
    let value = if flushed { 0f32.copysign(value) } else { value };
    if SATURATE {
        // A NaN and minus zero become zero.
        return u64::from(if value > 0.0 { value.min(1.0).to_bits() } else { 0 });
    }
    if value.is_nan() { NAN } else { u64::from(value.to_bits()) }
}

/// x + y, of the two neighbours the one with an odd last bit where it is not exact.
pub(super) fn odd_sum(x: f64, y: f64) -> f64 {
    let sum = x + y;
    let part = sum - x;
    let rest = (x - (sum - part)) + (y - part);
    let bits = sum.to_bits();
    let inexact = rest != 0.0 && sum.is_finite() && bits & 1 == 0;
    let outward = (rest > 0.0) == (sum > 0.0);
    let odd = if outward { bits + 1 } else { bits.wrapping_sub(1) };
    f64::from_bits(if inexact { odd } else { bits })
}

/// Rounds an exact or odd-rounded double.
fn narrow<const R: u8>(exact: f64) -> f32 {
    let near = exact as f32;
    let back = f64::from(near);
    let (above, below) = (back > exact, back < exact);
    match R {
        ZERO if back.abs() > exact.abs() => f32::from_bits(near.to_bits().wrapping_sub(1)),
        DOWN if above => near.next_down(),
        UP if below => near.next_up(),
        _ => near,
    }
}

/// An exact zero of a sum is negative when rounding down, unless both were plus zero.
fn signed_zero<const R: u8>(sum: f64, x: f64, y: f64) -> f64 {
    if R == DOWN && sum == 0.0 && (x.is_sign_negative() || y.is_sign_negative()) { -0.0 } else { sum }
}

fn add<const R: u8, const F: bool, const S: bool>(a: u64, b: u64) -> u64 {
    let (a, b) = (read::<F>(a), read::<F>(b));
    if R == NEAREST {
        let sum = a + b;
        return write::<F, S>(sum, f64::from(sum));
    }
    let (x, y) = (f64::from(a), f64::from(b));
    let sum = signed_zero::<R>(odd_sum(x, y), x, y);
    write::<F, S>(narrow::<R>(sum), sum)
}

fn sub<const R: u8, const F: bool, const S: bool>(a: u64, b: u64) -> u64 {
    add::<R, F, S>(a, b ^ 1 << 31)
}

fn mul<const R: u8, const F: bool, const S: bool>(a: u64, b: u64) -> u64 {
    let (a, b) = (read::<F>(a), read::<F>(b));
    if R == NEAREST && !F {
        return write::<F, S>(a * b, 1.0);
    }
    let product = f64::from(a) * f64::from(b);
    write::<F, S>(narrow::<R>(product), product)
}

fn fma<const R: u8, const F: bool, const S: bool>(a: u64, b: u64, c: u64) -> u64 {
    let (a, b, c) = (read::<F>(a), read::<F>(b), read::<F>(c));
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = signed_zero::<R>(odd_sum(product, c), product, c);
    write::<F, S>(narrow::<R>(sum), sum)
}

/// A double that rounds as the exact value does, from one that is near and the sign of what is missing.
fn odd(near: f64, rest: f64) -> f64 {
    let bits = near.to_bits();
    if rest == 0.0 || !near.is_finite() || !rest.is_finite() || bits & 1 == 1 {
        return near;
    }
    f64::from_bits(if (rest > 0.0) == (near > 0.0) { bits + 1 } else { bits - 1 })
}

fn div<const R: u8, const F: bool, const S: bool>(a: u64, b: u64) -> u64 {
    let (a, b) = (read::<F>(a), read::<F>(b));
    if R == NEAREST && !F {
        return write::<F, S>(a / b, 1.0);
    }
    let (x, y) = (f64::from(a), f64::from(b));
    let near = x / y;
    let rest = (-near).mul_add(y, x);
    let quotient = odd(near, if y < 0.0 { -rest } else { rest });
    write::<F, S>(narrow::<R>(quotient), quotient)
}

fn rcp<const R: u8, const F: bool, const S: bool>(a: u64) -> u64 {
    div::<R, F, S>(u64::from(1f32.to_bits()), a)
}

fn sqrt<const R: u8, const F: bool, const S: bool>(a: u64) -> u64 {
    let a = read::<F>(a);
    if R == NEAREST {
        return write::<F, S>(a.sqrt(), 1.0);
    }
    let near = f64::from(a).sqrt();
    let root = odd(near, (-near).mul_add(near, f64::from(a)));
    write::<F, S>(narrow::<R>(root), 1.0)
}

/// `add`, `sub`, `mul`, `div`, `fma`, `rcp`, `sqrt` as IEEE 754 has them.
pub(crate) fn exact(operation: &str, mode: Mode) -> Option<Pure> {
    Some(match operation {
        "add" => by_mode!(mode, |a, b| add),
        "sub" => by_mode!(mode, |a, b| sub),
        "mul" => by_mode!(mode, |a, b| mul),
        "div" => by_mode!(mode, |a, b| div),
        "fma" | "mad" => by_mode!(mode, |a, b, c| fma),
        "rcp" => by_mode!(mode, |a| rcp),
        "sqrt" => by_mode!(mode, |a| sqrt),
        _ => return None,
    })
}

/// The smaller: of a NaN and a number the number, of two zeros the negative one.
fn min<const F: bool>(a: u64, b: u64) -> u64 {
    let (x, y) = (read::<F>(a), read::<F>(b));
    let first = y.is_nan() || x < y || (x == y && x.is_sign_negative());
    write::<false, false>(if first { x } else { y }, 1.0)
}

fn max<const F: bool>(a: u64, b: u64) -> u64 {
    let (x, y) = (read::<F>(a), read::<F>(b));
    let first = y.is_nan() || x > y || (x == y && x.is_sign_positive());
    write::<false, false>(if first { x } else { y }, 1.0)
}

fn abs<const F: bool>(a: u64) -> u64 {
    write::<false, false>(read::<F>(a).abs(), 1.0)
}

fn neg<const F: bool>(a: u64) -> u64 {
    write::<false, false>(-read::<F>(a), 1.0)
}

/// `min`, `max`, `abs`, `neg`, `copysign`.
pub(crate) fn plain(operation: &str, flush: bool) -> Option<Pure> {
    Some(match (operation, flush) {
        ("min", false) => lanes!(|a, b| min::<false>(a, b)),
        ("min", true) => lanes!(|a, b| min::<true>(a, b)),
        ("max", false) => lanes!(|a, b| max::<false>(a, b)),
        ("max", true) => lanes!(|a, b| max::<true>(a, b)),
        ("abs", false) => lanes!(|a| abs::<false>(a)),
        ("abs", true) => lanes!(|a| abs::<true>(a)),
        ("neg", false) => lanes!(|a| neg::<false>(a)),
        ("neg", true) => lanes!(|a| neg::<true>(a)),
        ("copysign", false) => lanes!(|a, b| (b & 0x7fff_ffff) | (a & 0x8000_0000)),
        _ => return None,
    })
}

/// `.approx` and `.full`: the precision that PTX promises, not the bits of a card.
pub(crate) fn approximate(operation: &str, flush: bool) -> Option<Pure> {
    super::approximate::single(operation, flush)
}

/// Bits of an approximate result.
pub(super) fn settle<const FLUSH: bool>(value: f32) -> u64 {
    write::<FLUSH, false>(value, f64::from(value))
}

/// An operand of an approximate function.
pub(super) fn operand<const FLUSH: bool>(bits: u64) -> f32 {
    read::<FLUSH>(bits)
}
