//! The approximate functions, to the precision that PTX promises: a card's own bits are nowhere written down.

use super::half::{narrow as to_half, widen};
use super::single::{operand, settle};
use super::{Pure, lanes};

fn div<const F: bool>(a: u64, b: u64) -> u64 {
    settle::<F>(operand::<F>(a) / operand::<F>(b))
}

/// Divisors above 2^126 give zero, or NaN under an infinity: PTX says so.
fn div_fast<const F: bool>(a: u64, b: u64) -> u64 {
    let (x, y) = (operand::<F>(a), operand::<F>(b));
    let huge = y.is_finite() && y.abs() > f32::from_bits(0x7e80_0000);
    if !huge {
        return settle::<F>(x / y);
    }
    settle::<F>(if x.is_infinite() { f32::NAN } else { (x * 0.0) * y })
}

fn rcp<const F: bool>(a: u64) -> u64 {
    settle::<F>(1.0 / operand::<F>(a))
}

fn sqrt<const F: bool>(a: u64) -> u64 {
    settle::<F>(operand::<F>(a).sqrt())
}

fn rsqrt<const F: bool>(a: u64) -> u64 {
    let value = operand::<F>(a);
    if value == 0.0 {
        return settle::<F>(f32::INFINITY.copysign(value));
    }
    settle::<F>((1.0 / f64::from(value).sqrt()) as f32)
}

fn sin<const F: bool>(a: u64) -> u64 {
    settle::<F>(f64::from(operand::<F>(a)).sin() as f32)
}

fn cos<const F: bool>(a: u64) -> u64 {
    settle::<F>(f64::from(operand::<F>(a)).cos() as f32)
}

fn lg2<const F: bool>(a: u64) -> u64 {
    settle::<F>(operand::<F>(a).log2())
}

fn ex2<const F: bool>(a: u64) -> u64 {
    settle::<F>(operand::<F>(a).exp2())
}

fn tanh(a: u64) -> u64 {
    settle::<false>(operand::<false>(a).tanh())
}

/// Functions of 32-bit floats; `div.full` is `div` here.
pub(super) fn single(operation: &str, flush: bool) -> Option<Pure> {
    Some(match (operation, flush) {
        ("div.full", false) => lanes!(|a, b| div::<false>(a, b)),
        ("div.full", true) => lanes!(|a, b| div::<true>(a, b)),
        ("div", false) => lanes!(|a, b| div_fast::<false>(a, b)),
        ("div", true) => lanes!(|a, b| div_fast::<true>(a, b)),
        ("rcp", false) => lanes!(|a| rcp::<false>(a)),
        ("rcp", true) => lanes!(|a| rcp::<true>(a)),
        ("sqrt", false) => lanes!(|a| sqrt::<false>(a)),
        ("sqrt", true) => lanes!(|a| sqrt::<true>(a)),
        ("rsqrt", false) => lanes!(|a| rsqrt::<false>(a)),
        ("rsqrt", true) => lanes!(|a| rsqrt::<true>(a)),
        ("sin", false) => lanes!(|a| sin::<false>(a)),
        ("sin", true) => lanes!(|a| sin::<true>(a)),
        ("cos", false) => lanes!(|a| cos::<false>(a)),
        ("cos", true) => lanes!(|a| cos::<true>(a)),
        ("lg2", false) => lanes!(|a| lg2::<false>(a)),
        ("lg2", true) => lanes!(|a| lg2::<true>(a)),
        ("ex2", false) => lanes!(|a| ex2::<false>(a)),
        ("ex2", true) => lanes!(|a| ex2::<true>(a)),
        ("tanh", false) => lanes!(|a| tanh(a)),
        _ => return None,
    })
}

/// Functions of 16-bit floats.
pub(super) fn half(operation: &str) -> Option<fn(u16) -> u16> {
    Some(match operation {
        "tanh" => |a| to_half(f64::from(widen(a)).tanh()),
        "ex2" => |a| to_half(f64::from(widen(a)).exp2()),
        _ => return None,
    })
}

/// Functions of 64-bit floats: only the upper half of the operand is looked at and only that of the result is made.
pub(super) fn double(operation: &str, flush: bool) -> Option<Pure> {
    fn upper(bits: u64) -> u64 {
        bits & 0xffff_ffff_0000_0000
    }
    fn flushed(bits: u64) -> f64 {
        let value = f64::from_bits(upper(bits));
        if value.abs() < f64::MIN_POSITIVE { 0f64.copysign(value) } else { value }
    }
    fn settled(value: f64) -> u64 {
        let value = if value.abs() < f64::MIN_POSITIVE { 0f64.copysign(value) } else { value };
        if value.is_nan() { 0x7fff_ffff_0000_0000 } else { upper(value.to_bits()) }
    }
    fn rsqrt(value: f64) -> f64 {
        if value == 0.0 { f64::INFINITY.copysign(value) } else { 1.0 / value.sqrt() }
    }
    Some(match (operation, flush) {
        ("rcp", true) => lanes!(|a| settled(1.0 / flushed(a))),
        ("rsqrt", true) => lanes!(|a| settled(rsqrt(flushed(a)))),
        ("rsqrt", false) => lanes!(|a| {
            let value = rsqrt(f64::from_bits(a));
            if value.is_nan() { 0x7fff_ffff_ffff_ffff } else { value.to_bits() }
        }),
        _ => return None,
    })
}
