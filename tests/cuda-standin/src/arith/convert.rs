//! `cvt`: between any two types.

use super::half::{narrow_single, widen};
use super::soft::{self, DOUBLE, Exact, Format, HALF, SINGLE, Value, finish, to_integer, unpack};
use super::{Pure, Rounding, lanes, pick};
use crate::ptx::Type;

/// A conversion, all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conversion {
    pub(crate) from: Type,
    pub(crate) to: Type,
    /// Bytes of the register that takes the result: a signed one fills it.
    pub(crate) register: u32,
    pub(crate) rounding: Rounding,
    /// `rni` and the like: to an integer, in the float's own format.
    pub(crate) integral: bool,
    pub(crate) flush: bool,
    pub(crate) saturate: bool,
}

/// The conversions that kernels do all the time, without anything slow.
pub(crate) fn fast(it: &Conversion) -> Option<Pure> {
    if it.saturate {
        let plain = it.from == it.to && !it.integral && !it.flush;
        return match it.to {
            Type::F32 if plain => Some(lanes!(|a| u64::from(clamped_single(f32::from_bits(a as u32)).to_bits()))),
            Type::F64 if plain => Some(lanes!(|a| clamped_double(f64::from_bits(a)).to_bits())),
            _ => None,
        };
    }
    if it.from.integer() && it.to.integer() {
        return Some(between_integers(it));
    }
    if it.flush {
        return None;
    }
    Some(match (it.from, it.to, it.rounding, it.integral) {
        (Type::S32, Type::F32, Rounding::Nearest, _) => lanes!(|a| single(a as u32 as i32 as f32)),
        (Type::U32, Type::F32, Rounding::Nearest, _) => lanes!(|a| single(a as u32 as f32)),
        (Type::S64, Type::F32, Rounding::Nearest, _) => lanes!(|a| single(a as i64 as f32)),
        (Type::U64, Type::F32, Rounding::Nearest, _) => lanes!(|a| single(a as f32)),
        (Type::S32, Type::F64, ..) => lanes!(|a| f64::from(a as u32 as i32).to_bits()),
        (Type::U32, Type::F64, ..) => lanes!(|a| f64::from(a as u32).to_bits()),
        (Type::S64, Type::F64, Rounding::Nearest, _) => lanes!(|a| (a as i64 as f64).to_bits()),
        (Type::U64, Type::F64, Rounding::Nearest, _) => lanes!(|a| (a as f64).to_bits()),
        (Type::F16, Type::F32, ..) => lanes!(|a| single(widen(a as u16))),
        (Type::F32, Type::F16, Rounding::Nearest, false) => {
            lanes!(|a| u64::from(narrow_single(f32::from_bits(a as u32))))
        }
        (Type::F64, Type::F32, Rounding::Nearest, false) => lanes!(|a| single(f64::from_bits(a) as f32)),
        (Type::F32, Type::S32, Rounding::Zero, true) => {
            lanes!(|a| u64::from((f32::from_bits(a as u32) as i32).cast_unsigned()))
        }
        (Type::F32, Type::U32, Rounding::Zero, true) => lanes!(|a| u64::from(f32::from_bits(a as u32) as u32)),
        (Type::F32, Type::F32, Rounding::Zero, true) => lanes!(|a| single(f32::from_bits(a as u32).trunc())),
        (Type::F32, Type::F32, Rounding::Down, true) => lanes!(|a| single(f32::from_bits(a as u32).floor())),
        (Type::F32, Type::F32, Rounding::Up, true) => lanes!(|a| single(f32::from_bits(a as u32).ceil())),
        (Type::F32, Type::F32, Rounding::Nearest, true) => {
            lanes!(|a| single(f32::from_bits(a as u32).round_ties_even()))
        }
        _ => return None,
    })
}

fn single(value: f32) -> u64 {
    if value.is_nan() { SINGLE.nan } else { u64::from(value.to_bits()) }
}

/// In [0, 1]; a NaN and minus zero become zero.
fn clamped_single(value: f32) -> f32 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

fn clamped_double(value: f64) -> f64 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

fn between_integers(it: &Conversion) -> Pure {
    let (from, to) = (it.from.bytes(), it.to.bytes());
    let filled = if it.to.signed() { it.register } else { to };
    if to > from && it.from.signed() {
        pick::extend(from, filled)
    } else if to > from {
        pick::cut(from)
    } else if it.to.signed() && filled > to {
        pick::extend(to, filled)
    } else {
        pick::cut(to)
    }
}

/// Any conversion of one value.
pub(crate) fn convert(bits: u64, it: &Conversion) -> u64 {
    if it.from.float() { from_float(bits, it) } else { from_integer(bits, it) }
}

fn format(ty: Type) -> Format {
    match ty {
        Type::F16 => HALF,
        Type::F32 => SINGLE,
        _ => DOUBLE,
    }
}

fn from_integer(bits: u64, it: &Conversion) -> u64 {
    let width = it.from.bytes() * 8;
    let kept = if width == 64 { bits } else { bits & ((1 << width) - 1) };
    let negative = it.from.signed() && kept >> (width - 1) & 1 == 1;
    let magnitude = if negative { (1u128 << width) - u128::from(kept) } else { u128::from(kept) };
    if it.to.float() {
        let value = match magnitude {
            0 => Value::Zero(false),
            _ => Value::Finite(Exact { negative, power: 0, significand: magnitude, more: false }),
        };
        return saturated(finish(value, format(it.to), it.rounding, false), it);
    }
    if it.saturate { clamp(magnitude, negative, it) } else { into_register(kept, negative, it) }
}

/// The low bits of a value whose sign is known, as the register holds them.
fn into_register(bits: u64, negative: bool, it: &Conversion) -> u64 {
    let extended = if negative && it.from.bytes() < 8 { bits | u64::MAX << (it.from.bytes() * 8) } else { bits };
    store(extended, it)
}

/// Cuts to the type and extends to the register.
fn store(bits: u64, it: &Conversion) -> u64 {
    let width = it.to.bytes() * 8;
    if width == 64 {
        return bits;
    }
    let kept = bits & ((1 << width) - 1);
    let filled = if it.to.signed() && kept >> (width - 1) == 1 { kept | u64::MAX << width } else { kept };
    if it.register >= 8 { filled } else { filled & ((1 << (it.register * 8)) - 1) }
}

/// The nearest value that the integer type has.
fn clamp(magnitude: u128, negative: bool, it: &Conversion) -> u64 {
    let width = it.to.bytes() * 8;
    let bits = match (it.to.signed(), negative) {
        (false, true) => 0,
        (false, false) => magnitude.min((1 << width) - 1) as u64,
        (true, true) => (magnitude.min(1 << (width - 1)) as u64).wrapping_neg(),
        (true, false) => magnitude.min((1 << (width - 1)) - 1) as u64,
    };
    store(bits, it)
}

fn from_float(bits: u64, it: &Conversion) -> u64 {
    let source = format(it.from);
    let value = match unpack(bits, source) {
        // Only an f32 is flushed on its way in, and not on its way to 16 bits.
        Value::Finite(exact) if it.flush && it.from == Type::F32 && it.to != Type::F16 && is_tiny(bits) => {
            Value::Zero(exact.negative)
        }
        value => value,
    };
    if it.to.integer() {
        return to_register(value, it);
    }
    let value = if it.integral { whole(value, it.rounding) } else { value };
    let flush = it.flush && it.to == Type::F32;
    saturated(finish(value, format(it.to), it.rounding, flush), it)
}

fn is_tiny(bits: u64) -> bool {
    bits & 0x7f80_0000 == 0
}

fn to_register(value: Value, it: &Conversion) -> u64 {
    match value {
        Value::Zero(_) => 0,
        Value::Nan if it.from == Type::F64 || it.to.bytes() == 8 => store(1 << (it.to.bytes() * 8 - 1), it),
        Value::Nan => 0,
        Value::Infinite(negative) => clamp(u128::MAX >> 1, negative, it),
        Value::Finite(exact) => clamp(to_integer(exact, it.rounding).unwrap_or(u128::MAX >> 1), exact.negative, it),
    }
}

/// Rounds to an integer; one that rounds to nothing keeps its sign.
fn whole(value: Value, rounding: Rounding) -> Value {
    let Value::Finite(exact) = value else { return value };
    match to_integer(exact, rounding) {
        Some(0) => Value::Zero(exact.negative),
        Some(significand) => Value::Finite(Exact { power: 0, significand, ..exact }),
        // So large that it has no fraction.
        None => value,
    }
}

/// In [0, 1], if asked for; a NaN becomes zero.
fn saturated(bits: u64, it: &Conversion) -> u64 {
    if !it.saturate {
        return bits;
    }
    let one = soft::finish(
        Value::Finite(Exact { negative: false, power: 0, significand: 1, more: false }),
        format(it.to),
        Rounding::Nearest,
        false,
    );
    match unpack(bits, format(it.to)) {
        Value::Infinite(false) => one,
        Value::Finite(exact) if !exact.negative => bits.min(one),
        _ => 0,
    }
}

/// `cvt.pack.sat`: two integers, each as near as the type allows, above the low half of a third.
pub(crate) fn pack(to: Type, with_third: bool) -> Option<Pure> {
    Some(match (to, with_third) {
        (Type::U16, false) => lanes!(|a, b| limited(a, 0, 65_535) << 16 | limited(b, 0, 65_535)),
        (Type::S16, false) => {
            lanes!(|a, b| limited(a, -32_768, 32_767) << 16 | limited(b, -32_768, 32_767) & 0xffff)
        }
        (Type::U8, true) => lanes!(|a, b, c| (c << 16 | limited(a, 0, 255) << 8 | limited(b, 0, 255)) & 0xffff_ffff),
        (Type::S8, true) => lanes!(|a, b, c| {
            (c << 16 | (limited(a, -128, 127) & 0xff) << 8 | limited(b, -128, 127) & 0xff) & 0xffff_ffff
        }),
        _ => return None,
    })
}

fn limited(value: u64, least: i32, most: i32) -> u64 {
    u64::from((value as u32 as i32).clamp(least, most).cast_unsigned())
}
