//! A kernel that is ready to run.

use super::KernelFacts;
use super::instruction::{Constant, Instruction};

/// Code, constants and what they need.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) facts: KernelFacts,
    pub(crate) code: Vec<Instruction>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) rows: u32,
    pub(crate) predicates: u32,
    /// Of each byte of a thread's local memory, whether it belongs to a variable.
    pub(crate) local: Vec<bool>,
    /// Where dynamic shared memory begins.
    pub(crate) dynamic_shared: u32,
    /// The smallest access to shared memory: races are looked for in pieces of so many bytes.
    pub(crate) shared_granule: u32,
}
