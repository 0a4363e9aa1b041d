//! 16-bit floats, one or two in a register. Sums and products are exact in an f32 or need no more than its one rounding
//! before theirs (24 bits are at least 2 × 11 + 2); a fused multiply-add goes over an odd-rounded double.

use super::single::odd_sum;
use super::{Pure, Test, judge, lanes};

const NAN: u16 = 0x7fff;
const ONE: u16 = 0x3c00;

/// To an f32, exactly.
pub(crate) fn widen(bits: u16) -> f32 {
    let rest = u32::from(bits & 0x7fff) << 13;
    let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    // 2^112 moves the exponent, for subnormal numbers too.
    let scaled = f32::from_bits(rest) * f32::from_bits(0x7780_0000);
    let value = if special == 0 { scaled.to_bits() } else { rest | special };
    f32::from_bits(value | u32::from(bits & 0x8000) << 16)
}

/// Rounds a double to the nearest.
pub(crate) fn narrow(value: f64) -> u16 {
    // Towards zero and with an odd last bit where it is not exact: 24 such bits round as all of them do.
    let near = value as f32;
    let back = f64::from(near);
    let outward = u32::from(back.abs() > value.abs());
    let inexact = u32::from(back != value);
    narrow_single(if value.is_nan() { near } else { f32::from_bits((near.to_bits() - outward) | inexact) })
}

/// Rounds an f32 to the nearest.
pub(crate) fn narrow_single(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let rest = if magnitude > 0x7f80_0000 {
        return NAN;
    } else if magnitude >= 0x4780_0000 {
        0x7c00
    } else if magnitude < 0x3880_0000 {
        // Subnormal: adding a half lets the processor round at the right bit.
        (f32::from_bits(magnitude) + 0.5).to_bits() - 0x3f00_0000
    } else {
        let odd = magnitude >> 13 & 1;
        (magnitude + 0x0fff + odd - 0x3800_0000) >> 13
    };
    sign | rest as u16
}

fn read<const F: bool>(bits: u16) -> f32 {
    if F && bits & 0x7c00 == 0 { widen(bits & 0x8000) } else { widen(bits) }
}

/// `exact` is the value before rounding, for it is that which is flushed.
fn write<const F: bool, const S: bool>(bits: u16, exact: f64) -> u16 {
    let tiny = exact.abs() < 6.103_515_625e-5;
    let bits = if F && tiny { bits & 0x8000 } else { bits };
    if !S {
        return bits;
    }
    match bits {
        0x8000.. => 0,
        over if over > 0x7c00 => 0,
        within => within.min(ONE),
    }
}

fn add<const F: bool, const S: bool>(a: u16, b: u16) -> u16 {
    let sum = read::<F>(a) + read::<F>(b);
    write::<F, S>(narrow_single(sum), f64::from(sum))
}

fn sub<const F: bool, const S: bool>(a: u16, b: u16) -> u16 {
    add::<F, S>(a, b ^ 0x8000)
}

fn mul<const F: bool, const S: bool>(a: u16, b: u16) -> u16 {
    let product = read::<F>(a) * read::<F>(b);
    write::<F, S>(narrow_single(product), f64::from(product))
}

fn fma<const F: bool, const S: bool>(a: u16, b: u16, c: u16) -> u16 {
    let product = f64::from(read::<F>(a)) * f64::from(read::<F>(b));
    let sum = odd_sum(product, f64::from(read::<F>(c)));
    write::<F, S>(narrow(sum), sum)
}

fn abs<const F: bool>(a: u16) -> u16 {
    plain_result::<F>(a & 0x7fff)
}

fn neg<const F: bool>(a: u16) -> u16 {
    plain_result::<F>(a ^ 0x8000)
}

fn plain_result<const F: bool>(bits: u16) -> u16 {
    if bits & 0x7fff > 0x7c00 {
        NAN
    } else if F && bits & 0x7c00 == 0 {
        bits & 0x8000
    } else {
        bits
    }
}

/// A function of one number for a register of one or of two.
macro_rules! one_or_two {
    ($two:expr, |$($x:ident),+| $f:expr) => {
        if $two {
            lanes!(|$($x),+| {
                let low = $f($($x as u16),+);
                let high = $f($(($x >> 16) as u16),+);
                u64::from(low) | u64::from(high) << 16
            })
        } else {
            lanes!(|$($x),+| u64::from($f($($x as u16),+)))
        }
    };
}

macro_rules! by_flags {
    ($two:expr, $flush:expr, $saturate:expr, |$($x:ident),+| $f:ident) => {
        match ($flush, $saturate) {
            (false, false) => one_or_two!($two, |$($x),+| $f::<false, false>),
            (false, true) => one_or_two!($two, |$($x),+| $f::<false, true>),
            (true, false) => one_or_two!($two, |$($x),+| $f::<true, false>),
            (true, true) => one_or_two!($two, |$($x),+| $f::<true, true>),
        }
    };
}

/// `add`, `sub`, `mul`, `fma`, rounded to the nearest.
pub(crate) fn exact(operation: &str, two: bool, flush: bool, saturate: bool) -> Option<Pure> {
    Some(match operation {
        "add" => by_flags!(two, flush, saturate, |a, b| add),
        "sub" => by_flags!(two, flush, saturate, |a, b| sub),
        "mul" => by_flags!(two, flush, saturate, |a, b| mul),
        "fma" => by_flags!(two, flush, saturate, |a, b, c| fma),
        _ => return None,
    })
}

/// `abs`, `neg`.
pub(crate) fn plain(operation: &str, two: bool, flush: bool) -> Option<Pure> {
    Some(match (operation, flush) {
        ("abs", false) => one_or_two!(two, |a| abs::<false>),
        ("abs", true) => one_or_two!(two, |a| abs::<true>),
        ("neg", false) => one_or_two!(two, |a| neg::<false>),
        ("neg", true) => one_or_two!(two, |a| neg::<true>),
        _ => return None,
    })
}

/// `tanh.approx`, `ex2.approx`.
pub(crate) fn approximate(operation: &str, two: bool) -> Option<Pure> {
    fn tanh(a: u16) -> u16 {
        super::approximate::half("tanh").map_or(NAN, |run| run(a))
    }
    fn ex2(a: u16) -> u16 {
        super::approximate::half("ex2").map_or(NAN, |run| run(a))
    }
    Some(match operation {
        "tanh" => one_or_two!(two, |a| tanh),
        "ex2" => one_or_two!(two, |a| ex2),
        _ => return None,
    })
}

/// `add.noftz` of an atomic.
pub(crate) fn atomic_add(two: bool) -> fn(u64, u64, u64) -> u64 {
    fn pair(old: u64, b: u64) -> u64 {
        let low = add::<false, false>(old as u16, b as u16);
        let high = add::<false, false>((old >> 16) as u16, (b >> 16) as u16);
        u64::from(low) | u64::from(high) << 16
    }
    if two { |old, b, _| pair(old, b) } else { |old, b, _| u64::from(add::<false, false>(old as u16, b as u16)) }
}

/// The upper halves, for comparisons of pairs.
pub(crate) fn upper() -> Pure {
    lanes!(|a| a >> 16 & 0xffff)
}

/// A test that is never true, for predicates that no comparison sets.
pub(crate) fn never() -> Test {
    judge!(|_a, _b| false)
}

#[cfg(test)]
mod tests {
    use super::super::Rounding;
    use super::super::soft::{DOUBLE, HALF, finish, unpack};
    use super::*;

    #[test]
    fn every_half_survives_the_way_there_and_back() {
        for bits in 0..=u16::MAX {
            let nan = bits & 0x7fff > 0x7c00;
            let expected = if nan { NAN } else { bits };
            assert_eq!(narrow_single(widen(bits)), expected, "{bits:#x}");
            assert_eq!(narrow(f64::from(widen(bits))), expected, "{bits:#x}");
        }
    }

    /// By the slow arithmetic that is right for every format.
    fn slow(value: f64) -> u16 {
        finish(unpack(value.to_bits(), DOUBLE), HALF, Rounding::Nearest, false) as u16
    }

    #[test]
    fn rounding_is_that_of_the_slow_arithmetic() {
        for bits in (0..=u32::MAX).step_by(4099) {
            let value = f32::from_bits(bits);
            assert_eq!(narrow_single(value), slow(f64::from(value)), "{bits:#x}");
            // Around every half and every middle between two.
            let wide = f64::from(widen((bits >> 16) as u16)) * (1.0 + f64::from(bits & 3) * 2f64.powi(-12));
            for near in [wide.next_down(), wide, wide.next_up()] {
                assert_eq!(narrow(near), slow(near), "{near:e}");
            }
        }
    }
}
