//! Which registers hold something that is still read, and which are read though nothing wrote them.

use super::instruction::{Instruction, Op, Role};

/// A set of registers: rows first, then predicates.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set(Vec<u64>);

impl Set {
    fn empty(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    fn has(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    fn insert(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    /// Adds all of another; answers whether that changed anything.
    fn add(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            changed |= *more & !*word != 0;
            *word |= more;
        }
        changed
    }

    fn each(&self) -> impl Iterator<Item = usize> + '_ {
        let bits = |(index, word): (usize, &u64)| {
            let word = *word;
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 64 + bit)
        };
        self.0.iter().enumerate().filter(|(_, word)| **word != 0).flat_map(bits)
    }
}

/// Instructions that run one after another.
struct Block {
    begin: usize,
    end: usize,
    next: Vec<usize>,
}

fn blocks(code: &[Instruction]) -> Vec<Block> {
    let mut begins = vec![false; code.len() + 1];
    begins[0] = true;
    for (index, instruction) in code.iter().enumerate() {
        if let Op::Branch { target } = instruction.op {
            begins[target as usize] = true;
        }
        begins[index + 1] |= instruction.ends_block();
    }
    let starts: Vec<usize> = (0..code.len()).filter(|index| begins[*index]).collect();
    let block_at = |index: usize| starts.binary_search(&index).ok();
    let end = |number: usize| starts.get(number + 1).copied().unwrap_or(code.len());
    (0..starts.len())
        .map(|number| {
            let last = &code[end(number) - 1];
            let mut next = Vec::new();
            if let Op::Branch { target } = last.op {
                next.extend(block_at(target as usize));
            }
            let falls = !last.ends_block() || last.guard.is_some();
            next.extend(falls.then(|| block_at(end(number))).flatten());
            Block { begin: starts[number], end: end(number), next }
        })
        .collect()
}

/// What one pass over the code needs to know of each instruction.
struct Touches {
    reads: Vec<u32>,
    writes: Vec<u32>,
    /// A guarded write leaves what other lanes had.
    certain: bool,
}

fn touches(instruction: &Instruction, rows: u32) -> Touches {
    let mut it = *instruction;
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    let mut note = |index: u32, role: Role| match role {
        Role::Read => reads.push(index),
        Role::Write => writes.push(index),
    };
    it.registers(|slot, role| note(*slot, role));
    it.predicates(|slot, role| note(rows + *slot, role));
    Touches { reads, writes, certain: instruction.guard.is_none() }
}

/// From where to where each register is needed; `None` for one that is never touched.
pub(super) struct Lives {
    pub(super) spans: Vec<Option<(u32, u32)>>,
    /// Instructions that read a register which nothing can have written, and the register.
    pub(super) unwritten: Vec<(usize, u32)>,
}

/// Follows every register through the code.
pub(super) fn lives(code: &[Instruction], rows: u32, predicates: u32) -> Lives {
    let len = rows as usize + predicates as usize;
    let blocks = blocks(code);
    let touched: Vec<Touches> = code.iter().map(|it| touches(it, rows)).collect();
    let (live_in, live_out) = liveness(&blocks, &touched, len);
    let mut spans = vec![None; len];
    let mut extend = |register: usize, at: usize| {
        let at = at as u32;
        let span = spans[register].get_or_insert((at, at));
        *span = (span.0.min(at), span.1.max(at));
    };
    for (number, block) in blocks.iter().enumerate() {
        live_in[number].each().for_each(|register| extend(register, block.begin));
        live_out[number].each().for_each(|register| extend(register, block.end));
        for (at, touch) in (block.begin..).zip(&touched[block.begin..block.end]) {
            touch.reads.iter().chain(&touch.writes).for_each(|register| extend(*register as usize, at));
        }
    }
    Lives { spans, unwritten: unwritten(&blocks, &touched, len) }
}

fn liveness(blocks: &[Block], touched: &[Touches], len: usize) -> (Vec<Set>, Vec<Set>) {
    let mut reads = vec![Set::empty(len); blocks.len()];
    let mut writes = vec![Set::empty(len); blocks.len()];
    for (number, block) in blocks.iter().enumerate() {
        for touch in &touched[block.begin..block.end] {
            let fresh = touch.reads.iter().filter(|it| !writes[number].has(**it as usize));
            fresh.for_each(|it| reads[number].insert(*it as usize));
            if touch.certain {
                touch.writes.iter().for_each(|it| writes[number].insert(*it as usize));
            }
        }
    }
    let (mut live_in, mut live_out) = (reads, vec![Set::empty(len); blocks.len()]);
    let mut changed = true;
    while changed {
        changed = false;
        for (number, block) in blocks.iter().enumerate().rev() {
            for next in &block.next {
                let more = live_in[*next].clone();
                if live_out[number].add(&more) {
                    changed = true;
                }
            }
            let passing = live_out[number].0.iter().zip(&writes[number].0).map(|(out, kill)| out & !kill).collect();
            changed |= live_in[number].add(&Set(passing));
        }
    }
    (live_in, live_out)
}

/// Reads that no write can reach, in code that can be reached.
fn unwritten(blocks: &[Block], touched: &[Touches], len: usize) -> Vec<(usize, u32)> {
    let Some(first) = blocks.first() else { return Vec::new() };
    let mut written = vec![Set::empty(len); blocks.len()];
    let mut reached = vec![false; blocks.len()];
    let mut work = vec![0];
    debug_assert_eq!(first.begin, 0);
    reached[0] = true;
    while let Some(number) = work.pop() {
        let mut after = written[number].clone();
        let touches = &touched[blocks[number].begin..blocks[number].end];
        touches.iter().flat_map(|it| &it.writes).for_each(|it| after.insert(*it as usize));
        for next in &blocks[number].next {
            if written[*next].add(&after) || !reached[*next] {
                reached[*next] = true;
                work.push(*next);
            }
        }
    }
    let mut found = Vec::new();
    for (number, block) in blocks.iter().enumerate().filter(|(number, _)| reached[*number]) {
        let known = &mut written[number];
        for (at, touch) in (block.begin..).zip(&touched[block.begin..block.end]) {
            found.extend(touch.reads.iter().filter(|it| !known.has(**it as usize)).map(|it| (at, *it)));
            touch.writes.iter().for_each(|it| known.insert(*it as usize));
        }
    }
    found
}
