//! Loads, stores and atomics.

use super::super::instruction::{Access, Constant, NOWHERE, Op, Source};
use super::super::modifiers::Modifiers;
use super::super::names::Symbol;
use super::super::trouble::{Checked, invalid};
use super::Lowering;
use super::operands::Base;
use crate::arith::{atomic, pick};
use crate::ptx::{Instruction as Written, Operand, Space, Type};

/// Hints about caches, and orders of memory: there is one cache here, and everything is in order.
fn is_hint(word: &str) -> bool {
    const HINTS: [&str; 27] = [
        "ca",
        "cg",
        "cs",
        "lu",
        "cv",
        "wb",
        "wt",
        "nc",
        "weak",
        "volatile",
        "relaxed",
        "acquire",
        "release",
        "acq_rel",
        "mmio",
        "cta",
        "gpu",
        "sys",
        "cluster",
        "L2::64B",
        "L2::128B",
        "L2::256B",
        "L1::evict_normal",
        "L1::evict_last",
        "L1::evict_first",
        "L1::no_allocate",
        "L1::evict_unchanged",
    ];
    HINTS.contains(&word)
}

fn is_strong(word: &str) -> bool {
    matches!(word, "volatile" | "relaxed" | "acquire" | "release" | "acq_rel")
}

impl<'a> Lowering<'_, 'a> {
    /// Space, elements and type of a load or a store.
    fn access(&self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<(Access, Type)> {
        let strong = written.modifiers.iter().any(|word| is_strong(word));
        m.drop_all(is_hint);
        let space = m.pick(Space::parse);
        let count = match m.one_of(&["v2", "v4"]) {
            Some("v2") => 2,
            Some(_) => 4,
            None => 1,
        };
        let Some(ty) = m.ty().filter(|ty| m.done() && ty.bytes() > 0 && ty.bytes() * count <= 16 && *ty != Type::B128)
        else {
            return self.unknown(written);
        };
        // Constant memory is a block like those of global memory.
        let space = if space == Some(Space::Const) { Some(Space::Global) } else { space };
        Ok((Access { space, bytes: ty.bytes(), count, extend: 0, offset: 0, strong }, ty))
    }

    fn elements<'o>(operand: &'o Operand<'a>) -> Vec<&'o Operand<'a>> {
        match operand {
            Operand::Vector(elements) => elements.iter().collect(),
            one => vec![one],
        }
    }

    /// Where the access goes. `.param` inside a call is local memory.
    fn place(&mut self, access: &mut Access, operand: &Operand<'a>) -> Checked<Source> {
        let (base, offset) = self.address(operand)?;
        access.offset = offset;
        match base {
            Base::Value(source) => Ok(source),
            Base::Symbol(symbol) => {
                let own = Self::space_of(symbol);
                let as_call = own == Some(Space::Local) && access.space == Some(Space::Param);
                if access.space.is_some() && access.space != own && !as_call {
                    return invalid(self.at, "the variable lies in another state space");
                }
                access.space = own;
                self.address_of(symbol, 0, self.at)
            }
        }
    }

    pub(super) fn load(&mut self, written: &Written<'a>, m: Modifiers<'_>) -> Checked<()> {
        let (mut access, ty) = self.access(written, m)?;
        self.operands(written, 2)?;
        let targets = Self::elements(&written.operands[0]);
        if targets.len() != access.count as usize {
            return invalid(written.at, format!("{} registers for {} elements", targets.len(), access.count));
        }
        let mut to = [NOWHERE; 4];
        for (slot, operand) in to.iter_mut().zip(targets) {
            let (register, bytes) = self.wider_target(operand, ty)?;
            *slot = register;
            access.extend = if ty.signed() { bytes } else { 0 };
        }
        if let (Base::Symbol(Symbol::Parameter(offset, size)), add) = self.address(&written.operands[1])? {
            return self.parameters(access, to, offset, size, add);
        }
        let source = self.place(&mut access, &written.operands[1])?;
        let it = self.push(Op::Load(access));
        it.to = to;
        it.from[0] = source;
        Ok(())
    }

    /// Parameters of a kernel are constants of a launch.
    fn parameters(&mut self, access: Access, to: [u32; 4], offset: u32, size: u32, add: i64) -> Checked<()> {
        let len = i64::from(access.bytes * access.count);
        let begin = u32::try_from(add).ok().filter(|_| add + len <= i64::from(size));
        let Some(begin) = begin else {
            return invalid(self.at, format!("{len} bytes at {add} are not all inside a parameter of {size} bytes"));
        };
        for (index, slot) in (0..access.count).zip(to) {
            let offset = offset + begin + index * access.bytes;
            let source = self.constant(Constant::Parameter { offset, bytes: access.bytes, extend: access.extend });
            let it = self.push(Op::Pure(pick::copy()));
            it.from[0] = source;
            it.to[0] = slot;
        }
        Ok(())
    }

    pub(super) fn store(&mut self, written: &Written<'a>, m: Modifiers<'_>) -> Checked<()> {
        let (mut access, ty) = self.access(written, m)?;
        self.operands(written, 2)?;
        let sources = Self::elements(&written.operands[1]);
        if sources.len() != access.count as usize {
            return invalid(written.at, format!("{} values for {} elements", sources.len(), access.count));
        }
        let mut from = [Source::ZERO; 5];
        for (source, operand) in from[1..].iter_mut().zip(sources) {
            *source = self.wider_value(operand, ty)?;
        }
        from[0] = self.place(&mut access, &written.operands[0])?;
        self.push(Op::Store(access)).from = from;
        Ok(())
    }

    pub(super) fn atomic(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        m.drop_all(|word| is_hint(word) || word == "noftz");
        let space = m.pick(Space::parse);
        let Some(ty) = m.ty() else { return self.unknown(written) };
        let swaps = written.modifiers.contains(&"cas");
        let both = |it: &str| Some([atomic::operation(it, ty)?, atomic::in_global(it, ty)?]);
        let Some(run) = m.pick(both).filter(|_| m.done()) else { return self.unknown(written) };
        let quiet = written.opcode == "red";
        if quiet && (swaps || written.modifiers.contains(&"exch")) {
            return self.unknown(written);
        }
        self.operands(written, 2 + usize::from(!quiet) + usize::from(swaps))?;
        let (to, rest) = if quiet {
            (NOWHERE, &written.operands[..])
        } else {
            (self.target(&written.operands[0], ty)?, &written.operands[1..])
        };
        let mut from = [Source::ZERO; 5];
        for (source, operand) in from[1..].iter_mut().zip(&rest[1..]) {
            *source = self.value(operand, ty)?;
        }
        let mut access = Access { space, bytes: ty.bytes(), count: 1, extend: 0, offset: 0, strong: true };
        from[0] = self.place(&mut access, &rest[0])?;
        let it = self.push(Op::Atomic(access, run));
        it.from = from;
        it.to[0] = to;
        Ok(())
    }
}
