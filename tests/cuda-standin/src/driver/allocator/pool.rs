//! A pool of `cuMemAllocAsync`: it takes 32 MiB at a time, keeps them, and gives whole ones back.

use super::extents::Extents;
use super::{Address, Budget, LINE, MIB, POOL_ROOM};
use crate::driver::code::{Answer, Code};
use std::collections::BTreeSet;

/// What a pool takes from the device at a time.
const CHUNK: u64 = 32 * MIB;

/// A number that a pool keeps, by its place in `CUmemPool_attribute`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    /// One of the three ways to use freed blocks again.
    Reuse(usize),
    Threshold,
    Reserved,
    ReservedHigh,
    Used,
    UsedHigh,
}

impl Attribute {
    pub(crate) fn of(number: i32) -> Option<Self> {
        Some(match number {
            1..=3 => Self::Reuse(number as usize - 1),
            4 => Self::Threshold,
            5 => Self::Reserved,
            6 => Self::ReservedHigh,
            7 => Self::Used,
            8 => Self::UsedHigh,
            _ => return None,
        })
    }
}

#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) base: Address,
    pub(super) destroyed: bool,
    max: u64,
    room: Extents,
    /// The chunks that it holds, by number.
    held: BTreeSet<u64>,
    blocks: u64,
    reuse: [bool; 3],
    threshold: u64,
    reserved_high: u64,
    used: u64,
    used_high: u64,
}

impl Pool {
    pub(super) fn new(base: Address, max: u64) -> Self {
        Self {
            base,
            destroyed: false,
            max: max.checked_next_multiple_of(CHUNK).unwrap_or(u64::MAX),
            room: Extents::of(POOL_ROOM),
            held: BTreeSet::new(),
            blocks: 0,
            reuse: [true; 3],
            threshold: 0,
            reserved_high: 0,
            used: 0,
            used_high: 0,
        }
    }

    fn reserved(&self) -> u64 {
        self.held.len() as u64 * CHUNK
    }

    pub(super) fn take(&mut self, len: u64, budget: &mut Budget) -> Answer<u64> {
        let lines = len.checked_next_multiple_of(LINE).ok_or(Code::OUT_OF_MEMORY)?;
        let place = self.place(lines).ok_or(Code::OUT_OF_MEMORY)?;
        let new: Vec<u64> = chunks(place, lines).filter(|chunk| !self.held.contains(chunk)).collect();
        let more = new.len() as u64 * CHUNK;
        if self.reserved() + more > self.max {
            return Err(Code::OUT_OF_MEMORY);
        }
        budget.take(more)?;
        self.held.extend(new);
        self.room.take_at(place, lines);
        self.blocks += 1;
        self.used += len;
        self.used_high = self.used_high.max(self.used);
        self.reserved_high = self.reserved_high.max(self.reserved());
        Ok(place)
    }

    /// The lowest place in what is held, or else the lowest of all.
    fn place(&self, lines: u64) -> Option<u64> {
        let fitting = || self.room.spans().filter(|(_, room)| *room >= lines);
        let held = fitting().find_map(|(begin, room)| self.held_place(begin, room, lines));
        held.or_else(|| fitting().next().map(|(begin, _)| begin))
    }

    /// The lowest place in one free span that needs no new chunk.
    fn held_place(&self, begin: u64, room: u64, lines: u64) -> Option<u64> {
        let mut at = begin;
        while at + lines <= begin + room {
            let missing = chunks(at, lines).find(|chunk| !self.held.contains(chunk));
            let Some(missing) = missing else { return Some(at) };
            // Past the last chunk that is held there is nothing to be found.
            let next = self.held.range(missing..).next()?;
            at = next * CHUNK;
        }
        None
    }

    pub(super) fn give(&mut self, place: u64, len: u64, in_order: bool) {
        self.room.give(place, len.next_multiple_of(LINE));
        self.blocks -= 1;
        if in_order {
            self.used = self.used.saturating_sub(len);
        }
    }

    pub(super) fn ended(&self) -> bool {
        self.destroyed && self.blocks == 0
    }

    pub(super) fn synchronised(&mut self, budget: &mut Budget) {
        self.release(self.threshold, budget);
    }

    pub(super) fn trim(&mut self, keep: u64, budget: &mut Budget) {
        self.release(keep, budget);
    }

    /// Gives chunks that are wholly free back, the highest first, until no more than `keep` bytes, in whole chunks, are
    /// held.
    fn release(&mut self, keep: u64, budget: &mut Budget) {
        let keep = keep.checked_next_multiple_of(CHUNK).unwrap_or(u64::MAX);
        let free: Vec<u64> =
            self.held.iter().rev().copied().filter(|chunk| self.room.has(chunk * CHUNK, CHUNK)).collect();
        for chunk in free {
            if self.reserved() <= keep {
                return;
            }
            self.held.remove(&chunk);
            budget.give(CHUNK);
        }
    }

    pub(crate) fn get(&self, attribute: Attribute) -> u64 {
        match attribute {
            Attribute::Reuse(which) => u64::from(self.reuse[which]),
            Attribute::Threshold => self.threshold,
            Attribute::Reserved => self.reserved(),
            Attribute::ReservedHigh => self.reserved_high,
            Attribute::Used => self.used,
            Attribute::UsedHigh => self.used_high,
        }
    }

    /// Counters of the highest may be set to 0 only, which starts them anew from now.
    pub(crate) fn set(&mut self, attribute: Attribute, value: u64) -> Answer {
        match (attribute, value) {
            (Attribute::Reuse(which), _) => self.reuse[which] = value != 0,
            (Attribute::Threshold, _) => self.threshold = value,
            (Attribute::ReservedHigh, 0) => self.reserved_high = self.reserved(),
            (Attribute::UsedHigh, 0) => self.used_high = self.used,
            _ => return Err(Code::INVALID_VALUE),
        }
        Ok(())
    }
}

fn chunks(place: u64, lines: u64) -> impl Iterator<Item = u64> {
    place / CHUNK..=(place + lines - 1) / CHUNK
}
