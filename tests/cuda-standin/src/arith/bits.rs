//! Bits: logic, shifts, fields, counts, permutations.

use super::{Pure, lanes};
use crate::ptx::Type;

/// `and`, `or`, `xor` of any width.
pub(crate) fn logic(operation: &str) -> Option<Pure> {
    Some(match operation {
        "and" => lanes!(|a, b| a & b),
        "or" => lanes!(|a, b| a | b),
        "xor" => lanes!(|a, b| a ^ b),
        _ => return None,
    })
}

/// `not`, `cnot`.
pub(crate) fn inverse(operation: &str, bytes: u32) -> Option<Pure> {
    Some(match (operation, bytes) {
        ("not", 2) => lanes!(|a| !a & 0xffff),
        ("not", 4) => lanes!(|a| !a & 0xffff_ffff),
        ("not", 8) => lanes!(|a| !a),
        ("cnot", _) => lanes!(|a| u64::from(a == 0)),
        _ => return None,
    })
}

/// `shl`, `shr`: an amount beyond the width shifts everything out.
pub(crate) fn shift(operation: &str, ty: Type) -> Option<Pure> {
    Some(match (operation, ty) {
        ("shl", Type::B16) => lanes!(|a, b| if b as u32 > 15 { 0 } else { (a << (b & 15)) & 0xffff }),
        ("shl", Type::B32) => lanes!(|a, b| if b as u32 > 31 { 0 } else { (a << (b & 31)) & 0xffff_ffff }),
        ("shl", Type::B64) => lanes!(|a, b| if b as u32 > 63 { 0 } else { a << (b & 63) }),
        ("shr", Type::B16 | Type::U16 | Type::B32 | Type::U32 | Type::B64 | Type::U64) => {
            lanes!(|a, b| if b as u32 > 63 { 0 } else { a >> (b & 63) })
        }
        ("shr", Type::S16) => lanes!(|a, b| u64::from((a as i16 >> (b as u32).min(15)) as u16)),
        ("shr", Type::S32) => lanes!(|a, b| u64::from((a as i32 >> (b as u32).min(31)) as u32)),
        ("shr", Type::S64) => lanes!(|a, b| (a as i64 >> (b as u32).min(63)) as u64),
        _ => return None,
    })
}

/// `shf`: 32 bits out of the 64 of b above a.
pub(crate) fn funnel(direction: &str, mode: &str) -> Option<Pure> {
    Some(match (direction, mode) {
        ("l", "clamp") => lanes!(|a, b, c| ((b << 32 | a) << (c as u32).min(32)) >> 32),
        ("l", "wrap") => lanes!(|a, b, c| ((b << 32 | a) << (c & 31)) >> 32),
        ("r", "clamp") => lanes!(|a, b, c| ((b << 32 | a) >> (c as u32).min(32)) & 0xffff_ffff),
        ("r", "wrap") => lanes!(|a, b, c| ((b << 32 | a) >> (c & 31)) & 0xffff_ffff),
        _ => return None,
    })
}

/// `popc`, `clz`, `brev`.
pub(crate) fn count(operation: &str, bytes: u32) -> Option<Pure> {
    Some(match (operation, bytes) {
        ("popc", _) => lanes!(|a| u64::from(a.count_ones())),
        ("clz", 4) => lanes!(|a| u64::from((a as u32).leading_zeros())),
        ("clz", 8) => lanes!(|a| u64::from(a.leading_zeros())),
        ("brev", 4) => lanes!(|a| u64::from((a as u32).reverse_bits())),
        ("brev", 8) => lanes!(|a| a.reverse_bits()),
        _ => return None,
    })
}

const NOT_FOUND: u64 = 0xffff_ffff;

fn highest(value: u64, width: u32, by_shift: bool) -> u64 {
    match value.checked_ilog2() {
        None => NOT_FOUND,
        Some(bit) => u64::from(if by_shift { width - 1 - bit } else { bit }),
    }
}

/// `bfind`: the highest bit that differs from the sign.
pub(crate) fn find(ty: Type, by_shift: bool) -> Option<Pure> {
    fn plain32(a: u64) -> u64 {
        let a = a as i32;
        u64::from((if a < 0 { !a } else { a }).cast_unsigned())
    }
    fn plain64(a: u64) -> u64 {
        let a = a as i64;
        (if a < 0 { !a } else { a }).cast_unsigned()
    }
    Some(match (ty, by_shift) {
        (Type::U32, false) => lanes!(|a| highest(a, 32, false)),
        (Type::U32, true) => lanes!(|a| highest(a, 32, true)),
        (Type::S32, false) => lanes!(|a| highest(plain32(a), 32, false)),
        (Type::S32, true) => lanes!(|a| highest(plain32(a), 32, true)),
        (Type::U64, false) => lanes!(|a| highest(a, 64, false)),
        (Type::U64, true) => lanes!(|a| highest(a, 64, true)),
        (Type::S64, false) => lanes!(|a| highest(plain64(a), 64, false)),
        (Type::S64, true) => lanes!(|a| highest(plain64(a), 64, true)),
        _ => return None,
    })
}

/// `len` low bits set.
fn ones(len: u64) -> u64 {
    if len > 63 { u64::MAX } else { (1 << len) - 1 }
}

fn above(value: u64, position: u64) -> u64 {
    if position > 63 { 0 } else { value >> position }
}

fn field(a: u64, position: u64, len: u64, width: u64, signed: bool) -> u64 {
    let kept = above(a, position) & ones(len.min(width));
    let top = (position + len).saturating_sub(1).min(width - 1);
    let sign = signed && len > 0 && a >> top & 1 == 1;
    // How many bits came from the operand itself; the others are copies of the sign.
    let real = len.min(width.saturating_sub(position));
    let filled = if sign { kept | !ones(real) } else { kept };
    filled & ones(width)
}

/// `bfe`: position and length are the low 8 bits for 32-bit values, and all of them for 64-bit ones.
pub(crate) fn extract(ty: Type) -> Option<Pure> {
    Some(match ty {
        Type::U32 => lanes!(|a, b, c| field(a, b & 0xff, c & 0xff, 32, false)),
        Type::S32 => lanes!(|a, b, c| field(a, b & 0xff, c & 0xff, 32, true)),
        Type::U64 => lanes!(|a, b, c| field(a, b & 0xffff_ffff, c & 0xffff_ffff, 64, false)),
        Type::S64 => lanes!(|a, b, c| field(a, b & 0xffff_ffff, c & 0xffff_ffff, 64, true)),
        _ => return None,
    })
}

fn insert_field(a: u64, b: u64, position: u64, len: u64, width: u64) -> u64 {
    if position >= width {
        return b;
    }
    let mask = (ones(len) << position) & ones(width);
    (b & !mask) | ((a << position) & mask)
}

/// `bfi`: as [`extract`] for position and length.
pub(crate) fn insert(bytes: u32) -> Option<Pure> {
    Some(match bytes {
        4 => lanes!(|a, b, c, d| insert_field(a, b, c & 0xff, d & 0xff, 32)),
        8 => lanes!(|a, b, c, d| insert_field(a, b, c & 0xffff_ffff, d & 0xffff_ffff, 64)),
        _ => return None,
    })
}

/// `lop3`: any function of three bits, by its table.
pub(crate) fn by_table() -> Pure {
    fn pick(a: u64, b: u64, c: u64, table: u64) -> u64 {
        let mut found = 0;
        for (bit, term) in
            [!a & !b & !c, !a & !b & c, !a & b & !c, !a & b & c, a & !b & !c, a & !b & c, a & b & !c, a & b & c]
                .into_iter()
                .enumerate()
        {
            found |= if table >> bit & 1 == 1 { term } else { 0 };
        }
        found & 0xffff_ffff
    }
    lanes!(|a, b, c, d| pick(a, b, c, d))
}

/// `prmt`: four bytes out of the eight of b above a.
pub(crate) fn permute(mode: Option<&str>) -> Option<Pure> {
    fn gather(a: u64, b: u64, selectors: [u32; 4]) -> u64 {
        let both = b << 32 | a;
        let byte = |selector: u32| {
            let byte = (both >> (8 * (selector & 7))) as u8;
            if selector & 8 == 0 { byte } else { ((byte as i8) >> 7) as u8 }
        };
        u64::from(u32::from_le_bytes(selectors.map(byte)))
    }
    fn low(c: u64) -> u32 {
        c as u32 & 3
    }
    Some(match mode {
        None => lanes!(|a, b, c| {
            let c = c as u32;
            gather(a, b, [c & 15, c >> 4 & 15, c >> 8 & 15, c >> 12 & 15])
        }),
        Some("f4e") => lanes!(|a, b, c| gather(a, b, [low(c), low(c) + 1, low(c) + 2, low(c) + 3])),
        Some("b4e") => {
            lanes!(|a, b, c| gather(a, b, [low(c), (low(c) + 7) & 7, (low(c) + 6) & 7, (low(c) + 5) & 7]))
        }
        Some("rc8") => lanes!(|a, b, c| gather(a, b, [low(c); 4])),
        Some("ecl") => lanes!(|a, b, c| gather(a, b, [low(c), low(c).max(1), low(c).max(2), 3])),
        Some("ecr") => lanes!(|a, b, c| gather(a, b, [0, low(c).min(1), low(c).min(2), low(c)])),
        Some("rc16") => lanes!(|a, b, c| {
            let half = (low(c) & 1) * 2;
            gather(a, b, [half, half + 1, half, half + 1])
        }),
        Some(_) => return None,
    })
}

/// `fns`: the n-th set bit from a base on, upwards or downwards.
pub(crate) fn nth_set() -> Pure {
    fn find(mask: u64, base: u64, offset: u64) -> u64 {
        let (base, offset) = (i64::from(base as u32), i64::from(offset as u32 as i32));
        let set = |bit: i64| (0..32).contains(&bit) && mask >> bit & 1 == 1;
        if offset == 0 {
            return if set(base) { base as u64 } else { NOT_FOUND };
        }
        let (step, mut left) = (offset.signum(), offset.abs());
        let mut bit = base;
        while (0..32).contains(&bit) {
            left -= i64::from(set(bit));
            if left == 0 {
                return bit as u64;
            }
            bit += step;
        }
        NOT_FOUND
    }
    lanes!(|a, b, c| find(a, b, c))
}

/// `bmsk`: so many bits from a position on.
pub(crate) fn mask(clamp: bool) -> Pure {
    fn bits(position: u64, len: u64) -> u64 {
        if position > 31 { 0 } else { (ones(len.min(32)) << position) & 0xffff_ffff }
    }
    if clamp { lanes!(|a, b| bits(a, b)) } else { lanes!(|a, b| bits(a & 31, b & 31)) }
}

/// `szext`: the low bits, extended with their sign or with zeros.
pub(crate) fn sign_extend(signed: bool, clamp: bool) -> Pure {
    fn extended(a: u64, b: u64, signed: bool, clamp: bool) -> u64 {
        if clamp && b > 31 {
            return a;
        }
        let len = b & 31;
        let kept = a & ones(len);
        let sign = signed && len > 0 && kept >> (len - 1) & 1 == 1;
        if sign { (kept | !ones(len)) & 0xffff_ffff } else { kept }
    }
    match (signed, clamp) {
        (false, false) => lanes!(|a, b| extended(a, b, false, false)),
        (false, true) => lanes!(|a, b| extended(a, b, false, true)),
        (true, false) => lanes!(|a, b| extended(a, b, true, false)),
        (true, true) => lanes!(|a, b| extended(a, b, true, true)),
    }
}
