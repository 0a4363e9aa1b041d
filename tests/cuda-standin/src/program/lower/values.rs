//! Instructions on values whose operands are not all of one sort: moves, conversions, comparisons, carries.

use super::super::instruction::{Combine, Op, Source};
use super::super::modifiers::Modifiers;
use super::super::trouble::{Checked, invalid};
use super::super::window;
use super::Lowering;
use crate::arith::convert::Conversion;
use crate::arith::{Rounding, carry, compare, convert, half, pick};
use crate::ptx::{Instruction as Written, Operand, Space, Type};

impl<'a> Lowering<'_, 'a> {
    pub(super) fn mov(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let Some(ty) = m.ty().filter(|_| m.done()) else { return self.unknown(written) };
        self.operands(written, 2)?;
        match (&written.operands[0], &written.operands[1]) {
            (to, from) if ty == Type::Pred => {
                let to = self.truth(to)?;
                let (run, with): (fn(u32, u32) -> u32, _) = match from {
                    Operand::Integer(0) => (|_, _| 0, None),
                    Operand::Integer(_) => (|_, _| u32::MAX, None),
                    from => (|a, _| a, Some(self.predicate(from)?)),
                };
                let it = self.push(Op::Logic(run));
                it.truths[0] = to;
                it.with[0] = with;
            }
            (Operand::Vector(pieces), from) => self.unpack(pieces, from, ty)?,
            (to, Operand::Vector(pieces)) => self.pack(to, pieces, ty)?,
            (to, from) => {
                let from = self.value(from, ty)?;
                let to = self.target(to, ty)?;
                let it = self.push(Op::Pure(pick::copy()));
                it.from[0] = from;
                it.to[0] = to;
            }
        }
        Ok(())
    }

    /// The type of a piece, and its bits.
    fn piece(&self, ty: Type, count: usize) -> Checked<(Type, u32)> {
        match (ty.bytes() as usize * 8).checked_div(count) {
            Some(16) => Ok((Type::B16, 16)),
            Some(32) => Ok((Type::B32, 32)),
            Some(8) => Ok((Type::B8, 8)),
            _ => invalid(self.at, format!("{count} pieces do not make a .{}", ty.name())),
        }
    }

    fn pack(&mut self, to: &Operand<'a>, pieces: &[Operand<'a>], ty: Type) -> Checked<()> {
        let (piece, bits) = self.piece(ty, pieces.len())?;
        if pieces.len() > 4 {
            return invalid(self.at, "at most four pieces");
        }
        let mut from = [Source::ZERO; 5];
        for (source, operand) in from.iter_mut().zip(pieces) {
            *source = if bits == 8 { self.wider_value(operand, piece)? } else { self.value(operand, piece)? };
        }
        let to = self.target(to, ty)?;
        let it = self.push(Op::Pack { bits, count: pieces.len() as u32 });
        it.from = from;
        it.to[0] = to;
        Ok(())
    }

    fn unpack(&mut self, pieces: &[Operand<'a>], from: &Operand<'a>, ty: Type) -> Checked<()> {
        let (piece, bits) = self.piece(ty, pieces.len())?;
        if pieces.len() > 4 {
            return invalid(self.at, "at most four pieces");
        }
        let from = self.value(from, ty)?;
        let mut to = [super::super::instruction::NOWHERE; 4];
        for (slot, operand) in to.iter_mut().zip(pieces) {
            *slot = if bits == 8 { self.wider_target(operand, piece)?.0 } else { self.target(operand, piece)? };
        }
        let it = self.push(Op::Unpack { bits, count: pieces.len() as u32 });
        it.from[0] = from;
        it.to = to;
        Ok(())
    }

    pub(super) fn cvt(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        if m.flag("pack") {
            return self.cvt_pack(written, m);
        }
        let integral = m.one_of(&["rni", "rzi", "rmi", "rpi"]).and_then(|word| Rounding::parse(&word[..2]));
        let rounding = m.pick(Rounding::parse);
        let (flush, saturate) = (m.flag("ftz"), m.flag("sat"));
        let (Some(to), Some(from), true) = (m.ty(), m.ty(), m.done()) else { return self.unknown(written) };
        let plain = |ty: Type| ty.integer() || matches!(ty, Type::F16 | Type::F32 | Type::F64);
        let narrows = to.float() && (!from.float() || to.bytes() < from.bytes());
        let right = match (from.float(), to.float()) {
            (true, false) => integral.is_some() && rounding.is_none(),
            (true, true) if to == from => rounding.is_none(),
            (true, true) | (false, true) => integral.is_none() && rounding.is_some() == narrows,
            (false, false) => integral.is_none() && rounding.is_none() && !flush,
        };
        if !plain(to) || !plain(from) || !right || (flush && from != Type::F32 && to != Type::F32) {
            return self.unknown(written);
        }
        self.operands(written, 2)?;
        let source = self.wider_value(&written.operands[1], from)?;
        let (slot, register) = self.wider_target(&written.operands[0], to)?;
        let rounding = integral.or(rounding).unwrap_or(Rounding::Nearest);
        let integral = integral.is_some();
        let conversion = Conversion { from, to, register, rounding, integral, flush, saturate };
        let op = convert::fast(&conversion).map_or(Op::Convert(conversion), Op::Pure);
        let it = self.push(op);
        it.from[0] = source;
        it.to[0] = slot;
        Ok(())
    }

    fn cvt_pack(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let saturate = m.flag("sat");
        let (to, from, third) = (m.ty(), m.ty(), m.ty());
        let run = to.and_then(|to| convert::pack(to, third == Some(Type::B32)));
        let Some(run) = run.filter(|_| saturate && from == Some(Type::S32) && m.done()) else {
            return self.unknown(written);
        };
        self.operands(written, if third.is_some() { 4 } else { 3 })?;
        let mut from = [Source::ZERO; 5];
        for (source, operand) in from.iter_mut().zip(&written.operands[1..]) {
            *source = self.value(operand, Type::B32)?;
        }
        let slot = self.target(&written.operands[0], Type::B32)?;
        let it = self.push(Op::Pure(run));
        it.from = from;
        it.to[0] = slot;
        Ok(())
    }

    pub(super) fn cvta(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let back = m.flag("to");
        let (Some(space), Some(Type::U64), true) = (m.pick(Space::parse), m.ty(), m.done()) else {
            return self.unknown(written);
        };
        self.operands(written, 2)?;
        let from = self.value(&written.operands[1], Type::U64)?;
        let to = self.target(&written.operands[0], Type::U64)?;
        let run = if back { window::from_generic(space) } else { window::to_generic(space) };
        let it = self.push(Op::Pure(run));
        it.from[0] = from;
        it.to[0] = to;
        Ok(())
    }

    pub(super) fn isspacep(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let (Some(space), true) = (m.pick(Space::parse), m.done()) else { return self.unknown(written) };
        self.operands(written, 2)?;
        let from = self.value(&written.operands[1], Type::U64)?;
        let to = self.truth(&written.operands[0])?;
        let it = self.push(Op::Test(window::is_in(space), Combine::Alone));
        it.from[0] = from;
        it.truths[0] = to;
        Ok(())
    }

    fn combine(m: &mut Modifiers<'_>) -> Combine {
        match m.one_of(&["and", "or", "xor"]) {
            Some("and") => Combine::And,
            Some("or") => Combine::Or,
            Some(_) => Combine::Xor,
            None => Combine::Alone,
        }
    }

    pub(super) fn setp(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let combine = Self::combine(&mut m);
        let flush = m.flag("ftz");
        let Some(ty) = m.ty() else { return self.unknown(written) };
        let single = if ty == Type::F16x2 { Type::F16 } else { ty };
        let Some(run) = m.pick(|it| compare::comparison(it, single, flush)).filter(|_| m.done()) else {
            return self.unknown(written);
        };
        self.operands(written, if combine == Combine::Alone { 3 } else { 4 })?;
        let a = self.value(&written.operands[1], ty)?;
        let b = self.value(&written.operands[2], ty)?;
        let with = written.operands.get(3).map(|it| self.predicate(it)).transpose()?;
        let (first, second) = match &written.operands[0] {
            Operand::Pair(first, second) => (self.truth(first)?, Some(self.truth(second)?)),
            one => (self.truth(one)?, None),
        };
        let it = self.push(Op::Test(run, combine));
        (it.from[0], it.from[1], it.with[0], it.truths[0]) = (a, b, with, first);
        match second {
            Some(second) if ty == Type::F16x2 => {
                let (a, b) = (self.upper(a), self.upper(b));
                let it = self.push(Op::Test(run, combine));
                (it.from[0], it.from[1], it.with[0], it.truths[0]) = (a, b, with, second);
            }
            Some(second) => it.truths[1] = second,
            None => {}
        }
        Ok(())
    }

    /// The upper half of a pair.
    fn upper(&mut self, of: Source) -> Source {
        let to = self.fresh(Type::B32);
        let it = self.push(Op::Pure(half::upper()));
        it.from[0] = of;
        it.to[0] = to;
        Source::register(to)
    }

    pub(super) fn set(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let combine = Self::combine(&mut m);
        let flush = m.flag("ftz");
        let (Some(to), Some(ty)) = (m.ty(), m.ty()) else { return self.unknown(written) };
        let two = ty == Type::F16x2;
        let run = m.pick(|it| compare::comparison(it, if two { Type::F16 } else { ty }, flush)).filter(|_| m.done());
        let yes = match to {
            Type::U32 | Type::S32 if !two => 0xffff_ffff,
            Type::F32 if !two => u64::from(1f32.to_bits()),
            Type::F16 | Type::U16 | Type::S16 if ty == Type::F16 => {
                if to == Type::F16 {
                    0x3c00
                } else {
                    0xffff
                }
            }
            Type::F16x2 if two => 0x3c00,
            _ => return self.unknown(written),
        };
        let Some(run) = run else { return self.unknown(written) };
        self.operands(written, if combine == Combine::Alone { 3 } else { 4 })?;
        let (a, b) = (self.value(&written.operands[1], ty)?, self.value(&written.operands[2], ty)?);
        let with = written.operands.get(3).map(|it| self.predicate(it)).transpose()?;
        let slot = self.target(&written.operands[0], to)?;
        let set = |lowering: &mut Self, a, b, slot| {
            let it = lowering.push(Op::Set(run, combine, yes));
            (it.from[0], it.from[1], it.with[0], it.to[0]) = (a, b, with, slot);
        };
        if !two {
            set(self, a, b, slot);
            return Ok(());
        }
        let (low, high) = (self.fresh(Type::B16), self.fresh(Type::B16));
        let (upper_a, upper_b) = (self.upper(a), self.upper(b));
        set(self, a, b, low);
        set(self, upper_a, upper_b, high);
        let it = self.push(Op::Pack { bits: 16, count: 2 });
        (it.from[0], it.from[1], it.to[0]) = (Source::register(low), Source::register(high), slot);
        Ok(())
    }

    pub(super) fn selp(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let Some(ty) = m.ty().filter(|ty| ty.bytes() >= 2 && m.done()) else { return self.unknown(written) };
        self.operands(written, 4)?;
        let (a, b) = (self.value(&written.operands[1], ty)?, self.value(&written.operands[2], ty)?);
        let with = self.predicate(&written.operands[3])?;
        let to = self.target(&written.operands[0], ty)?;
        let it = self.push(Op::Select);
        (it.from[0], it.from[1], it.with[0], it.to[0]) = (a, b, Some(with), to);
        Ok(())
    }

    pub(super) fn slct(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let flush = m.flag("ftz");
        let (Some(ty), Some(by @ (Type::S32 | Type::F32)), true) = (m.ty(), m.ty(), m.done()) else {
            return self.unknown(written);
        };
        self.operands(written, 4)?;
        let a = self.value(&written.operands[1], ty)?;
        let b = self.value(&written.operands[2], ty)?;
        let c = self.value(&written.operands[3], by)?;
        let to = self.target(&written.operands[0], ty)?;
        let it = self.push(Op::Pure(pick::choose(by == Type::F32, flush)));
        (it.from[0], it.from[1], it.from[2], it.to[0]) = (a, b, c, to);
        Ok(())
    }

    pub(super) fn testp(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let Some(ty) = m.ty() else { return self.unknown(written) };
        let Some(run) = m.pick(|it| compare::class(it, ty)).filter(|_| m.done()) else { return self.unknown(written) };
        self.operands(written, 2)?;
        let from = self.value(&written.operands[1], ty)?;
        let to = self.truth(&written.operands[0])?;
        let it = self.push(Op::Test(run, Combine::Alone));
        (it.from[0], it.truths[0]) = (from, to);
        Ok(())
    }

    /// Its table is an operand that must be a constant.
    pub(super) fn lop3(&mut self, written: &Written<'a>, m: Modifiers<'_>) -> Checked<()> {
        match written.operands.last() {
            Some(Operand::Integer(table)) if *table < 256 => {}
            _ => return invalid(written.at, "the last operand of `lop3` is a constant below 256"),
        }
        if written.modifiers != ["b32"] {
            return self.unknown(written);
        }
        self.operation(written, &m)
    }

    pub(super) fn carry(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let sets = m.flag("cc");
        let part = m.one_of(&["lo", "hi"]);
        let name = part.map_or_else(|| written.opcode.to_owned(), |part| format!("{}.{part}", written.opcode));
        let Some(ty) = m.ty().filter(|_| m.done()) else { return self.unknown(written) };
        let Some(run) = carry::operation(&name, ty) else { return self.unknown(written) };
        let count = if part.is_some() { 3 } else { 2 };
        self.operands(written, count + 1)?;
        let mut from = [Source::ZERO; 5];
        for (source, operand) in from.iter_mut().zip(&written.operands[1..]) {
            *source = self.value(operand, ty)?;
        }
        let to = self.target(&written.operands[0], ty)?;
        let it = self.push(Op::Carry(run, sets));
        it.from = from;
        it.to[0] = to;
        Ok(())
    }

    /// `and`, `or`, `xor`, `not` of predicates.
    pub(super) fn logic(&mut self, written: &Written<'a>) -> Checked<()> {
        let (count, run): (usize, fn(u32, u32) -> u32) = match written.opcode {
            "and" => (2, |a, b| a & b),
            "or" => (2, |a, b| a | b),
            "xor" => (2, |a, b| a ^ b),
            _ => (1, |a, _| !a),
        };
        self.operands(written, count + 1)?;
        let mut with = [None; 2];
        for (predicate, operand) in with.iter_mut().zip(&written.operands[1..]) {
            *predicate = Some(self.predicate(operand)?);
        }
        let to = self.truth(&written.operands[0])?;
        let it = self.push(Op::Logic(run));
        it.with = with;
        it.truths[0] = to;
        Ok(())
    }
}
