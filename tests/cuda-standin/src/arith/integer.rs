//! Integers: wrapping, and division by zero gives all bits.
#![expect(clippy::unnecessary_cast, reason = "a macro's type may be the operand's own")]

use super::{Pure, lanes};
use crate::ptx::Type;

/// One operation for each integer type that PTX computes with: `$T` is the type, `$U` the same without sign, `$W` twice
/// as wide.
macro_rules! for_each {
    ($ty:expr, $T:ident, $U:ident, $W:ident => $body:expr) => {
        match $ty {
            Type::U16 | Type::B16 => for_each!(@ $T = u16, $U = u16, $W = u32, $body),
            Type::S16 => for_each!(@ $T = i16, $U = u16, $W = i32, $body),
            Type::U32 | Type::B32 => for_each!(@ $T = u32, $U = u32, $W = u64, $body),
            Type::S32 => for_each!(@ $T = i32, $U = u32, $W = i64, $body),
            Type::U64 | Type::B64 => for_each!(@ $T = u64, $U = u64, $W = u128, $body),
            Type::S64 => for_each!(@ $T = i64, $U = u64, $W = i128, $body),
            _ => return None,
        }
    };
    (@ $T:ident = $t:ty, $U:ident = $u:ty, $W:ident = $w:ty, $body:expr) => {{
        #[allow(dead_code, clippy::allow_attributes, reason = "an operation needs some of the three")]
        type $T = $t;
        #[allow(dead_code, clippy::allow_attributes, reason = "an operation needs some of the three")]
        type $U = $u;
        #[allow(dead_code, clippy::allow_attributes, reason = "an operation needs some of the three")]
        type $W = $w;
        $body
    }};
}

/// `add`, `sub`, `mul.lo`, `mul.hi`, `div`, `rem`, `min`, `max`.
pub(crate) fn binary(operation: &str, ty: Type) -> Option<Pure> {
    Some(match operation {
        "add" => for_each!(ty, T, U, W => lanes!(|a, b| (a as T).wrapping_add(b as T) as U as u64)),
        "sub" => for_each!(ty, T, U, W => lanes!(|a, b| (a as T).wrapping_sub(b as T) as U as u64)),
        "mul.lo" => for_each!(ty, T, U, W => lanes!(|a, b| (a as T).wrapping_mul(b as T) as U as u64)),
        "mul.hi" => for_each!(ty, T, U, W => lanes!(|a, b| {
            (((a as T as W) * (b as T as W)) >> T::BITS) as U as u64
        })),
        "div" => for_each!(ty, T, U, W => lanes!(|a, b| {
            if b as T == 0 { U::MAX as u64 } else { (a as T).wrapping_div(b as T) as U as u64 }
        })),
        "rem" => for_each!(ty, T, U, W => lanes!(|a, b| {
            if b as T == 0 { U::MAX as u64 } else { (a as T).wrapping_rem(b as T) as U as u64 }
        })),
        "min" => for_each!(ty, T, U, W => lanes!(|a, b| (a as T).min(b as T) as U as u64)),
        "max" => for_each!(ty, T, U, W => lanes!(|a, b| (a as T).max(b as T) as U as u64)),
        _ => return None,
    })
}

/// `abs`, `neg`.
pub(crate) fn unary(operation: &str, ty: Type) -> Option<Pure> {
    Some(match (operation, ty) {
        ("abs", Type::S16) => lanes!(|a| u64::from((a as i16).wrapping_abs() as u16)),
        ("abs", Type::S32) => lanes!(|a| u64::from((a as i32).wrapping_abs() as u32)),
        ("abs", Type::S64) => lanes!(|a| (a as i64).wrapping_abs() as u64),
        ("neg", Type::S16) => lanes!(|a| u64::from((a as u16).wrapping_neg())),
        ("neg", Type::S32) => lanes!(|a| u64::from((a as u32).wrapping_neg())),
        ("neg", Type::S64) => lanes!(|a| a.wrapping_neg()),
        _ => return None,
    })
}

/// `mad.lo`, `mad.hi`, `sad`.
pub(crate) fn ternary(operation: &str, ty: Type) -> Option<Pure> {
    Some(match operation {
        "mad.lo" => for_each!(ty, T, U, W => lanes!(|a, b, c| {
            (a as T).wrapping_mul(b as T).wrapping_add(c as T) as U as u64
        })),
        "mad.hi" => for_each!(ty, T, U, W => lanes!(|a, b, c| {
            ((((a as T as W) * (b as T as W)) >> T::BITS) as T).wrapping_add(c as T) as U as u64
        })),
        "sad" => for_each!(ty, T, U, W => lanes!(|a, b, c| {
            ((a as T).abs_diff(b as T) as U).wrapping_add(c as U) as u64
        })),
        _ => return None,
    })
}

/// `mul.wide`, `mad.wide`: the result is twice as wide. `ty` is that of the operands.
pub(crate) fn wide(operation: &str, ty: Type) -> Option<Pure> {
    Some(match (operation, ty) {
        ("mul.wide", Type::U16) => lanes!(|a, b| u64::from(u32::from(a as u16) * u32::from(b as u16))),
        ("mul.wide", Type::S16) => lanes!(|a, b| u64::from((i32::from(a as i16) * i32::from(b as i16)) as u32)),
        ("mul.wide", Type::U32) => lanes!(|a, b| u64::from(a as u32) * u64::from(b as u32)),
        ("mul.wide", Type::S32) => lanes!(|a, b| (i64::from(a as i32) * i64::from(b as i32)) as u64),
        ("mad.wide", Type::U16) => {
            lanes!(|a, b, c| u64::from((u32::from(a as u16) * u32::from(b as u16)).wrapping_add(c as u32)))
        }
        ("mad.wide", Type::S16) => {
            lanes!(|a, b, c| u64::from(((i32::from(a as i16) * i32::from(b as i16)) as u32).wrapping_add(c as u32)))
        }
        ("mad.wide", Type::U32) => lanes!(|a, b, c| (u64::from(a as u32) * u64::from(b as u32)).wrapping_add(c)),
        ("mad.wide", Type::S32) => {
            lanes!(|a, b, c| ((i64::from(a as i32) * i64::from(b as i32)) as u64).wrapping_add(c))
        }
        _ => return None,
    })
}

/// Operations on `.s32` that stop at the ends of its range.
pub(crate) fn saturating(operation: &str) -> Option<Pure> {
    Some(match operation {
        "add" => lanes!(|a, b| u64::from((a as i32).saturating_add(b as i32) as u32)),
        "sub" => lanes!(|a, b| u64::from((a as i32).saturating_sub(b as i32) as u32)),
        "mad.hi" => lanes!(|a, b, c| {
            let high = ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as i32;
            u64::from(high.saturating_add(c as i32) as u32)
        }),
        "mad24.hi" => lanes!(|a, b, c| {
            let high = ((signed24(a) * signed24(b)) >> 16) as i32;
            u64::from(high.saturating_add(c as i32) as u32)
        }),
        _ => return None,
    })
}

fn signed24(value: u64) -> i64 {
    i64::from(((value as u32) << 8) as i32 >> 8)
}

fn unsigned24(value: u64) -> u64 {
    value & 0xff_ffff
}

/// `mul24`, `mad24`: of the low 24 bits, the low or the high 32 of 48.
pub(crate) fn short(operation: &str, ty: Type) -> Option<Pure> {
    Some(match (operation, ty) {
        ("mul24.lo", Type::U32) => lanes!(|a, b| (unsigned24(a) * unsigned24(b)) & 0xffff_ffff),
        ("mul24.hi", Type::U32) => lanes!(|a, b| (unsigned24(a) * unsigned24(b)) >> 16),
        ("mul24.lo", Type::S32) => lanes!(|a, b| u64::from((signed24(a) * signed24(b)) as u32)),
        ("mul24.hi", Type::S32) => lanes!(|a, b| u64::from(((signed24(a) * signed24(b)) >> 16) as u32)),
        ("mad24.lo", Type::U32) => {
            lanes!(|a, b, c| u64::from(((unsigned24(a) * unsigned24(b)) as u32).wrapping_add(c as u32)))
        }
        ("mad24.hi", Type::U32) => {
            lanes!(|a, b, c| u64::from((((unsigned24(a) * unsigned24(b)) >> 16) as u32).wrapping_add(c as u32)))
        }
        ("mad24.lo", Type::S32) => {
            lanes!(|a, b, c| u64::from(((signed24(a) * signed24(b)) as u32).wrapping_add(c as u32)))
        }
        ("mad24.hi", Type::S32) => {
            lanes!(|a, b, c| u64::from((((signed24(a) * signed24(b)) >> 16) as u32).wrapping_add(c as u32)))
        }
        _ => return None,
    })
}

/// A byte or half of a word as its type reads it.
fn part(word: u64, index: u32, bits: u32, signed: bool) -> i32 {
    let shifted = (word as u32) << (32 - bits - index * bits);
    if signed { shifted.cast_signed() >> (32 - bits) } else { (shifted >> (32 - bits)).cast_signed() }
}

fn dot4(a: u64, b: u64, c: u64, a_signed: bool, b_signed: bool) -> u64 {
    let sum = (0..4).fold(c as u32 as i32, |sum, index| {
        sum.wrapping_add(part(a, index, 8, a_signed).wrapping_mul(part(b, index, 8, b_signed)))
    });
    u64::from(sum.cast_unsigned())
}

fn dot2(a: u64, b: u64, c: u64, first: u32, a_signed: bool, b_signed: bool) -> u64 {
    let sum = (0..2).fold(c as u32 as i32, |sum, index| {
        sum.wrapping_add(part(a, index, 16, a_signed).wrapping_mul(part(b, first + index, 8, b_signed)))
    });
    u64::from(sum.cast_unsigned())
}

/// `dp4a`, `dp2a.lo`, `dp2a.hi`; signs of both operands.
pub(crate) fn dot(operation: &str, a_signed: bool, b_signed: bool) -> Option<Pure> {
    Some(match (operation, a_signed, b_signed) {
        ("dp4a", false, false) => lanes!(|a, b, c| dot4(a, b, c, false, false)),
        ("dp4a", false, true) => lanes!(|a, b, c| dot4(a, b, c, false, true)),
        ("dp4a", true, false) => lanes!(|a, b, c| dot4(a, b, c, true, false)),
        ("dp4a", true, true) => lanes!(|a, b, c| dot4(a, b, c, true, true)),
        ("dp2a.lo", false, false) => lanes!(|a, b, c| dot2(a, b, c, 0, false, false)),
        ("dp2a.lo", false, true) => lanes!(|a, b, c| dot2(a, b, c, 0, false, true)),
        ("dp2a.lo", true, false) => lanes!(|a, b, c| dot2(a, b, c, 0, true, false)),
        ("dp2a.lo", true, true) => lanes!(|a, b, c| dot2(a, b, c, 0, true, true)),
        ("dp2a.hi", false, false) => lanes!(|a, b, c| dot2(a, b, c, 2, false, false)),
        ("dp2a.hi", false, true) => lanes!(|a, b, c| dot2(a, b, c, 2, false, true)),
        ("dp2a.hi", true, false) => lanes!(|a, b, c| dot2(a, b, c, 2, true, false)),
        ("dp2a.hi", true, true) => lanes!(|a, b, c| dot2(a, b, c, 2, true, true)),
        _ => return None,
    })
}
