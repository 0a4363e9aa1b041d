//! Instructions on whole values of any type: `mov`, `slct`, packing.

use super::{Pure, lanes};

/// `mov` and all that only renames bits.
pub(crate) fn copy() -> Pure {
    fn run(from: [&super::Row; 4], to: &mut super::Row) {
        *to = *from[0];
    }
    run
}

/// The low bits of a value.
pub(crate) fn cut(bytes: u32) -> Pure {
    match bytes {
        1 => lanes!(|a| a & 0xff),
        2 => lanes!(|a| a & 0xffff),
        4 => lanes!(|a| a & 0xffff_ffff),
        _ => copy(),
    }
}

/// A signed value of `bytes`, extended to a register of `to` bytes.
pub(crate) fn extend(bytes: u32, to: u32) -> Pure {
    match (bytes, to) {
        (1, 2) => lanes!(|a| u64::from(a as u8 as i8 as i16 as u16)),
        (1, 4) => lanes!(|a| u64::from(a as u8 as i8 as i32 as u32)),
        (1, 8) => lanes!(|a| a as u8 as i8 as i64 as u64),
        (2, 4) => lanes!(|a| u64::from(a as u16 as i16 as i32 as u32)),
        (2, 8) => lanes!(|a| a as u16 as i16 as i64 as u64),
        (4, 8) => lanes!(|a| a as u32 as i32 as i64 as u64),
        _ => copy(),
    }
}

/// `slct`: a where c is not negative, else b. A NaN counts as negative.
pub(crate) fn choose(by_float: bool, flush: bool) -> Pure {
    match (by_float, flush) {
        (false, _) => lanes!(|a, b, c| if c as u32 as i32 >= 0 { a } else { b }),
        (true, false) => lanes!(|a, b, c| if f32::from_bits(c as u32) >= 0.0 { a } else { b }),
        (true, true) => lanes!(|a, b, c| {
            let c = f32::from_bits(c as u32);
            if c >= 0.0 || c.abs() < f32::MIN_POSITIVE { a } else { b }
        }),
    }
}
