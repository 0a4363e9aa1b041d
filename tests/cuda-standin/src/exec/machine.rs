//! What a launch has for all its blocks: constants, memory, counts, findings.

use crate::arith::{LANES, Row};
use crate::memory::{Address, Memory};
use crate::program::instruction::{Constant, Instruction};
use crate::program::kernel::Kernel;
use crate::report::{Kind, Place, Report};

use super::{Counts, FaultCode, Launch};

/// What ends a launch.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) code: FaultCode,
    pub(super) report: Report,
}

/// Boxed, because it comes once.
pub(super) type Run<T> = Result<T, Box<Stop>>;

/// A finding and how often it came.
struct Finding {
    kind: Kind,
    line: u32,
    times: u64,
    report: Report,
}

/// Who did something: the block, and the thread's number in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    pub(super) block: [u32; 3],
    pub(super) thread: u32,
}

/// The state of a launch beside its blocks.
pub(super) struct Machine<'l> {
    pub(super) launch: &'l Launch<'l>,
    pub(super) kernel: &'l Kernel,
    pub(super) constants: Vec<Row>,
    pub(super) memory: &'l mut Memory,
    pub(super) counts: Counts,
    pub(super) instructions_max: u64,
    /// Blocks in constant memory, by where they begin.
    read_only: Vec<Address>,
    findings: Vec<Finding>,
}

impl<'l> Machine<'l> {
    pub(super) fn new(launch: &'l Launch<'l>, memory: &'l mut Memory, instructions_max: u64) -> Self {
        let kernel = launch.program.code(launch.kernel);
        let constants = kernel.constants.iter().map(|it| [constant(*it, launch, kernel); LANES]).collect();
        let variables = launch.program.variables().iter().zip(launch.variables);
        let read_only = variables.filter(|(it, _)| it.constant).map(|(_, at)| *at).collect();
        let counts = Counts::default();
        Self { launch, kernel, constants, memory, counts, instructions_max, read_only, findings: Vec::new() }
    }

    /// Whether a block of memory that begins here may not be written.
    pub(super) fn is_read_only(&self, begin: Address) -> bool {
        self.read_only.contains(&begin)
    }

    /// The coordinates of a thread.
    pub(super) fn thread(&self, number: u32) -> [u32; 3] {
        let [x, y, _] = self.launch.block.map(|size| size.max(1));
        [number % x, number / x % y, number / x / y]
    }

    fn place(&self, instruction: &Instruction, who: Who) -> Place {
        let (file, line) = instruction.place.source;
        Place {
            kernel: self.kernel.facts.name.clone(),
            block: who.block,
            thread: self.thread(who.thread),
            source: self.launch.program.file(file).map(|path| (path.to_owned(), line)),
            ptx_line: instruction.place.line,
        }
    }

    /// A finding that does not end the launch; the words are made for the first of its sort only.
    pub(super) fn find(
        &mut self,
        kind: Kind,
        instruction: &Instruction,
        who: Who,
        words: impl FnOnce(&Self) -> String,
    ) {
        let line = instruction.place.line;
        if let Some(before) = self.findings.iter_mut().find(|it| it.kind == kind && it.line == line) {
            before.times += 1;
            return;
        }
        let report = Report { kind, place: Some(self.place(instruction, who)), words: words(self) };
        self.findings.push(Finding { kind, line, times: 1, report });
    }

    /// What ends the launch.
    pub(super) fn stop(
        &self,
        code: FaultCode,
        kind: Kind,
        instruction: &Instruction,
        who: Who,
        words: impl Into<String>,
    ) -> Box<Stop> {
        let report = Report { kind, place: Some(self.place(instruction, who)), words: words.into() };
        Box::new(Stop { code, report })
    }

    /// The findings, in the order in which they came.
    pub(super) fn take_findings(&mut self) -> Vec<(Report, u64)> {
        std::mem::take(&mut self.findings).into_iter().map(|it| (it.report, it.times)).collect()
    }
}

/// The value of a constant at a launch.
fn constant(constant: Constant, launch: &Launch<'_>, kernel: &Kernel) -> u64 {
    match constant {
        Constant::Bits(bits) => bits,
        Constant::Parameter { offset, bytes, extend } => extended(parameter(launch, offset, bytes), bytes, extend),
        Constant::Variable { index, add } => {
            launch.variables.get(index as usize).copied().unwrap_or(0).wrapping_add(add)
        }
        Constant::DynamicShared { add } => u64::from(kernel.dynamic_shared).wrapping_add(add),
    }
}

/// Bytes of the parameters as a number; what the caller did not give is zero.
pub(super) fn parameter(launch: &Launch<'_>, offset: u32, bytes: u32) -> u64 {
    let at = offset as usize;
    (0..bytes as usize).fold(0, |value, index| {
        value | u64::from(launch.parameters.get(at + index).copied().unwrap_or(0)) << (8 * index)
    })
}

/// A signed value of `bytes` in a register of `extend` bytes; zero leaves it as it is.
pub(super) fn extended(value: u64, bytes: u32, extend: u32) -> u64 {
    if extend <= bytes || value >> (8 * bytes - 1) & 1 == 0 {
        return value;
    }
    let filled = value | u64::MAX << (8 * bytes);
    if extend >= 8 { filled } else { filled & ((1 << (8 * extend)) - 1) }
}
