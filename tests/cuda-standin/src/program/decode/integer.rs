//! Integers and bits.

use super::super::modifiers::Modifiers;
use super::{Shape, shape};
use crate::arith::{bits, integer};
use crate::ptx::Type;

fn twice(ty: Type) -> Option<Type> {
    Some(match ty {
        Type::U16 => Type::U32,
        Type::S16 => Type::S32,
        Type::U32 => Type::U64,
        Type::S32 => Type::S64,
        _ => return None,
    })
}

/// Arithmetic on integers.
pub(super) fn arithmetic(opcode: &str, m: &mut Modifiers<'_>) -> Option<Shape> {
    match opcode {
        "add" | "sub" => {
            let saturate = m.flag("sat");
            let ty = m.ty().filter(|ty| ty.integer())?;
            match (saturate, ty) {
                (true, Type::S32) => Some(shape(integer::saturating(opcode)?, ty, &[ty; 2])),
                (true, _) => None,
                (false, _) => Some(shape(integer::binary(opcode, ty)?, ty, &[ty; 2])),
            }
        }
        "mul" | "mad" => products(opcode, m),
        "mul24" | "mad24" => {
            let part = m.one_of(&["lo", "hi"])?;
            let name = format!("{opcode}.{part}");
            let saturate = m.flag("sat");
            let ty = m.ty()?;
            let run = if saturate { integer::saturating(&name)? } else { integer::short(&name, ty)? };
            let operands: &[Type] = if opcode == "mul24" { &[ty; 2] } else { &[ty; 3] };
            Some(shape(run, ty, operands))
        }
        "div" | "rem" | "min" | "max" => {
            let ty = m.ty().filter(|ty| ty.integer())?;
            Some(shape(integer::binary(opcode, ty)?, ty, &[ty; 2]))
        }
        "abs" | "neg" => {
            let ty = m.ty().filter(|ty| ty.integer())?;
            Some(shape(integer::unary(opcode, ty)?, ty, &[ty]))
        }
        "sad" => {
            let ty = m.ty().filter(|ty| ty.integer())?;
            Some(shape(integer::ternary("sad", ty)?, ty, &[ty; 3]))
        }
        "dp4a" | "dp2a" => {
            let part = if opcode == "dp2a" { m.one_of(&["lo", "hi"])? } else { "" };
            let name = if part.is_empty() { opcode.to_owned() } else { format!("{opcode}.{part}") };
            let (a, b) = (m.ty()?, m.ty()?);
            if a.bytes() != 4 || b.bytes() != 4 || !a.integer() || !b.integer() {
                return None;
            }
            let sum = if a.signed() || b.signed() { Type::S32 } else { Type::U32 };
            Some(shape(integer::dot(&name, a.signed(), b.signed())?, sum, &[a, b, sum]))
        }
        _ => None,
    }
}

fn products(opcode: &str, m: &mut Modifiers<'_>) -> Option<Shape> {
    let part = m.one_of(&["lo", "hi", "wide"])?;
    let saturate = m.flag("sat");
    let ty = m.ty().filter(|ty| ty.integer())?;
    let name = format!("{opcode}.{part}");
    match (opcode, part) {
        _ if saturate => {
            (ty == Type::S32).then_some(())?;
            Some(shape(integer::saturating(&name)?, ty, &[ty; 3]))
        }
        ("mul", "wide") => Some(shape(integer::wide(&name, ty)?, twice(ty)?, &[ty; 2])),
        (_, "wide") => Some(shape(integer::wide(&name, ty)?, twice(ty)?, &[ty, ty, twice(ty)?])),
        ("mul", _) => Some(shape(integer::binary(&name, ty)?, ty, &[ty; 2])),
        _ => Some(shape(integer::ternary(&name, ty)?, ty, &[ty; 3])),
    }
}

/// Instructions on bits.
pub(super) fn bits(opcode: &str, m: &mut Modifiers<'_>) -> Option<Shape> {
    match opcode {
        "and" | "or" | "xor" => {
            let ty = m.ty().filter(|ty| matches!(ty, Type::B16 | Type::B32 | Type::B64))?;
            Some(shape(bits::logic(opcode)?, ty, &[ty; 2]))
        }
        "not" | "cnot" => {
            let ty = m.ty().filter(|ty| matches!(ty, Type::B16 | Type::B32 | Type::B64))?;
            Some(shape(bits::inverse(opcode, ty.bytes())?, ty, &[ty]))
        }
        "shl" | "shr" => {
            let ty = m.ty()?;
            Some(shape(bits::shift(opcode, ty)?, ty, &[ty, Type::U32]))
        }
        "shf" => {
            let (direction, mode) = (m.one_of(&["l", "r"])?, m.one_of(&["clamp", "wrap"])?);
            let ty = m.ty().filter(|ty| *ty == Type::B32)?;
            Some(shape(bits::funnel(direction, mode)?, ty, &[ty; 3]))
        }
        "popc" | "clz" => {
            let ty = m.ty().filter(|ty| matches!(ty, Type::B32 | Type::B64))?;
            Some(shape(bits::count(opcode, ty.bytes())?, Type::U32, &[ty]))
        }
        "brev" => {
            let ty = m.ty().filter(|ty| matches!(ty, Type::B32 | Type::B64))?;
            Some(shape(bits::count(opcode, ty.bytes())?, ty, &[ty]))
        }
        "bfind" => {
            let by_shift = m.flag("shiftamt");
            let ty = m.ty()?;
            Some(shape(bits::find(ty, by_shift)?, Type::U32, &[ty]))
        }
        "bfe" => {
            let ty = m.ty()?;
            Some(shape(bits::extract(ty)?, ty, &[ty, Type::U32, Type::U32]))
        }
        "bfi" => {
            let ty = m.ty().filter(|ty| matches!(ty, Type::B32 | Type::B64))?;
            Some(shape(bits::insert(ty.bytes())?, ty, &[ty, ty, Type::U32, Type::U32]))
        }
        "lop3" => {
            let ty = m.ty().filter(|ty| *ty == Type::B32)?;
            Some(shape(bits::by_table(), ty, &[ty; 4]))
        }
        "prmt" => {
            let ty = m.ty().filter(|ty| *ty == Type::B32)?;
            let mode = m.one_of(&["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"]);
            Some(shape(bits::permute(mode)?, ty, &[ty; 3]))
        }
        "fns" => {
            let ty = m.ty().filter(|ty| *ty == Type::B32)?;
            Some(shape(bits::nth_set(), ty, &[ty, Type::B32, Type::S32]))
        }
        "bmsk" => {
            let mode = m.one_of(&["clamp", "wrap"])?;
            let ty = m.ty().filter(|ty| *ty == Type::B32)?;
            Some(shape(bits::mask(mode == "clamp"), ty, &[ty, Type::U32]))
        }
        "szext" => {
            let mode = m.one_of(&["clamp", "wrap"])?;
            let ty = m.ty().filter(|ty| matches!(ty, Type::U32 | Type::S32))?;
            Some(shape(bits::sign_extend(ty.signed(), mode == "clamp"), ty, &[ty, Type::U32]))
        }
        _ => None,
    }
}
