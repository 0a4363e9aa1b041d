//! Additions and subtractions with the carry flag.
#![expect(clippy::useless_conversion, reason = "a macro's type may be the operand's own")]

use crate::ptx::Type;

/// From three operands and the carry to a result and the next carry (of a subtraction: the borrow).
pub(crate) type Carry = fn(u64, u64, u64, bool) -> (u64, bool);

macro_rules! both {
    ($ty:expr, $T:ident, $W:ident => $body:expr) => {
        match $ty {
            Type::U32 | Type::S32 | Type::B32 => {
                type $T = u32;
                #[allow(dead_code, clippy::allow_attributes, reason = "only products need it")]
                type $W = u64;
                $body
            }
            Type::U64 | Type::S64 | Type::B64 => {
                type $T = u64;
                #[allow(dead_code, clippy::allow_attributes, reason = "only products need it")]
                type $W = u128;
                $body
            }
            _ => return None,
        }
    };
}

/// `add`, `addc`, `sub`, `subc`, `mad.lo`, `madc.lo`, `mad.hi`, `madc.hi`.
pub(crate) fn operation(name: &str, ty: Type) -> Option<Carry> {
    let carrying = name.starts_with("addc") || name.starts_with("subc") || name.starts_with("madc");
    Some(match name {
        "add" | "addc" if carrying => both!(ty, T, W => |a, b, _, carry| add::<T>(a, b, carry)),
        "add" | "addc" => both!(ty, T, W => |a, b, _, _| add::<T>(a, b, false)),
        "sub" | "subc" if carrying => both!(ty, T, W => |a, b, _, carry| sub::<T>(a, b, carry)),
        "sub" | "subc" => both!(ty, T, W => |a, b, _, _| sub::<T>(a, b, false)),
        "mad.lo" => both!(ty, T, W => |a, b, c, _| add::<T>(u64::from((a as T).wrapping_mul(b as T)), c, false)),
        "madc.lo" => both!(ty, T, W => |a, b, c, carry| add::<T>(u64::from((a as T).wrapping_mul(b as T)), c, carry)),
        "mad.hi" if ty.signed() => both!(ty, T, W => |a, b, c, _| add::<T>(high_signed::<T>(a, b), c, false)),
        "madc.hi" if ty.signed() => both!(ty, T, W => |a, b, c, carry| add::<T>(high_signed::<T>(a, b), c, carry)),
        "mad.hi" => both!(ty, T, W => |a, b, c, _| {
            add::<T>(u64::from(((W::from(a as T) * W::from(b as T)) >> T::BITS) as T), c, false)
        }),
        "madc.hi" => both!(ty, T, W => |a, b, c, carry| {
            add::<T>(u64::from(((W::from(a as T) * W::from(b as T)) >> T::BITS) as T), c, carry)
        }),
        _ => return None,
    })
}

/// The two widths that carry.
trait Width {
    const BITS: u32;
}

impl Width for u32 {
    const BITS: u32 = 32;
}

impl Width for u64 {
    const BITS: u32 = 64;
}

fn add<T: Width>(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let sum = u128::from(a) + u128::from(b) + u128::from(carry);
    let kept = if T::BITS == 64 { sum as u64 } else { sum as u64 & 0xffff_ffff };
    (kept, sum >> T::BITS != 0)
}

fn sub<T: Width>(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let less = u128::from(b) + u128::from(borrow);
    let difference = u128::from(a).wrapping_sub(less) as u64;
    let kept = if T::BITS == 64 { difference } else { difference & 0xffff_ffff };
    (kept, u128::from(a) < less)
}

fn high_signed<T: Width>(a: u64, b: u64) -> u64 {
    if T::BITS == 64 {
        ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64
    } else {
        u64::from(((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32)
    }
}
