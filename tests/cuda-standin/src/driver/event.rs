//! Events. Work is done when it is asked for, so a recorded event has happened.

use super::code::{Answer, Code};
use super::handles::Handle;
use super::state::State;
use super::stream::Work;

const BLOCKING_SYNC: u32 = 1;
const DISABLE_TIMING: u32 = 2;
const INTERPROCESS: u32 = 4;
/// 907: the event is part of a capture.
const CAPTURED_EVENT: Code = Code(907);

#[derive(Debug)]
pub(super) struct Event {
    pub(super) context: Handle,
    timed: bool,
    recorded: Recorded,
}

#[derive(Debug, Clone, Copy)]
enum Recorded {
    Never,
    /// After so many pieces of work.
    At(u64),
    Captured,
}

impl State {
    pub(super) fn make_event(&mut self, flags: u32) -> Answer<Handle> {
        let context = self.context()?;
        let timed = flags & DISABLE_TIMING == 0;
        let known = BLOCKING_SYNC | DISABLE_TIMING | INTERPROCESS;
        if flags & !known != 0 || (flags & INTERPROCESS != 0 && timed) {
            return Err(Code::INVALID_VALUE);
        }
        Ok(self.events.add(Event { context, timed, recorded: Recorded::Never }))
    }

    fn event(&mut self, handle: Handle) -> Answer<&mut Event> {
        if handle == 0 {
            return Err(Code::INVALID_HANDLE);
        }
        self.context()?;
        if let Err(why) = self.events.get(handle) {
            return Err(self.stale("event", handle, why));
        }
        self.events.get_mut(handle).map_err(|_| Code::INVALID_HANDLE)
    }

    pub(super) fn destroy_event(&mut self, handle: Handle) -> Answer {
        self.event(handle)?;
        let _ = self.events.remove(handle);
        Ok(())
    }

    pub(super) fn record_event(&mut self, handle: Handle, stream: Handle) -> Answer {
        let owner = self.event(handle)?.context;
        let (work, context) = self.work_on(stream)?;
        if owner != context {
            return Err(Code::INVALID_HANDLE);
        }
        let now = self.ticks;
        self.event(handle)?.recorded = match work {
            Work::Now => Recorded::At(now),
            Work::Captured => Recorded::Captured,
        };
        Ok(())
    }

    pub(super) fn query_event(&mut self, handle: Handle) -> Answer {
        let recorded = self.event(handle)?.recorded;
        let forbidden = self.unsafe_while_capturing();
        if let Recorded::Captured = recorded {
            return Err(CAPTURED_EVENT);
        }
        forbidden
    }

    pub(super) fn synchronise_event(&mut self, handle: Handle) -> Answer {
        self.query_event(handle)?;
        self.allocator.synchronised();
        Ok(())
    }

    pub(super) fn wait_event(&mut self, stream: Handle, handle: Handle, flags: u32) -> Answer {
        self.event(handle)?;
        if flags > 1 {
            return Err(Code::INVALID_VALUE);
        }
        self.work_on(stream).map(drop)
    }

    /// What lies between two events: pieces of work, as if each took a microsecond. Never a time.
    pub(super) fn between(&mut self, from: Handle, to: Handle) -> Answer<f32> {
        let mut tick = |handle| match *self.event(handle)? {
            Event { timed: true, recorded: Recorded::At(tick), .. } => Ok(tick as f32),
            _ => Err(Code::INVALID_HANDLE),
        };
        let (from, to) = (tick(from)?, tick(to)?);
        Ok((to - from) * 1e-3)
    }
}
