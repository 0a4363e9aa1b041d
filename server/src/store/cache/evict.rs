//! Which entries leave the cache: a pure choice.

use std::cmp::Reverse;

/// Something that takes up room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held<K> {
    pub(super) key: K,
    pub(super) bytes: u64,
    /// Milliseconds since the Unix epoch.
    pub(super) used_ms: u64,
    /// Live, last-known-good or being written: must not leave.
    pub(super) pinned: bool,
}

/// What to evict.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice<K> {
    /// After these left, the new bytes fit.
    Evict(Vec<K>),
    /// They would not fit whatever left; `held` bytes may not leave.
    Full { held: u64 },
}

/// Makes room for `needed` bytes under `limit`, least recently used first. Evicts no more than it has to, and nothing
/// at all when that would not be enough.
pub(super) fn choose<K: Clone>(entries: &[Held<K>], limit: u64, needed: u64) -> Choice<K> {
    let sum = |pinned_only: bool| -> u64 {
        entries.iter().filter(|e| e.pinned || !pinned_only).fold(0, |sum, e| sum.saturating_add(e.bytes))
    };
    let held = sum(true);
    if held.saturating_add(needed) > limit {
        return Choice::Full { held };
    }
    let mut free: Vec<&Held<K>> = entries.iter().filter(|entry| !entry.pinned && entry.bytes > 0).collect();
    free.sort_by_key(|entry| (entry.used_ms, Reverse(entry.bytes)));
    let mut total = sum(false).saturating_add(needed);
    let mut evicted = Vec::new();
    for entry in free {
        if total <= limit {
            break;
        }
        total -= entry.bytes;
        evicted.push(entry.key.clone());
    }
    Choice::Evict(evicted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(key: u8, bytes: u64, used_ms: u64, pinned: bool) -> Held<u8> {
        Held { key, bytes, used_ms, pinned }
    }

    #[test]
    fn the_least_recently_used_leaves_first_and_no_more_than_needed() {
        let entries = [held(1, 40, 3, false), held(2, 40, 1, false), held(3, 20, 2, true)];
        assert_eq!(choose(&entries, 100, 0), Choice::Evict(vec![]));
        assert_eq!(choose(&entries, 100, 30), Choice::Evict(vec![2]));
        assert_eq!(choose(&entries, 100, 60), Choice::Evict(vec![2, 1]));
        assert_eq!(choose(&entries, 100, 81), Choice::Full { held: 20 });
    }

    proptest! {
        /// Invariants: nothing pinned leaves; the rest fits whenever it can; nothing leaves in vain.
        #[test]
        fn never_evicts_pinned_and_ends_under_the_limit_when_possible(
            sizes in prop::collection::vec((0_u64..100, 0_u64..10, any::<bool>()), 0..20),
            limit in 0_u64..800,
            needed in 0_u64..200,
        ) {
            let entries: Vec<Held<usize>> = sizes
                .iter()
                .enumerate()
                .map(|(key, &(bytes, used_ms, pinned))| Held { key, bytes, used_ms, pinned })
                .collect();
            let pinned: u64 = entries.iter().filter(|e| e.pinned).map(|e| e.bytes).sum();
            match choose(&entries, limit, needed) {
                Choice::Full { held } => prop_assert!(held == pinned && pinned + needed > limit),
                Choice::Evict(evicted) => {
                    prop_assert!(evicted.iter().all(|&key| !entries[key].pinned));
                    let left = |without: &[usize]| -> u64 {
                        entries.iter().filter(|e| !without.contains(&e.key)).map(|e| e.bytes).sum()
                    };
                    prop_assert!(left(&evicted) + needed <= limit);
                    if let Some((_, fewer)) = evicted.split_last() {
                        prop_assert!(left(fewer) + needed > limit, "the last eviction was not needed");
                    }
                }
            }
        }

        /// Invariant: sizes read from a damaged disk cannot make it panic.
        #[test]
        fn absurd_sizes_do_not_overflow(bytes in prop::collection::vec(any::<u64>(), 0..5), needed in any::<u64>()) {
            let entries: Vec<Held<usize>> =
                bytes.iter().enumerate().map(|(key, &bytes)| Held { key, bytes, used_ms: 0, pinned: false }).collect();
            let _ = choose(&entries, u64::MAX, needed);
            let _ = choose(&entries, 1, needed);
        }
    }
}
