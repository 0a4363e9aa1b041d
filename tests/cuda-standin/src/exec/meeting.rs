//! Instructions at which lanes of a warp meet: shuffles, votes, matches, `bar.warp.sync`.

use crate::arith::LANES;
use crate::program::instruction::{Instruction, Op, Shuffle};
use crate::report::Kind;

use super::block::Block;
use super::lanes::{each, first};
use super::machine::Machine;
use super::shuffle;
use super::warp::Warp;

impl Warp {
    /// The member mask of a lane that is there.
    pub(super) fn members(&self, machine: &Machine<'_>, instruction: &Instruction, active: u32) -> u32 {
        let source = match instruction.op {
            Op::Shuffle(_) => instruction.from[3],
            Op::Match { .. } => instruction.from[1],
            _ => instruction.from[0],
        };
        self.row(machine, source)[first(active)] as u32
    }

    /// Runs the instruction for the lanes that came.
    pub(super) fn run_meeting(
        &mut self,
        machine: &mut Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        active: u32,
        members: u32,
    ) {
        let outside = active & !members;
        if outside != 0 {
            let who = block.who(self, first(outside));
            machine.find(Kind::MemberMask, instruction, who, |_| {
                format!("the member mask {members:#010x} leaves out the lane {} that runs this", first(outside))
            });
        }
        self.meet(active);
        match instruction.op {
            Op::Shuffle(mode) => self.shuffle(machine, block, instruction, active, mode),
            Op::Vote(vote) => {
                let answer = shuffle::vote(vote, self.truth(instruction.with[0]), active);
                self.write(instruction.to[0], &[u64::from(answer); LANES], active);
                self.write_truth(instruction.truths[0], answer, active);
            }
            Op::Match { all } => {
                let values = *self.row(machine, instruction.from[0]);
                let (found, uniform) = shuffle::matches(&values, active, all);
                self.write(instruction.to[0], &found, active);
                self.write_truth(instruction.truths[0], if uniform { u32::MAX } else { 0 }, active);
            }
            _ => {}
        }
    }

    fn shuffle(
        &mut self,
        machine: &mut Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        active: u32,
        mode: Shuffle,
    ) {
        let [a, b, c] = [0, 1, 2].map(|index| *self.row(machine, instruction.from[index]));
        let (mut value, mut truth) = ([0; LANES], 0);
        for lane in each(active) {
            let (from, within) = shuffle::source(mode, lane as u32, b[lane] as u32, c[lane] as u32);
            truth |= u32::from(within) << lane;
            if active >> from & 1 == 1 {
                value[lane] = a[from as usize];
                continue;
            }
            // A card gives zero; nothing says that it must.
            let gone = self.left >> from & 1 == 1 || self.threads >> from & 1 == 0;
            let why = if gone { "is not there any more" } else { "does not take part" };
            machine.find(Kind::InactiveLane, instruction, block.who(self, lane), |_| {
                format!("lane {lane} reads from lane {from}, which {why}")
            });
        }
        self.write(instruction.to[0], &value, active);
        self.write_truth(instruction.truths[0], truth, active);
    }
}
