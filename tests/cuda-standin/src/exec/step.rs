//! A warp's turn: groups of lanes that stand at the same instruction run it together, the lowest first.

use crate::arith::{LANES, convert};
use crate::program::instruction::{Instruction, Op, Special};
use crate::report::Kind;

use super::FaultCode;
use super::block::Block;
use super::lanes::{each, first};
use super::machine::{Machine, Run};
use super::print;
use super::warp::{Group, State, Warp};

/// A group that loops has to let others run after so many instructions: they may hold what it waits for.
const PATIENCE: u64 = 10_000;

/// What comes after an instruction.
enum Next {
    Below,
    /// These lanes go there, the others below.
    Jump(u32, u32),
    /// These lanes leave, the others go below.
    Leave(u32),
    /// The group waits where it is, with these lanes; the others go below.
    Wait(State, u32),
}

impl Warp {
    /// Runs until all groups wait or have left, or the turn is over.
    pub(super) fn run(&mut self, machine: &mut Machine<'_>, block: &mut Block, turn: u64) -> Run<()> {
        let end = self.instructions + turn;
        let mut since = self.instructions;
        while self.instructions < end {
            self.merge();
            let impatient = self.groups.len() > 1 && self.instructions - since >= PATIENCE;
            let Some(index) = self.choose(impatient) else { return Ok(()) };
            if impatient || self.groups.len() == 1 {
                since = self.instructions;
            }
            self.run_group(machine, block, index, end.min(self.instructions + PATIENCE))?;
            if machine.counts.warp_instructions > machine.instructions_max {
                return Err(self.no_end(machine, block));
            }
        }
        Ok(())
    }

    fn no_end(&self, machine: &Machine<'_>, block: &Block) -> Box<super::machine::Stop> {
        let group = self.groups.first();
        let pc = group.map_or(0, |it| it.pc) as usize;
        let who = block.who(self, group.map_or(0, |it| first(it.mask)));
        let words = format!("more than {} instructions of warps", machine.instructions_max);
        let code = &machine.kernel.code;
        machine.stop(FaultCode::LaunchFailed, Kind::NoEnd, &code[pc.min(code.len() - 1)], who, words)
    }

    /// Joins running groups that stand at the same instruction.
    pub(super) fn merge(&mut self) {
        if self.groups.len() < 2 {
            return;
        }
        self.groups.sort_by_key(|it| it.pc);
        let mut merged: Vec<Group> = Vec::with_capacity(self.groups.len());
        for group in self.groups.drain(..) {
            match merged.iter_mut().rev().take_while(|it| it.pc == group.pc).find(|it| it.state == group.state) {
                Some(same) => same.mask |= group.mask,
                None => merged.push(group),
            }
        }
        self.groups = merged;
    }

    /// The lowest group that can run; if it was impatient for long, the highest.
    fn choose(&self, highest: bool) -> Option<usize> {
        let mut running =
            self.groups.iter().enumerate().filter(|(_, it)| matches!(it.state, State::Running | State::GoesAlone));
        let found = if highest { running.next_back() } else { running.next() };
        found.map(|(index, _)| index)
    }

    /// Runs one group until it parts, waits, leaves, or stands where another stands.
    fn run_group(&mut self, machine: &mut Machine<'_>, block: &mut Block, index: usize, end: u64) -> Run<()> {
        let code = &machine.kernel.code;
        let Group { mut pc, mask, mut state } = self.groups[index];
        let others = self.groups.len() > 1;
        let limit = self.groups.iter().map(|it| it.pc).filter(|it| *it > pc).min().unwrap_or(u32::MAX);
        let (mut warp_count, mut thread_count) = (0, 0);
        let ended = loop {
            let Some(instruction) = code.get(pc as usize) else { break Ok(Next::Leave(mask)) };
            let active = match instruction.guard {
                None => mask,
                guard => mask & self.truth(guard),
            };
            warp_count += 1;
            thread_count += u64::from(active.count_ones());
            let next = if active == 0 { Ok(Next::Below) } else { self.execute(machine, block, pc, active, state) };
            state = State::Running;
            match next {
                Ok(Next::Below) => pc += 1,
                Ok(Next::Jump(target, taken)) if taken == mask => {
                    pc = target;
                    if others {
                        break Ok(Next::Jump(target, mask));
                    }
                }
                other => break other,
            }
            if pc >= limit || self.instructions + warp_count >= end {
                break Ok(Next::Jump(pc, mask));
            }
        };
        self.instructions += warp_count;
        machine.counts.warp_instructions += warp_count;
        machine.counts.thread_instructions += thread_count;
        self.part(index, pc, mask, ended?);
        Ok(())
    }

    /// Puts the group, or its parts, where they stand now.
    fn part(&mut self, index: usize, pc: u32, mask: u32, next: Next) {
        let running = |pc, mask| Group { pc, mask, state: State::Running };
        self.groups.swap_remove(index);
        let rest = match next {
            Next::Below => {
                self.groups.push(running(pc + 1, mask));
                return;
            }
            Next::Jump(target, taken) => {
                self.groups.push(running(target, taken));
                mask & !taken
            }
            Next::Leave(gone) => {
                self.left |= gone;
                mask & !gone
            }
            Next::Wait(state, waiting) => {
                self.groups.push(Group { pc, mask: waiting, state });
                mask & !waiting
            }
        };
        if rest != 0 {
            self.groups.push(running(pc + 1, rest));
        }
        self.groups.sort_by_key(|it| it.pc);
    }

    fn execute(
        &mut self,
        machine: &mut Machine<'_>,
        block: &mut Block,
        pc: u32,
        active: u32,
        state: State,
    ) -> Run<Next> {
        let instruction = &machine.kernel.code[pc as usize];
        let Instruction { from, to, truths, with, .. } = instruction;
        match instruction.op {
            Op::Pure(run) => {
                let mut value = [0; LANES];
                let row = |index: usize| self.row(machine, from[index]);
                run([row(0), row(1), row(2), row(3)], &mut value);
                self.write(to[0], &value, active);
            }
            Op::Convert(conversion) => {
                let mut value = *self.row(machine, from[0]);
                each(active).for_each(|lane| value[lane] = convert::convert(value[lane], &conversion));
                self.write(to[0], &value, active);
            }
            Op::Test(run, combine) => {
                let found = run(self.row(machine, from[0]), self.row(machine, from[1]));
                let with = self.truth(with[0]);
                self.write_truth(truths[0], combine.apply(found, with), active);
                self.write_truth(truths[1], combine.apply(!found, with), active);
            }
            Op::Set(run, combine, yes) => {
                let found = run(self.row(machine, from[0]), self.row(machine, from[1]));
                let found = combine.apply(found, self.truth(with[0]));
                let mut value = [0; LANES];
                each(found).for_each(|lane| value[lane] = yes);
                self.write(to[0], &value, active);
            }
            Op::Select => {
                let mut value = *self.row(machine, from[1]);
                super::lanes::blend(&mut value, self.row(machine, from[0]), self.truth(with[0]));
                self.write(to[0], &value, active);
            }
            Op::Logic(run) => {
                let value = run(self.truth(with[0]), self.truth(with[1]));
                self.write_truth(truths[0], value, active);
            }
            Op::Carry(run, sets) => {
                let mut value = [0; LANES];
                let [a, b, c] = [0, 1, 2].map(|index| self.row(machine, from[index]));
                let mut carry = self.carry;
                for lane in each(active) {
                    let (found, out) = run(a[lane], b[lane], c[lane], self.carry >> lane & 1 == 1);
                    value[lane] = found;
                    carry = (carry & !(1 << lane)) | u32::from(out) << lane;
                }
                if sets {
                    self.carry = carry;
                }
                self.write(to[0], &value, active);
            }
            Op::Special(special) => {
                let value = self.special(machine, block, special);
                self.write(to[0], &value, active);
            }
            Op::Pack { bits, count } => {
                let mut value = [0; LANES];
                for (index, source) in from.iter().enumerate().take(count as usize) {
                    let piece = self.row(machine, *source);
                    let kept = u64::MAX >> (64 - bits);
                    (0..LANES).for_each(|lane| value[lane] |= (piece[lane] & kept) << (bits * index as u32));
                }
                self.write(to[0], &value, active);
            }
            Op::Unpack { bits, count } => {
                let whole = *self.row(machine, from[0]);
                for index in 0..count {
                    let piece = whole.map(|it| it >> (bits * index) & (u64::MAX >> (64 - bits)));
                    self.write(to[index as usize], &piece, active);
                }
            }
            Op::Load(access) => self.load(machine, block, instruction, access, active)?,
            Op::Store(access) => self.store(machine, block, instruction, access, active)?,
            Op::Atomic(access, run) => self.atomic(machine, block, instruction, access, run, active)?,
            Op::Branch { target } => return Ok(Next::Jump(target, active)),
            Op::Exit => return Ok(Next::Leave(active)),
            Op::Barrier(reduce) => {
                let lane = first(active);
                let number = self.row(machine, from[0])[lane] as u32 & 15;
                let count = self.row(machine, from[1])[lane] as u32;
                return Ok(Next::Wait(State::AtBarrier { number, count, reduce }, active));
            }
            Op::WarpBarrier | Op::Shuffle(_) | Op::Vote(_) | Op::Match { .. } => {
                return Ok(self.meet_at(machine, block, pc, active, state));
            }
            Op::ActiveMask => self.write(to[0], &[u64::from(active); LANES], active),
            Op::Trap => {
                let who = block.who(self, first(active));
                let words = "the kernel stopped itself";
                return Err(machine.stop(FaultCode::LaunchFailed, Kind::Trap, instruction, who, words));
            }
            Op::Assert => return Err(self.assertion(machine, block, instruction, active)),
            Op::WildCall => {
                let lane = first(active);
                let words = format!("a call of {:#x}, which is no function", self.row(machine, from[0])[lane]);
                let who = block.who(self, lane);
                return Err(machine.stop(FaultCode::InvalidPc, Kind::WildCall, instruction, who, words));
            }
            Op::TooDeep => {
                let who = block.who(self, first(active));
                let words = "the stack is full: a function calls itself too often";
                return Err(machine.stop(FaultCode::IllegalAddress, Kind::StackOverflow, instruction, who, words));
            }
            Op::Print => self.print(machine, instruction, active),
            Op::Nothing => {}
        }
        Ok(Next::Below)
    }

    /// Runs an instruction of several lanes once all that its mask names have come.
    fn meet_at(&mut self, machine: &mut Machine<'_>, block: &Block, pc: u32, active: u32, state: State) -> Next {
        let instruction = &machine.kernel.code[pc as usize];
        let members = self.members(machine, instruction, active);
        let here = |group: &Group| group.state == State::Meeting && group.pc == pc;
        let came = self.groups.iter().filter(|group| here(group)).fold(0, |mask, group| mask | group.mask);
        let missing = members & self.alive() & !(active | came);
        if missing != 0 && state != State::GoesAlone {
            return Next::Wait(State::Meeting, active);
        }
        // Those who came earlier run it now, and go on from below as the others do.
        for group in &mut self.groups {
            if here(group) {
                (group.state, group.pc) = (State::Running, pc + 1);
            }
        }
        self.run_meeting(machine, block, instruction, active | came, members);
        if came == 0 { Next::Below } else { Next::Jump(pc + 1, active) }
    }

    /// Lane after lane prints.
    fn print(&mut self, machine: &Machine<'_>, instruction: &Instruction, active: u32) {
        let [format, arguments] = [0, 1].map(|index| *self.row(machine, instruction.from[index]));
        let (mut counts, len) = ([0; LANES], machine.kernel.local.len());
        for lane in each(active) {
            let local = &self.local[lane * len..(lane + 1) * len];
            let (text, count) = print::Reader { memory: machine.memory, local }.format(format[lane], arguments[lane]);
            print::write(&text);
            counts[lane] = u64::from(count);
        }
        self.write(instruction.to[0], &counts, active);
    }

    fn special(&self, machine: &Machine<'_>, block: &Block, special: Special) -> [u64; LANES] {
        let launch = machine.launch;
        let lanes = |of: fn(u32) -> u32| std::array::from_fn(|lane| u64::from(of(lane as u32)));
        let clock = machine.counts.warp_instructions + self.instructions;
        let same = match special {
            Special::Tid(axis) => return self.tid[axis as usize],
            Special::LaneId => return lanes(|lane| lane),
            Special::MaskEqual => return lanes(|lane| 1 << lane),
            Special::MaskLessEqual => return lanes(|lane| u32::MAX >> (31 - lane)),
            Special::MaskLess => return lanes(|lane| (1 << lane) - 1),
            Special::MaskGreaterEqual => return lanes(|lane| u32::MAX << lane),
            Special::MaskGreater => return lanes(|lane| (u32::MAX << lane) & !(1 << lane)),
            Special::Ntid(axis) => u64::from(launch.block[axis as usize]),
            Special::Ctaid(axis) => u64::from(block.at[axis as usize]),
            Special::Nctaid(axis) => u64::from(launch.grid[axis as usize]),
            Special::WarpId => u64::from(self.number),
            Special::WarpCount => 32,
            Special::SmId => block.number % 40,
            Special::SmCount => 40,
            Special::GridId => 0,
            Special::ClockLow => clock & 0xffff_ffff,
            Special::ClockHigh => clock >> 32,
            Special::Clock => clock,
            Special::DynamicShared => u64::from(launch.dynamic_shared),
            Special::TotalShared => block.shared.bytes.len() as u64,
        };
        [same; LANES]
    }
}
