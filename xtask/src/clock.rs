//! Wall time of a step. The one place of this crate that reads a clock.

use std::time::Duration;
#[expect(
    clippy::disallowed_types,
    reason = "measures other programs: there is no runtime here whose time tests pause"
)]
use std::time::Instant;

/// A running stopwatch.
#[expect(clippy::disallowed_types, reason = "see the import")]
pub(crate) struct Stopwatch(Instant);

#[expect(clippy::disallowed_types, reason = "see the import")]
impl Stopwatch {
    /// Starts at zero.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// What is left of `limit`; zero once it has passed.
    pub(crate) fn left_of(&self, limit: Duration) -> Duration {
        limit.saturating_sub(self.elapsed())
    }
}

/// `4.2 s` under a minute, `3 min 07 s` above.
pub(crate) fn readable(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_appear_only_when_there_are_any() {
        assert_eq!(readable(Duration::from_millis(4_240)), "4.2 s");
        assert_eq!(readable(Duration::from_secs(187)), "3 min 07 s");
    }
}
