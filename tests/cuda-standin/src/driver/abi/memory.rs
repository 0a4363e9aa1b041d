//! Device memory: allocation, frees, and what addresses are.

use super::call;
use super::device::answer;
use crate::border::Out;
use crate::driver::code::{Answer, Code};
use crate::driver::handles::Handle;
use crate::driver::state::State;
use std::ffi::{c_int, c_uint};

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) -> c_int {
    call("cuMemGetInfo_v2", |state| {
        state.context()?;
        let (free_now, of) = state.info();
        free.put(free_now as usize);
        total.put(of as usize);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAlloc_v2(address: Out<u64>, bytes: usize) -> c_int {
    call("cuMemAlloc_v2", |state| allocated(state, &address, |state| state.allocate(bytes as u64)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocAsync(address: Out<u64>, bytes: usize, stream: Handle) -> c_int {
    call("cuMemAllocAsync", |state| {
        allocated(state, &address, |state| state.allocate_in_order(bytes as u64, None, stream))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocFromPoolAsync(address: Out<u64>, bytes: usize, pool: Handle, stream: Handle) -> c_int {
    call("cuMemAllocFromPoolAsync", |state| {
        allocated(state, &address, |state| state.allocate_in_order(bytes as u64, Some(pool), stream))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocManaged(address: Out<u64>, bytes: usize, flags: c_uint) -> c_int {
    call("cuMemAllocManaged", |state| allocated(state, &address, |state| state.allocate_managed(bytes as u64, flags)))
}

/// A refusal leaves address 0 where the caller looks, as the real driver does.
pub(super) fn allocated(
    state: &mut State,
    address: &Out<u64>,
    allocate: impl FnOnce(&mut State) -> Answer<u64>,
) -> Answer {
    state.initialised()?;
    if address.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    match allocate(state) {
        Err(Code::INVALID_VALUE) => {
            address.put(0);
            Err(Code::INVALID_VALUE)
        }
        given => answer(address, given),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFree_v2(address: u64) -> c_int {
    call("cuMemFree_v2", |state| state.free(address))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> c_int {
    call("cuMemFreeAsync", |state| state.free_in_order(address, stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetAddressRange_v2(begin: Out<u64>, bytes: Out<usize>, address: u64) -> c_int {
    call("cuMemGetAddressRange_v2", |state| {
        let (at, len) = state.range_of(address)?;
        begin.put(at);
        bytes.put(len as usize);
        Ok(())
    })
}

/// The value is as wide as its attribute says: a number of 32 bits, or an address or length of 64.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuPointerGetAttribute(value: Out<u32>, attribute: c_int, address: u64) -> c_int {
    call("cuPointerGetAttribute", |state| {
        if value.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let got = state.pointer_attribute(attribute, address)?;
        let words = [got as u32, (got >> 32) as u32];
        let wide = matches!(attribute, 11 | 12);
        value.put_all(&words[..if wide { 2 } else { 1 }], 2);
        Ok(())
    })
}
