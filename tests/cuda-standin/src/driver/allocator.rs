//! Which addresses a block gets and what the device has left, as a real driver keeps its books. Knows nothing of what
//! blocks hold.
//!
//! A block lies at twice its place in the books: behind every block is a gap as long as the block, so that a store just
//! past it meets nothing, where on a card it would meet the neighbour.

mod extents;
mod plain;
mod pool;
#[cfg(test)]
mod tests;

use super::code::{Answer, Code};
use super::handles::{Handle, Kind, Stale, Table};
use crate::memory::Address;
use plain::Plain;
pub(crate) use pool::{Attribute, Pool};
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;
/// Blocks begin at multiples of this.
pub(crate) const LINE: u64 = 512;

/// Above all that a process can map: a device address that the host reads by mistake faults.
const PLAIN_BASE: Address = 0x1_0000_0000_0000;
const POOLS_BASE: Address = 0x2_0000_0000_0000;
/// Addresses of one pool.
const POOL_ROOM: u64 = 1 << 42;

/// What the device has, and what is taken of it.
#[derive(Debug)]
pub(crate) struct Budget {
    total: u64,
    taken: u64,
}

impl Budget {
    pub(crate) fn of(total: u64) -> Self {
        Self { total, taken: 0 }
    }

    pub(crate) fn take(&mut self, bytes: u64) -> Answer {
        match self.taken.checked_add(bytes) {
            Some(taken) if taken <= self.total => {
                self.taken = taken;
                Ok(())
            }
            _ => Err(Code::OUT_OF_MEMORY),
        }
    }

    pub(crate) fn give(&mut self, bytes: u64) {
        self.taken = self.taken.saturating_sub(bytes);
    }
}

/// What is known of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// What was asked for.
    pub(crate) len: u64,
    /// The context that asked.
    pub(crate) owner: Handle,
    /// Part of a module: no call frees it.
    pub(crate) of_module: bool,
    place: u64,
    pool: Option<Handle>,
}

/// All blocks of the device.
#[derive(Debug)]
pub(crate) struct Allocator {
    pub(crate) budget: Budget,
    plain: Plain,
    pools: Table<Pool>,
    /// The pool of `cuMemAllocAsync`, and the one it has at first.
    current: Handle,
    default: Handle,
    blocks: BTreeMap<Address, Block>,
    pools_made: u64,
}

impl Allocator {
    pub(crate) fn new(total: u64) -> Self {
        let mut pools = Table::new(Kind::Pool);
        let default = pools.add(Pool::new(POOLS_BASE, u64::MAX));
        Self {
            budget: Budget::of(total),
            plain: Plain::default(),
            pools,
            current: default,
            default,
            blocks: BTreeMap::new(),
            pools_made: 1,
        }
    }

    /// Free and total bytes, as `cuMemGetInfo` tells them: what a pool holds is taken.
    pub(crate) fn info(&self) -> (u64, u64) {
        (self.budget.total - self.budget.taken, self.budget.total)
    }

    /// `cuMemAlloc`: `len` is not 0.
    pub(crate) fn plain(&mut self, len: u64, owner: Handle, of_module: bool) -> Answer<Address> {
        let place = self.plain.take(len, &mut self.budget)?;
        let address = PLAIN_BASE + 2 * place;
        self.blocks.insert(address, Block { len, owner, of_module, place, pool: None });
        Ok(address)
    }

    /// `cuMemAllocFromPoolAsync`: `len` is not 0.
    pub(crate) fn pooled(&mut self, pool: Handle, len: u64, owner: Handle) -> Answer<Address> {
        let of = self.pools.get_mut(pool).map_err(|_| Code::INVALID_VALUE)?;
        let place = of.take(len, &mut self.budget)?;
        let address = of.base + 2 * place;
        self.blocks.insert(address, Block { len, owner, of_module: false, place, pool: Some(pool) });
        Ok(address)
    }

    /// Frees a block. In order of a stream, the pool's counter of used bytes falls; by `cuMemFree` it does not.
    pub(crate) fn free(&mut self, address: Address, in_order: bool) -> Answer {
        let Some(block) = self.blocks.get(&address).copied().filter(|block| !block.of_module) else {
            return Err(Code::INVALID_VALUE);
        };
        self.forget(address, block, in_order);
        Ok(())
    }

    /// Takes every block of a context away, and gives them.
    pub(crate) fn end_of(&mut self, owner: Handle) -> Vec<(Address, Block)> {
        let gone: Vec<(Address, Block)> =
            self.blocks.iter().filter(|(_, block)| block.owner == owner).map(|(at, block)| (*at, *block)).collect();
        gone.iter().for_each(|(address, block)| self.forget(*address, *block, true));
        self.synchronised();
        gone
    }

    /// Takes the block of a module away.
    pub(crate) fn free_of_module(&mut self, address: Address) {
        if let Some(block) = self.blocks.get(&address).copied() {
            self.forget(address, block, true);
        }
    }

    fn forget(&mut self, address: Address, block: Block, in_order: bool) {
        self.blocks.remove(&address);
        match block.pool {
            None => self.plain.give(block.place, block.len, &mut self.budget),
            Some(handle) => {
                let Ok(pool) = self.pools.get_mut(handle) else { return };
                pool.give(block.place, block.len, in_order);
                if pool.ended() {
                    pool.trim(0, &mut self.budget);
                    let _ = self.pools.remove(handle);
                }
            }
        }
    }

    /// A stream, an event or the context was waited for: pools give back what is over their threshold.
    pub(crate) fn synchronised(&mut self) {
        self.pools.values_mut().for_each(|pool| pool.synchronised(&mut self.budget));
    }

    /// A pool of its own, that grows to `max` bytes at most (0: as far as the device has memory).
    pub(crate) fn make_pool(&mut self, max: u64) -> Handle {
        let base = POOLS_BASE + self.pools_made * POOL_ROOM * 2;
        self.pools_made += 1;
        self.pools.add(Pool::new(base, if max == 0 { u64::MAX } else { max }))
    }

    /// Ends a pool: at once, or when its last block is freed.
    pub(crate) fn destroy_pool(&mut self, handle: Handle) -> Answer {
        if handle == self.default {
            return Err(Code::INVALID_VALUE);
        }
        let pool = self.alive(handle)?;
        pool.destroyed = true;
        let ended = pool.ended();
        if self.current == handle {
            self.current = self.default;
        }
        if ended && let Ok(mut pool) = self.pools.remove(handle) {
            pool.trim(0, &mut self.budget);
        }
        Ok(())
    }

    /// `cuMemPoolTrimTo`.
    pub(crate) fn trim(&mut self, handle: Handle, keep: u64) -> Answer {
        let pool = self.pools.get_mut(handle).map_err(invalid)?;
        pool.trim(keep, &mut self.budget);
        Ok(())
    }

    /// A pool that was not destroyed.
    pub(crate) fn alive(&mut self, handle: Handle) -> Answer<&mut Pool> {
        match self.pools.get_mut(handle) {
            Ok(pool) if !pool.destroyed => Ok(pool),
            _ => Err(Code::INVALID_VALUE),
        }
    }

    pub(crate) fn default_pool(&self) -> Handle {
        self.default
    }

    pub(crate) fn current_pool(&self) -> Handle {
        self.current
    }

    pub(crate) fn set_current_pool(&mut self, handle: Handle) -> Answer {
        self.alive(handle)?;
        self.current = handle;
        Ok(())
    }
}

fn invalid(_: Stale) -> Code {
    Code::INVALID_VALUE
}
