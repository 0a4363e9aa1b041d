//! The pure pick between stable and canary.
//!
//! A sticky key maps to a fixed point in `0..10_000`, and the canary owns the points below its weight. So raising the
//! weight only ever moves keys *to* the canary, and never one back: a caller sees at most one change per rollout.

use std::fmt;

use config::{Digest, Weight};

/// The role in which a version answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variant {
    /// The version that is trusted.
    Stable,
    /// The version on trial.
    Canary,
}

impl Variant {
    /// Both, in the order of trust.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Canary];

    /// The name on the wire and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }

    /// The variant of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.name() == name)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A point in `0..10_000`: the canary answers when it lies below the weight in basis points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point(u16);

impl Point {
    /// The fixed point of a sticky key in the trial of `canary`. Salting with the digest gives every trial its own
    /// early adopters.
    #[must_use]
    pub fn of_key(key: &[u8], canary: Digest) -> Self {
        let seed = u64::from_le_bytes(canary.as_bytes()[..8].try_into().expect("a digest has 32 bytes"));
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(key, seed);
        // Multiply-shift maps 64 uniform bits to 0..10_000 without the bias of a remainder.
        Self(u16::try_from((u128::from(hash) * 10_000) >> 64).expect("the product is below 10 000"))
    }

    /// A fresh point for a request that brings no key.
    #[must_use]
    pub fn draw(rng: &mut impl rand::Rng) -> Self {
        Self(rng.random_range(0..10_000))
    }

    /// Who answers at this point.
    #[must_use]
    pub const fn pick(self, canary_weight: Weight) -> Variant {
        if self.0 < canary_weight.bps() { Variant::Canary } else { Variant::Stable }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    fn weight(bps: u16) -> Weight {
        Weight::from_bps(bps).expect("a weight of at most 10 000")
    }

    /// Five standard deviations: a false alarm once in a few million seeds, and the seed is in the case.
    fn within_binomial_bounds(hits: u32, n: u32, p: f64) -> bool {
        let (n, hits) = (f64::from(n), f64::from(hits));
        (hits - n * p).abs() <= 5.0 * (n * p * (1.0 - p)).sqrt() + 1e-9
    }

    proptest! {
        #[test]
        fn drawn_points_honour_the_weight(bps in 0_u16..=10_000, seed: u64) {
            let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
            let n = 20_000;
            let hits = (0..n).filter(|_| Point::draw(&mut rng).pick(weight(bps)) == Variant::Canary).count();
            prop_assert!(within_binomial_bounds(u32::try_from(hits).unwrap(), n, f64::from(bps) / 10_000.0), "{hits} of {n} at {bps} bps");
        }

        #[test]
        fn sticky_keys_honour_the_weight(bps in 0_u16..=10_000, salt: [u8; 32]) {
            let n = 20_000_u32;
            let canary = Digest::from_bytes(salt);
            let hits = (0..n).filter(|key| Point::of_key(&key.to_le_bytes(), canary).pick(weight(bps)) == Variant::Canary).count();
            prop_assert!(within_binomial_bounds(u32::try_from(hits).unwrap(), n, f64::from(bps) / 10_000.0), "{hits} of {n} at {bps} bps");
        }

        #[test]
        fn raising_the_weight_never_moves_a_key_back(key: Vec<u8>, salt: [u8; 32], a in 0_u16..=10_000, b in 0_u16..=10_000) {
            let point = Point::of_key(&key, Digest::from_bytes(salt));
            let (low, high) = (weight(a.min(b)), weight(a.max(b)));
            if point.pick(low) == Variant::Canary {
                prop_assert_eq!(point.pick(high), Variant::Canary);
            }
        }

        #[test]
        fn the_ends_are_exact(key: Vec<u8>, salt: [u8; 32]) {
            let point = Point::of_key(&key, Digest::from_bytes(salt));
            prop_assert_eq!(point.pick(Weight::ZERO), Variant::Stable);
            prop_assert_eq!(point.pick(Weight::FULL), Variant::Canary);
        }
    }
}
