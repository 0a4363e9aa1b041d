//! Free spans of a line of bytes, the lowest taken first, neighbours joined when they are given back.

use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(super) struct Extents {
    /// Begin → length; no two touch.
    free: BTreeMap<u64, u64>,
}

impl Extents {
    pub(super) fn of(len: u64) -> Self {
        Self { free: BTreeMap::from([(0, len)]) }
    }

    /// The spans, the lowest first: begin and length.
    pub(super) fn spans(&self) -> impl Iterator<Item = (u64, u64)> {
        self.free.iter().map(|(begin, len)| (*begin, *len))
    }

    /// Takes the lowest `len` bytes in a row.
    pub(super) fn take(&mut self, len: u64) -> Option<u64> {
        let (begin, _) = self.spans().find(|(_, room)| *room >= len)?;
        self.take_at(begin, len);
        Some(begin)
    }

    /// Takes these bytes, which lie in one free span.
    pub(super) fn take_at(&mut self, at: u64, len: u64) {
        let Some((begin, room)) = self.free.range(..=at).next_back().map(|(begin, room)| (*begin, *room)) else {
            return;
        };
        self.free.remove(&begin);
        if begin < at {
            self.free.insert(begin, at - begin);
        }
        if at + len < begin + room {
            self.free.insert(at + len, begin + room - at - len);
        }
    }

    pub(super) fn give(&mut self, at: u64, len: u64) {
        let (mut begin, mut len) = (at, len);
        if let Some((before, room)) = self.free.range(..at).next_back().map(|(before, room)| (*before, *room))
            && before + room == at
        {
            self.free.remove(&before);
            begin = before;
            len += room;
        }
        if let Some(room) = self.free.remove(&(begin + len)) {
            len += room;
        }
        self.free.insert(begin, len);
    }

    /// These bytes are all free.
    pub(super) fn has(&self, at: u64, len: u64) -> bool {
        self.free.range(..=at).next_back().is_some_and(|(begin, room)| begin + room >= at + len)
    }
}
