//! `cuMemAlloc`: the device gives 2 MiB at a time, and blocks of at most 1 MiB share one.

use super::extents::Extents;
use super::{Budget, LINE, MIB};
use crate::driver::code::{Answer, Code};
use std::collections::BTreeMap;

/// What the device gives at a time.
pub(super) const SEGMENT: u64 = 2 * MIB;
/// Larger blocks have segments of their own.
const SHARED_MAX: u64 = MIB;
/// Far more than any card has.
const ROOM: u64 = 1 << 44;

#[derive(Debug)]
pub(super) struct Plain {
    room: Extents,
    /// Segments that small blocks share: begin → what is free in it.
    shared: BTreeMap<u64, Extents>,
}

impl Default for Plain {
    fn default() -> Self {
        Self { room: Extents::of(ROOM), shared: BTreeMap::new() }
    }
}

impl Plain {
    pub(super) fn take(&mut self, len: u64, budget: &mut Budget) -> Answer<u64> {
        if len > SHARED_MAX {
            return self.segments(len, budget);
        }
        let lines = len.next_multiple_of(LINE);
        let found = self.shared.iter_mut().find_map(|(begin, free)| Some(begin + free.take(lines)?));
        if let Some(place) = found {
            return Ok(place);
        }
        let begin = self.segments(SEGMENT, budget)?;
        let mut free = Extents::of(SEGMENT);
        free.take_at(0, lines);
        self.shared.insert(begin, free);
        Ok(begin)
    }

    pub(super) fn give(&mut self, place: u64, len: u64, budget: &mut Budget) {
        let (begin, whole) = if len > SHARED_MAX {
            (place, len.next_multiple_of(SEGMENT))
        } else {
            let begin = place / SEGMENT * SEGMENT;
            let Some(free) = self.shared.get_mut(&begin) else { return };
            free.give(place - begin, len.next_multiple_of(LINE));
            if !free.has(0, SEGMENT) {
                return;
            }
            self.shared.remove(&begin);
            (begin, SEGMENT)
        };
        self.room.give(begin, whole);
        budget.give(whole);
    }

    fn segments(&mut self, len: u64, budget: &mut Budget) -> Answer<u64> {
        let whole = len.checked_next_multiple_of(SEGMENT).ok_or(Code::OUT_OF_MEMORY)?;
        budget.take(whole)?;
        self.room.take(whole).ok_or_else(|| {
            budget.give(whole);
            Code::OUT_OF_MEMORY
        })
    }
}
