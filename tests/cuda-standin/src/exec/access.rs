//! Loads and stores, each checked: bounds, alignment, freed blocks, bytes that nothing wrote, races.

mod global;
mod local;
mod shared;

use crate::arith::{LANES, Row};
use crate::memory::AccessError;
use crate::program::instruction::{Access, Instruction};
use crate::program::window;
use crate::ptx::Space;
use crate::report::Kind;

use super::FaultCode;
use super::block::Block;
use super::lanes::{each, first};
use super::machine::{Machine, Run, Stop, extended, parameter};
use super::warp::Warp;

/// Little-endian bytes as a number.
pub(super) fn number(bytes: &[u8]) -> u64 {
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

/// Whether a whole access is at a multiple of its size.
fn aligned(address: u64, access: Access) -> bool {
    address & (u64::from(access.bytes * access.count) - 1) == 0
}

impl Warp {
    /// The lanes of each space with their addresses there. One space is the rule.
    fn places(&self, machine: &Machine<'_>, instruction: &Instruction, access: Access, active: u32) -> Places {
        let mut addresses = *self.row(machine, instruction.from[0]);
        let offset = access.offset.cast_unsigned();
        addresses.iter_mut().for_each(|it| *it = it.wrapping_add(offset));
        let mut masks = [0; SPACES.len()];
        match access.space {
            Some(space) => masks[index_of(space)] = active,
            None => {
                for lane in each(active) {
                    let (space, address) = window::resolve(addresses[lane]);
                    addresses[lane] = address;
                    masks[index_of(space)] |= 1 << lane;
                }
            }
        }
        Places { addresses, masks }
    }

    pub(super) fn load(
        &mut self,
        machine: &mut Machine<'_>,
        block: &mut Block,
        instruction: &Instruction,
        access: Access,
        active: u32,
    ) -> Run<()> {
        let Places { addresses, masks } = self.places(machine, instruction, access, active);
        let mut values = [[0; LANES]; 4];
        for (space, mask) in SPACES.into_iter().zip(masks).filter(|(_, mask)| *mask != 0) {
            match space {
                Space::Shared => {
                    self.load_shared(machine, block, instruction, access, mask, &addresses, &mut values)?
                }
                Space::Local => self.load_local(machine, block, instruction, access, mask, &addresses, &mut values)?,
                Space::Param => {
                    for lane in each(mask) {
                        for index in 0..access.count {
                            let offset = addresses[lane] as u32 + index * access.bytes;
                            values[index as usize][lane] = parameter(machine.launch, offset, access.bytes);
                        }
                    }
                }
                Space::Global | Space::Const => {
                    self.load_global(machine, block, instruction, access, mask, &addresses, &mut values)?;
                }
            }
        }
        for (index, value) in values.iter_mut().enumerate().take(access.count as usize) {
            if access.extend != 0 {
                value.iter_mut().for_each(|it| *it = extended(*it, access.bytes, access.extend));
            }
            self.write(instruction.to[index], value, active);
        }
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        machine: &mut Machine<'_>,
        block: &mut Block,
        instruction: &Instruction,
        access: Access,
        active: u32,
    ) -> Run<()> {
        let Places { addresses, masks } = self.places(machine, instruction, access, active);
        for (space, mask) in SPACES.into_iter().zip(masks).filter(|(_, mask)| *mask != 0) {
            match space {
                Space::Shared => self.store_shared(machine, block, instruction, access, mask, &addresses)?,
                Space::Local => self.store_local(machine, block, instruction, access, mask, &addresses)?,
                Space::Param => {
                    let who = block.who(self, first(mask));
                    let words = "a store to the kernel's parameters";
                    return Err(machine.stop(FaultCode::IllegalAddress, Kind::ReadOnly, instruction, who, words));
                }
                Space::Global | Space::Const => {
                    self.store_global(machine, block, instruction, access, mask, &addresses)?;
                }
            }
        }
        Ok(())
    }

    /// The bytes that a lane stores.
    fn stored(
        &self,
        machine: &Machine<'_>,
        instruction: &Instruction,
        access: Access,
        lane: usize,
    ) -> ([u8; 16], usize) {
        let (width, mut bytes) = (access.bytes as usize, [0; 16]);
        for index in 0..access.count as usize {
            let value = self.row(machine, instruction.from[1 + index])[lane].to_le_bytes();
            bytes[index * width..(index + 1) * width].copy_from_slice(&value[..width]);
        }
        (bytes, width * access.count as usize)
    }

    pub(super) fn misaligned(
        &self,
        machine: &Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        access: Access,
        lane: usize,
        address: u64,
    ) -> Box<Stop> {
        let size = access.bytes * access.count;
        let words = format!("an access of {size} bytes at {address:#x}, which is no multiple of {size}");
        machine.stop(FaultCode::Misaligned, Kind::Misaligned, instruction, block.who(self, lane), words)
    }

    #[expect(clippy::too_many_arguments, reason = "what an access is made of")]
    pub(super) fn outside(
        &self,
        machine: &Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        (access, verb): (Access, &str),
        lane: usize,
        address: u64,
        error: AccessError,
    ) -> Box<Stop> {
        let kind = if error == AccessError::Freed { Kind::UseAfterFree } else { Kind::OutOfBounds };
        let size = access.bytes * access.count;
        let words = format!("a {verb} of {size} bytes at {address:#x}, {}", machine.memory.describe(address));
        machine.stop(FaultCode::IllegalAddress, kind, instruction, block.who(self, lane), words)
    }
}

/// Addresses in their spaces, and which lanes are in which.
pub(super) struct Places {
    addresses: Row,
    masks: [u32; SPACES.len()],
}

impl Places {
    /// Each lane with its space and address.
    pub(super) fn each(&self) -> impl Iterator<Item = (usize, Space, u64)> + '_ {
        let lanes = move |(space, mask): (Space, u32)| each(mask).map(move |lane| (lane, space, self.addresses[lane]));
        SPACES.into_iter().zip(self.masks).flat_map(lanes)
    }
}

impl Warp {
    /// As [`Self::places`], for atomics.
    pub(super) fn atomic_places(
        &self,
        machine: &Machine<'_>,
        instruction: &Instruction,
        access: Access,
        active: u32,
    ) -> Places {
        self.places(machine, instruction, access, active)
    }
}

/// In the order of [`index_of`].
const SPACES: [Space; 4] = [Space::Global, Space::Shared, Space::Local, Space::Param];

fn index_of(space: Space) -> usize {
    match space {
        Space::Global | Space::Const => 0,
        Space::Shared => 1,
        Space::Local => 2,
        Space::Param => 3,
    }
}
