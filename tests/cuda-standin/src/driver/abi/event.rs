//! Events.

use super::call;
use super::device::answer;
use crate::border::Out;
use crate::driver::handles::Handle;
use std::ffi::{c_float, c_int, c_uint};

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventCreate(event: Out<Handle>, flags: c_uint) -> c_int {
    call("cuEventCreate", |state| {
        state.context()?;
        answer(&event, state.make_event(flags))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventDestroy_v2(event: Handle) -> c_int {
    call("cuEventDestroy_v2", |state| state.destroy_event(event))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> c_int {
    call("cuEventRecord", |state| state.record_event(event, stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventQuery(event: Handle) -> c_int {
    call("cuEventQuery", |state| state.query_event(event))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventSynchronize(event: Handle) -> c_int {
    call("cuEventSynchronize", |state| state.synchronise_event(event))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime(milliseconds: Out<c_float>, from: Handle, to: Handle) -> c_int {
    call("cuEventElapsedTime", |state| answer(&milliseconds, state.between(from, to)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime_v2(milliseconds: Out<c_float>, from: Handle, to: Handle) -> c_int {
    call("cuEventElapsedTime_v2", |state| answer(&milliseconds, state.between(from, to)))
}
