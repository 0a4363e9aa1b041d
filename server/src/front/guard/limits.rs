//! A token bucket, kept as one number: the moment at which it will be full again. Pure; moments are nanoseconds from a
//! start that all of them share.

use std::time::Duration;

use config::access::Rate;

const SECOND_NS: f64 = 1e9;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Until one more request fits.
    each_ns: u64,
    /// Until an empty bucket is full.
    whole_ns: u64,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is at least one in 1000 s")]
        let each_ns = (SECOND_NS / rate.per_second).ceil() as u64;
        Self { each_ns, whole_ns: each_ns.saturating_mul(rate.burst.get().into()) }
    }

    /// Takes one request out of a bucket that is full at `full_at`: when it will be full then, or how long to wait.
    pub(super) fn take(self, full_at: u64, now: Duration) -> Result<u64, Duration> {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let full_at = full_at.max(now).saturating_add(self.each_ns);
        let missing = full_at - now;
        if missing > self.whole_ns { Err(Duration::from_nanos(missing - self.whole_ns)) } else { Ok(full_at) }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn bucket(per_second: f64, burst: u32) -> Bucket {
        Bucket::new(Rate { per_second, burst: NonZeroU32::new(burst).unwrap() })
    }

    #[test]
    fn a_burst_is_let_in_and_then_the_rate() {
        let (bucket, mut full_at) = (bucket(10.0, 3), 0);
        let mut at = |ms| bucket.take(full_at, Duration::from_millis(ms)).map(|next| full_at = next);
        assert_eq!([at(0), at(0), at(0)], [Ok(()); 3]);
        assert_eq!(at(0), Err(Duration::from_millis(100)));
        assert_eq!(at(40), Err(Duration::from_millis(60)));
        assert_eq!([at(100), at(200)], [Ok(()), Ok(())]);
        assert!(at(200).is_err());
        assert_eq!([at(10_000), at(10_000), at(10_000)], [Ok(()); 3], "a pause fills it, and no more");
        assert!(at(10_000).is_err());
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate_and_a_wait_is_enough(
            per_second in 0.01_f64..5_000.0,
            burst in 1_u32..50,
            steps in prop::collection::vec(0_u64..400_000_000, 1..200),
        ) {
            let bucket = bucket(per_second, burst);
            let (mut full_at, mut now, mut admitted) = (0, 0_u64, 0_u64);
            for step in steps {
                now += step;
                match bucket.take(full_at, Duration::from_nanos(now)) {
                    Ok(next) => (full_at, admitted) = (next, admitted + 1),
                    Err(wait) => {
                        let then = Duration::from_nanos(now) + wait;
                        prop_assert!(bucket.take(full_at, then).is_ok());
                        prop_assert!(bucket.take(full_at, then - Duration::from_nanos(1)).is_err());
                    }
                }
                prop_assert!(admitted <= u64::from(burst) + now / bucket.each_ns);
            }
        }
    }
}
