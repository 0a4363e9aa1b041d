//! What a device's memory is like, and how copies are cut.

use std::ops::Range;

/// Bytes that are copied in one go. Each takes less than a millisecond over PCIe, so that a load which is cut into these
/// never holds a live batch up for longer.
pub const PIECE_BYTES: usize = 4 << 20;

/// A device's memory at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// What the driver would still give to anybody.
    pub free_bytes: u64,
    /// All there is.
    pub total_bytes: u64,
    /// What this process's pool holds, used or not.
    pub pool_held_bytes: u64,
    /// What of it is in use.
    pub pool_used_bytes: u64,
}

impl Memory {
    /// What is taken, by whomever.
    #[must_use]
    pub const fn used_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.free_bytes)
    }
}

/// `len` elements of `width` bytes, cut into ranges of at most [`PIECE_BYTES`].
pub fn pieces(len: usize, width: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (PIECE_BYTES / width.max(1)).max(1);
    (0..len).step_by(step).map(move |start| start..len.min(start.saturating_add(step)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_no_piece_and_a_little_is_one() {
        assert_eq!(pieces(0, 4).count(), 0);
        assert_eq!(pieces(1, 8).collect::<Vec<_>>(), vec![Range { start: 0, end: 1 }]);
        assert_eq!(pieces(PIECE_BYTES / 4 + 1, 4).collect::<Vec<_>>(), [0..1 << 20, 1 << 20..(1 << 20) + 1]);
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole_in_order_and_none_is_too_large(len in 0_usize..5_000_000, width in 1_usize..16) {
            let mut next = 0;
            for piece in pieces(len, width) {
                prop_assert_eq!(piece.start, next);
                prop_assert!(!piece.is_empty() && piece.len() * width <= PIECE_BYTES);
                next = piece.end;
            }
            prop_assert_eq!(next, len);
        }
    }
}
