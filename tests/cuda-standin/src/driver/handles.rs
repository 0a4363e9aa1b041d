//! Handles that are never given twice, so that one that was destroyed is told from one that never was.

use std::collections::BTreeMap;

/// What a handle is of: part of its value, so that one of another kind is not taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Context = 1,
    Stream = 2,
    Event = 3,
    Module = 4,
    Function = 5,
    Pool = 6,
    Blas = 7,
    Generator = 8,
}

/// A handle as the caller holds it. No address: a caller that reads through it faults.
pub(crate) type Handle = u64;

/// Above every address that a process can have.
const FIRST: u64 = 0x5100_0000_0000_0000;
const STEP: u64 = 16;

/// Why a handle is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It was destroyed.
    Destroyed,
    /// It never was.
    Invented,
}

/// All that is alive of one kind.
#[derive(Debug)]
pub(crate) struct Table<T> {
    first: Handle,
    next: Handle,
    live: BTreeMap<Handle, T>,
}

impl<T> Table<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        let first = FIRST + ((kind as u64) << 48);
        Self { first, next: first, live: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, value: T) -> Handle {
        let handle = self.next;
        self.next += STEP;
        self.live.insert(handle, value);
        handle
    }

    pub(crate) fn get(&self, handle: Handle) -> Result<&T, Stale> {
        self.live.get(&handle).ok_or_else(|| self.why_not(handle))
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Result<&mut T, Stale> {
        let why = self.why_not(handle);
        self.live.get_mut(&handle).ok_or(why)
    }

    pub(crate) fn remove(&mut self, handle: Handle) -> Result<T, Stale> {
        let why = self.why_not(handle);
        self.live.remove(&handle).ok_or(why)
    }

    /// Removes what `gone` says, and gives it.
    pub(crate) fn drain(&mut self, gone: impl Fn(&T) -> bool) -> Vec<(Handle, T)> {
        let handles: Vec<Handle> =
            self.live.iter().filter(|(_, value)| gone(value)).map(|(handle, _)| *handle).collect();
        handles.into_iter().filter_map(|handle| Some((handle, self.live.remove(&handle)?))).collect()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.live.values_mut()
    }

    fn why_not(&self, handle: Handle) -> Stale {
        let given = handle >= self.first && handle < self.next && (handle - self.first).is_multiple_of(STEP);
        if given { Stale::Destroyed } else { Stale::Invented }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destroyed_handle_is_told_from_an_invented_one() {
        let mut table = Table::new(Kind::Event);
        let (one, two) = (table.add(1), table.add(2));
        assert_eq!(table.remove(one), Ok(1));
        assert_eq!(table.get(one), Err(Stale::Destroyed));
        assert_eq!(table.get(two + 1), Err(Stale::Invented));
        assert_eq!(table.get(two + STEP), Err(Stale::Invented));
        assert_eq!(Table::<u8>::new(Kind::Stream).get(two), Err(Stale::Invented));
        assert!(table.add(3) > two);
    }
}
