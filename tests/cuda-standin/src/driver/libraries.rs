//! What cuBLAS and cuRAND need of the driver: a context, and memory that their kernels read and write with the same checks
//! as any kernel.

use super::code::{Answer, Code};
use super::handles::Handle;
use super::state::{State, say};
use super::stream::Work;
use crate::exec;
use crate::fault::LaunchFault;
use crate::memory::AccessError;
use crate::report::Kind;

/// A library's kernel failed; what it found is reported, and the error stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

impl State {
    /// Makes the primary context current where none is, as the libraries do.
    pub(crate) fn with_context(&mut self) -> Answer {
        match self.context() {
            Err(Code::INVALID_CONTEXT) => {
                let primary = self.retain_primary(0)?;
                self.set_current(primary)
            }
            other => other.map(drop),
        }
    }

    /// Takes memory that a library keeps for itself.
    pub(crate) fn library_takes(&mut self, bytes: u64) -> Answer {
        self.allocator.budget.take(bytes)
    }

    /// Gives it back.
    pub(crate) fn library_gives(&mut self, bytes: u64) {
        self.allocator.budget.give(bytes);
    }

    /// A library launches a kernel: does it run? It does not where its stream is captured, or where a plan has it fail.
    pub(crate) fn library_launches(&mut self, kernel: &str, stream: Handle) -> Answer<bool> {
        if self.work_on(stream)?.0 == Work::Captured {
            return Ok(false);
        }
        for fault in self.faults.at_launch(kernel) {
            match fault {
                LaunchFault::Refused(code) => return Err(Code(code)),
                LaunchFault::Fails(code) | LaunchFault::Lost(code) => {
                    say(&format!("a planned fault: launch of {kernel} fails with {code}"));
                    self.lost |= matches!(fault, LaunchFault::Lost(_));
                    self.die(Code(code));
                    self.counts.launch(kernel, exec::Counts::default());
                    return Ok(false);
                }
                LaunchFault::Waits(_) => {
                    self.unsupported(format!("a plan that makes {kernel} of a library slow"));
                }
            }
        }
        Ok(true)
    }

    /// Reads what a library's kernel reads. `what` says which of its operands this is.
    pub(crate) fn library_reads(
        &mut self,
        kernel: &str,
        what: &str,
        from: u64,
        bytes: &mut [u8],
    ) -> Result<(), Failed> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.reaches_host(from, bytes.len()) {
            bytes.copy_from_slice(self.host.bytes(from, bytes.len() as u64).read());
            return Ok(());
        }
        match self.memory.read(from, bytes) {
            Ok(None) => Ok(()),
            Ok(Some(missing)) => {
                let at = self.memory.describe(from + missing);
                self.find(Kind::UninitialisedGlobal, format!("{kernel} reads of {what} what nothing wrote: {at}"));
                Ok(())
            }
            Err(why) => Err(self.outside(kernel, what, from, bytes.len(), why)),
        }
    }

    /// Writes what a library's kernel writes.
    pub(crate) fn library_writes(&mut self, kernel: &str, what: &str, to: u64, bytes: &[u8]) -> Result<(), Failed> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.reaches_host(to, bytes.len()) {
            self.host.bytes(to, bytes.len() as u64).write().copy_from_slice(bytes);
            return Ok(());
        }
        self.memory.write(to, bytes).map_err(|why| self.outside(kernel, what, to, bytes.len(), why))
    }

    /// All `len` bytes lie in one block, of the device or of pinned memory.
    pub(crate) fn library_reaches(&mut self, kernel: &str, what: &str, to: u64, len: u64) -> Result<(), Failed> {
        let room = self.memory.block_of(to).map(|(begin, room)| room - (to - begin));
        if room.is_some_and(|room| len <= room) || self.reaches_host(to, len as usize) {
            return Ok(());
        }
        let why = if room.is_some() { AccessError::OutOfBlock } else { AccessError::NoBlock };
        Err(self.outside(kernel, what, to, len as usize, why))
    }

    /// A library's kernel ran.
    pub(crate) fn library_ran(&mut self, kernel: &str, bytes_loaded: u64, bytes_stored: u64) {
        self.counts.launch(kernel, exec::Counts { bytes_loaded, bytes_stored, ..exec::Counts::default() });
    }

    /// An operand's address is no multiple of its numbers' size: 716, which stays.
    pub(crate) fn library_misaligned(&mut self, kernel: &str, what: &str, address: u64) -> Failed {
        self.find(Kind::Misaligned, format!("{kernel}: {what} at {address:#x}"));
        self.die(Code::MISALIGNED_ADDRESS);
        Failed
    }

    fn reaches_host(&self, address: u64, len: usize) -> bool {
        self.host.around(address).is_some_and(|(begin, block)| len as u64 <= block.len - (address - begin))
    }

    /// As on a card, the call itself succeeds, and 700 stays.
    fn outside(&mut self, kernel: &str, what: &str, address: u64, len: usize, why: AccessError) -> Failed {
        let kind = if why == AccessError::Freed { Kind::UseAfterFree } else { Kind::OutOfBounds };
        let at = self.memory.describe(address);
        self.find(kind, format!("{kernel}: {len} bytes of {what} at {address:#x}, {at}"));
        self.die(Code::ILLEGAL_ADDRESS);
        Failed
    }
}
