//! Launches, and how many blocks fit.

use super::device::answer;
use super::{call, call_after};
use crate::border::{HostBytes, In, Out};
use crate::driver::code::{Answer, Code};
use crate::driver::handles::Handle;
use crate::driver::launch::{Accepted, Given, Shape};
use crate::driver::state::State;
use std::ffi::{c_int, c_uint};

/// Words of the `extra` form: a buffer follows, its size follows, the end.
const BUFFER: u64 = 1;
const BUFFER_SIZE: u64 = 2;
const END: u64 = 0;
/// No list of that form has more.
const EXTRA_MAX: usize = 16;
/// Larger than the parameters of any kernel; what is more is refused anyway.
const BUFFER_MAX: u64 = 1 << 20;

/// What a caller passes for a kernel's parameters, in one of two forms.
struct Passed {
    each: In<u64>,
    extra: In<u64>,
}

impl Passed {
    /// The buffer that `extra` names.
    fn buffer(&self) -> Answer<Vec<u8>> {
        let (mut address, mut size) = (0, None);
        for pair in 0..EXTRA_MAX / 2 {
            match self.extra.at(2 * pair) {
                Some(END) | None => break,
                Some(BUFFER) => address = self.extra.at(2 * pair + 1).unwrap_or(0),
                Some(BUFFER_SIZE) => size = self.extra.at(2 * pair + 1).and_then(|at| In::<u64>::at_address(at).get()),
                Some(_) => return Err(Code::INVALID_VALUE),
            }
        }
        let size = size.filter(|size| *size <= BUFFER_MAX && address != 0).ok_or(Code::INVALID_VALUE)?;
        // SAFETY: the caller owes a buffer of the size that it names beside it; null was checked.
        Ok(unsafe { HostBytes::new(address, size as usize) }.read().to_vec())
    }

    /// The bytes of one parameter, which the kernel says are `size`.
    fn one(&self, index: usize, size: usize) -> Option<Vec<u8>> {
        let address = self.each.at(index).filter(|address| *address != 0)?;
        // SAFETY: the caller owes, for each parameter of the kernel, a pointer to a value of the parameter's type; null
        // was checked.
        Some(unsafe { HostBytes::new(address, size) }.read().to_vec())
    }

    fn accept(&self, state: &mut State, function: Handle, shape: Shape, stream: Handle) -> Answer<Option<Accepted>> {
        match (self.each.is_null(), self.extra.is_null()) {
            (false, false) => {
                state.context()?;
                state.work_was_refused(stream);
                Err(Code::INVALID_VALUE)
            }
            (false, true) => state.accept(function, shape, stream, &Given::Each(&|index, size| self.one(index, size))),
            (true, false) => {
                state.context()?;
                let buffer = self.buffer()?;
                state.accept(function, shape, stream, &Given::Buffer(buffer))
            }
            (true, true) => state.accept(function, shape, stream, &Given::Nothing),
        }
    }
}

/// Accepts and runs; in between a launch may have to wait.
fn launch(name: &'static str, accept: impl FnOnce(&mut State) -> Answer<Option<Accepted>>) -> c_int {
    let mut accepted = None;
    let code = call(name, |state| {
        accepted = accept(state)?;
        match &accepted {
            Some(launch) if launch.waits.is_empty() => state.run(launch),
            _ => Ok(()),
        }
    });
    let Some(slow) = accepted.filter(|launch| code == 0 && !launch.waits.is_empty()) else { return code };
    call_after(&slow.waits, |state| state.run(&slow))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared: c_uint,
    stream: Handle,
    each: In<u64>,
    extra: In<u64>,
) -> c_int {
    let shape = Shape { grid: [grid_x, grid_y, grid_z], block: [block_x, block_y, block_z], dynamic_shared: shared };
    let passed = Passed { each, extra };
    launch("cuLaunchKernel", |state| passed.accept(state, function, shape, stream))
}

/// Blocks run one after another, so a kernel that waits for other blocks would never end: what fits at once is checked,
/// and the first wait of that sort is found as a kernel without end.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchCooperativeKernel(
    function: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared: c_uint,
    stream: Handle,
    each: In<u64>,
) -> c_int {
    let shape = Shape { grid: [grid_x, grid_y, grid_z], block: [block_x, block_y, block_z], dynamic_shared: shared };
    let passed = Passed { each, extra: In::null() };
    launch("cuLaunchCooperativeKernel", |state| {
        let threads = shape.block.iter().fold(1u32, |product, size| product.saturating_mul(*size));
        state.fits_at_once(function, shape.grid, threads, shape.dynamic_shared)?;
        passed.accept(state, function, shape, stream)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Out<c_int>,
    function: Handle,
    threads: c_int,
    shared: usize,
) -> c_int {
    call("cuOccupancyMaxActiveBlocksPerMultiprocessor", |state| {
        answer(&blocks, state.occupancy(function, threads, shared as u64))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    blocks: Out<c_int>,
    function: Handle,
    threads: c_int,
    shared: usize,
    _flags: c_uint,
) -> c_int {
    call("cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", |state| {
        answer(&blocks, state.occupancy(function, threads, shared as u64))
    })
}

/// Warps of the largest block.
const WARPS_MAX: usize = 32;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxPotentialBlockSize(
    grid: Out<c_int>,
    block: Out<c_int>,
    function: Handle,
    shared_of: Option<unsafe extern "C" fn(c_int) -> usize>,
    shared: usize,
    limit: c_int,
) -> c_int {
    // The caller's function is asked before the lock is taken, for every block size there is.
    let by_warps: Vec<u64> = (1..=WARPS_MAX)
        .map(|warps| match shared_of {
            // SAFETY: the caller owes a function from a block size to bytes that may be called in this thread.
            Some(shared_of) => unsafe { shared_of(warps as c_int * 32) as u64 },
            None => shared as u64,
        })
        .collect();
    call("cuOccupancyMaxPotentialBlockSize", |state| {
        let dynamic = |threads: u32| by_warps.get(threads as usize / 32 - 1).copied().unwrap_or(u64::MAX);
        let (grid_best, block_best) = state.best_block(function, limit, dynamic)?;
        answer(&grid, Ok(grid_best))?;
        answer(&block, Ok(block_best))
    })
}
