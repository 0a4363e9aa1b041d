//! Global memory: blocks, their bounds, and which of their bytes were written.

use crate::arith::{LANES, Row};
use crate::program::instruction::{Access, Instruction};
use crate::report::Kind;

use super::super::FaultCode;
use super::super::block::Block;
use super::super::lanes::{each, first};
use super::super::machine::{Machine, Run};
use super::super::warp::Warp;
use super::{aligned, number};

impl Warp {
    #[expect(clippy::too_many_arguments, reason = "what an access is made of")]
    pub(in crate::exec) fn load_global(
        &self,
        machine: &mut Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        access: Access,
        mask: u32,
        addresses: &Row,
        values: &mut [Row; 4],
    ) -> Run<()> {
        let size = (access.bytes * access.count) as usize;
        machine.counts.bytes_loaded += u64::from(mask.count_ones()) * size as u64;
        let mut left = mask;
        while left != 0 {
            let lane = first(left);
            let found = machine.memory.span(addresses[lane], size as u64);
            let (memory, _) = match found {
                Ok(found) if aligned(addresses[lane], access) => found,
                Ok(_) => return Err(self.misaligned(machine, block, instruction, access, lane, addresses[lane])),
                Err(error) => {
                    return Err(self.outside(
                        machine,
                        block,
                        instruction,
                        (access, "load"),
                        lane,
                        addresses[lane],
                        error,
                    ));
                }
            };
            // All lanes that lie in the same block, which is nearly always all of them.
            let last = (memory.bytes.len() - size) as u64;
            let mut unwritten = None;
            let complete = memory.written.complete();
            for lane in each(left) {
                let at = addresses[lane].wrapping_sub(memory.begin);
                if at > last || !aligned(addresses[lane], access) {
                    continue;
                }
                left &= !(1 << lane);
                let at = at as usize;
                let bytes = &memory.bytes[at..at + size];
                for (piece, to) in bytes.chunks_exact(access.bytes as usize).zip(values.iter_mut()) {
                    to[lane] = number(piece);
                }
                if !complete && unwritten.is_none() && memory.written.first_missing(at, size).is_some() {
                    unwritten = Some(lane);
                }
            }
            if let Some(lane) = unwritten {
                let address = addresses[lane];
                machine.find(Kind::UninitialisedGlobal, instruction, block.who(self, lane), |machine| {
                    format!("a load of {size} bytes that nothing wrote, {}", machine.memory.describe(address))
                });
            }
        }
        Ok(())
    }

    pub(in crate::exec) fn store_global(
        &self,
        machine: &mut Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        access: Access,
        mask: u32,
        addresses: &Row,
    ) -> Run<()> {
        let size = (access.bytes * access.count) as usize;
        machine.counts.bytes_stored += u64::from(mask.count_ones()) * size as u64;
        let rows: [Row; 4] = std::array::from_fn(|index| {
            if index < access.count as usize { *self.row(machine, instruction.from[1 + index]) } else { [0; LANES] }
        });
        let mut left = mask;
        while left != 0 {
            let lane = first(left);
            let address = addresses[lane];
            let found = machine.memory.span(address, size as u64).map(|(memory, _)| memory.begin);
            match found {
                Ok(begin) if machine.is_read_only(begin) => {
                    let words = format!("a store to constant memory, {}", machine.memory.describe(address));
                    let who = block.who(self, lane);
                    return Err(machine.stop(FaultCode::IllegalAddress, Kind::ReadOnly, instruction, who, words));
                }
                Ok(_) if aligned(address, access) => {}
                Ok(_) => return Err(self.misaligned(machine, block, instruction, access, lane, address)),
                Err(error) => {
                    return Err(self.outside(machine, block, instruction, (access, "store"), lane, address, error));
                }
            }
            let Ok((memory, _)) = machine.memory.span_mut(address, size as u64) else { return Ok(()) };
            let last = (memory.bytes.len() - size) as u64;
            for lane in each(left) {
                let at = addresses[lane].wrapping_sub(memory.begin);
                if at > last || !aligned(addresses[lane], access) {
                    continue;
                }
                left &= !(1 << lane);
                let at = at as usize;
                let width = access.bytes as usize;
                for (to, row) in memory.bytes[at..at + size].chunks_mut(width).zip(&rows) {
                    to.copy_from_slice(&row[lane].to_le_bytes()[..width]);
                }
                memory.written.mark(at, size);
            }
        }
        Ok(())
    }
}
