//! Streams, and functions of the host in them.

use super::device::answer;
use super::{call, guarded, in_host_function};
use crate::border::Out;
use crate::driver::code::Code;
use crate::driver::handles::Handle;
use crate::driver::stream::Work;
use std::ffi::{c_int, c_uint};

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(stream: Out<Handle>, flags: c_uint) -> c_int {
    call("cuStreamCreate", |state| {
        state.context()?;
        answer(&stream, state.make_stream(flags, 0))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreateWithPriority(stream: Out<Handle>, flags: c_uint, priority: c_int) -> c_int {
    call("cuStreamCreateWithPriority", |state| {
        state.context()?;
        answer(&stream, state.make_stream(flags, priority))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamDestroy_v2(stream: Handle) -> c_int {
    call("cuStreamDestroy_v2", |state| state.destroy_stream(stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamGetFlags(stream: Handle, flags: Out<c_uint>) -> c_int {
    call("cuStreamGetFlags", |state| answer(&flags, state.properties(stream).map(|(flags, _)| flags)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamGetPriority(stream: Handle, priority: Out<c_int>) -> c_int {
    call("cuStreamGetPriority", |state| answer(&priority, state.properties(stream).map(|(_, priority)| priority)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamQuery(stream: Handle) -> c_int {
    call("cuStreamQuery", |state| state.query_stream(stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamSynchronize(stream: Handle) -> c_int {
    call("cuStreamSynchronize", |state| state.synchronise_stream(stream))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, flags: c_uint) -> c_int {
    call("cuStreamWaitEvent", |state| state.wait_event(stream, event, flags))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamBeginCapture_v2(stream: Handle, mode: c_int) -> c_int {
    call("cuStreamBeginCapture_v2", |state| state.begin_capture(stream, mode))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamEndCapture(stream: Handle, graph: Out<Handle>) -> c_int {
    call("cuStreamEndCapture", |state| {
        graph.put(0);
        state.end_capture(stream)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamIsCapturing(stream: Handle, status: Out<c_int>) -> c_int {
    call("cuStreamIsCapturing", |state| answer(&status, state.capture_status(stream)))
}

/// The word that a host function is given. It belongs to the caller, who says that another thread may have it.
struct Word(u64);

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchHostFunc(stream: Handle, function: Option<unsafe extern "C" fn(u64)>, word: u64) -> c_int {
    const NAME: &str = "cuLaunchHostFunc";
    let mut runs = false;
    let code = call(NAME, |state| {
        state.context()?;
        if function.is_none() {
            return Err(Code::INVALID_VALUE);
        }
        runs = state.work_on(stream)?.0 == Work::Now;
        Ok(())
    });
    let Some(function) = function.filter(|_| code == 0 && runs) else { return code };
    let word = Word(word);
    let ran = guarded(NAME, || {
        // SAFETY: the caller owes a function that may be called once with this word in a thread of the driver's, while it
        // waits for that. The lock is not held.
        in_host_function(move || unsafe { function(word.0) });
    });
    ran.map_or(Code::UNKNOWN.0, |()| 0)
}
