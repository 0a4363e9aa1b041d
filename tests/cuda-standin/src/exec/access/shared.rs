//! Shared memory of the block, and races for it.

use crate::arith::Row;
use crate::program::instruction::{Access, Instruction};
use crate::report::Kind;

use super::super::FaultCode;
use super::super::block::Block;
use super::super::lanes::each;
use super::super::machine::{Machine, Run};
use super::super::shared::{Touch, Toucher, Trouble};
use super::super::warp::Warp;
use super::{aligned, number};

impl Warp {
    /// Where bytes in shared memory begin, or what is wrong with the address.
    pub(in crate::exec) fn shared_place(
        &self,
        machine: &Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        access: Access,
        lane: usize,
        address: u64,
    ) -> Run<usize> {
        let (size, len) = (u64::from(access.bytes * access.count), block.shared.bytes.len() as u64);
        if address.checked_add(size).is_none_or(|end| end > len) {
            let words = format!("{size} bytes at {address:#x} of shared memory, which has {len} bytes");
            let who = block.who(self, lane);
            return Err(machine.stop(FaultCode::IllegalAddress, Kind::OutOfBounds, instruction, who, words));
        }
        if !aligned(address, access) {
            return Err(self.misaligned(machine, block, instruction, access, lane, address));
        }
        Ok(address as usize)
    }

    /// Notes a touch of shared memory and reports what it shows.
    pub(in crate::exec) fn touch(
        &self,
        machine: &mut Machine<'_>,
        block: &mut Block,
        instruction: &Instruction,
        lane: usize,
        (at, size): (usize, usize),
        touch: Touch,
    ) {
        let line = instruction.place.line;
        let toucher = Toucher { warp: self.number, lane: lane as u32, meetings: self.meetings, met: &self.met, line };
        let who = block.who(self, lane);
        match block.shared.touch(at, size, touch, toucher) {
            None => {}
            Some(Trouble::Unwritten) => machine.find(Kind::UninitialisedShared, instruction, who, |_| {
                format!("a read of {size} bytes at {at:#x} of shared memory that this block did not write")
            }),
            Some(Trouble::Race(other)) => machine.find(Kind::SharedRace, instruction, who, |machine| {
                let verb = |writes: bool| if writes { "write" } else { "read" };
                let (thread, line) = (machine.thread(other.thread), other.line);
                format!(
                    "a {} at {at:#x} of shared memory, and a {} by thread {thread:?} in line {line} of the PTX, with no barrier between",
                    verb(touch != Touch::Read),
                    verb(other.wrote)
                )
            }),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what an access is made of")]
    pub(in crate::exec) fn load_shared(
        &self,
        machine: &mut Machine<'_>,
        block: &mut Block,
        instruction: &Instruction,
        access: Access,
        mask: u32,
        addresses: &Row,
        values: &mut [Row; 4],
    ) -> Run<()> {
        let width = access.bytes as usize;
        let size = width * access.count as usize;
        for lane in each(mask) {
            let at = self.shared_place(machine, block, instruction, access, lane, addresses[lane])?;
            for (index, bytes) in block.shared.bytes[at..at + size].chunks(width).enumerate() {
                values[index][lane] = number(bytes);
            }
            self.touch(machine, block, instruction, lane, (at, size), Touch::Read);
        }
        Ok(())
    }

    pub(in crate::exec) fn store_shared(
        &self,
        machine: &mut Machine<'_>,
        block: &mut Block,
        instruction: &Instruction,
        access: Access,
        mask: u32,
        addresses: &Row,
    ) -> Run<()> {
        for lane in each(mask) {
            let at = self.shared_place(machine, block, instruction, access, lane, addresses[lane])?;
            let (bytes, size) = self.stored(machine, instruction, access, lane);
            let place = &mut block.shared.bytes[at..at + size];
            let same = *place == bytes[..size];
            place.copy_from_slice(&bytes[..size]);
            self.touch(machine, block, instruction, lane, (at, size), Touch::Write { same });
        }
        Ok(())
    }
}
