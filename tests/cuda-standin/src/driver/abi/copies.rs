//! Copies and fills. What the caller of each owes of host memory is in `State::copy`.

use super::{call, call_after};
use crate::driver::copies::Way;
use crate::driver::handles::Handle;
use crate::driver::state::State;
use std::ffi::{c_int, c_uchar, c_uint};

/// The legacy stream, which calls without a stream use.
const LEGACY: Handle = 0;

/// Copies to the device; before it a copy may have to wait.
///
/// # Safety
///
/// The caller owes `bytes` readable bytes at `from` that nothing writes until this returns, unless the address is the
/// device's or of pinned memory, which nothing frees until then, or `bytes` is 0.
unsafe fn copy_to_device(name: &'static str, to: u64, from: u64, bytes: usize, stream: Handle) -> c_int {
    // SAFETY: what the caller owes is what `copy` wants.
    let copy = |state: &mut State| unsafe { state.copy(to, from, bytes as u64, Way::ToDevice, stream) };
    let mut pipes = Vec::new();
    let code = call(name, |state| {
        pipes = state.faults.at_copy();
        if pipes.is_empty() { copy(state) } else { Ok(()) }
    });
    if pipes.is_empty() { code } else { call_after(&pipes, copy) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: u64, bytes: usize) -> c_int {
    // SAFETY: the caller owes what `copy_to_device` wants.
    unsafe { copy_to_device("cuMemcpyHtoD_v2", to, from, bytes, LEGACY) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) -> c_int {
    // SAFETY: as for `cuMemcpyHtoD_v2`; the source is read before the call returns.
    unsafe { copy_to_device("cuMemcpyHtoDAsync_v2", to, from, bytes, stream) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoH_v2(to: u64, from: u64, bytes: usize) -> c_int {
    // SAFETY: the caller owes `bytes` writable bytes at `to` that nothing else touches until the call returns, unless the
    // address is the device's or of pinned memory, or `bytes` is 0.
    call("cuMemcpyDtoH_v2", |state| unsafe { state.copy(to, from, bytes as u64, Way::ToHost, LEGACY) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoHAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) -> c_int {
    // SAFETY: as for `cuMemcpyDtoH_v2`; the target is written before the call returns.
    call("cuMemcpyDtoHAsync_v2", |state| unsafe { state.copy(to, from, bytes as u64, Way::ToHost, stream) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> c_int {
    // SAFETY: such a copy touches no memory of the host but pinned and managed blocks, whose bounds are checked.
    call("cuMemcpyDtoD_v2", |state| unsafe { state.copy(to, from, bytes as u64, Way::OnDevice, LEGACY) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) -> c_int {
    // SAFETY: as for `cuMemcpyDtoD_v2`.
    call("cuMemcpyDtoDAsync_v2", |state| unsafe { state.copy(to, from, bytes as u64, Way::OnDevice, stream) })
}

/// There is one device: a copy between contexts is a copy on it.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyPeerAsync(
    to: u64,
    _to_context: Handle,
    from: u64,
    _from_context: Handle,
    bytes: usize,
    stream: Handle,
) -> c_int {
    // SAFETY: as for `cuMemcpyDtoD_v2`.
    call("cuMemcpyPeerAsync", |state| unsafe { state.copy(to, from, bytes as u64, Way::OnDevice, stream) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyAsync(to: u64, from: u64, bytes: usize, stream: Handle) -> c_int {
    // SAFETY: the caller owes what `cuMemcpyHtoD_v2` wants of a source and `cuMemcpyDtoH_v2` of a target, where they are
    // the host's.
    call("cuMemcpyAsync", |state| unsafe { state.copy(to, from, bytes as u64, Way::Any, stream) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemsetD8_v2(address: u64, byte: c_uchar, count: usize) -> c_int {
    call("cuMemsetD8_v2", |state| state.fill(address, &[byte], count as u64, LEGACY))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemsetD8Async(address: u64, byte: c_uchar, count: usize, stream: Handle) -> c_int {
    call("cuMemsetD8Async", |state| state.fill(address, &[byte], count as u64, stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemsetD32Async(address: u64, word: c_uint, count: usize, stream: Handle) -> c_int {
    call("cuMemsetD32Async", |state| state.fill(address, &word.to_le_bytes(), count as u64, stream))
}
