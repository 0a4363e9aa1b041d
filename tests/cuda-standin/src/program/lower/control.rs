//! Branches, ends and barriers.

use super::super::instruction::{Op, Reduce, Source};
use super::super::modifiers::Modifiers;
use super::super::trouble::{Checked, invalid};
use super::{Jump, Lowering};
use crate::ptx::{Instruction as Written, Operand, Type};

impl<'a> Lowering<'_, 'a> {
    pub(super) fn bra(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        m.flag("uni");
        if !m.done() {
            return self.unknown(written);
        }
        self.operands(written, 1)?;
        let Operand::Name(label) = written.operands[0] else { return invalid(written.at, "a label belongs here") };
        let scopes = self.scopes().iter().map(|scope| scope.id).collect();
        self.jumps.push(Jump { code: self.code.len(), label, scopes, at: written.at });
        self.push(Op::Branch { target: 0 });
        Ok(())
    }

    /// From a kernel it leaves; from a call it goes on behind it.
    pub(super) fn ret(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        m.flag("uni");
        if !m.done() {
            return self.unknown(written);
        }
        self.operands(written, 0)?;
        if self.frames.len() == 1 {
            self.push(Op::Exit);
            return Ok(());
        }
        let code = self.code.len();
        self.push(Op::Branch { target: 0 });
        if let Some(frame) = self.frames.last_mut() {
            frame.returns.push(code);
        }
        Ok(())
    }

    pub(super) fn bar(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        if m.flag("warp") {
            if !m.flag("sync") || !m.done() {
                return self.unknown(written);
            }
            self.operands(written, 1)?;
            let members = self.value(&written.operands[0], Type::B32)?;
            self.push(Op::WarpBarrier).from[0] = members;
            return Ok(());
        }
        m.drop_all(|word| matches!(word, "cta" | "aligned"));
        if m.flag("red") {
            return self.reducing_barrier(written, m);
        }
        if !m.flag("sync") || !m.done() {
            return self.unknown(written);
        }
        if !matches!(written.operands.len(), 1 | 2) {
            return invalid(written.at, "a barrier has a number, and at most a count of threads");
        }
        let mut from = [Source::ZERO; 5];
        for (source, operand) in from.iter_mut().zip(&written.operands) {
            *source = self.value(operand, Type::U32)?;
        }
        self.push(Op::Barrier(Reduce::Nothing)).from = from;
        Ok(())
    }

    fn reducing_barrier(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let reduce = match m.one_of(&["popc", "and", "or"]) {
            Some("popc") => Reduce::Count,
            Some("and") => Reduce::And,
            Some(_) => Reduce::Or,
            None => return self.unknown(written),
        };
        let wanted = if reduce == Reduce::Count { Type::U32 } else { Type::Pred };
        if m.ty() != Some(wanted) || !m.done() {
            return self.unknown(written);
        }
        let [to, number, rest @ .., predicate] = written.operands.as_slice() else {
            return invalid(written.at, "`bar.red` has a result, a number and a predicate");
        };
        let number = self.value(number, Type::U32)?;
        let count = match rest {
            [] => Source::ZERO,
            [count] => self.value(count, Type::U32)?,
            _ => return invalid(written.at, "`bar.red` has at most four operands"),
        };
        let with = self.predicate(predicate)?;
        let (mut row, mut truth) = (None, None);
        if reduce == Reduce::Count {
            row = Some(self.target(to, Type::U32)?);
        } else {
            truth = Some(self.truth(to)?);
        }
        let it = self.push(Op::Barrier(reduce));
        (it.from[0], it.from[1], it.with[0]) = (number, count, Some(with));
        if let Some(row) = row {
            it.to[0] = row;
        }
        if let Some(truth) = truth {
            it.truths[0] = truth;
        }
        Ok(())
    }
}
