//! Latency buckets: log-linear, so that a quantile is right to 3 % from 2 µs to over a minute in a few KiB.
//!
//! A duration is counted in units of 64 ns. The first 32 units have a bucket each; after that every doubling is cut
//! into 32 equal buckets, which makes the middle of a bucket at most 1/64 away from any value in it.

use std::time::Duration;

const UNIT_BITS: u32 = 6;
const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;
/// Doublings after the linear part. The last bucket ends at 2^36 ns, about 69 s, and holds everything slower.
const OCTAVES: u64 = 25;

/// How many buckets there are: 832, or 6.5 KiB of 64-bit counters.
pub(super) const BUCKETS: usize = (SUB * (OCTAVES + 1)) as usize;

/// The bucket that `latency` belongs to, always under [`BUCKETS`].
pub(super) fn bucket(latency: Duration) -> usize {
    let units = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX) >> UNIT_BITS;
    if units < SUB {
        return units as usize;
    }
    let octave = u64::from(units.ilog2() - SUB_BITS);
    let sub = (units >> octave) - SUB;
    ((octave + 1) * SUB + sub).min(BUCKETS as u64 - 1) as usize
}

/// The middle of a bucket.
pub(super) fn middle(bucket: usize) -> Duration {
    let bucket = bucket as u64;
    let (low, width) = if bucket < SUB {
        (bucket, 1)
    } else {
        let octave = bucket / SUB - 1;
        ((SUB + bucket % SUB) << octave, 1 << octave)
    };
    Duration::from_nanos(((2 * low + width) << UNIT_BITS) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_a_bucket_and_its_middle_is_close() {
        let mut nanos: u64 = 1;
        let mut last = 0;
        while nanos < 1 << 40 {
            let latency = Duration::from_nanos(nanos);
            let bucket = bucket(latency);
            assert!(bucket < BUCKETS && bucket >= last, "buckets grow with the duration");
            last = bucket;
            if (2_048..1 << 36).contains(&nanos) {
                let error = (middle(bucket).as_nanos() as f64 - nanos as f64).abs() / nanos as f64;
                assert!(error <= 0.03, "{nanos} ns is off by {error}");
            }
            nanos += 1 + nanos / 97;
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        assert_eq!(bucket(Duration::ZERO), 0);
    }
}
