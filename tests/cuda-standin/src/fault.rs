//! Faults on demand: what `$CUDA_STANDIN_FAULTS` plans, and when each is due. Knows nothing of how a driver answers.
//!
//! Entries are separated by `;`. Numbers count from 1, since the process began.
//!
//! | entry | what happens |
//! | --- | --- |
//! | `devices=0` | there is no device: `cuInit` answers 100 |
//! | `driver=12080` | the driver says that it is older, and refuses PTX that is newer than it |
//! | `memory=256MiB` | so much is free once a context is made (`KiB`, `MiB`, `GiB`, or bytes) |
//! | `allocation=3` | the third allocation of device memory is refused (2); `3+`: that and all after it |
//! | `launch=5` | the fifth launch fails while it runs (719); `5+`; `5:700` for another code. A code that stays (700, 710, 714 to 719) makes the launch answer 0 and every later call the code; another code is the launch's own answer, and nothing stays wrong |
//! | `launch=badd_f32/2:1` | the second launch of that kernel |
//! | `lost=5`, `lost=5:46` | at the fifth launch the device is lost: every later call answers 719, or that code, and no context can be made again (46) |
//! | `slow=5:PATH`, `slow=badd_f32/2:PATH` | that launch opens the named pipe `PATH` for reading and runs when it has read it to its end: who opens it for writing knows that the launch has come, and lets it go by closing it |
//! | `slow-copy=5:PATH` | the same for the fifth copy to the device that `cuMemcpyHtoD` or its `Async` is asked for |

mod entry;

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A plan of faults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// There is no device.
    pub no_device: bool,
    /// The version that the driver says it has.
    pub driver: Option<i32>,
    /// Bytes that are free once a context is made.
    pub memory: Option<u64>,
    /// Allocations that are refused.
    pub allocations: Vec<Which>,
    /// What happens at launches.
    pub launches: Vec<AtLaunch>,
    /// Copies to the device that wait until a named pipe was read to its end.
    pub slow_copies: Vec<(Which, PathBuf)>,
}

/// One of many events, or all from one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which {
    /// The event's number, from 1.
    pub number: u64,
    /// All after it as well.
    pub and_after: bool,
}

impl Which {
    fn is(self, number: u64) -> bool {
        number == self.number || (self.and_after && number > self.number)
    }
}

/// A fault that a launch meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtLaunch {
    /// Only launches of this kernel count.
    pub kernel: Option<String>,
    /// Which of them.
    pub which: Which,
    /// What happens.
    pub what: LaunchFault,
}

/// What happens at a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaunchFault {
    /// It is refused with this code, and nothing stays wrong.
    Refused(i32),
    /// It fails while it runs: the code stays.
    Fails(i32),
    /// The device is lost: the code stays, and no context can be made again.
    Lost(i32),
    /// It waits until this named pipe was read to its end.
    Waits(PathBuf),
}

impl Faults {
    /// Reads a plan. All problems are told, each with its entry.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut plan = Self::default();
        let mut problems = Vec::new();
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            if let Err(why) = entry::read(entry, &mut plan) {
                problems.push(format!("CUDA_STANDIN_FAULTS: `{entry}`: {why}"));
            }
        }
        if problems.is_empty() { Ok(plan) } else { Err(problems) }
    }
}

/// A plan, and how far it has come.
#[derive(Debug, Default)]
pub struct Progress {
    plan: Faults,
    allocations: u64,
    copies: u64,
    launches: u64,
    launches_of: BTreeMap<String, u64>,
}

impl Progress {
    /// Begins a plan.
    #[must_use]
    pub fn of(plan: Faults) -> Self {
        Self { plan, ..Self::default() }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Faults {
        &self.plan
    }

    /// An allocation is asked for: is it to be refused?
    pub fn refuses_allocation(&mut self) -> bool {
        self.allocations += 1;
        self.plan.allocations.iter().any(|which| which.is(self.allocations))
    }

    /// A copy to the device is asked for: the named pipes that it waits at.
    pub fn at_copy(&mut self) -> Vec<PathBuf> {
        self.copies += 1;
        let due = self.plan.slow_copies.iter().filter(|(which, _)| which.is(self.copies));
        due.map(|(_, pipe)| pipe.clone()).collect()
    }

    /// A kernel is launched: what happens, in the order of the plan.
    pub fn at_launch(&mut self, kernel: &str) -> Vec<LaunchFault> {
        self.launches += 1;
        if self.plan.launches.is_empty() {
            return Vec::new();
        }
        let of = self.launches_of.entry(kernel.to_owned()).or_default();
        *of += 1;
        let (all, of) = (self.launches, *of);
        self.plan
            .launches
            .iter()
            .filter(|fault| match &fault.kernel {
                None => fault.which.is(all),
                Some(name) => name == kernel && fault.which.is(of),
            })
            .map(|fault| fault.what.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_read() {
        let plan = Faults::parse(
            "devices=0; driver=12080; memory=256MiB; allocation=3; allocation=9+; launch=5; launch=badd_f32/2+:1; \
             launch=7:700; lost=8; lost=9:46; slow=k/1:/tmp/a:b; slow-copy=2:/tmp/c",
        )
        .unwrap();
        assert!(plan.no_device);
        assert_eq!((plan.driver, plan.memory), (Some(12080), Some(256 << 20)));
        let which = |number, and_after| Which { number, and_after };
        assert_eq!(plan.allocations, [which(3, false), which(9, true)]);
        assert_eq!(plan.slow_copies, [(which(2, false), "/tmp/c".into())]);
        let at = |kernel: Option<&str>, which, what| AtLaunch { kernel: kernel.map(str::to_owned), which, what };
        assert_eq!(
            plan.launches,
            [
                at(None, which(5, false), LaunchFault::Fails(719)),
                at(Some("badd_f32"), which(2, true), LaunchFault::Refused(1)),
                at(None, which(7, false), LaunchFault::Fails(700)),
                at(None, which(8, false), LaunchFault::Lost(719)),
                at(None, which(9, false), LaunchFault::Lost(46)),
                at(Some("k"), which(1, false), LaunchFault::Waits("/tmp/a:b".into())),
            ]
        );
        assert_eq!(Faults::parse(" ; "), Ok(Faults::default()));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = Faults::parse(
            "device=0;devices=2;memory=10MB;memory=;allocation=0;allocation=x;launch=;launch=/2;launch=3:0;\
             launch=3:x;slow=3;slow=3:;slow-copy=3;driver=new;lost",
        )
        .unwrap_err();
        assert_eq!(
            wrong.join("\n"),
            "CUDA_STANDIN_FAULTS: `device=0`: no such fault; there are devices, driver, memory, allocation, launch, lost, slow, slow-copy\n\
             CUDA_STANDIN_FAULTS: `devices=2`: only 0 can be asked for\n\
             CUDA_STANDIN_FAULTS: `memory=10MB`: 10MB is no size; write as 4096, 64KiB, 256MiB or 2GiB\n\
             CUDA_STANDIN_FAULTS: `memory=`:  is no size; write as 4096, 64KiB, 256MiB or 2GiB\n\
             CUDA_STANDIN_FAULTS: `allocation=0`: 0 is no number of an event; they count from 1, and 3+ means the third and all after it\n\
             CUDA_STANDIN_FAULTS: `allocation=x`: x is no number of an event; they count from 1, and 3+ means the third and all after it\n\
             CUDA_STANDIN_FAULTS: `launch=`:  is no number of an event; they count from 1, and 3+ means the third and all after it\n\
             CUDA_STANDIN_FAULTS: `launch=/2`: a kernel's name is missing before the slash\n\
             CUDA_STANDIN_FAULTS: `launch=3:0`: 0 is no code of an error; write one of cuda.h, as 719\n\
             CUDA_STANDIN_FAULTS: `launch=3:x`: x is no code of an error; write one of cuda.h, as 719\n\
             CUDA_STANDIN_FAULTS: `slow=3`: the named pipe is missing; write as slow=3:/path/of/pipe\n\
             CUDA_STANDIN_FAULTS: `slow=3:`: the named pipe is missing; write as slow=3:/path/of/pipe\n\
             CUDA_STANDIN_FAULTS: `slow-copy=3`: the named pipe is missing; write as slow-copy=3:/path/of/pipe\n\
             CUDA_STANDIN_FAULTS: `driver=new`: new is no version; write as 12080\n\
             CUDA_STANDIN_FAULTS: `lost`: no value; write as lost=…"
        );
    }

    #[test]
    fn faults_come_when_they_are_due() {
        let mut progress =
            Progress::of(Faults::parse("allocation=2;launch=k/2;launch=4+:1;slow-copy=2:/tmp/c").unwrap());
        assert_eq!([(); 3].map(|()| progress.refuses_allocation()), [false, true, false]);
        assert_eq!([(); 3].map(|()| progress.at_copy().len()), [0, 1, 0]);
        let met: Vec<usize> = ["k", "other", "k", "k", "other"].map(|kernel| progress.at_launch(kernel).len()).into();
        assert_eq!(met, [0, 0, 1, 1, 1]);
    }
}
