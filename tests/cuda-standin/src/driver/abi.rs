//! The C functions of `cuda.h`. Each takes its arguments as types of the border, asks the one state under its lock, and
//! answers a `CUresult`; a panic ends here, as 999.
//!
//! All are `unsafe`: a caller owes what `cuda.h` says of each pointer, and no more: null, bad numbers and stale handles
//! are answered.

mod context;
mod copies;
mod device;
mod errors;
mod event;
mod graph;
mod launch;
mod memory;
mod module;
mod ours;
mod pinned;
mod pool;
mod stream;

use super::code::{Answer, Code, result};
use super::state::{STATE, State, say};
use std::cell::Cell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the end of the process waits for a call that another thread is in.
const LAST_CALL: Duration = Duration::from_secs(10);

thread_local! {
    /// This thread runs a host function, which may call nothing of the driver.
    static IN_HOST_FUNCTION: Cell<bool> = const { Cell::new(false) };
}

/// Runs one call of the C interface.
pub(crate) fn call(name: &'static str, body: impl FnOnce(&mut State) -> Answer) -> i32 {
    if IN_HOST_FUNCTION.get() {
        return Code::NOT_PERMITTED.0;
    }
    guarded(name, || {
        let mut state = STATE.lock();
        state.begins(name);
        result(body(&mut state))
    })
    .unwrap_or(Code::UNKNOWN.0)
}

/// The second half of a call that a plan makes slow. It waits at the pipes without the lock: only its own thread waits.
fn call_after(pipes: &[PathBuf], body: impl FnOnce(&mut State) -> Answer) -> i32 {
    guarded("the second half of a call", || {
        pipes.iter().for_each(|pipe| wait_for(pipe));
        result(body(&mut STATE.lock()))
    })
    .unwrap_or(Code::UNKNOWN.0)
}

/// Reads a pipe to its end: opening it waits for a writer, and reading waits for all writers to close it.
fn wait_for(pipe: &Path) {
    let read = std::fs::File::open(pipe).and_then(|mut from| std::io::copy(&mut from, &mut std::io::sink()));
    if let Err(why) = read {
        say(&format!("a slow call cannot read {}: {why}", pipe.display()));
    }
}

/// Keeps a panic from crossing the border; a caller that is not Rust could not bear it.
pub(crate) fn guarded<T>(name: &str, body: impl FnOnce() -> T) -> Option<T> {
    let ran = catch_unwind(AssertUnwindSafe(body));
    if ran.is_err() {
        say(&format!("{name} panicked: a fault of the stand-in, not of its caller"));
    }
    ran.ok()
}

/// Runs a caller's function in a thread of its own, where the driver answers nothing, and waits for it.
fn in_host_function(body: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            IN_HOST_FUNCTION.set(true);
            body();
        });
    });
}

unsafe extern "C" {
    /// Of the C library: runs `function` when the process ends or the library is unloaded.
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// Has the documents written at the end of the process.
pub(super) fn at_exit() {
    // SAFETY: `atexit` takes a function that lives as long as this library; the C library drops the entry when it unloads
    // the library, after calling it.
    if unsafe { atexit(end) } != 0 {
        say("no room for an exit handler: counts and report will not be written");
    }
}

extern "C" fn end() {
    // A call of another thread ends soon; one that does not, or that has ended the process itself, must not hang it.
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    let ended = guarded("the end of the process", || {
        STATE.try_lock_for(LAST_CALL).map(|mut state| state.end(threads.saturating_sub(1)))
    });
    if ended.flatten().is_none() {
        say("the process ends inside a call: counts and report are not written");
    }
}
