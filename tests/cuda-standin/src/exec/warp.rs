//! A warp: its registers, and the groups of lanes that stand at different instructions.

use crate::arith::{LANES, Row};
use crate::program::instruction::{NOWHERE, Predicate, Reduce, Slot, Source};

use super::lanes::blend;
use super::machine::Machine;

/// What a group of lanes is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// At a barrier of the block: its number, and how many threads it wants (zero: all).
    AtBarrier {
        number: u32,
        count: u32,
        reduce: Reduce,
    },
    /// At an instruction that its member mask makes others meet.
    Meeting,
    /// As before, and nobody else will come.
    GoesAlone,
}

/// Lanes that stand at one instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) pc: u32,
    pub(super) mask: u32,
    pub(super) state: State,
}

/// The state of a warp.
pub(super) struct Warp {
    /// In the block.
    pub(super) number: u32,
    pub(super) rows: Vec<Row>,
    pub(super) truths: Vec<u32>,
    /// The carry flag of each lane.
    pub(super) carry: u32,
    pub(super) groups: Vec<Group>,
    /// Lanes that have threads.
    pub(super) threads: u32,
    /// Lanes that have left.
    pub(super) left: u32,
    /// Local memory, lane after lane.
    pub(super) local: Vec<u8>,
    /// Coordinates of the threads.
    pub(super) tid: [Row; 3],
    /// How often lanes of the warp met, and for each lane at which of these meetings it was last.
    pub(super) meetings: u32,
    pub(super) met: [u32; LANES],
    pub(super) instructions: u64,
}

impl Warp {
    pub(super) fn new(machine: &Machine<'_>, number: u32, threads: u32) -> Self {
        let mask = if threads >= 32 { u32::MAX } else { (1 << threads) - 1 };
        let places: [[u32; 3]; LANES] = std::array::from_fn(|lane| machine.thread(number * 32 + lane as u32));
        let tid = std::array::from_fn(|axis| places.map(|at| u64::from(at[axis])));
        Self {
            number,
            rows: vec![[0; LANES]; machine.kernel.rows as usize],
            truths: vec![0; machine.kernel.predicates as usize],
            carry: 0,
            groups: vec![Group { pc: 0, mask, state: State::Running }],
            threads: mask,
            left: 0,
            local: vec![0; machine.kernel.local.len() * LANES],
            tid,
            meetings: 0,
            met: [0; LANES],
            instructions: 0,
        }
    }

    /// Begins again as the same warp of another block.
    pub(super) fn restart(&mut self) {
        self.groups.clear();
        self.groups.push(Group { pc: 0, mask: self.threads, state: State::Running });
        self.left = 0;
        self.meetings = 0;
        self.met = [0; LANES];
        self.instructions = 0;
    }

    /// Lanes that have not left.
    pub(super) fn alive(&self) -> u32 {
        self.threads & !self.left
    }

    pub(super) fn row<'r>(&'r self, machine: &'r Machine<'_>, source: Source) -> &'r Row {
        match source.read() {
            Ok(register) => &self.rows[register],
            Err(constant) => &machine.constants[constant],
        }
    }

    pub(super) fn write(&mut self, slot: Slot, value: &Row, mask: u32) {
        if slot != NOWHERE {
            blend(&mut self.rows[slot as usize], value, mask);
        }
    }

    /// A predicate, or all lanes where there is none.
    pub(super) fn truth(&self, predicate: Option<Predicate>) -> u32 {
        match predicate {
            None => u32::MAX,
            Some(Predicate { slot, negated: false }) => self.truths[slot as usize],
            Some(Predicate { slot, negated: true }) => !self.truths[slot as usize],
        }
    }

    pub(super) fn write_truth(&mut self, slot: Slot, value: u32, mask: u32) {
        if slot != NOWHERE {
            let truth = &mut self.truths[slot as usize];
            *truth = (*truth & !mask) | (value & mask);
        }
    }

    /// The lanes met: what they did before comes before what they do next.
    pub(super) fn meet(&mut self, mask: u32) {
        self.meetings += 1;
        let now = self.meetings;
        super::lanes::each(mask).for_each(|lane| self.met[lane] = now);
    }
}
