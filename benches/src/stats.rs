//! Percentiles and medians of what was measured.

use std::time::Duration;

/// The `q` quantile (0 to 1) of latencies in microseconds; zero of none.
pub(crate) fn quantile(latencies_us: &mut [u32], q: f64) -> f64 {
    if latencies_us.is_empty() {
        return 0.0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((latencies_us.len() - 1) as f64 * q).round() as usize;
    f64::from(*latencies_us.select_nth_unstable(index).1)
}

/// The middle value; zero of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Whole microseconds, saturating.
pub(crate) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
