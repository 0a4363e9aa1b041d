//! What each instruction computes, for the 32 lanes of a warp at once. Pure functions of rows: no registers, no memory.
//!
//! A value is held in 64 bits, zero-extended, whatever its type. All lanes are computed, those that do not take part too:
//! a loop without conditions is what the compiler vectorises, and who writes the result leaves those lanes out.

mod approximate;
pub(crate) mod atomic;
pub(crate) mod bits;
pub(crate) mod carry;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod double;
pub(crate) mod half;
pub(crate) mod integer;
pub(crate) mod pick;
pub(crate) mod single;
mod soft;

/// Threads of a warp.
pub(crate) const LANES: usize = 32;

/// A register of a warp: one value for each lane.
pub(crate) type Row = [u64; LANES];

/// Up to four operands to one result.
pub(crate) type Pure = fn([&Row; 4], &mut Row);

/// Two operands to one truth for each lane.
pub(crate) type Test = fn(&Row, &Row) -> u32;

/// How a result is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    /// Towards zero.
    Zero,
    /// Towards minus infinity.
    Down,
    /// Towards plus infinity.
    Up,
}

impl Rounding {
    /// Reads `rn`, `rz`, `rm`, `rp`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "rn" => Self::Nearest,
            "rz" => Self::Zero,
            "rm" => Self::Down,
            "rp" => Self::Up,
            _ => return None,
        })
    }
}

/// What changes a floating-point operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) rounding: Rounding,
    /// Subnormal operands and results are zero.
    pub(crate) flush: bool,
    /// The result is kept in [0, 1].
    pub(crate) saturate: bool,
}

/// A [`Pure`] that computes an expression for each lane.
macro_rules! lanes {
    (|$a:ident| $body:expr) => {{
        fn run(from: [&$crate::arith::Row; 4], to: &mut $crate::arith::Row) {
            for lane in 0..$crate::arith::LANES {
                let $a = from[0][lane];
                to[lane] = $body;
            }
        }
        run as $crate::arith::Pure
    }};
    (|$a:ident, $b:ident| $body:expr) => {{
        fn run(from: [&$crate::arith::Row; 4], to: &mut $crate::arith::Row) {
            for lane in 0..$crate::arith::LANES {
                let ($a, $b) = (from[0][lane], from[1][lane]);
                to[lane] = $body;
            }
        }
        run as $crate::arith::Pure
    }};
    (|$a:ident, $b:ident, $c:ident| $body:expr) => {{
        fn run(from: [&$crate::arith::Row; 4], to: &mut $crate::arith::Row) {
            for lane in 0..$crate::arith::LANES {
                let ($a, $b, $c) = (from[0][lane], from[1][lane], from[2][lane]);
                to[lane] = $body;
            }
        }
        run as $crate::arith::Pure
    }};
    (|$a:ident, $b:ident, $c:ident, $d:ident| $body:expr) => {{
        fn run(from: [&$crate::arith::Row; 4], to: &mut $crate::arith::Row) {
            for lane in 0..$crate::arith::LANES {
                let ($a, $b, $c, $d) = (from[0][lane], from[1][lane], from[2][lane], from[3][lane]);
                to[lane] = $body;
            }
        }
        run as $crate::arith::Pure
    }};
}

/// A [`Test`] that judges each lane.
macro_rules! judge {
    (|$a:ident, $b:ident| $body:expr) => {{
        fn run(a: &$crate::arith::Row, b: &$crate::arith::Row) -> u32 {
            let mut found = 0u32;
            for lane in 0..$crate::arith::LANES {
                let ($a, $b) = (a[lane], b[lane]);
                found |= u32::from($body) << lane;
            }
            found
        }
        run as $crate::arith::Test
    }};
}

pub(crate) use {judge, lanes};
