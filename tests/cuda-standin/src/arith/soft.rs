//! Exact arithmetic by integers, rounded once, in any format and direction. Slow and general: what the processor rounds
//! itself is computed by it, and everything else here.

use super::Rounding;

/// A binary format of IEEE 754.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    /// Stored bits of the significand.
    pub(crate) fraction: u32,
    pub(crate) exponent: u32,
    /// What an operation makes when it has no answer.
    pub(crate) nan: u64,
}

pub(crate) const HALF: Format = Format { fraction: 10, exponent: 5, nan: 0x7fff };
pub(crate) const SINGLE: Format = Format { fraction: 23, exponent: 8, nan: 0x7fff_ffff };
pub(crate) const DOUBLE: Format = Format { fraction: 52, exponent: 11, nan: 0xfff8_0000_0000_0000 };

impl Format {
    fn bias(self) -> i32 {
        (1 << (self.exponent - 1)) - 1
    }

    fn infinity(self) -> u64 {
        ((1 << self.exponent) - 1) << self.fraction
    }

    fn sign(self) -> u64 {
        1 << (self.fraction + self.exponent)
    }
}

/// A value taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    Nan,
    Infinite(bool),
    Zero(bool),
    Finite(Exact),
}

impl Value {
    /// Whether its sign is set; that of a NaN says nothing.
    fn is_negative(self) -> bool {
        match self {
            Self::Nan => false,
            Self::Infinite(negative) | Self::Zero(negative) => negative,
            Self::Finite(exact) => exact.negative,
        }
    }
}

/// ± significand × 2^power, plus a little more away from zero if `more`. The significand is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exact {
    pub(crate) negative: bool,
    pub(crate) power: i32,
    pub(crate) significand: u128,
    pub(crate) more: bool,
}

/// Takes bits of a format apart.
pub(crate) fn unpack(bits: u64, format: Format) -> Value {
    let negative = bits & format.sign() != 0;
    let fraction = bits & ((1 << format.fraction) - 1);
    let exponent = (bits & format.infinity()) >> format.fraction;
    if exponent == (1 << format.exponent) - 1 {
        return if fraction == 0 { Value::Infinite(negative) } else { Value::Nan };
    }
    if exponent == 0 && fraction == 0 {
        return Value::Zero(negative);
    }
    let significand = if exponent == 0 { fraction } else { fraction | 1 << format.fraction };
    let power = exponent.max(1) as i32 - format.bias() - format.fraction as i32;
    Value::Finite(Exact { negative, power, significand: u128::from(significand), more: false })
}

/// Whether what lies below the kept bits makes the kept ones larger by one.
fn rounds_up(rounding: Rounding, negative: bool, odd: bool, half: bool, below: bool) -> bool {
    match rounding {
        Rounding::Nearest => half && (below || odd),
        Rounding::Zero => false,
        Rounding::Down => negative && (half || below),
        Rounding::Up => !negative && (half || below),
    }
}

/// Cuts `drop` bits off and rounds.
fn cut(exact: Exact, drop: i32, rounding: Rounding) -> u128 {
    let Exact { negative, significand, more, .. } = exact;
    if drop <= 0 {
        let kept = significand << -drop;
        return kept + u128::from(rounds_up(rounding, negative, kept & 1 == 1, false, more));
    }
    let (kept, half, below) = match drop {
        1..=127 => {
            let kept = significand >> drop;
            let half = significand >> (drop - 1) & 1 == 1;
            (kept, half, significand & ((1 << (drop - 1)) - 1) != 0)
        }
        128 => (0, significand >> 127 == 1, significand << 1 != 0),
        _ => (0, false, true),
    };
    kept + u128::from(rounds_up(rounding, negative, kept & 1 == 1, half, below || more))
}

/// Rounds into a format. With `flush` what is below the normal numbers before rounding is zero.
pub(crate) fn pack(exact: Exact, format: Format, rounding: Rounding, flush: bool) -> u64 {
    let sign = if exact.negative { format.sign() } else { 0 };
    let top = exact.power + exact.significand.ilog2() as i32;
    let least = 1 - format.bias();
    if flush && top < least {
        return sign;
    }
    let last = top.max(least) - format.fraction as i32;
    let mut kept = cut(exact, last - exact.power, rounding);
    let mut last = last;
    if kept >> (format.fraction + 1) != 0 {
        kept >>= 1;
        last += 1;
    }
    if kept >> format.fraction == 0 {
        return sign | kept as u64;
    }
    let exponent = last + format.fraction as i32 + format.bias();
    if exponent >= (1 << format.exponent) - 1 {
        let stays = match rounding {
            Rounding::Nearest => false,
            Rounding::Zero => true,
            Rounding::Down => !exact.negative,
            Rounding::Up => exact.negative,
        };
        return sign | (format.infinity() - u64::from(stays));
    }
    sign | (exponent as u64) << format.fraction | (kept as u64 & ((1 << format.fraction) - 1))
}

/// Puts a value into a format.
pub(crate) fn finish(value: Value, format: Format, rounding: Rounding, flush: bool) -> u64 {
    let signed = |negative: bool, bits: u64| if negative { bits | format.sign() } else { bits };
    match value {
        Value::Nan => format.nan,
        Value::Infinite(negative) => signed(negative, format.infinity()),
        Value::Zero(negative) => signed(negative, 0),
        Value::Finite(exact) => pack(exact, format, rounding, flush),
    }
}

/// Rounds to an integer: its sign and magnitude. `None` where it has more than 127 bits.
pub(crate) fn to_integer(exact: Exact, rounding: Rounding) -> Option<u128> {
    if exact.power + exact.significand.ilog2() as i32 > 126 {
        return None;
    }
    Some(cut(exact, -exact.power, rounding))
}

/// The product, exactly.
pub(crate) fn multiply(a: Value, b: Value) -> Value {
    let sign = a.is_negative() != b.is_negative();
    match (a, b) {
        (Value::Nan, _) | (_, Value::Nan) => Value::Nan,
        (Value::Infinite(_), Value::Zero(_)) | (Value::Zero(_), Value::Infinite(_)) => Value::Nan,
        (Value::Infinite(_), _) | (_, Value::Infinite(_)) => Value::Infinite(sign),
        (Value::Zero(_), _) | (_, Value::Zero(_)) => Value::Zero(sign),
        (Value::Finite(a), Value::Finite(b)) => Value::Finite(Exact {
            negative: sign,
            power: a.power + b.power,
            significand: a.significand * b.significand,
            more: false,
        }),
    }
}

/// The sum of exact values; `rounding` only says which zero.
pub(crate) fn add(a: Value, b: Value, rounding: Rounding) -> Value {
    match (a, b) {
        (Value::Nan, _) | (_, Value::Nan) => Value::Nan,
        (Value::Infinite(a), Value::Infinite(b)) if a != b => Value::Nan,
        (Value::Infinite(sign), _) | (_, Value::Infinite(sign)) => Value::Infinite(sign),
        (Value::Zero(a), Value::Zero(b)) => Value::Zero(if a == b { a } else { rounding == Rounding::Down }),
        (Value::Zero(_), other) | (other, Value::Zero(_)) => other,
        (Value::Finite(a), Value::Finite(b)) => sum(a, b, rounding),
    }
}

fn sum(a: Exact, b: Exact, rounding: Rounding) -> Value {
    let top = |it: Exact| it.power + it.significand.ilog2() as i32;
    let (large, small) = if top(a) >= top(b) { (a, b) } else { (b, a) };
    // Up to bit 125, so that a sum still fits.
    let room = 125 - large.significand.ilog2() as i32;
    let power = large.power - room;
    let high = large.significand << room;
    let (low, more) = aligned(small, power);
    if large.negative == small.negative {
        return Value::Finite(Exact { negative: large.negative, power, significand: high + low, more });
    }
    // With more below `low`, the difference lies between one less and itself.
    let (difference, negative) = match high.checked_sub(low) {
        Some(difference) => (difference - u128::from(more), large.negative),
        None => (low - high, small.negative),
    };
    if difference == 0 && !more {
        return Value::Zero(rounding == Rounding::Down);
    }
    Value::Finite(Exact { negative, power, significand: difference, more })
}

/// The significand at another power, and whether bits were lost.
fn aligned(exact: Exact, power: i32) -> (u128, bool) {
    match exact.power - power {
        up @ 0.. => (exact.significand << up, false),
        down @ -127..=-1 => {
            let down = -down;
            (exact.significand >> down, exact.significand & ((1 << down) - 1) != 0)
        }
        _ => (0, true),
    }
}

/// The quotient.
pub(crate) fn divide(a: Value, b: Value) -> Value {
    let sign = a.is_negative() != b.is_negative();
    match (a, b) {
        (Value::Nan, _) | (_, Value::Nan) => Value::Nan,
        (Value::Infinite(_), Value::Infinite(_)) | (Value::Zero(_), Value::Zero(_)) => Value::Nan,
        (Value::Infinite(_), _) | (_, Value::Zero(_)) => Value::Infinite(sign),
        (_, Value::Infinite(_)) | (Value::Zero(_), _) => Value::Zero(sign),
        (Value::Finite(a), Value::Finite(b)) => {
            // At least 64 bits of quotient.
            let room = 126 - a.significand.ilog2() as i32;
            let dividend = a.significand << room;
            let (quotient, rest) = (dividend / b.significand, dividend % b.significand);
            let power = a.power - room - b.power;
            Value::Finite(Exact { negative: sign, power, significand: quotient, more: rest != 0 })
        }
    }
}

/// The square root.
pub(crate) fn root(a: Value) -> Value {
    match a {
        Value::Nan | Value::Infinite(true) => Value::Nan,
        Value::Infinite(false) => Value::Infinite(false),
        Value::Zero(negative) => Value::Zero(negative),
        Value::Finite(exact) if exact.negative => Value::Nan,
        Value::Finite(exact) => {
            let mut room = 126 - exact.significand.ilog2() as i32;
            room -= (exact.power - room) & 1;
            let radicand = exact.significand << room;
            let root = radicand.isqrt();
            let power = (exact.power - room) / 2;
            Value::Finite(Exact { negative: false, power, significand: root, more: root * root != radicand })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of every size, from a fixed sequence.
    fn doubles() -> impl Iterator<Item = (f64, f64)> {
        let mut state = 7u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(state ^ state >> 29)
        };
        (0..20_000).map(move |_| (next(), next()))
    }

    fn nearest(value: Value) -> f64 {
        f64::from_bits(finish(value, DOUBLE, Rounding::Nearest, false))
    }

    #[track_caller]
    fn same(found: f64, expected: f64) {
        assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{found:e} {expected:e}");
    }

    #[test]
    fn the_nearest_is_what_the_processor_finds() {
        for (a, b) in doubles() {
            let (x, y) = (unpack(a.to_bits(), DOUBLE), unpack(b.to_bits(), DOUBLE));
            same(nearest(add(x, y, Rounding::Nearest)), a + b);
            same(nearest(multiply(x, y)), a * b);
            same(nearest(divide(x, y)), a / b);
            same(nearest(root(x)), a.sqrt());
            let single = f32::from_bits(finish(x, SINGLE, Rounding::Nearest, false) as u32);
            same(f64::from(single), f64::from(a as f32));
        }
    }

    #[test]
    fn neighbours_enclose_the_exact_value() {
        for (a, b) in doubles() {
            let exact = add(unpack(a.to_bits(), DOUBLE), unpack(b.to_bits(), DOUBLE), Rounding::Down);
            let [down, up] = [Rounding::Down, Rounding::Up].map(|it| f64::from_bits(finish(exact, DOUBLE, it, false)));
            if (a + b).is_finite() {
                assert!(down <= a + b && a + b <= up && (down == up || down.next_up() == up), "{a:e} + {b:e}");
            }
        }
    }
}
