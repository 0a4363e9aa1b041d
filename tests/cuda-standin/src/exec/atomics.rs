//! Atomic operations, lane after lane, and assertions.

use crate::arith::LANES;
use crate::arith::atomic::Atomic;
use crate::program::instruction::{Access, Instruction};
use crate::program::window;
use crate::ptx::Space;
use crate::report::Kind;

use super::FaultCode;
use super::access::number;
use super::block::Block;
use super::lanes::first;
use super::machine::{Machine, Run, Stop};
use super::shared::Touch;
use super::warp::Warp;

/// A text of an assertion is read so far.
const TEXT_MAX: usize = 512;

impl Warp {
    pub(super) fn atomic(
        &mut self,
        machine: &mut Machine<'_>,
        block: &mut Block,
        instruction: &Instruction,
        access: Access,
        [in_shared, in_global]: [Atomic; 2],
        active: u32,
    ) -> Run<()> {
        let places = self.atomic_places(machine, instruction, access, active);
        let [b, c] = [1, 2].map(|index| *self.row(machine, instruction.from[index]));
        let mut before = [0; LANES];
        for (lane, space, address) in places.each() {
            machine.counts.atomics += 1;
            before[lane] = match space {
                Space::Shared => {
                    let change = |old: u64| in_shared(old, b[lane], c[lane]);
                    self.atomic_shared(machine, block, instruction, access, lane, address, change)?
                }
                Space::Global | Space::Const => {
                    let change = |old: u64| in_global(old, b[lane], c[lane]);
                    self.atomic_global(machine, block, instruction, access, lane, address, change)?
                }
                Space::Local | Space::Param => {
                    let words = "an atomic operation on local memory or parameters";
                    let who = block.who(self, lane);
                    return Err(machine.stop(FaultCode::IllegalAddress, Kind::OutOfBounds, instruction, who, words));
                }
            };
        }
        self.write(instruction.to[0], &before, active);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "what an access is made of")]
    fn atomic_shared(
        &self,
        machine: &mut Machine<'_>,
        block: &mut Block,
        instruction: &Instruction,
        access: Access,
        lane: usize,
        address: u64,
        change: impl Fn(u64) -> u64,
    ) -> Run<u64> {
        let at = self.shared_place(machine, block, instruction, access, lane, address)?;
        let size = access.bytes as usize;
        let place = &mut block.shared.bytes[at..at + size];
        let old = number(place);
        place.copy_from_slice(&change(old).to_le_bytes()[..size]);
        self.touch(machine, block, instruction, lane, (at, size), Touch::Atomic);
        Ok(old)
    }

    #[expect(clippy::too_many_arguments, reason = "what an access is made of")]
    fn atomic_global(
        &self,
        machine: &mut Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        access: Access,
        lane: usize,
        address: u64,
        change: impl Fn(u64) -> u64,
    ) -> Run<u64> {
        let size = access.bytes as usize;
        let (memory, at) = match machine.memory.span_mut(address, size as u64) {
            Ok(found) if address.is_multiple_of(size as u64) => found,
            Ok(_) => return Err(self.misaligned(machine, block, instruction, access, lane, address)),
            Err(error) => {
                return Err(self.outside(
                    machine,
                    block,
                    instruction,
                    (access, "atomic operation"),
                    lane,
                    address,
                    error,
                ));
            }
        };
        let unwritten = memory.written.first_missing(at, size).is_some();
        let place = &mut memory.bytes[at..at + size];
        let old = number(place);
        place.copy_from_slice(&change(old).to_le_bytes()[..size]);
        memory.written.mark(at, size);
        machine.counts.bytes_loaded += size as u64;
        machine.counts.bytes_stored += size as u64;
        if unwritten {
            machine.find(Kind::UninitialisedGlobal, instruction, block.who(self, lane), |machine| {
                format!("an atomic operation on bytes that nothing wrote, {}", machine.memory.describe(address))
            });
        }
        Ok(old)
    }

    /// A failed assertion, with its text.
    pub(super) fn assertion(
        &self,
        machine: &Machine<'_>,
        block: &Block,
        instruction: &Instruction,
        active: u32,
    ) -> Box<Stop> {
        let lane = first(active);
        let value = |index: usize| self.row(machine, instruction.from[index])[lane];
        let text = |index: usize| text(machine, value(index));
        let words = format!("`{}` does not hold, {}:{} in {}", text(0), text(1), value(2) as u32, text(3));
        machine.stop(FaultCode::Assert, Kind::Assertion, instruction, block.who(self, lane), words)
    }
}

/// A text in global memory, up to its zero.
fn text(machine: &Machine<'_>, address: u64) -> String {
    let (Space::Global, address) = window::resolve(address) else { return "?".to_owned() };
    let Ok((memory, at)) = machine.memory.span(address, 1) else { return "?".to_owned() };
    let bytes = memory.bytes[at..].iter().take(TEXT_MAX).take_while(|byte| **byte != 0);
    bytes.map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' }).collect()
}
