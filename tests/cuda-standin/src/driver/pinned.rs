//! Memory of the host that the device can reach: pinned, registered and managed. It is real memory of this process, at
//! one address for both sides, and is shown to a kernel while it runs.

use super::code::{Answer, Code};
use super::handles::Handle;
use super::state::State;
use crate::border::HostBytes;
use crate::memory::Memory;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;

const ALIGN: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// `cuMemHostAlloc`.
    Pinned,
    /// `cuMemHostRegister`: the caller's own memory.
    Registered,
    /// `cuMemAllocManaged`.
    Managed,
}

#[derive(Debug)]
pub(super) struct HostBlock {
    pub(super) len: u64,
    pub(super) sort: Sort,
    owner: Handle,
    number: u64,
}

#[derive(Debug, Default)]
pub(super) struct HostBlocks {
    blocks: BTreeMap<u64, HostBlock>,
    made: u64,
}

impl HostBlocks {
    /// The block around an address, and where it begins.
    pub(super) fn around(&self, address: u64) -> Option<(u64, &HostBlock)> {
        let (begin, block) = self.blocks.range(..=address).next_back()?;
        (address - begin < block.len).then_some((*begin, block))
    }

    fn add(&mut self, address: u64, len: u64, sort: Sort, owner: Handle) {
        self.made += 1;
        self.blocks.insert(address, HostBlock { len, sort, owner, number: self.made });
    }

    fn make(&mut self, len: u64, sort: Sort, owner: Handle) -> Answer<u64> {
        let layout = layout(len).ok_or(Code::OUT_OF_MEMORY)?;
        // SAFETY: `layout` has more than zero bytes, because callers ask for no empty block.
        let address = unsafe { alloc_zeroed(layout) } as u64;
        if address == 0 {
            return Err(Code::OUT_OF_MEMORY);
        }
        self.add(address, len, sort, owner);
        Ok(address)
    }

    fn free(&mut self, address: u64, sorts: &[Sort]) -> Answer {
        match self.blocks.get(&address) {
            Some(block) if sorts.contains(&block.sort) => self.remove(address),
            _ => return Err(Code::INVALID_VALUE),
        }
        Ok(())
    }

    fn remove(&mut self, address: u64) {
        let Some(block) = self.blocks.remove(&address) else { return };
        if block.sort == Sort::Registered {
            return;
        }
        if let Some(layout) = layout(block.len) {
            // SAFETY: the block came from `alloc_zeroed` with this layout in `make`, and leaves the table here, so it is
            // freed once. The caller of the C function owes that it uses the memory no longer.
            unsafe { dealloc(address as *mut u8, layout) };
        }
    }

    /// Frees all of a context but what the caller itself owns; gives number and length of each.
    pub(super) fn end_of(&mut self, owner: Handle) -> Vec<(u64, u64)> {
        let gone: Vec<u64> = self.blocks.iter().filter(|(_, block)| block.owner == owner).map(|(at, _)| *at).collect();
        let mut told = Vec::new();
        for address in gone {
            told.extend(
                self.blocks.get(&address).filter(|block| block.sort != Sort::Registered).map(|it| (it.number, it.len)),
            );
            self.remove(address);
        }
        told
    }

    /// Number and length of each block that is still there.
    pub(super) fn left(&self) -> Vec<(u64, u64)> {
        let made = self.blocks.values().filter(|block| block.sort != Sort::Registered);
        made.map(|block| (block.number, block.len)).collect()
    }

    /// Shows the blocks that these words point into to the device, until [`Shown::take_back`].
    pub(super) fn show(&self, words: impl Iterator<Item = u64>, memory: &mut Memory) -> Shown {
        let mut shown = BTreeMap::new();
        for (begin, block) in words.filter_map(|word| self.around(word)) {
            if shown.insert(begin, block.len).is_none() {
                memory.insert(begin, block.len, crate::memory::BlockName::Pinned(block.number));
                let _ = memory.write(begin, self.bytes(begin, block.len).read());
            }
        }
        Shown(shown)
    }

    /// The bytes of a block, or of a part of one.
    pub(super) fn bytes(&self, address: u64, len: u64) -> HostBytes {
        // SAFETY: callers name a span of a block of this table, whose memory is there until it leaves the table, which
        // takes `&mut self`. The caller of the C function owes that no thread of its own writes it meanwhile.
        unsafe { HostBytes::new(address, len as usize) }
    }
}

/// Blocks of the host that a kernel can reach now: begin → length.
pub(super) struct Shown(BTreeMap<u64, u64>);

impl Shown {
    /// Brings what the kernel wrote to the host.
    pub(super) fn take_back(self, host: &HostBlocks, memory: &mut Memory) {
        for (begin, len) in self.0 {
            let _ = memory.read(begin, host.bytes(begin, len).write());
            memory.withdraw(begin);
        }
    }
}

fn layout(len: u64) -> Option<Layout> {
    Layout::from_size_align(usize::try_from(len).ok()?, ALIGN).ok()
}

impl State {
    /// `cuMemHostAlloc`: portable, mapped, write-combined.
    pub(super) fn allocate_host(&mut self, len: u64, flags: u32) -> Answer<u64> {
        let owner = self.context()?;
        self.unsafe_while_capturing()?;
        if flags & !7 != 0 {
            return Err(Code::INVALID_VALUE);
        }
        if len == 0 {
            return Ok(0);
        }
        self.counts.pinned.add(len);
        self.host.make(len, Sort::Pinned, owner)
    }

    pub(super) fn free_host(&mut self, address: u64) -> Answer {
        if address == 0 {
            return self.initialised();
        }
        self.context()?;
        self.unsafe_while_capturing()?;
        self.host.free(address, &[Sort::Pinned])
    }

    pub(super) fn register_host(&mut self, address: u64, len: u64) -> Answer {
        let owner = self.context()?;
        if address == 0 || len == 0 {
            return Err(Code::INVALID_VALUE);
        }
        if self.host.around(address).is_some() {
            return Err(Code::HOST_MEMORY_ALREADY_REGISTERED);
        }
        self.host.add(address, len, Sort::Registered, owner);
        Ok(())
    }

    pub(super) fn unregister_host(&mut self, address: u64) -> Answer {
        self.context()?;
        self.host.free(address, &[Sort::Registered]).map_err(|_| Code::HOST_MEMORY_NOT_REGISTERED)
    }

    /// The device's address of host memory: the same.
    pub(super) fn device_pointer(&mut self, address: u64) -> Answer<u64> {
        self.context()?;
        self.host.around(address).map(|_| address).ok_or(Code::INVALID_VALUE)
    }

    /// `cuMemAllocManaged`, attached to all streams or to none.
    pub(super) fn allocate_managed(&mut self, len: u64, flags: u32) -> Answer<u64> {
        let owner = self.context()?;
        if len == 0 || !(1..=2).contains(&flags) {
            return Err(Code::INVALID_VALUE);
        }
        self.counts.allocations.add(len);
        self.host.make(len, Sort::Managed, owner)
    }

    /// `cuStreamAttachMemAsync`, of a whole managed block.
    pub(super) fn attach(&mut self, stream: Handle, address: u64, len: u64, flags: u32) -> Answer {
        self.stream(stream)?;
        let whole = |(begin, block): (u64, &HostBlock)| {
            block.sort == Sort::Managed && begin == address && (len == 0 || len == block.len)
        };
        let known = self.host.around(address).is_some_and(whole) && matches!(flags, 1 | 2 | 4);
        if known { Ok(()) } else { Err(Code::INVALID_VALUE) }
    }

    /// Frees a managed block, if there is one.
    pub(super) fn free_managed(&mut self, address: u64) -> Answer {
        self.host.free(address, &[Sort::Managed])
    }
}
