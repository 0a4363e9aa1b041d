//! What atomic operations put where an old value was.

use crate::ptx::Type;

/// Old value and operands to the new value.
pub(crate) type Atomic = fn(u64, u64, u64) -> u64;

/// The operation as global memory has it: there an addition of f32 flushes subnormal numbers.
pub(crate) fn in_global(name: &str, ty: Type) -> Option<Atomic> {
    fn flush(bits: u64) -> u64 {
        if bits & 0x7f80_0000 == 0 { bits & 0x8000_0000 } else { bits }
    }
    if (name, ty) != ("add", Type::F32) {
        return operation(name, ty);
    }
    Some(|old, b, _| {
        let sum = f32::from_bits(flush(old) as u32) + f32::from_bits(flush(b) as u32);
        if sum.is_nan() { 0x7fff_ffff } else { flush(u64::from(sum.to_bits())) }
    })
}

/// The operation of a type: `exch`, `cas`, `and`, `or`, `xor`, `add`, `inc`, `dec`, `min`, `max`.
pub(crate) fn operation(name: &str, ty: Type) -> Option<Atomic> {
    let bytes = ty.bytes();
    Some(match (name, ty) {
        ("exch", _) if bytes >= 4 => |_, b, _| b,
        ("cas", _) if !ty.float() => |old, b, c| if old == b { c } else { old },
        ("and", _) if bytes >= 4 && !ty.float() => |old, b, _| old & b,
        ("or", _) if bytes >= 4 && !ty.float() => |old, b, _| old | b,
        ("xor", _) if bytes >= 4 && !ty.float() => |old, b, _| old ^ b,
        ("add", Type::U32 | Type::S32) => |old, b, _| (old + b) & 0xffff_ffff,
        ("add", Type::U64) => |old, b, _| old.wrapping_add(b),
        ("add", Type::F32) => |old, b, _| {
            let sum = f32::from_bits(old as u32) + f32::from_bits(b as u32);
            if sum.is_nan() { 0x7fff_ffff } else { u64::from(sum.to_bits()) }
        },
        ("add", Type::F64) => |old, b, _| super::double::sum(old, b),
        ("add", Type::F16) => super::half::atomic_add(false),
        ("add", Type::F16x2) => super::half::atomic_add(true),
        ("inc", Type::U32) => |old, b, _| if old >= b { 0 } else { old + 1 },
        ("dec", Type::U32) => |old, b, _| if old == 0 || old > b { b } else { old - 1 },
        ("min", Type::U32 | Type::U64) => |old, b, _| old.min(b),
        ("max", Type::U32 | Type::U64) => |old, b, _| old.max(b),
        ("min", Type::S32) => |old, b, _| if (old as i32) < b as i32 { old } else { b },
        ("max", Type::S32) => |old, b, _| if (old as i32) > b as i32 { old } else { b },
        ("min", Type::S64) => |old, b, _| if (old as i64) < b as i64 { old } else { b },
        ("max", Type::S64) => |old, b, _| if (old as i64) > b as i64 { old } else { b },
        _ => return None,
    })
}
