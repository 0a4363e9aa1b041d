//! 64-bit floats. A NaN operand comes back quiet with its payload, as the recorded card has it.

use super::soft::{self, DOUBLE, Value, finish, unpack};
use super::{Pure, Rounding, lanes};

const NEW_NAN: u64 = 0xfff8_0000_0000_0000;
const QUIET: u64 = 1 << 51;

fn is_nan(bits: u64) -> bool {
    f64::from_bits(bits).is_nan()
}

/// The first operand that is a NaN, quiet; a new one if none is.
fn nan_of(operands: &[u64]) -> u64 {
    operands.iter().find(|bits| is_nan(**bits)).map_or(NEW_NAN, |bits| bits | QUIET)
}

/// The processor's result, its NaN chosen as the card chooses.
fn settle(value: f64, operands: &[u64]) -> u64 {
    if value.is_nan() { nan_of(operands) } else { value.to_bits() }
}

fn f(bits: u64) -> f64 {
    f64::from_bits(bits)
}

fn directed(value: Value, rounding: Rounding, operands: &[u64]) -> u64 {
    if value == Value::Nan { nan_of(operands) } else { finish(value, DOUBLE, rounding, false) }
}

fn add(a: u64, b: u64, rounding: Rounding) -> u64 {
    directed(soft::add(unpack(a, DOUBLE), unpack(b, DOUBLE), rounding), rounding, &[b, a])
}

fn sub(a: u64, b: u64, rounding: Rounding) -> u64 {
    directed(soft::add(unpack(a, DOUBLE), unpack(b ^ 1 << 63, DOUBLE), rounding), rounding, &[b, a])
}

fn mul(a: u64, b: u64, rounding: Rounding) -> u64 {
    directed(soft::multiply(unpack(a, DOUBLE), unpack(b, DOUBLE)), rounding, &[b, a])
}

fn div(a: u64, b: u64, rounding: Rounding) -> u64 {
    directed(soft::divide(unpack(a, DOUBLE), unpack(b, DOUBLE)), rounding, &[a, b])
}

fn fma(a: u64, b: u64, c: u64, rounding: Rounding) -> u64 {
    let product = soft::multiply(unpack(a, DOUBLE), unpack(b, DOUBLE));
    directed(soft::add(product, unpack(c, DOUBLE), rounding), rounding, &[b, c, a])
}

fn rcp(a: u64, rounding: Rounding) -> u64 {
    directed(soft::divide(unpack(1f64.to_bits(), DOUBLE), unpack(a, DOUBLE)), rounding, &[a])
}

fn sqrt(a: u64, rounding: Rounding) -> u64 {
    directed(soft::root(unpack(a, DOUBLE)), rounding, &[a])
}

macro_rules! by_rounding {
    ($rounding:expr, |$($x:ident),+| $nearest:expr, $soft:ident) => {
        match $rounding {
            Rounding::Nearest => lanes!(|$($x),+| $nearest),
            Rounding::Zero => lanes!(|$($x),+| $soft($($x),+, Rounding::Zero)),
            Rounding::Down => lanes!(|$($x),+| $soft($($x),+, Rounding::Down)),
            Rounding::Up => lanes!(|$($x),+| $soft($($x),+, Rounding::Up)),
        }
    };
}

/// `add`, `sub`, `mul`, `div`, `fma`, `rcp`, `sqrt` as IEEE 754 has them.
pub(crate) fn exact(operation: &str, rounding: Rounding) -> Option<Pure> {
    Some(match operation {
        "add" => by_rounding!(rounding, |a, b| settle(f(a) + f(b), &[b, a]), add),
        "sub" => by_rounding!(rounding, |a, b| settle(f(a) - f(b), &[b, a]), sub),
        "mul" => by_rounding!(rounding, |a, b| settle(f(a) * f(b), &[b, a]), mul),
        "div" => by_rounding!(rounding, |a, b| settle(f(a) / f(b), &[a, b]), div),
        "fma" | "mad" => by_rounding!(rounding, |a, b, c| settle(f(a).mul_add(f(b), f(c)), &[b, c, a]), fma),
        "rcp" => by_rounding!(rounding, |a| settle(1.0 / f(a), &[a]), rcp),
        "sqrt" => by_rounding!(rounding, |a| settle(f(a).sqrt(), &[a]), sqrt),
        _ => return None,
    })
}

/// The sum to the nearest, for atomics.
pub(crate) fn sum(a: u64, b: u64) -> u64 {
    settle(f(a) + f(b), &[b, a])
}

fn least(a: u64, b: u64) -> u64 {
    let (x, y) = (f(a), f(b));
    match (x.is_nan(), y.is_nan()) {
        (true, true) => nan_of(&[b]),
        (true, false) => b,
        (false, true) => a,
        _ if x < y || (x == y && x.is_sign_negative()) => a,
        _ => b,
    }
}

fn greatest(a: u64, b: u64) -> u64 {
    let (x, y) = (f(a), f(b));
    match (x.is_nan(), y.is_nan()) {
        (true, true) => nan_of(&[b]),
        (true, false) => b,
        (false, true) => a,
        _ if x > y || (x == y && x.is_sign_positive()) => a,
        _ => b,
    }
}

/// `min`, `max`, `abs`, `neg`, `copysign`.
pub(crate) fn plain(operation: &str) -> Option<Pure> {
    Some(match operation {
        "min" => lanes!(|a, b| least(a, b)),
        "max" => lanes!(|a, b| greatest(a, b)),
        "abs" => lanes!(|a| a & !(1 << 63)),
        "neg" => lanes!(|a| a ^ 1 << 63),
        "copysign" => lanes!(|a, b| (b & !(1 << 63)) | (a & 1 << 63)),
        _ => return None,
    })
}

/// `rcp.approx.ftz`, `rsqrt.approx`.
pub(crate) fn approximate(operation: &str, flush: bool) -> Option<Pure> {
    super::approximate::double(operation, flush)
}
