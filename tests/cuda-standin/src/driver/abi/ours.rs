//! What the stand-in has beyond a driver: a test in the same process reads counts and findings through `dlsym`.

use super::guarded;
use crate::border::Out;
use crate::driver::state::STATE;
use std::ffi::{c_char, c_int};

/// Copies a document with its NUL where it has room; answers its length without the NUL.
fn put(text: &str, buffer: &Out<c_char>, room: usize) -> usize {
    if !buffer.is_null() && text.len() < room {
        let mut bytes: Vec<c_char> = text.bytes().map(|byte| byte as c_char).collect();
        bytes.push(0);
        buffer.put_all(&bytes, room);
    }
    text.len()
}

/// The counts since the start or the last reset, as JSON. Answers the length; where that is not below `room`, nothing is
/// written. `reset` starts them anew if the text was written or no buffer was given.
#[unsafe(no_mangle)]
unsafe extern "C" fn sluiceStandinCounts(buffer: Out<c_char>, room: usize, reset: c_int) -> usize {
    let counts = guarded("sluiceStandinCounts", || {
        let mut state = STATE.lock();
        let len = put(&state.counts.to_json(), &buffer, room);
        if reset != 0 && (buffer.is_null() || len < room) {
            state.counts = crate::count::Counts::default();
        }
        len
    });
    counts.unwrap_or(0)
}

/// What the checks found since the start, as JSON. Answers the length; where that is not below `room`, nothing is
/// written.
#[unsafe(no_mangle)]
unsafe extern "C" fn sluiceStandinReports(buffer: Out<c_char>, room: usize) -> usize {
    guarded("sluiceStandinReports", || put(&STATE.lock().findings(), &buffer, room)).unwrap_or(0)
}
