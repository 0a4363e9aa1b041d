//! Streams, and what may be done while one is captured. Captures end with 901 where a real one would, and with 801
//! otherwise: graphs are not built.

use super::code::{Answer, Code};
use super::handles::Handle;
use super::state::State;
use std::thread::ThreadId;

/// Priorities that can be had, the greatest being the smallest number.
pub(super) const PRIORITIES: std::ops::RangeInclusive<i32> = -5..=0;

/// A stream that a caller made.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) context: Handle,
    pub(super) flags: u32,
    pub(super) priority: i32,
}

/// Which stream a handle means to the thread that uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// 0 and 1.
    Legacy,
    /// 2: each thread has its own.
    Thread(ThreadId),
    /// One that was made.
    Made(Handle),
}

/// Whose calls a capture forbids, by its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Global,
    ThreadLocal,
    Relaxed,
}

#[derive(Debug)]
struct Capture {
    stream: Which,
    mode: Mode,
    thread: ThreadId,
    broken: bool,
}

/// The streams that are captured now.
#[derive(Debug, Default)]
pub(super) struct Captures(Vec<Capture>);

impl Captures {
    fn of(&mut self, stream: Which) -> Option<&mut Capture> {
        self.0.iter_mut().find(|capture| capture.stream == stream)
    }

    pub(super) fn forget(&mut self, stream: Handle) {
        self.0.retain(|capture| capture.stream != Which::Made(stream));
    }

    /// Breaks those captures; answers whether there were any.
    fn break_all(&mut self, which: impl Fn(&Capture) -> bool) -> bool {
        let mut any = false;
        for capture in self.0.iter_mut().filter(|capture| which(capture)) {
            capture.broken = true;
            any = true;
        }
        any
    }
}

/// What becomes of work on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// It is done now.
    Now,
    /// The stream is captured: nothing is done.
    Captured,
}

fn me() -> ThreadId {
    std::thread::current().id()
}

impl State {
    /// The stream of a handle, and the context it is of.
    pub(super) fn stream(&mut self, handle: Handle) -> Answer<(Which, Handle)> {
        let current = self.context()?;
        match handle {
            0 | 1 => return Ok((Which::Legacy, current)),
            2 => return Ok((Which::Thread(me()), current)),
            _ => {}
        }
        match self.streams.get(handle) {
            Ok(stream) => Ok((Which::Made(handle), stream.context)),
            Err(why) => Err(self.stale("stream", handle, why)),
        }
    }

    /// Work comes to a stream.
    pub(super) fn work_on(&mut self, handle: Handle) -> Answer<(Work, Handle)> {
        let (stream, context) = self.stream(handle)?;
        match self.captures.of(stream) {
            Some(capture) if capture.broken => Err(Code::STREAM_CAPTURE_INVALIDATED),
            Some(_) => Ok((Work::Captured, context)),
            None => {
                self.ticks += 1;
                Ok((Work::Now, context))
            }
        }
    }

    /// Work on a stream was refused: a capture of it does not bear that.
    pub(super) fn work_was_refused(&mut self, handle: Handle) {
        if let Ok((stream, _)) = self.stream(handle) {
            self.captures.break_all(|capture| capture.stream == stream);
        }
    }

    /// A call that a capture forbids, if it is global or of this thread.
    pub(super) fn unsafe_while_capturing(&mut self) -> Answer {
        let me = me();
        let broken = self.captures.break_all(|capture| {
            capture.mode == Mode::Global || (capture.mode == Mode::ThreadLocal && capture.thread == me)
        });
        if broken { Err(Code::STREAM_CAPTURE_UNSUPPORTED) } else { Ok(()) }
    }

    pub(super) fn make_stream(&mut self, flags: u32, priority: i32) -> Answer<Handle> {
        let context = self.context()?;
        if flags > 1 {
            return Err(Code::INVALID_VALUE);
        }
        let priority = priority.clamp(*PRIORITIES.start(), *PRIORITIES.end());
        Ok(self.streams.add(Stream { context, flags, priority }))
    }

    pub(super) fn destroy_stream(&mut self, handle: Handle) -> Answer {
        match self.stream(handle)?.0 {
            Which::Made(_) => {
                self.captures.forget(handle);
                let _ = self.streams.remove(handle);
                Ok(())
            }
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    /// Flags and priority.
    pub(super) fn properties(&mut self, handle: Handle) -> Answer<(u32, i32)> {
        self.stream(handle)?;
        Ok(self.streams.get(handle).map_or((0, 0), |stream| (stream.flags, stream.priority)))
    }

    /// Asks whether a stream's work is done: it always is.
    pub(super) fn query_stream(&mut self, handle: Handle) -> Answer {
        let (stream, _) = self.stream(handle)?;
        if self.captures.break_all(|capture| capture.stream == stream) {
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        self.unsafe_while_capturing()
    }

    pub(super) fn synchronise_stream(&mut self, handle: Handle) -> Answer {
        self.query_stream(handle)?;
        self.allocator.synchronised();
        Ok(())
    }

    pub(super) fn synchronise_context(&mut self) -> Answer {
        self.context()?;
        if self.captures.break_all(|_| true) {
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        self.allocator.synchronised();
        Ok(())
    }

    pub(super) fn begin_capture(&mut self, handle: Handle, mode: i32) -> Answer {
        let (stream, _) = self.stream(handle)?;
        let mode = match mode {
            0 => Mode::Global,
            1 => Mode::ThreadLocal,
            2 => Mode::Relaxed,
            _ => return Err(Code::INVALID_VALUE),
        };
        if stream == Which::Legacy {
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        if self.captures.of(stream).is_some() {
            return Err(Code::ILLEGAL_STATE);
        }
        self.captures.0.push(Capture { stream, mode, thread: me(), broken: false });
        Ok(())
    }

    /// Ends a capture. A broken one answers 901; a good one would be a graph.
    pub(super) fn end_capture(&mut self, handle: Handle) -> Answer {
        let (stream, _) = self.stream(handle)?;
        let Some(at) = self.captures.0.iter().position(|capture| capture.stream == stream) else {
            return Err(Code::ILLEGAL_STATE);
        };
        if self.captures.0.remove(at).broken {
            return Err(Code::STREAM_CAPTURE_INVALIDATED);
        }
        Err(self.unsupported("cuStreamEndCapture of a good capture: graphs are not built"))
    }

    /// A `CUstreamCaptureStatus`: 0 none, 1 active, 2 broken.
    pub(super) fn capture_status(&mut self, handle: Handle) -> Answer<i32> {
        let (stream, _) = self.stream(handle)?;
        Ok(self.captures.of(stream).map_or(0, |capture| if capture.broken { 2 } else { 1 }))
    }
}
