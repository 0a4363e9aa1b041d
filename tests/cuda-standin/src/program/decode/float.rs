//! Floats of all three sizes.

use super::super::modifiers::Modifiers;
use super::{Shape, shape};
use crate::arith::{Mode, Pure, Rounding, double, half, single};
use crate::ptx::Type;

/// How many operands an operation has.
fn operands(opcode: &str) -> usize {
    match opcode {
        "fma" | "mad" => 3,
        "add" | "sub" | "mul" | "div" | "min" | "max" | "copysign" => 2,
        _ => 1,
    }
}

/// Arithmetic on floats.
pub(super) fn arithmetic(opcode: &str, m: &mut Modifiers<'_>) -> Option<Shape> {
    let ty = m.ty().filter(|ty| ty.float())?;
    let run = match ty {
        Type::F32 => of_single(opcode, m)?,
        Type::F64 => of_double(opcode, m)?,
        Type::F16 => of_half(opcode, false, m)?,
        Type::F16x2 => of_half(opcode, true, m)?,
        _ => return None,
    };
    Some(shape(run, ty, &vec![ty; operands(opcode)]))
}

/// The rounding as written; `add`, `sub` and `mul` may leave it out.
fn rounding(opcode: &str, m: &mut Modifiers<'_>) -> Option<Rounding> {
    match m.pick(Rounding::parse) {
        None if matches!(opcode, "add" | "sub" | "mul") => Some(Rounding::Nearest),
        found => found,
    }
}

fn of_single(opcode: &str, m: &mut Modifiers<'_>) -> Option<Pure> {
    let flush = m.flag("ftz");
    match opcode {
        "min" | "max" | "abs" | "neg" | "copysign" => single::plain(opcode, flush),
        "sin" | "cos" | "lg2" | "ex2" | "tanh" | "rsqrt" => {
            m.flag("approx").then_some(())?;
            single::approximate(opcode, flush)
        }
        "div" if m.flag("full") => single::approximate("div.full", flush),
        "div" | "rcp" | "sqrt" if m.flag("approx") => single::approximate(opcode, flush),
        "div" | "rcp" | "sqrt" => {
            single::exact(opcode, Mode { rounding: rounding(opcode, m)?, flush, saturate: false })
        }
        "add" | "sub" | "mul" | "fma" | "mad" => {
            let saturate = m.flag("sat");
            single::exact(opcode, Mode { rounding: rounding(opcode, m)?, flush, saturate })
        }
        _ => None,
    }
}

fn of_double(opcode: &str, m: &mut Modifiers<'_>) -> Option<Pure> {
    match opcode {
        "min" | "max" | "abs" | "neg" | "copysign" => double::plain(opcode),
        "rcp" | "rsqrt" if m.flag("approx") => double::approximate(opcode, m.flag("ftz")),
        "add" | "sub" | "mul" | "div" | "fma" | "mad" | "rcp" | "sqrt" => double::exact(opcode, rounding(opcode, m)?),
        _ => None,
    }
}

fn of_half(opcode: &str, two: bool, m: &mut Modifiers<'_>) -> Option<Pure> {
    let flush = m.flag("ftz");
    match opcode {
        "abs" | "neg" => half::plain(opcode, two, flush),
        "tanh" | "ex2" => {
            (m.flag("approx") && !flush).then_some(())?;
            half::approximate(opcode, two)
        }
        "add" | "sub" | "mul" | "fma" => {
            let saturate = m.flag("sat");
            (rounding(opcode, m)? == Rounding::Nearest).then_some(())?;
            half::exact(opcode, two, flush, saturate)
        }
        _ => None,
    }
}
