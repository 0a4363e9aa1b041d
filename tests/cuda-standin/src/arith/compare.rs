//! Comparisons of `setp` and `set`, and `testp`.

use super::half::widen;
use super::{Test, judge};
use crate::ptx::Type;

/// The comparison of a type; `flush` takes subnormal floats for zero.
pub(crate) fn comparison(name: &str, ty: Type, flush: bool) -> Option<Test> {
    match ty {
        Type::F16 => half(name, flush),
        Type::F32 if flush => single_flushed(name),
        Type::F32 => single(name),
        Type::F64 => double(name),
        _ => integer(name, ty),
    }
}

macro_rules! integers {
    ($name:expr, $T:ty) => {
        match $name {
            "eq" => judge!(|a, b| a as $T == b as $T),
            "ne" => judge!(|a, b| a as $T != b as $T),
            "lt" | "lo" => judge!(|a, b| (a as $T) < (b as $T)),
            "le" | "ls" => judge!(|a, b| a as $T <= b as $T),
            "gt" | "hi" => judge!(|a, b| a as $T > b as $T),
            "ge" | "hs" => judge!(|a, b| a as $T >= b as $T),
            _ => return None,
        }
    };
}

fn integer(name: &str, ty: Type) -> Option<Test> {
    let unsigned = matches!(name, "lo" | "ls" | "hi" | "hs");
    Some(match ty {
        Type::B16 | Type::B32 | Type::B64 if !matches!(name, "eq" | "ne") => return None,
        Type::S16 | Type::S32 | Type::S64 if unsigned => return None,
        Type::U16 | Type::B16 => integers!(name, u16),
        Type::U32 | Type::B32 => integers!(name, u32),
        Type::U64 | Type::B64 => integers!(name, u64),
        Type::S16 => integers!(name, i16),
        Type::S32 => integers!(name, i32),
        Type::S64 => integers!(name, i64),
        _ => return None,
    })
}

macro_rules! floats {
    ($name:expr, $read:path) => {
        match $name {
            "eq" => judge!(|a, b| $read(a) == $read(b)),
            "ne" => judge!(|a, b| $read(a) < $read(b) || $read(a) > $read(b)),
            "lt" => judge!(|a, b| $read(a) < $read(b)),
            "le" => judge!(|a, b| $read(a) <= $read(b)),
            "gt" => judge!(|a, b| $read(a) > $read(b)),
            "ge" => judge!(|a, b| $read(a) >= $read(b)),
            "equ" => judge!(|a, b| !($read(a) < $read(b) || $read(a) > $read(b))),
            "neu" => judge!(|a, b| $read(a) != $read(b)),
            "ltu" => judge!(|a, b| !($read(a) >= $read(b))),
            "leu" => judge!(|a, b| !($read(a) > $read(b))),
            "gtu" => judge!(|a, b| !($read(a) <= $read(b))),
            "geu" => judge!(|a, b| !($read(a) < $read(b))),
            "num" => judge!(|a, b| !$read(a).is_nan() && !$read(b).is_nan()),
            "nan" => judge!(|a, b| $read(a).is_nan() || $read(b).is_nan()),
            _ => return None,
        }
    };
}

fn read_single(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn read_single_flushed(bits: u64) -> f32 {
    let value = f32::from_bits(bits as u32);
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}

fn read_half(bits: u64) -> f32 {
    widen(bits as u16)
}

fn read_half_flushed(bits: u64) -> f32 {
    if bits & 0x7c00 == 0 { 0.0 } else { widen(bits as u16) }
}

#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "unordered is what the negation is for")]
fn single(name: &str) -> Option<Test> {
    Some(floats!(name, read_single))
}

#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "unordered is what the negation is for")]
fn single_flushed(name: &str) -> Option<Test> {
    Some(floats!(name, read_single_flushed))
}

#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "unordered is what the negation is for")]
fn double(name: &str) -> Option<Test> {
    Some(floats!(name, f64::from_bits))
}

#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "unordered is what the negation is for")]
fn half(name: &str, flush: bool) -> Option<Test> {
    Some(if flush { floats!(name, read_half_flushed) } else { floats!(name, read_half) })
}

/// `testp`: the second operand is not looked at. A zero counts as normal.
pub(crate) fn class(name: &str, ty: Type) -> Option<Test> {
    Some(match (name, ty) {
        ("finite", Type::F32) => judge!(|a, _b| read_single(a).is_finite()),
        ("infinite", Type::F32) => judge!(|a, _b| read_single(a).is_infinite()),
        ("number", Type::F32) => judge!(|a, _b| !read_single(a).is_nan()),
        ("notanumber", Type::F32) => judge!(|a, _b| read_single(a).is_nan()),
        ("normal", Type::F32) => judge!(|a, _b| read_single(a).is_normal() || read_single(a) == 0.0),
        ("subnormal", Type::F32) => judge!(|a, _b| read_single(a).is_subnormal()),
        ("finite", Type::F64) => judge!(|a, _b| f64::from_bits(a).is_finite()),
        ("infinite", Type::F64) => judge!(|a, _b| f64::from_bits(a).is_infinite()),
        ("number", Type::F64) => judge!(|a, _b| !f64::from_bits(a).is_nan()),
        ("notanumber", Type::F64) => judge!(|a, _b| f64::from_bits(a).is_nan()),
        ("normal", Type::F64) => judge!(|a, _b| f64::from_bits(a).is_normal() || f64::from_bits(a) == 0.0),
        ("subnormal", Type::F64) => judge!(|a, _b| f64::from_bits(a).is_subnormal()),
        _ => return None,
    })
}
