//! Copies and fills: which side an address is on, the bounds of its block, and what a copy may not see.

use super::code::{Answer, Code};
use super::handles::Handle;
use super::state::State;
use super::stream::Work;
use crate::border::HostBytes;
use crate::memory::AccessError;
use crate::report::Kind;

/// Where the addresses of a process end: what is above is the device's, or nothing.
const HOST_END: u64 = 1 << 47;

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Device,
    /// Memory of the host that the device can reach.
    Shared,
    /// Any other memory of the process.
    Pageable,
}

/// Which way a copy says that it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToDevice,
    ToHost,
    OnDevice,
    /// `cuMemcpyAsync`: the addresses tell.
    Any,
}

impl State {
    /// Whether these bytes may be read or written, and where they are.
    fn side(&self, address: u64, len: u64) -> Answer<Side> {
        if let Some((begin, block)) = self.host.around(address) {
            let fits = len <= block.len - (address - begin);
            return if fits { Ok(Side::Shared) } else { Err(Code::INVALID_VALUE) };
        }
        if let Some((begin, room)) = self.memory.block_of(address) {
            let fits = len <= room - (address - begin);
            return if fits { Ok(Side::Device) } else { Err(Code::INVALID_VALUE) };
        }
        let possible = address != 0 && address.checked_add(len).is_some_and(|end| end <= HOST_END);
        if possible { Ok(Side::Pageable) } else { Err(Code::INVALID_VALUE) }
    }

    /// Copies `len` bytes.
    ///
    /// # Safety
    ///
    /// The caller of the C function owes that an address that is neither the device's nor of pinned or managed memory is
    /// `len` bytes of this process, readable as a source and writable as a target, that no other thread writes meanwhile.
    pub(super) unsafe fn copy(&mut self, to: u64, from: u64, len: u64, way: Way, stream: Handle) -> Answer {
        let (work, _) = self.work_on(stream)?;
        if len == 0 {
            return Ok(());
        }
        let (source, target) = (self.side(from, len)?, self.side(to, len)?);
        if (target == Side::Pageable && matches!(way, Way::ToDevice | Way::OnDevice))
            || (source == Side::Pageable && matches!(way, Way::ToHost | Way::OnDevice))
        {
            return Err(Code::INVALID_VALUE);
        }
        if work == Work::Captured {
            return Ok(());
        }
        let counts = &mut self.counts;
        match (source, target) {
            (Side::Device, Side::Device) => &mut counts.on_device,
            (_, Side::Device) => &mut counts.to_device,
            _ => &mut counts.to_host,
        }
        .add(len);
        // SAFETY: a span that is not the device's is a block of pinned or managed memory, of which `side` has checked the
        // bounds, or else what the caller of the C function owes, as this function's contract says.
        let host = |address| unsafe { HostBytes::new(address, len as usize) };
        match (source, target) {
            (Side::Device, Side::Device) => self.memory.copy(from, to, len).map_err(out_of_bounds),
            (_, Side::Device) => self.memory.write(to, host(from).read()).map_err(out_of_bounds),
            (Side::Device, _) => {
                let missing = self.memory.read(from, host(to).write()).map_err(out_of_bounds)?;
                self.unwritten(from, len, missing);
                Ok(())
            }
            _ => {
                let bytes = host(from).read().to_vec();
                host(to).write().copy_from_slice(&bytes);
                Ok(())
            }
        }
    }

    /// A copy to the host met a byte that nothing wrote.
    fn unwritten(&mut self, from: u64, len: u64, missing: Option<u64>) {
        let Some(missing) = missing else { return };
        let at = self.memory.describe(from + missing);
        self.find(Kind::UninitialisedCopy, format!("a copy of {len} bytes to the host reads what nothing wrote: {at}"));
    }

    /// Fills `count` times with the bytes of `pattern`.
    pub(super) fn fill(&mut self, address: u64, pattern: &[u8], count: u64, stream: Handle) -> Answer {
        let (work, _) = self.work_on(stream)?;
        if count == 0 {
            return Ok(());
        }
        let width = pattern.len() as u64;
        let len = count.checked_mul(width).ok_or(Code::INVALID_VALUE)?;
        if !address.is_multiple_of(width) {
            return Err(Code::INVALID_VALUE);
        }
        let side = self.side(address, len)?;
        if side == Side::Pageable {
            return Err(Code::INVALID_VALUE);
        }
        if work == Work::Captured {
            return Ok(());
        }
        self.counts.fills.add(len);
        if side == Side::Device {
            return self.memory.fill(address, len, pattern).map_err(out_of_bounds);
        }
        let mut bytes = self.host.bytes(address, len);
        bytes.write().chunks_mut(pattern.len()).for_each(|part| part.copy_from_slice(&pattern[..part.len()]));
        Ok(())
    }

    /// Begin and length of the block around an address.
    pub(super) fn range_of(&mut self, address: u64) -> Answer<(u64, u64)> {
        self.context()?;
        let host = self.host.around(address).map(|(begin, block)| (begin, block.len));
        host.or_else(|| self.memory.block_of(address)).ok_or(Code::NOT_FOUND)
    }

    /// An attribute of an address, by its number in `CUpointer_attribute`.
    pub(super) fn pointer_attribute(&mut self, attribute: i32, address: u64) -> Answer<u64> {
        self.initialised()?;
        let host = self.host.around(address).map(|(begin, block)| (begin, block.len));
        let (begin, len) = host.or_else(|| self.memory.block_of(address)).ok_or(Code::INVALID_VALUE)?;
        Ok(match attribute {
            // Memory type: host or device.
            2 if host.is_some() => 1,
            2 => 2,
            // Ordinal of the device.
            9 => 0,
            11 => begin,
            12 => len,
            // Mapped.
            13 => 1,
            _ => return Err(self.unsupported(format!("cuPointerGetAttribute of attribute {attribute}"))),
        })
    }

    // ---- allocations ----------------------------------------------------------------------------

    /// `cuMemAlloc`.
    pub(super) fn allocate(&mut self, len: u64) -> Answer<u64> {
        let owner = self.context()?;
        self.unsafe_while_capturing()?;
        if len == 0 {
            return Err(Code::INVALID_VALUE);
        }
        self.planned_refusal()?;
        let address = self.allocator.plain(len, owner, false)?;
        self.allocated(address, len);
        Ok(address)
    }

    /// `cuMemAllocAsync`, from the device's pool or another.
    pub(super) fn allocate_in_order(&mut self, len: u64, pool: Option<Handle>, stream: Handle) -> Answer<u64> {
        let (work, owner) = self.work_on(stream)?;
        if work == Work::Captured {
            return Err(self.unsupported("an allocation in a capture: graphs are not built"));
        }
        self.unsafe_while_capturing()?;
        let pool = pool.unwrap_or_else(|| self.allocator.current_pool());
        self.allocator.alive(pool)?;
        if len == 0 {
            return Ok(0);
        }
        self.planned_refusal()?;
        let address = self.allocator.pooled(pool, len, owner)?;
        self.allocated(address, len);
        Ok(address)
    }

    fn planned_refusal(&mut self) -> Answer {
        if self.faults.refuses_allocation() { Err(Code::OUT_OF_MEMORY) } else { Ok(()) }
    }

    fn allocated(&mut self, address: u64, len: u64) {
        let name = self.next_name();
        self.counts.allocations.add(len);
        self.memory.insert(address, len, name);
    }

    /// `cuMemFree`, which waits for all work.
    pub(super) fn free(&mut self, address: u64) -> Answer {
        self.initialised()?;
        if address == 0 {
            return self.unsafe_while_capturing();
        }
        if let Err(code) = self.context() {
            // Without a context nothing can be a block.
            return Err(if code == Code::INVALID_CONTEXT { Code::INVALID_VALUE } else { code });
        }
        self.unsafe_while_capturing()?;
        if self.host.around(address).is_some() {
            return self.free_managed(address);
        }
        self.allocator.free(address, false)?;
        let _ = self.memory.remove(address);
        self.allocator.synchronised();
        Ok(())
    }

    /// `cuMemFreeAsync`.
    pub(super) fn free_in_order(&mut self, address: u64, stream: Handle) -> Answer {
        let (work, _) = self.work_on(stream)?;
        if address == 0 {
            return Ok(());
        }
        if work == Work::Captured {
            return Err(self.unsupported("a free in a capture: graphs are not built"));
        }
        self.allocator.free(address, true)?;
        let _ = self.memory.remove(address);
        Ok(())
    }
}

/// `side` has checked the bounds; what remains is what a real driver answers.
fn out_of_bounds(_: AccessError) -> Code {
    Code::INVALID_VALUE
}
