//! Contexts: the primary one, those that callers make, and which is current in a thread.

use super::code::{Answer, Code};
use super::handles::{Handle, Kind as HandleKind, Table};
use super::limits::Limits;
use super::state::{CONTEXT_BYTES, State};
use crate::report::Kind;
use std::cell::RefCell;

thread_local! {
    /// The contexts of this thread, the current one last.
    static STACK: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

/// No caller nests deeper.
const STACK_MAX: usize = 1000;

#[derive(Debug)]
pub(super) struct Context {
    pub(super) alive: bool,
    pub(super) flags: u32,
    pub(super) limits: Limits,
}

#[derive(Debug)]
pub(super) struct Contexts {
    all: Table<Context>,
    primary: Handle,
    /// How often the primary context is retained.
    retained: u32,
}

impl Default for Contexts {
    fn default() -> Self {
        let mut all = Table::new(HandleKind::Context);
        // Its handle stays the same when it is made anew.
        let primary = all.add(Context { alive: false, flags: 0, limits: Limits::default() });
        Self { all, primary, retained: 0 }
    }
}

/// The current context of this thread, 0 if there is none.
pub(super) fn current() -> Handle {
    STACK.with_borrow(|stack| stack.last().copied().unwrap_or(0))
}

impl State {
    /// The current context, if calls in it work.
    pub(crate) fn context(&self) -> Answer<Handle> {
        self.initialised()?;
        let current = current();
        if current == 0 {
            return Err(Code::INVALID_CONTEXT);
        }
        match self.contexts.all.get(current) {
            Ok(context) if context.alive => self.told().map_or(Ok(current), Err),
            _ => Err(Code::CONTEXT_IS_DESTROYED),
        }
    }

    pub(super) fn of_context(&mut self, handle: Handle) -> Answer<&mut Context> {
        self.contexts.all.get_mut(handle).map_err(|_| Code::INVALID_CONTEXT)
    }

    fn can_be_made(&mut self) -> Answer {
        if self.lost {
            return Err(Code::DEVICE_UNAVAILABLE);
        }
        self.dead.map_or(Ok(()), Err)?;
        self.allocator.budget.take(CONTEXT_BYTES)
    }

    pub(crate) fn retain_primary(&mut self, device: i32) -> Answer<Handle> {
        self.device(device)?;
        let primary = self.contexts.primary;
        if self.contexts.retained == 0 {
            self.can_be_made()?;
            let context = self.of_context(primary)?;
            *context = Context { alive: true, flags: context.flags, limits: Limits::default() };
        }
        self.contexts.retained += 1;
        Ok(primary)
    }

    pub(super) fn release_primary(&mut self, device: i32) -> Answer {
        self.device(device)?;
        match self.contexts.retained {
            0 => return Err(Code::INVALID_CONTEXT),
            1 => self.end_of_context(self.contexts.primary),
            _ => {}
        }
        self.contexts.retained -= 1;
        Ok(())
    }

    pub(super) fn reset_primary(&mut self, device: i32) -> Answer {
        self.device(device)?;
        if self.contexts.retained > 0 {
            self.contexts.retained = 0;
            self.end_of_context(self.contexts.primary);
        }
        Ok(())
    }

    /// Flags of the primary context, and whether it is alive.
    pub(super) fn primary_state(&mut self, device: i32) -> Answer<(u32, bool)> {
        self.device(device)?;
        let primary = self.contexts.primary;
        let context = self.of_context(primary)?;
        Ok((context.flags, context.alive))
    }

    pub(super) fn set_primary_flags(&mut self, device: i32, flags: u32) -> Answer {
        self.device(device)?;
        let primary = self.contexts.primary;
        self.of_context(primary)?.flags = flags;
        Ok(())
    }

    pub(super) fn create_context(&mut self, flags: u32, device: i32) -> Answer<Handle> {
        self.device(device)?;
        self.can_be_made()?;
        let made = self.contexts.all.add(Context { alive: true, flags, limits: Limits::default() });
        push(made)?;
        Ok(made)
    }

    pub(super) fn destroy_context(&mut self, handle: Handle) -> Answer {
        self.initialised()?;
        if handle == 0 {
            return Err(Code::INVALID_VALUE);
        }
        if handle == self.contexts.primary {
            return Err(Code::INVALID_CONTEXT);
        }
        match self.contexts.all.get(handle) {
            Ok(context) if context.alive => {}
            Ok(_) => return Err(Code::INVALID_CONTEXT),
            Err(why) => return Err(self.stale("context", handle, why)),
        }
        self.end_of_context(handle);
        STACK.with_borrow_mut(|stack| {
            stack.pop_if(|top| *top == handle);
        });
        Ok(())
    }

    /// Everything in a context goes with it; memory that was not freed is a finding.
    fn end_of_context(&mut self, handle: Handle) {
        let alive = self.of_context(handle).is_ok_and(|context| std::mem::replace(&mut context.alive, false));
        if !alive {
            return;
        }
        for (module, _) in self.modules.drain(|module| module.context == handle) {
            self.functions.drain(|function| function.module == module);
        }
        let streams = self.streams.drain(|stream| stream.context == handle);
        streams.iter().for_each(|(stream, _)| self.captures.forget(*stream));
        self.events.drain(|event| event.context == handle);
        for (address, block) in self.allocator.end_of(handle) {
            let name = self.memory.name_of(address).map(ToString::to_string).unwrap_or_default();
            // Where the context died of an error, nothing in it could be freed.
            if !block.of_module && self.dead.is_none() {
                let words = format!("{name} of {} bytes was not freed when its context ended", block.len);
                self.find(Kind::Leak, words);
            }
            let _ = self.memory.remove(address);
        }
        for (number, len) in self.host.end_of(handle) {
            if self.dead.is_none() {
                self.find(
                    Kind::Leak,
                    format!("pinned allocation {number} of {len} bytes was not freed when its context ended"),
                );
            }
        }
        self.allocator.budget.give(CONTEXT_BYTES);
    }

    pub(crate) fn set_current(&mut self, handle: Handle) -> Answer {
        self.initialised()?;
        if handle != 0
            && let Err(why) = self.contexts.all.get(handle)
        {
            return Err(self.stale("context", handle, why));
        }
        STACK.with_borrow_mut(|stack| {
            stack.pop();
            if handle != 0 {
                stack.push(handle);
            }
        });
        Ok(())
    }

    pub(super) fn push_current(&mut self, handle: Handle) -> Answer {
        self.initialised()?;
        match self.contexts.all.get(handle) {
            Ok(context) if context.alive => push(handle),
            Ok(_) => Err(Code::INVALID_CONTEXT),
            Err(why) => Err(self.stale("context", handle, why)),
        }
    }

    pub(super) fn pop_current(&mut self) -> Answer<Handle> {
        self.initialised()?;
        STACK.with_borrow_mut(Vec::pop).ok_or(Code::INVALID_CONTEXT)
    }
}

fn push(handle: Handle) -> Answer {
    STACK.with_borrow_mut(|stack| {
        if stack.len() == STACK_MAX {
            return Err(Code::INVALID_VALUE);
        }
        stack.push(handle);
        Ok(())
    })
}
