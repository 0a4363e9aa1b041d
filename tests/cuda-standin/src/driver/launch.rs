//! Launches: what is refused, how parameters come together, and what a fault leaves.

use super::attributes::{BLOCK_MAX, GRID_MAX, PARAMETER_BYTES, REGISTERS, THREADS_PER_BLOCK, WARP};
use super::code::{Answer, Code};
use super::handles::Handle;
use super::module::Function;
use super::state::{State, say};
use super::stream::Work;
use crate::exec::{self, Launch};
use crate::fault::LaunchFault;
use crate::memory::Address;
use crate::program::{KernelFacts, Program};
use crate::report::Kind;
use std::path::PathBuf;
use std::sync::Arc;

/// A thread has no more registers: ptxas spills what is beyond.
pub(super) const REGISTERS_MAX: u32 = 255;
/// Registers are given to a warp so many at a time.
const REGISTERS_UNIT: u32 = 256;

/// The shape of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) dynamic_shared: u32,
}

/// A launch that was accepted and has not run.
pub(super) struct Accepted {
    function: Function,
    program: Arc<Program>,
    variables: Arc<[Address]>,
    shape: Shape,
    parameters: Vec<u8>,
    fails: Option<(Code, bool)>,
    /// Named pipes to be read to their end before it runs.
    pub(super) waits: Vec<PathBuf>,
}

/// Registers that a block takes, given to its warps in units.
pub(super) fn registers_of(facts: &KernelFacts, threads: u32) -> u32 {
    let warp = (facts.registers.clamp(1, REGISTERS_MAX) * WARP).next_multiple_of(REGISTERS_UNIT);
    warp * threads.div_ceil(WARP)
}

/// The largest block of a kernel: what it says itself, and what its registers leave.
pub(super) fn threads_max(facts: &KernelFacts) -> u32 {
    let said = facts.maxntid.map_or(THREADS_PER_BLOCK, |[x, y, z]| x.saturating_mul(y).saturating_mul(z));
    let warps = REGISTERS / registers_of(facts, WARP);
    said.min(warps * WARP).min(THREADS_PER_BLOCK)
}

/// Why a launch of this shape is refused.
fn refusal(facts: &KernelFacts, dynamic_max: u32, shape: &Shape) -> Option<Code> {
    let within = |size: [u32; 3], max: [u32; 3]| size.iter().zip(max).all(|(it, max)| (1..=max).contains(it));
    let threads: u64 = shape.block.iter().map(|size| u64::from(*size)).product();
    let too_many = |max: [u32; 3]| threads > max.iter().map(|size| u64::from(*size)).product();
    let refused = !within(shape.grid, GRID_MAX)
        || !within(shape.block, BLOCK_MAX)
        || threads > u64::from(THREADS_PER_BLOCK)
        || facts.maxntid.is_some_and(too_many)
        || facts.reqntid.is_some_and(|required| required != shape.block)
        || shape.dynamic_shared > dynamic_max
        || facts.parameter_bytes > PARAMETER_BYTES;
    if refused {
        return Some(Code::INVALID_VALUE);
    }
    (registers_of(facts, threads as u32) > REGISTERS).then_some(Code::LAUNCH_OUT_OF_RESOURCES)
}

/// Where a launch's parameters come from.
pub(super) enum Given<'a> {
    /// The n-th parameter's bytes, or `None` where its pointer is null.
    Each(&'a dyn Fn(usize, usize) -> Option<Vec<u8>>),
    /// All in one buffer.
    Buffer(Vec<u8>),
    /// Neither.
    Nothing,
}

impl State {
    /// Accepts a launch, or says why not. `None`: its stream is captured.
    pub(super) fn accept(
        &mut self,
        function: Handle,
        shape: Shape,
        stream: Handle,
        given: &Given<'_>,
    ) -> Answer<Option<Accepted>> {
        self.context()?;
        let accepted = self.accepted(function, shape, stream, given);
        if accepted.is_err() {
            self.work_was_refused(stream);
        }
        accepted
    }

    fn accepted(
        &mut self,
        handle: Handle,
        shape: Shape,
        stream: Handle,
        given: &Given<'_>,
    ) -> Answer<Option<Accepted>> {
        let function = self.function(handle)?.clone();
        let module = self.modules.get(function.module).map_err(|_| Code::INVALID_HANDLE)?;
        let (owner, program, variables) = (module.context, Arc::clone(&module.program), Arc::clone(&module.variables));
        let of_stream = self.stream(stream)?.1;
        if owner != of_stream {
            return Err(Code::INVALID_HANDLE);
        }
        if let Some(code) = refusal(&function.facts, function.dynamic_max, &shape) {
            return Err(code);
        }
        let parameters = self.parameters(&function.facts, given)?;
        let (work, _) = self.work_on(stream)?;
        if work == Work::Captured {
            return Ok(None);
        }
        let (mut fails, mut waits) = (None, Vec::new());
        for fault in self.faults.at_launch(&function.facts.name) {
            match fault {
                LaunchFault::Refused(code) => return Err(Code(code)),
                LaunchFault::Fails(code) => fails = Some((Code(code), false)),
                LaunchFault::Lost(code) => fails = Some((Code(code), true)),
                LaunchFault::Waits(path) => waits.push(path),
            }
        }
        Ok(Some(Accepted { function, program, variables, shape, parameters, fails, waits }))
    }

    fn parameters(&mut self, facts: &KernelFacts, given: &Given<'_>) -> Answer<Vec<u8>> {
        let mut bytes = vec![0; facts.parameter_bytes as usize];
        match given {
            Given::Nothing if facts.parameters.is_empty() => {}
            Given::Nothing => return Err(Code::INVALID_VALUE),
            Given::Each(bytes_of) => {
                for (index, parameter) in facts.parameters.iter().enumerate() {
                    let (at, size) = (parameter.offset as usize, parameter.size as usize);
                    let Some(value) = bytes_of(index, size) else {
                        let words =
                            format!("parameter {index} of {} is a null pointer; a real driver crashes", facts.name);
                        self.find(Kind::WrongCall, words);
                        return Err(Code::INVALID_VALUE);
                    };
                    bytes[at..at + size].copy_from_slice(&value);
                }
            }
            Given::Buffer(buffer) if buffer.len() > bytes.len() => return Err(Code::LAUNCH_OUT_OF_RESOURCES),
            Given::Buffer(buffer) => {
                if buffer.len() < bytes.len() {
                    let words = format!("{} of {} bytes of parameters for {}", buffer.len(), bytes.len(), facts.name);
                    self.find(Kind::WrongCall, words);
                }
                bytes[..buffer.len()].copy_from_slice(buffer);
            }
        }
        Ok(bytes)
    }

    /// Runs an accepted launch. What goes wrong in it stays, and the launch tells it only if it blocks.
    pub(super) fn run(&mut self, launch: &Accepted) -> Answer {
        self.context()?;
        let name = &launch.function.facts.name;
        if let Some((code, lost)) = launch.fails {
            say(&format!("a planned fault: launch of {name} fails with {}", code.0));
            self.counts.launch(name, exec::Counts::default());
            self.lost |= lost;
            return self.failed(code);
        }
        let words = launch.parameters.chunks_exact(8).map(|word| u64::from_le_bytes(std::array::from_fn(|i| word[i])));
        let shown = self.host.show(words, &mut self.memory);
        let found_before = self.reports.found().len();
        let ran = exec::run(
            &Launch {
                program: &launch.program,
                kernel: launch.function.kernel,
                grid: launch.shape.grid,
                block: launch.shape.block,
                dynamic_shared: launch.shape.dynamic_shared,
                parameters: &launch.parameters,
                variables: &launch.variables,
            },
            &mut self.memory,
            &mut self.reports,
        );
        shown.take_back(&self.host, &mut self.memory);
        for (report, _) in &self.reports.found()[found_before..] {
            say(&report.to_string());
        }
        match ran {
            Ok(counts) => {
                self.counts.launch(name, counts);
                Ok(())
            }
            Err(fault) => {
                self.counts.launch(name, fault.counts);
                say(&format!("{name} failed with {}", fault.code.result()));
                self.failed(Code(fault.code.result()))
            }
        }
    }

    fn failed(&mut self, code: Code) -> Answer {
        self.die(code);
        self.untold = !self.settings.blocking;
        if self.settings.blocking { Err(code) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> KernelFacts {
        KernelFacts {
            name: "k".into(),
            parameters: Vec::new(),
            parameter_bytes: 0,
            static_shared: 0,
            reqntid: None,
            maxntid: None,
            local_bytes: 0,
            registers: 16,
        }
    }

    const ONE: Shape = Shape { grid: [1; 3], block: [1; 3], dynamic_shared: 0 };

    fn refused(facts: &KernelFacts, shape: Shape) -> Option<i32> {
        refusal(facts, SHARED, &shape).map(|code| code.0)
    }

    const SHARED: u32 = super::super::attributes::SHARED_DEFAULT;

    #[test]
    fn grids_and_blocks_are_bounded_as_recorded() {
        let grid = |grid| refused(&facts(), Shape { grid, ..ONE });
        assert!(
            [[0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 65_536, 1], [1, 1, 65_536], [1 << 31, 1, 1]]
                .map(grid)
                .iter()
                .all(|it| *it == Some(1))
        );
        assert!([[1, 65_535, 1], [1, 1, 65_535], [(1 << 31) - 1, 1, 1]].map(grid).iter().all(Option::is_none));
        let block = |block| refused(&facts(), Shape { block, ..ONE });
        assert!(
            [[0, 1, 1], [1025, 1, 1], [1, 1025, 1], [1, 1, 65], [32, 33, 1]].map(block).iter().all(|it| *it == Some(1))
        );
        assert!([[1024, 1, 1], [1, 1024, 1], [1, 1, 64], [32, 32, 1]].map(block).iter().all(Option::is_none));
    }

    #[test]
    fn shared_memory_and_declared_sizes_count() {
        let shared = |dynamic_shared| refused(&facts(), Shape { dynamic_shared, ..ONE });
        assert_eq!([SHARED, SHARED + 1].map(shared), [None, Some(1)]);
        let threads = |facts: &KernelFacts, x| refused(facts, Shape { block: [x, 1, 1], ..ONE });
        let most = KernelFacts { maxntid: Some([64, 1, 1]), ..facts() };
        assert_eq!([63, 64, 65].map(|x| threads(&most, x)), [None, None, Some(1)]);
        let exact = KernelFacts { reqntid: Some([64, 1, 1]), ..facts() };
        assert_eq!([32, 64, 65].map(|x| threads(&exact, x)), [Some(1), None, Some(1)]);
    }

    #[test]
    fn too_many_registers_are_701() {
        let many = KernelFacts { registers: 254, ..facts() };
        let threads = |x| refused(&many, Shape { block: [x, 1, 1], ..ONE });
        assert_eq!([256, 257, 1024].map(threads), [None, Some(701), Some(701)]);
        assert_eq!((threads_max(&many), threads_max(&facts())), (256, 1024));
        let beyond = KernelFacts { registers: 1000, ..facts() };
        assert_eq!(threads_max(&beyond), 256, "what is beyond 255 is spilled");
    }
}
