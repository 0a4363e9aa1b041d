//! Memory of the host that the device can reach.

use super::call;
use super::device::answer;
use super::memory::allocated;
use crate::border::Out;
use crate::driver::handles::Handle;
use std::ffi::{c_int, c_uint};

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostAlloc(address: Out<u64>, bytes: usize, flags: c_uint) -> c_int {
    call("cuMemHostAlloc", |state| allocated(state, &address, |state| state.allocate_host(bytes as u64, flags)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeHost(address: u64) -> c_int {
    call("cuMemFreeHost", |state| state.free_host(address))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostRegister_v2(address: u64, bytes: usize, _flags: c_uint) -> c_int {
    call("cuMemHostRegister_v2", |state| state.register_host(address, bytes as u64))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostUnregister(address: u64) -> c_int {
    call("cuMemHostUnregister", |state| state.unregister_host(address))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostGetDevicePointer_v2(device: Out<u64>, host: u64, _flags: c_uint) -> c_int {
    call("cuMemHostGetDevicePointer_v2", |state| answer(&device, state.device_pointer(host)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamAttachMemAsync(stream: Handle, address: u64, bytes: usize, flags: c_uint) -> c_int {
    call("cuStreamAttachMemAsync", |state| state.attach(stream, address, bytes as u64, flags))
}
