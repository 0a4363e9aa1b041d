//! Masks of lanes, and rows of which only some lanes are written.

use crate::arith::{LANES, Row};

/// All lanes.
pub(super) const ALL: u32 = u32::MAX;

/// The lanes of a mask, in order.
pub(super) fn each(mask: u32) -> impl Iterator<Item = usize> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let lane = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        (lane < 32).then_some(lane as usize)
    })
}

/// The first lane of a mask that has one.
pub(super) fn first(mask: u32) -> usize {
    (mask.trailing_zeros() as usize).min(LANES - 1)
}

/// Takes over the lanes of a mask.
pub(super) fn blend(to: &mut Row, from: &Row, mask: u32) {
    if mask == ALL {
        *to = *from;
        return;
    }
    for lane in 0..LANES {
        // All bits where the lane is in the mask.
        let keep = u64::from(mask >> lane & 1).wrapping_neg();
        to[lane] = (from[lane] & keep) | (to[lane] & !keep);
    }
}
