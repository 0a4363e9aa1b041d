//! Runs one launch, warp by warp, in the calling thread; counts and checks. Knows nothing of drivers.

mod access;
mod atomics;
mod block;
mod lanes;
mod machine;
mod meeting;
mod print;
mod shared;
mod shuffle;
mod step;
mod warp;

use crate::memory::{Address, Memory};
use crate::program::{KernelId, Program};
use crate::report::{Report, Reports};

/// One launch. The driver has checked its limits.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The module.
    pub program: &'a Program,
    /// Which of its kernels.
    pub kernel: KernelId,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub dynamic_shared: u32,
    /// The bytes of all parameters, as `KernelFacts` lays them out.
    pub parameters: &'a [u8],
    /// Where the module's variables lie, in the order of `Program::variables`.
    pub variables: &'a [Address],
}

/// What a launch did. Never a time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Instructions, counted for each thread that ran them.
    pub thread_instructions: u64,
    /// Instructions, counted for each warp.
    pub warp_instructions: u64,
    /// Bytes loaded from global memory.
    pub bytes_loaded: u64,
    /// Bytes stored to global memory.
    pub bytes_stored: u64,
    /// Atomic operations of threads.
    pub atomics: u64,
    /// Barriers of blocks.
    pub barriers: u64,
}

/// The driver's code for a launch that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCode {
    /// 700.
    IllegalAddress,
    /// 710.
    Assert,
    /// 716.
    Misaligned,
    /// 718.
    InvalidPc,
    /// 719.
    LaunchFailed,
}

impl FaultCode {
    /// As a `CUresult`.
    #[must_use]
    pub fn result(self) -> i32 {
        match self {
            Self::IllegalAddress => 700,
            Self::Assert => 710,
            Self::Misaligned => 716,
            Self::InvalidPc => 718,
            Self::LaunchFailed => 719,
        }
    }
}

/// Why a launch did not end well, and what it had done until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What the driver answers.
    pub code: FaultCode,
    /// The finding, which the launch also added to its `Reports`.
    pub report: Box<Report>,
    /// What the launch had done.
    pub counts: Counts,
}

/// After so many instructions of warps a launch is taken for one that does not end: minutes of a real card.
const INSTRUCTIONS_MAX: u64 = 1 << 33;

/// Runs a launch. Findings that do not end it go to `reports`, and that which ends it too.
pub fn run(launch: &Launch<'_>, memory: &mut Memory, reports: &mut Reports) -> Result<Counts, Fault> {
    run_within(INSTRUCTIONS_MAX, launch, memory, reports)
}

/// As [`run`], with another limit of instructions of warps.
pub fn run_within(
    instructions_max: u64,
    launch: &Launch<'_>,
    memory: &mut Memory,
    reports: &mut Reports,
) -> Result<Counts, Fault> {
    let mut machine = machine::Machine::new(launch, memory, instructions_max);
    let ended = block::run_all(&mut machine);
    let counts = machine.counts;
    let found = machine.take_findings();
    for (report, times) in found {
        reports.add_many(report, times);
    }
    match ended {
        Ok(()) => Ok(counts),
        Err(stop) => {
            reports.add(stop.report.clone());
            Err(Fault { code: stop.code, report: Box::new(stop.report), counts })
        }
    }
}
