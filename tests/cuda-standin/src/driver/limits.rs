//! Limits of a context, by their numbers in `CUlimit`.

use super::code::{Answer, Code};

/// The stack of a thread, what `printf` and the heap of kernels have: those that can be set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    stack: u64,
    print: u64,
    heap: u64,
    pending: u64,
    granularity: u64,
}

/// The least that `printf` gets.
const PRINT_MIN: u64 = 512 << 10;
/// A thread's stack is a multiple of this, and at most so large.
const STACK_UNIT: u64 = 16;
const STACK_MAX: u64 = 512 << 10;

impl Default for Limits {
    fn default() -> Self {
        Self { stack: 1024, print: 1 << 20, heap: 8 << 20, pending: 2048, granularity: 64 }
    }
}

impl Limits {
    pub(super) fn get(&self, limit: i32) -> Answer<u64> {
        Ok(match limit {
            0 => self.stack,
            1 => self.print,
            2 => self.heap,
            4 => self.pending,
            5 => self.granularity,
            6 | 8 => 0,
            7 => u64::from(super::attributes::SHARED_MAX),
            3 | 9 => return Err(Code::UNSUPPORTED_LIMIT),
            _ => return Err(Code::INVALID_VALUE),
        })
    }

    pub(super) fn set(&mut self, limit: i32, value: u64) -> Answer {
        match limit {
            0 if value > STACK_MAX => return Err(Code::INVALID_VALUE),
            0 => self.stack = value.next_multiple_of(STACK_UNIT),
            1 => self.print = value.max(PRINT_MIN),
            2 => self.heap = value,
            4 => self.pending = value,
            5 => self.granularity = value.min(128),
            6..=8 => return Err(Code::INVALID_VALUE),
            3 | 9 => return Err(Code::UNSUPPORTED_LIMIT),
            _ => return Err(Code::INVALID_VALUE),
        }
        Ok(())
    }
}
