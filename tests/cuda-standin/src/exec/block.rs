//! A block: its warps take turns, and meet at barriers.

use crate::program::instruction::{Instruction, NOWHERE, Op, Reduce};
use crate::report::Kind;

use super::FaultCode;
use super::lanes::first;
use super::machine::{Machine, Run, Who};
use super::shared::Shared;
use super::warp::{Group, State, Warp};

/// Barriers of a block.
const BARRIERS: u32 = 16;
/// A warp runs so many instructions before another has its turn, unless it waits earlier.
const TURN: u64 = 1 << 16;

/// What a block has beside its warps.
pub(super) struct Block {
    /// Its coordinates.
    pub(super) at: [u32; 3],
    /// Its number in the grid.
    pub(super) number: u64,
    pub(super) shared: Shared,
}

impl Block {
    pub(super) fn who(&self, warp: &Warp, lane: usize) -> Who {
        Who { block: self.at, thread: warp.number * 32 + lane as u32 }
    }
}

/// Runs all blocks, one after another.
pub(super) fn run_all(machine: &mut Machine<'_>) -> Run<()> {
    let launch = machine.launch;
    let threads: u32 = launch.block.iter().product();
    let len = machine.kernel.dynamic_shared.max(machine.kernel.facts.static_shared) + launch.dynamic_shared;
    let shared = Shared::new(len as usize, machine.kernel.shared_granule);
    let mut block = Block { at: [0; 3], number: 0, shared };
    let mut warps: Vec<Warp> =
        (0..threads.div_ceil(32)).map(|number| Warp::new(machine, number, threads - number * 32)).collect();
    let [x, y, z] = launch.grid.map(u64::from);
    for number in 0..x * y * z {
        block.at = [number % x, number / x % y, number / x / y].map(|it| it as u32);
        block.number = number;
        block.shared.restart();
        warps.iter_mut().for_each(Warp::restart);
        run(machine, &mut block, &mut warps)?;
    }
    Ok(())
}

fn run(machine: &mut Machine<'_>, block: &mut Block, warps: &mut [Warp]) -> Run<()> {
    loop {
        let mut ran = false;
        for warp in warps.iter_mut() {
            while warp.groups.iter().any(|it| matches!(it.state, State::Running | State::GoesAlone)) {
                ran = true;
                let before = warp.instructions;
                warp.run(machine, block, TURN)?;
                if warp.instructions - before >= TURN {
                    // It may wait for another warp in a loop.
                    break;
                }
            }
        }
        if warps.iter().all(|warp| warp.groups.is_empty()) {
            return Ok(());
        }
        if !ran && !pass_barriers(machine, block, warps) && !send_on_alone(machine, block, warps) {
            return Err(deadlock(machine, block, warps));
        }
    }
}

/// Lets through every barrier that is complete; answers whether one was.
fn pass_barriers(machine: &mut Machine<'_>, block: &mut Block, warps: &mut [Warp]) -> bool {
    let mut any = false;
    for number in 0..BARRIERS {
        let waiting = |warp: &Warp| mask_at(warp, number);
        let arrived: u32 = warps.iter().map(|warp| waiting(warp).count_ones()).sum();
        if arrived == 0 {
            continue;
        }
        let wanted = wanted(warps, number);
        let complete = if wanted == 0 {
            warps.iter().all(|warp| waiting(warp) == warp.alive())
        } else {
            // A warp counts whole.
            let whole = warps.iter().filter(|warp| waiting(warp) != 0 && waiting(warp) == warp.alive()).count();
            whole as u32 * 32 >= wanted
        };
        if complete {
            any = true;
            judge_barrier(machine, block, warps, number, wanted == 0);
            let_through(machine, warps, number);
            block.shared.pass_barrier();
            machine.counts.barriers += 1;
        }
    }
    any
}

/// The lanes of a warp that wait at a barrier.
fn mask_at(warp: &Warp, number: u32) -> u32 {
    let at = |state: State| matches!(state, State::AtBarrier { number: it, .. } if it == number);
    warp.groups.iter().filter(|group| at(group.state)).fold(0, |mask, group| mask | group.mask)
}

/// How many threads the barrier wants, as its first visitor said.
fn wanted(warps: &[Warp], number: u32) -> u32 {
    let mut groups = warps.iter().flat_map(|warp| &warp.groups);
    groups
        .find_map(|group| match group.state {
            State::AtBarrier { number: it, count, .. } if it == number => Some(count),
            _ => None,
        })
        .unwrap_or(0)
}

/// Reports a barrier that is reached in two places, or when threads have left.
fn judge_barrier(machine: &mut Machine<'_>, block: &Block, warps: &[Warp], number: u32, of_all: bool) {
    let kernel = machine.kernel;
    let mut groups = warps.iter().flat_map(|warp| {
        let here = move |state: State| matches!(state, State::AtBarrier { number: it, .. } if it == number);
        warp.groups.iter().filter(move |group| here(group.state)).map(move |group| (warp, group))
    });
    let Some((one, here)) = groups.next() else { return };
    if let Some((warp, there)) = groups.find(|(_, group)| group.pc != here.pc) {
        let (line, other) = (kernel.code[here.pc as usize].place.line, &kernel.code[there.pc as usize]);
        let thread = machine.thread(one.number * 32 + first(here.mask) as u32);
        machine.find(Kind::DivergentBarrier, other, block.who(warp, first(there.mask)), |_| {
            format!("thread {thread:?} waits at another place for the same barrier, in line {line} of the PTX")
        });
    }
    let left: u32 = warps.iter().map(|warp| warp.left.count_ones()).sum();
    if of_all && left > 0 {
        let all: u32 = warps.iter().map(|warp| warp.threads.count_ones()).sum();
        let instruction = &kernel.code[here.pc as usize];
        machine.find(Kind::BarrierAfterExit, instruction, block.who(one, first(here.mask)), |_| {
            format!("{left} of the {all} threads of the block have left the kernel")
        });
    }
}

/// Moves everyone on who waits, with the answer of a reduction.
fn let_through(machine: &Machine<'_>, warps: &mut [Warp], number: u32) {
    let (mut yes, mut present) = (0, 0);
    for warp in warps.iter() {
        for group in &warp.groups {
            if matches!(group.state, State::AtBarrier { number: it, .. } if it == number) {
                let truth = warp.truth(machine.kernel.code[group.pc as usize].with[0]);
                yes += (truth & group.mask).count_ones();
                present += group.mask.count_ones();
            }
        }
    }
    for warp in warps {
        for index in 0..warp.groups.len() {
            let group = warp.groups[index];
            let State::AtBarrier { number: it, reduce, .. } = group.state else { continue };
            if it != number {
                continue;
            }
            let instruction = &machine.kernel.code[group.pc as usize];
            answer(warp, instruction, group.mask, reduce, yes, present);
            warp.groups[index].state = State::Running;
            warp.groups[index].pc += 1;
        }
        warp.meet(warp.alive());
        warp.merge();
    }
}

fn answer(warp: &mut Warp, instruction: &Instruction, mask: u32, reduce: Reduce, yes: u32, present: u32) {
    let truth = match reduce {
        Reduce::Nothing => return,
        Reduce::Count => yes != 0,
        Reduce::And => yes == present,
        Reduce::Or => yes != 0,
    };
    if instruction.to[0] != NOWHERE {
        warp.write(instruction.to[0], &[u64::from(yes); 32], mask);
    }
    warp.write_truth(instruction.truths[0], if truth { u32::MAX } else { 0 }, mask);
}

/// Lanes wait for others that will not come: the first of them goes on without, and that is reported.
fn send_on_alone(machine: &mut Machine<'_>, block: &Block, warps: &mut [Warp]) -> bool {
    for warp in warps {
        let waiting = warp.groups.iter().enumerate().filter(|(_, it)| it.state == State::Meeting);
        let Some((index, group)) = waiting.min_by_key(|(_, it)| it.pc).map(|(index, it)| (index, *it)) else {
            continue;
        };
        let code = &machine.kernel.code;
        let instruction = &code[group.pc as usize];
        let members = warp.members(machine, instruction, group.mask);
        let mut missing = members & warp.alive() & !group.mask;
        if matches!(instruction.op, Op::WarpBarrier) {
            // Two places of it meet, as the barrier of a block does.
            let waits = |it: &&Group| it.state == State::Meeting && matches!(code[it.pc as usize].op, Op::WarpBarrier);
            missing &= !warp.groups.iter().filter(waits).fold(0, |mask, it| mask | it.mask);
        }
        if missing != 0 {
            machine.find(Kind::MemberMask, instruction, block.who(warp, first(group.mask)), |_| {
                let lane = first(missing);
                format!("the member mask {members:#010x} names lane {lane}, which is elsewhere and does not come")
            });
        }
        warp.groups[index].state = State::GoesAlone;
        return true;
    }
    false
}

fn deadlock(machine: &Machine<'_>, block: &Block, warps: &[Warp]) -> Box<super::machine::Stop> {
    let waiting = warps.iter().find_map(|warp| Some((warp, warp.groups.first()?)));
    let (who, pc) = waiting.map_or((Who { block: block.at, thread: 0 }, 0), |(warp, group)| {
        (block.who(warp, first(group.mask)), group.pc)
    });
    let threads: u32 = warps.iter().map(|warp| warp.alive().count_ones()).sum();
    let words = format!("{threads} threads wait at barriers that can never be complete");
    machine.stop(FaultCode::LaunchFailed, Kind::Deadlock, &machine.kernel.code[pc as usize], who, words)
}
