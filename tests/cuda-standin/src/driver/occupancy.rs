//! How many blocks of a kernel a multiprocessor holds: CUDA's occupancy calculation for compute capability 7.5.

use super::attributes::{
    BLOCKS_PER_MULTIPROCESSOR, MULTIPROCESSORS, REGISTERS, SHARED_MAX, THREADS_PER_BLOCK, THREADS_PER_MULTIPROCESSOR,
    WARP,
};
use super::code::{Answer, Code};
use super::handles::Handle;
use super::launch::{registers_of, threads_max};
use super::state::State;
use crate::program::KernelFacts;

/// Shared memory is given in units.
const SHARED_UNIT: u64 = 256;

/// Blocks of `threads` threads with so much dynamic shared memory, of which a launch may have `dynamic_max`.
fn blocks(facts: &KernelFacts, dynamic_max: u32, threads: u32, dynamic: u64) -> u32 {
    if threads > threads_max(facts) || dynamic > u64::from(dynamic_max) {
        return 0;
    }
    let warps = threads.div_ceil(WARP);
    let by_threads = THREADS_PER_MULTIPROCESSOR / WARP / warps;
    let by_registers = REGISTERS / registers_of(facts, threads);
    let shared = (u64::from(facts.static_shared) + dynamic).next_multiple_of(SHARED_UNIT);
    let by_shared = u64::from(SHARED_MAX).checked_div(shared).unwrap_or(u64::MAX);
    by_threads.min(by_registers).min(BLOCKS_PER_MULTIPROCESSOR).min(u32::try_from(by_shared).unwrap_or(u32::MAX))
}

/// The block with which a multiprocessor holds most threads, the largest of equals.
fn best_block(facts: &KernelFacts, dynamic_max: u32, limit: u32, dynamic: impl Fn(u32) -> u64) -> (u32, u32) {
    let mut best = (0, 0);
    for threads in (1..=limit.min(threads_max(facts)) / WARP).rev().map(|warps| warps * WARP) {
        let held = blocks(facts, dynamic_max, threads, dynamic(threads));
        if held * threads > best.0 * best.1 {
            best = (held, threads);
        }
    }
    best
}

impl State {
    pub(super) fn occupancy(&mut self, function: Handle, threads: i32, dynamic: u64) -> Answer<i32> {
        self.context()?;
        let function = self.function(function)?;
        let threads = u32::try_from(threads).ok().filter(|threads| *threads > 0).ok_or(Code::INVALID_VALUE)?;
        Ok(blocks(&function.facts, function.dynamic_max, threads, dynamic) as i32)
    }

    /// Grid and block that fill the device. `dynamic` tells the shared memory of a block size.
    pub(super) fn best_block(
        &mut self,
        function: Handle,
        limit: i32,
        dynamic: impl Fn(u32) -> u64,
    ) -> Answer<(i32, i32)> {
        let function = self.function(function)?;
        let limit = u32::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(THREADS_PER_BLOCK);
        let (held, threads) = best_block(&function.facts, function.dynamic_max, limit, dynamic);
        Ok(((held * MULTIPROCESSORS) as i32, threads as i32))
    }

    /// Whether all blocks of a cooperative launch are on the device at once.
    pub(super) fn fits_at_once(&mut self, function: Handle, grid: [u32; 3], threads: u32, dynamic: u32) -> Answer {
        let held = self.occupancy(function, threads as i32, u64::from(dynamic))?;
        let wanted: u64 = grid.iter().map(|size| u64::from(*size)).product();
        if wanted <= held as u64 * u64::from(MULTIPROCESSORS) {
            Ok(())
        } else {
            Err(Code::COOPERATIVE_LAUNCH_TOO_LARGE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(static_shared: u32, registers: u32) -> KernelFacts {
        KernelFacts {
            name: "k".into(),
            parameters: Vec::new(),
            parameter_bytes: 0,
            static_shared,
            reqntid: None,
            maxntid: None,
            local_bytes: 0,
            registers,
        }
    }

    #[test]
    fn the_least_of_four_limits_counts() {
        let held = |facts: &KernelFacts, threads, dynamic| blocks(facts, 49_152, threads, dynamic);
        let small = facts(0, 16);
        assert_eq!([1, 32, 64, 128, 256, 1024, 1025].map(|it| held(&small, it, 0)), [16, 16, 16, 8, 4, 1, 0]);
        assert_eq!([16_384, 49_152, 65_536].map(|it| held(&small, 32, it)), [4, 1, 0]);
        assert_eq!([32, 512].map(|it| held(&facts(40_960, 16), it, 0)), [1, 1]);
        assert_eq!([32, 128, 256, 512].map(|it| held(&facts(0, 254), it, 0)), [8, 2, 1, 0]);
        assert_eq!(best_block(&small, 49_152, 1024, |_| 0), (1, 1024));
    }
}
