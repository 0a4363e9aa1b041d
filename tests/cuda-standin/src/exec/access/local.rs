//! Local memory of each thread, one array apart from the next.

use crate::arith::Row;
use crate::program::instruction::{Access, Instruction};
use crate::report::Kind;

use super::super::FaultCode;
use super::super::block::Block;
use super::super::lanes::each;
use super::super::machine::{Machine, Run};
use super::super::warp::Warp;
use super::{aligned, number};

impl Warp {
    /// Where bytes of a lane's local memory begin, or what is wrong with the address.
    pub(in crate::exec) fn local_place(
        &self,
        machine: &Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        access: Access,
        lane: usize,
        address: u64,
    ) -> Run<usize> {
        let (size, known) = ((access.bytes * access.count) as usize, &machine.kernel.local);
        let at = usize::try_from(address).unwrap_or(usize::MAX);
        let inside = at.checked_add(size).and_then(|end| known.get(at..end)).is_some_and(|it| it.iter().all(|it| *it));
        if !inside {
            let words = format!("{size} bytes at {address:#x} of local memory, which are not all inside one array");
            let who = block.who(self, lane);
            return Err(machine.stop(FaultCode::IllegalAddress, Kind::LocalOverrun, instruction, who, words));
        }
        if !aligned(address, access) {
            return Err(self.misaligned(machine, block, instruction, access, lane, address));
        }
        Ok(lane * known.len() + at)
    }

    #[expect(clippy::too_many_arguments, reason = "what an access is made of")]
    pub(in crate::exec) fn load_local(
        &self,
        machine: &Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        access: Access,
        mask: u32,
        addresses: &Row,
        values: &mut [Row; 4],
    ) -> Run<()> {
        let width = access.bytes as usize;
        for lane in each(mask) {
            let at = self.local_place(machine, block, instruction, access, lane, addresses[lane])?;
            let bytes = &self.local[at..at + width * access.count as usize];
            bytes.chunks(width).enumerate().for_each(|(index, it)| values[index][lane] = number(it));
        }
        Ok(())
    }

    pub(in crate::exec) fn store_local(
        &mut self,
        machine: &Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        access: Access,
        mask: u32,
        addresses: &Row,
    ) -> Run<()> {
        for lane in each(mask) {
            let at = self.local_place(machine, block, instruction, access, lane, addresses[lane])?;
            let (bytes, size) = self.stored(machine, instruction, access, lane);
            self.local[at..at + size].copy_from_slice(&bytes[..size]);
        }
        Ok(())
    }
}
