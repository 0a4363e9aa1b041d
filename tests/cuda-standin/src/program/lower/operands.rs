//! Operands to registers and constants, their types checked.

use super::super::instruction::{Constant, Op, Predicate, Slot, Source, Special};
use super::super::names::Symbol;
use super::super::trouble::{Checked, invalid, unsupported};
use super::Lowering;
use crate::ptx::{Operand, Position, Space, Type};

/// Where an address begins.
pub(super) enum Base {
    Value(Source),
    Symbol(Symbol),
}

/// A value of a type may be in a register of another: same size, and not an integer in a float's.
fn fits(register: Type, ty: Type) -> bool {
    register.bytes() == ty.bytes() && !mixed(register, ty)
}

fn mixed(register: Type, ty: Type) -> bool {
    (register.float() && ty.integer()) || (register.integer() && ty.float())
}

/// Loads, stores and conversions take wider registers for integers and bits.
fn fits_wider(register: Type, ty: Type) -> bool {
    fits(register, ty) || (register.bytes() > ty.bytes() && !register.float() && !matches!(ty, Type::F32 | Type::F64))
}

fn cut(bits: u64, ty: Type) -> u64 {
    match ty.bytes() {
        bytes @ 1..=4 => bits & (u64::MAX >> (64 - 8 * bytes)),
        _ => bits,
    }
}

impl<'a> Lowering<'_, 'a> {
    pub(super) fn constant(&mut self, constant: Constant) -> Source {
        let next = u32::try_from(self.constants.len()).unwrap_or(u32::MAX);
        let index = *self.constant_index.entry(constant).or_insert(next);
        if index == next {
            self.constants.push(constant);
        }
        Source::constant(index)
    }

    /// What a name stands for, in the function and then in the module.
    pub(super) fn find(&mut self, name: &str) -> Checked<Option<Symbol>> {
        if let Some(symbol) = self.scopes().iter().rev().find_map(|scope| scope.find(name)) {
            return Ok(Some(symbol));
        }
        if let Some(index) = self.module.variables.get(name) {
            return Ok(Some(Symbol::Variable(*index)));
        }
        let Some(variable) = self.module.shared.get(name) else { return Ok(None) };
        self.shared(variable).map(Some)
    }

    /// The address that a symbol stands for, in its own space.
    pub(super) fn address_of(&mut self, symbol: Symbol, add: i64, at: Position) -> Checked<Source> {
        let add = add.cast_unsigned();
        let constant = match symbol {
            Symbol::Register(..) => return invalid(at, "a register has no address"),
            Symbol::Shared(offset) => Constant::Bits(offset.wrapping_add(add)),
            Symbol::DynamicShared => Constant::DynamicShared { add },
            Symbol::Local(offset, _) | Symbol::Parameter(offset, _) => {
                Constant::Bits(u64::from(offset).wrapping_add(add))
            }
            Symbol::Variable(index) => Constant::Variable { index, add },
        };
        Ok(self.constant(constant))
    }

    /// An operand of exactly this type.
    pub(super) fn value(&mut self, operand: &Operand<'a>, ty: Type) -> Checked<Source> {
        self.value_of(operand, ty, fits)
    }

    /// An operand of this type or a wider register.
    pub(super) fn wider_value(&mut self, operand: &Operand<'a>, ty: Type) -> Checked<Source> {
        self.value_of(operand, ty, fits_wider)
    }

    fn value_of(&mut self, operand: &Operand<'a>, ty: Type, fits: fn(Type, Type) -> bool) -> Checked<Source> {
        let at = self.at;
        let bits = match operand {
            Operand::Name(name) => match self.find(name)? {
                Some(Symbol::Register(slot, register)) if fits(register, ty) => return Ok(Source::register(slot)),
                Some(Symbol::Register(_, register)) => {
                    let (register, ty) = (register.name(), ty.name());
                    return invalid(at, format!("`{name}` is .{register}, and the instruction takes .{ty}"));
                }
                Some(symbol) if ty.bytes() >= 4 => return self.address_of(symbol, 0, at),
                _ if *name == "WARP_SZ" => 32,
                _ => return self.special(name, None, ty),
            },
            Operand::Member(name, component) => return self.special(name, Some(component), ty),
            Operand::Address(base, add) => match **base {
                Operand::Name(name) => match self.find(name)? {
                    Some(symbol) => return self.address_of(symbol, *add, at),
                    None => return invalid(at, format!("`{name}` is not declared")),
                },
                _ => return invalid(at, "an address where a value belongs"),
            },
            Operand::Integer(_) if matches!(ty, Type::F32 | Type::F64) => {
                return invalid(at, format!("an integer where a .{} belongs", ty.name()));
            }
            Operand::Integer(bits) => *bits,
            Operand::Single(bits) if ty == Type::F64 => f64::from(f32::from_bits(*bits)).to_bits(),
            Operand::Single(bits) => u64::from(*bits),
            Operand::Double(bits) if ty == Type::F32 => u64::from((f64::from_bits(*bits) as f32).to_bits()),
            Operand::Double(bits) => *bits,
            Operand::Vector(_) | Operand::Pair(..) | Operand::Not(_) | Operand::List(_) => {
                return invalid(at, format!("no value of .{}", ty.name()));
            }
        };
        Ok(self.constant(Constant::Bits(cut(bits, ty))))
    }

    fn special(&mut self, name: &str, component: Option<&str>, ty: Type) -> Checked<Source> {
        let at = self.at;
        let Some(special) = special(name, component) else {
            let full = component.map_or_else(|| name.to_owned(), |it| format!("{name}.{it}"));
            let known = name.starts_with('%') && RESERVED.iter().any(|it| name.starts_with(it));
            return if known { unsupported(at, &full) } else { invalid(at, format!("`{full}` is not declared")) };
        };
        let to = self.fresh(if ty.bytes() == 8 { Type::B64 } else { Type::B32 });
        self.push(Op::Special(special)).to[0] = to;
        Ok(Source::register(to))
    }

    /// A register to write; `_` is one that nobody reads.
    pub(super) fn target(&mut self, operand: &Operand<'a>, ty: Type) -> Checked<Slot> {
        self.target_of(operand, ty, fits).map(|(slot, _)| slot)
    }

    /// A register of this type or wider, and its bytes.
    pub(super) fn wider_target(&mut self, operand: &Operand<'a>, ty: Type) -> Checked<(Slot, u32)> {
        self.target_of(operand, ty, fits_wider)
    }

    fn target_of(&mut self, operand: &Operand<'a>, ty: Type, fits: fn(Type, Type) -> bool) -> Checked<(Slot, u32)> {
        let at = self.at;
        let Operand::Name(name) = operand else { return invalid(at, "a register must take the result") };
        if *name == "_" {
            return Ok((self.fresh(ty), ty.bytes()));
        }
        match self.find(name)? {
            Some(Symbol::Register(slot, register)) if register != Type::Pred && fits(register, ty) => {
                Ok((slot, register.bytes()))
            }
            Some(Symbol::Register(_, register)) => {
                let (register, ty) = (register.name(), ty.name());
                invalid(at, format!("`{name}` is .{register}, and the result is .{ty}"))
            }
            Some(_) => invalid(at, format!("`{name}` is no register")),
            None => invalid(at, format!("`{name}` is not declared")),
        }
    }

    /// The number of a predicate register.
    pub(super) fn predicate_register(&mut self, name: &str, at: Position) -> Checked<Slot> {
        match self.find(name)? {
            Some(Symbol::Register(slot, Type::Pred)) => Ok(slot),
            Some(_) => invalid(at, format!("`{name}` is no predicate")),
            None => invalid(at, format!("`{name}` is not declared")),
        }
    }

    /// A predicate that is written; `_` is none.
    pub(super) fn truth(&mut self, operand: &Operand<'a>) -> Checked<Slot> {
        match operand {
            Operand::Name("_") => Ok(self.fresh(Type::Pred)),
            Operand::Name(name) => self.predicate_register(name, self.at),
            _ => invalid(self.at, "a predicate must take the result"),
        }
    }

    /// A predicate that is read, negated or not.
    pub(super) fn predicate(&mut self, operand: &Operand<'a>) -> Checked<Predicate> {
        let at = self.at;
        let (operand, negated) = match operand {
            Operand::Not(inner) => (&**inner, true),
            other => (other, false),
        };
        match operand {
            Operand::Name(name) => Ok(Predicate { slot: self.predicate_register(name, at)?, negated }),
            _ => invalid(at, "a predicate belongs here"),
        }
    }

    /// `[base + offset]`.
    pub(super) fn address(&mut self, operand: &Operand<'a>) -> Checked<(Base, i64)> {
        let at = self.at;
        let Operand::Address(base, offset) = operand else { return invalid(at, "an address in brackets belongs here") };
        let base = match &**base {
            Operand::Name(name) => match self.find(name)? {
                Some(Symbol::Register(slot, ty)) if matches!(ty.bytes(), 4 | 8) => Base::Value(Source::register(slot)),
                Some(Symbol::Register(..)) => return invalid(at, format!("`{name}` is too narrow for an address")),
                Some(symbol) => Base::Symbol(symbol),
                None => return invalid(at, format!("`{name}` is not declared")),
            },
            Operand::Integer(bits) => Base::Value(self.constant(Constant::Bits(*bits))),
            _ => return invalid(at, "an address begins with a register or a variable"),
        };
        Ok((base, *offset))
    }

    /// The space in which a symbol lies.
    pub(super) fn space_of(symbol: Symbol) -> Option<Space> {
        match symbol {
            Symbol::Register(..) => None,
            Symbol::Shared(_) | Symbol::DynamicShared => Some(Space::Shared),
            Symbol::Local(..) => Some(Space::Local),
            Symbol::Parameter(..) => Some(Space::Param),
            Symbol::Variable(_) => Some(Space::Global),
        }
    }
}

/// Names of special registers that PTX has and the stand-in lacks.
const RESERVED: &[&str] =
    &["%envreg", "%pm", "%globaltimer", "%cluster", "%nclusterid", "%is_", "%reserved", "%current"];

fn special(name: &str, component: Option<&str>) -> Option<Special> {
    let axis = match component {
        Some("x") => Some(0),
        Some("y") => Some(1),
        Some("z") => Some(2),
        Some(_) => return None,
        None => None,
    };
    Some(match (name, axis) {
        ("%tid", Some(axis)) => Special::Tid(axis),
        ("%ntid", Some(axis)) => Special::Ntid(axis),
        ("%ctaid", Some(axis)) => Special::Ctaid(axis),
        ("%nctaid", Some(axis)) => Special::Nctaid(axis),
        ("%laneid", None) => Special::LaneId,
        ("%warpid", None) => Special::WarpId,
        ("%nwarpid", None) => Special::WarpCount,
        ("%smid", None) => Special::SmId,
        ("%nsmid", None) => Special::SmCount,
        ("%gridid", None) => Special::GridId,
        ("%lanemask_eq", None) => Special::MaskEqual,
        ("%lanemask_le", None) => Special::MaskLessEqual,
        ("%lanemask_lt", None) => Special::MaskLess,
        ("%lanemask_ge", None) => Special::MaskGreaterEqual,
        ("%lanemask_gt", None) => Special::MaskGreater,
        ("%clock" | "%globaltimer_lo", None) => Special::ClockLow,
        ("%clock_hi" | "%globaltimer_hi", None) => Special::ClockHigh,
        ("%clock64" | "%globaltimer", None) => Special::Clock,
        ("%dynamic_smem_size", None) => Special::DynamicShared,
        ("%total_smem_size", None) => Special::TotalShared,
        _ => return None,
    })
}
