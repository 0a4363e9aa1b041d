//! Instructions in which the lanes of a warp meet.

use super::super::instruction::{Op, Shuffle, Source, Vote};
use super::super::modifiers::Modifiers;
use super::super::trouble::Checked;
use super::Lowering;
use crate::ptx::{Instruction as Written, Operand, Type};

impl<'a> Lowering<'_, 'a> {
    pub(super) fn shfl(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let mode = m.pick(|word| {
            Some(match word {
                "up" => Shuffle::Up,
                "down" => Shuffle::Down,
                "bfly" => Shuffle::Butterfly,
                "idx" => Shuffle::Index,
                _ => return None,
            })
        });
        let (Some(mode), true, Some(Type::B32), true) = (mode, m.flag("sync"), m.ty(), m.done()) else {
            return self.unknown(written);
        };
        self.operands(written, 5)?;
        let mut from = [Source::ZERO; 5];
        for (source, operand) in from.iter_mut().zip(&written.operands[1..]) {
            *source = self.value(operand, Type::B32)?;
        }
        let (to, truth) = self.result_and_truth(&written.operands[0])?;
        let it = self.push(Op::Shuffle(mode));
        it.from = from;
        it.to[0] = to;
        it.truths[0] = truth;
        Ok(())
    }

    /// `d` or `d|p`.
    fn result_and_truth(&mut self, operand: &Operand<'a>) -> Checked<(u32, u32)> {
        match operand {
            Operand::Pair(to, truth) => Ok((self.target(to, Type::B32)?, self.truth(truth)?)),
            to => Ok((self.target(to, Type::B32)?, super::super::instruction::NOWHERE)),
        }
    }

    pub(super) fn vote(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let vote = m.pick(|word| {
            Some(match word {
                "all" => Vote::All,
                "any" => Vote::Any,
                "uni" => Vote::Uniform,
                "ballot" => Vote::Ballot,
                _ => return None,
            })
        });
        let wanted = if vote == Some(Vote::Ballot) { Type::B32 } else { Type::Pred };
        let (Some(vote), true) = (vote, m.flag("sync") && m.ty() == Some(wanted) && m.done()) else {
            return self.unknown(written);
        };
        self.operands(written, 3)?;
        let with = self.predicate(&written.operands[1])?;
        let members = self.value(&written.operands[2], Type::B32)?;
        let (mut to, mut truth) = (super::super::instruction::NOWHERE, super::super::instruction::NOWHERE);
        if vote == Vote::Ballot {
            to = self.target(&written.operands[0], Type::B32)?;
        } else {
            truth = self.truth(&written.operands[0])?;
        }
        let it = self.push(Op::Vote(vote));
        (it.with[0], it.from[0], it.to[0], it.truths[0]) = (Some(with), members, to, truth);
        Ok(())
    }

    pub(super) fn matches(&mut self, written: &Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        let mode = m.one_of(&["any", "all"]);
        let (Some(mode), true, Some(ty @ (Type::B32 | Type::B64)), true) = (mode, m.flag("sync"), m.ty(), m.done())
        else {
            return self.unknown(written);
        };
        self.operands(written, 3)?;
        let values = self.value(&written.operands[1], ty)?;
        let members = self.value(&written.operands[2], Type::B32)?;
        let (to, truth) = self.result_and_truth(&written.operands[0])?;
        let it = self.push(Op::Match { all: mode == "all" });
        (it.from[0], it.from[1], it.to[0], it.truths[0]) = (values, members, to, truth);
        Ok(())
    }

    pub(super) fn activemask(&mut self, written: &Written<'a>) -> Checked<()> {
        if written.modifiers != ["b32"] {
            return self.unknown(written);
        }
        self.operands(written, 1)?;
        let to = self.target(&written.operands[0], Type::B32)?;
        self.push(Op::ActiveMask).to[0] = to;
        Ok(())
    }
}
