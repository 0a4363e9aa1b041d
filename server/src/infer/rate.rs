//! So many of something in a second, for lines of a log: callers, or a model, that fail all the time must not fill a disk.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Admits so many in each second.
#[derive(Debug)]
pub struct PerSecond {
    max: u32,
    started: Instant,
    /// A second since `started` in the upper half, and what was admitted in it.
    state: AtomicU64,
}

impl PerSecond {
    /// Admits `max` in each second.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self { max, started: Instant::now(), state: AtomicU64::new(0) }
    }

    /// Whether one more is admitted now.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.admits_in(self.started.elapsed().as_secs())
    }

    fn admits_in(&self, second: u64) -> bool {
        let next = |state: u64| {
            let (then, count) = (state >> 32, state & u64::from(u32::MAX));
            match then == second {
                true if count >= u64::from(self.max) => None,
                true => Some(state + 1),
                false => Some(second << 32 | 1),
            }
        };
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own_count() {
        let rate = PerSecond::new(100);
        let admitted = |second| (0..250).filter(|_| rate.admits_in(second)).count();
        assert_eq!([admitted(0), admitted(0), admitted(1), admitted(7)], [100, 0, 100, 100]);
    }
}
