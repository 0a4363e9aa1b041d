//! Contexts.

use super::call;
use super::device::answer;
use crate::border::Out;
use crate::driver::code::{Answer, Code};
use crate::driver::context::current;
use crate::driver::handles::Handle;
use crate::driver::state::State;
use crate::driver::stream::PRIORITIES;
use std::ffi::{c_int, c_uint, c_void};

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: Out<Handle>, device: c_int) -> c_int {
    call("cuDevicePrimaryCtxRetain", |state| {
        if context.is_null() {
            state.initialised()?;
        }
        answer(&context, state.retain_primary(device))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> c_int {
    call("cuDevicePrimaryCtxRelease_v2", |state| state.release_primary(device))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxReset_v2(device: c_int) -> c_int {
    call("cuDevicePrimaryCtxReset_v2", |state| state.reset_primary(device))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxGetState(device: c_int, flags: Out<c_uint>, active: Out<c_int>) -> c_int {
    call("cuDevicePrimaryCtxGetState", |state| {
        let (of_context, alive) = state.primary_state(device)?;
        answer(&flags, Ok(of_context))?;
        answer(&active, Ok(c_int::from(alive)))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxSetFlags_v2(device: c_int, flags: c_uint) -> c_int {
    call("cuDevicePrimaryCtxSetFlags_v2", |state| state.set_primary_flags(device, flags))
}

fn create(state: &mut State, context: &Out<Handle>, flags: c_uint, device: c_int) -> Answer {
    if context.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    answer(context, state.create_context(flags, device))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxCreate_v2(context: Out<Handle>, flags: c_uint, device: c_int) -> c_int {
    call("cuCtxCreate_v2", |state| create(state, &context, flags, device))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxCreate_v4(
    context: Out<Handle>,
    options: *const c_void,
    flags: c_uint,
    device: c_int,
) -> c_int {
    call("cuCtxCreate_v4", |state| match options.is_null() {
        true => create(state, &context, flags, device),
        false => Err(state.unsupported("cuCtxCreate_v4 with affinity or lazy options")),
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxDestroy_v2(context: Handle) -> c_int {
    call("cuCtxDestroy_v2", |state| state.destroy_context(context))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetCurrent(context: Out<Handle>) -> c_int {
    call("cuCtxGetCurrent", |state| {
        state.initialised()?;
        answer(&context, Ok(current()))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxSetCurrent(context: Handle) -> c_int {
    call("cuCtxSetCurrent", |state| state.set_current(context))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxPushCurrent_v2(context: Handle) -> c_int {
    call("cuCtxPushCurrent_v2", |state| state.push_current(context))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxPopCurrent_v2(context: Out<Handle>) -> c_int {
    call("cuCtxPopCurrent_v2", |state| {
        let popped = state.pop_current()?;
        context.put(popped);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxSynchronize() -> c_int {
    call("cuCtxSynchronize", State::synchronise_context)
}

/// Which device a context is on is told even where nothing else works in it any more.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetDevice(device: Out<c_int>) -> c_int {
    call("cuCtxGetDevice", |state| {
        state.initialised()?;
        if current() == 0 {
            return Err(Code::INVALID_CONTEXT);
        }
        answer(&device, Ok(0))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetFlags(flags: Out<c_uint>) -> c_int {
    /// Host memory can be mapped: always on.
    const MAP_HOST: c_uint = 8;
    call("cuCtxGetFlags", |state| {
        let context = state.context()?;
        let of_context = state.of_context(context)?.flags;
        answer(&flags, Ok(of_context | MAP_HOST))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetApiVersion(_context: Handle, version: Out<c_uint>) -> c_int {
    call("cuCtxGetApiVersion", |state| answer(&version, state.initialised().map(|()| 3020)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetLimit(value: Out<usize>, limit: c_int) -> c_int {
    call("cuCtxGetLimit", |state| {
        let context = state.context()?;
        let of_context = state.of_context(context)?.limits.get(limit)?;
        answer(&value, Ok(of_context as usize))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxSetLimit(limit: c_int, value: usize) -> c_int {
    call("cuCtxSetLimit", |state| {
        let context = state.context()?;
        state.of_context(context)?.limits.set(limit, value as u64)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: Out<c_int>, greatest: Out<c_int>) -> c_int {
    call("cuCtxGetStreamPriorityRange", |state| {
        state.context()?;
        least.put(*PRIORITIES.end());
        greatest.put(*PRIORITIES.start());
        Ok(())
    })
}
