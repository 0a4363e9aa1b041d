//! How long to wait before a failed attempt is made again. Pure.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
pub const DELAY_MAX: Duration = Duration::from_secs(60);

/// The wait after failure number `attempts` (from 1): doubling up to [`DELAY_MAX`], shortened by up to half as `jitter`
/// goes from 0 to 1, so that many processes do not ask a bucket at the same moment.
#[must_use]
pub fn delay(attempts: u32, jitter: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let full = (FIRST * (1 << doublings)).min(DELAY_MAX);
    full.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_limit_and_jitters_downwards() {
        let seconds = |attempts, jitter| delay(attempts, jitter).as_secs_f64();
        assert_eq!([1, 2, 3, 7, 8, u32::MAX].map(|n| seconds(n, 0.0)), [1.0, 2.0, 4.0, 60.0, 60.0, 60.0]);
        assert_eq!([0.0, 0.5, 1.0].map(|jitter| seconds(3, jitter)), [4.0, 3.0, 2.0]);
    }
}
