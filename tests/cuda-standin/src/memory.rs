//! Device memory: blocks of bytes at made-up addresses, and which bytes were written. No host pointer: a device address
//! that the host reads by mistake faults, as on a real machine.
//!
//! Knows nothing of drivers: who places blocks, in which pool and with which limits, is the driver's.

mod written;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use written::Written;

/// An address on the device.
pub type Address = u64;

/// What reports call a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockName {
    /// The n-th allocation.
    Allocation(u64),
    /// Pinned memory of the host that the device can reach, the n-th.
    Pinned(u64),
    /// A variable of a module.
    Variable(String),
}

impl fmt::Display for BlockName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocation(number) => write!(to, "allocation {number}"),
            Self::Pinned(number) => write!(to, "pinned allocation {number}"),
            Self::Variable(name) => write!(to, "variable {name}"),
        }
    }
}

/// Why these bytes may not be touched (bounds are those of one block).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessError {
    /// No block is there.
    NoBlock,
    /// A block begins before, and ends too early.
    OutOfBlock,
    /// A block was there and was freed.
    Freed,
}

/// The bytes of one block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) begin: Address,
    pub(crate) bytes: Vec<u8>,
    pub(crate) written: Written,
    name: BlockName,
}

/// A block that was freed.
#[derive(Debug)]
struct Ghost {
    begin: Address,
    len: u64,
    name: BlockName,
}

/// So many freed blocks are remembered.
const GHOSTS_MAX: usize = 4096;

/// All blocks of one device.
#[derive(Debug, Default)]
pub struct Memory {
    blocks: BTreeMap<Address, Block>,
    ghosts: VecDeque<Ghost>,
}

impl Memory {
    /// Puts a block of `len` bytes at `address`, all of them not yet written. The caller keeps blocks apart.
    pub fn insert(&mut self, address: Address, len: u64, name: BlockName) {
        self.ghosts.retain(|ghost| ghost.begin + ghost.len <= address || address + len <= ghost.begin);
        let size = usize::try_from(len).unwrap_or(usize::MAX);
        let block = Block { begin: address, bytes: vec![0; size], written: Written::nothing(size), name };
        self.blocks.insert(address, block);
    }

    /// Takes the block that begins at `address` away; later accesses are reported as use after free.
    pub fn remove(&mut self, address: Address) -> Result<u64, AccessError> {
        let Some(block) = self.blocks.remove(&address) else { return Err(self.why_not(address)) };
        let len = block.bytes.len() as u64;
        if self.ghosts.len() == GHOSTS_MAX {
            self.ghosts.pop_front();
        }
        self.ghosts.push_back(Ghost { begin: address, len, name: block.name });
        Ok(len)
    }

    /// Takes a block away that was only shown for a while: it is not freed, so nothing is remembered of it.
    pub(crate) fn withdraw(&mut self, address: Address) {
        self.blocks.remove(&address);
    }

    /// What the block that begins at `address` is called.
    pub(crate) fn name_of(&self, address: Address) -> Option<&BlockName> {
        self.blocks.get(&address).map(|block| &block.name)
    }

    /// The block around `address`: its begin and length.
    #[must_use]
    pub fn block_of(&self, address: Address) -> Option<(Address, u64)> {
        let (begin, block) = self.blocks.range(..=address).next_back()?;
        let len = block.bytes.len() as u64;
        (address - begin < len).then_some((*begin, len))
    }

    /// Copies in; the bytes count as written.
    pub fn write(&mut self, address: Address, bytes: &[u8]) -> Result<(), AccessError> {
        let (block, at) = self.span_mut(address, bytes.len() as u64)?;
        block.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        block.written.mark(at, bytes.len());
        Ok(())
    }

    /// Copies out. Answers the offset of the first byte that nobody wrote, if any.
    pub fn read(&self, address: Address, bytes: &mut [u8]) -> Result<Option<u64>, AccessError> {
        let (block, at) = self.span(address, bytes.len() as u64)?;
        bytes.copy_from_slice(&block.bytes[at..at + bytes.len()]);
        Ok(block.written.first_missing(at, bytes.len()).map(|missing| (missing - at) as u64))
    }

    /// Copies on the device, with what is known of the bytes.
    pub fn copy(&mut self, from: Address, to: Address, len: u64) -> Result<(), AccessError> {
        self.span(to, len)?;
        let (source, at) = self.span(from, len)?;
        let size = usize::try_from(len).unwrap_or(usize::MAX);
        let bytes = source.bytes[at..at + size].to_vec();
        // Large copies are nearly always of bytes that are all known.
        let known = (!source.written.complete()).then(|| source.written.of(at, size).collect::<Vec<bool>>());
        let (target, at) = self.span_mut(to, len)?;
        target.bytes[at..at + size].copy_from_slice(&bytes);
        match known {
            Some(known) => target.written.set(at, &known),
            None => target.written.mark(at, size),
        }
        Ok(())
    }

    /// Fills with repetitions of `pattern`, the last one cut where `len` ends.
    pub fn fill(&mut self, address: Address, len: u64, pattern: &[u8]) -> Result<(), AccessError> {
        let (block, at) = self.span_mut(address, len)?;
        let size = usize::try_from(len).unwrap_or(usize::MAX);
        if let [byte] = pattern {
            block.bytes[at..at + size].fill(*byte);
        } else if !pattern.is_empty() {
            block.bytes[at..at + size]
                .chunks_mut(pattern.len())
                .for_each(|it| it.copy_from_slice(&pattern[..it.len()]));
        }
        block.written.mark(at, size);
        Ok(())
    }

    /// Blocks that were not freed, for the report at exit.
    #[must_use]
    pub fn leaks(&self) -> Vec<(Address, u64, BlockName)> {
        self.blocks.iter().map(|(at, block)| (*at, block.bytes.len() as u64, block.name.clone())).collect()
    }

    /// The block that holds all of `len` bytes at `address`, and where in it they begin.
    pub(crate) fn span(&self, address: Address, len: u64) -> Result<(&Block, usize), AccessError> {
        match self.blocks.range(..=address).next_back() {
            Some((begin, block)) if fits(address - begin, len, block) => Ok((block, (address - begin) as usize)),
            Some((begin, block)) if address - begin < block.bytes.len() as u64 => Err(AccessError::OutOfBlock),
            _ => Err(self.why_not(address)),
        }
    }

    /// As [`Self::span`], to change it.
    pub(crate) fn span_mut(&mut self, address: Address, len: u64) -> Result<(&mut Block, usize), AccessError> {
        self.span(address, len)?;
        let Some((begin, block)) = self.blocks.range_mut(..=address).next_back() else {
            return Err(AccessError::NoBlock);
        };
        Ok((block, (address - begin) as usize))
    }

    /// What is at or nearest before an address, in words.
    pub(crate) fn describe(&self, address: Address) -> String {
        if let Some(ghost) = self.ghost(address) {
            return format!("inside {}, {} bytes, which was freed", ghost.name, ghost.len);
        }
        let Some((begin, block)) = self.blocks.range(..=address).next_back() else {
            return "before every block".to_owned();
        };
        let (offset, len) = (address - begin, block.bytes.len() as u64);
        if offset < len {
            format!("{offset} bytes into {} of {len} bytes", block.name)
        } else {
            format!("{} bytes past the end of {} of {len} bytes", offset - len, block.name)
        }
    }

    /// The newest freed block around an address.
    fn ghost(&self, address: Address) -> Option<&Ghost> {
        self.ghosts.iter().rev().find(|ghost| ghost.begin <= address && address - ghost.begin < ghost.len)
    }

    fn why_not(&self, address: Address) -> AccessError {
        if self.ghost(address).is_some() { AccessError::Freed } else { AccessError::NoBlock }
    }
}

fn fits(offset: u64, len: u64, block: &Block) -> bool {
    offset.checked_add(len).is_some_and(|end| end <= block.bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_blocks() -> Memory {
        let mut memory = Memory::default();
        memory.insert(4096, 100, BlockName::Allocation(1));
        memory.insert(8192, 100, BlockName::Allocation(2));
        memory
    }

    #[test]
    fn unwritten_bytes_are_told_and_travel() {
        let mut memory = two_blocks();
        memory.write(4096, &[1; 10]).unwrap();
        let mut bytes = [0; 12];
        assert_eq!(memory.read(4096, &mut bytes), Ok(Some(10)));
        memory.copy(4098, 8192, 12).unwrap();
        assert_eq!(memory.read(8192, &mut bytes), Ok(Some(8)));
        memory.fill(8192, 100, &[7]).unwrap();
        assert_eq!(memory.read(8192, &mut bytes), Ok(None));
        assert_eq!(bytes, [7; 12]);
    }

    #[test]
    fn bounds_are_those_of_one_block() {
        let mut memory = two_blocks();
        assert_eq!(memory.write(4096 + 91, &[0; 10]), Err(AccessError::OutOfBlock));
        assert_eq!(memory.write(4096 + 100, &[0]), Err(AccessError::NoBlock));
        assert_eq!(memory.fill(u64::MAX, u64::MAX, &[0]), Err(AccessError::NoBlock));
        assert_eq!(memory.block_of(4195), Some((4096, 100)));
        assert_eq!(memory.block_of(4196), None);
        assert_eq!(memory.describe(4200), "4 bytes past the end of allocation 1 of 100 bytes");
    }

    #[test]
    fn a_freed_block_is_remembered_until_its_place_is_used_again() {
        let mut memory = two_blocks();
        assert_eq!(memory.remove(4096), Ok(100));
        assert_eq!(memory.remove(4096), Err(AccessError::Freed));
        assert_eq!(memory.read(4100, &mut [0]), Err(AccessError::Freed));
        memory.insert(4096, 50, BlockName::Allocation(3));
        assert_eq!(memory.read(4100, &mut [0]), Ok(Some(0)));
        assert_eq!(memory.leaks().len(), 2);
    }

    #[test]
    fn patterns_repeat() {
        let mut memory = two_blocks();
        memory.fill(4096, 5, &[1, 2]).unwrap();
        let mut bytes = [0; 5];
        memory.read(4096, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 1, 2, 1]);
    }
}
