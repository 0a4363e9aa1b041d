//! All that the driver knows, with one owner: the lock of [`STATE`]. Its methods are safe and take what the C functions
//! have checked; they stand beside their subjects (`context`, `stream`, `module`, …).

use super::allocator::Allocator;
use super::attributes;
use super::code::{Answer, Code};
use super::context::Contexts;
use super::event::Event;
use super::handles::{Kind as HandleKind, Stale, Table};
use super::module::{Function, Module};
use super::pinned::HostBlocks;
use super::settings::Settings;
use super::stream::{Captures, Stream};
use crate::blas::Blas;
use crate::count::Counts;
use crate::fault::{Faults, Progress};
use crate::memory::{BlockName, Memory};
use crate::rand::Generator;
use crate::report::{Kind, Report, Reports};
use parking_lot::Mutex;
use std::io::Write;
use std::sync::LazyLock;

/// What a context takes of the device before anything is allocated. A figure of the stand-in: on a card it depends on the
/// driver and on which kernels are loaded.
pub(crate) const CONTEXT_BYTES: u64 = 104 << 20;

/// The one driver of this process.
pub(crate) static STATE: LazyLock<Mutex<State>> = LazyLock::new(|| {
    super::abi::at_exit();
    Mutex::new(State::new(Settings::of_environment()))
});

pub(crate) struct State {
    pub(super) settings: Settings,
    pub(super) faults: Progress,
    /// `cuInit` was called and answered 0.
    pub(super) started: bool,
    pub(super) contexts: Contexts,
    pub(super) streams: Table<Stream>,
    pub(super) captures: Captures,
    pub(super) events: Table<Event>,
    pub(super) modules: Table<Module>,
    pub(super) functions: Table<Function>,
    pub(crate) blas: Table<Blas>,
    pub(crate) generators: Table<Generator>,
    pub(super) allocator: Allocator,
    pub(super) host: HostBlocks,
    pub(crate) memory: Memory,
    pub(crate) reports: Reports,
    pub(crate) counts: Counts,
    /// The error that stays, once there is one.
    pub(super) dead: Option<Code>,
    /// It came with the last launch, and no call has told it: on a card the kernel would still be running.
    pub(super) untold: bool,
    /// The device is gone: no context can be made.
    pub(super) lost: bool,
    /// Grows with every piece of work: what events tell instead of a time.
    pub(super) ticks: u64,
    /// The number of the next allocation, for its name.
    pub(super) allocations: u64,
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        let plan = settings.faults.clone().unwrap_or_default();
        let total = plan.memory.map_or(attributes::TOTAL_MEMORY, |free| free.saturating_add(CONTEXT_BYTES));
        Self {
            settings,
            faults: Progress::of(plan),
            started: false,
            contexts: Contexts::default(),
            streams: Table::new(HandleKind::Stream),
            captures: Captures::default(),
            events: Table::new(HandleKind::Event),
            modules: Table::new(HandleKind::Module),
            functions: Table::new(HandleKind::Function),
            blas: Table::new(HandleKind::Blas),
            generators: Table::new(HandleKind::Generator),
            allocator: Allocator::new(total),
            host: HostBlocks::default(),
            memory: Memory::default(),
            reports: Reports::default(),
            counts: Counts::default(),
            dead: None,
            untold: false,
            lost: false,
            ticks: 0,
            allocations: 0,
        }
    }

    /// `cuInit`.
    pub(super) fn init(&mut self, flags: u32) -> Answer {
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        if let Err(problems) = &self.settings.faults {
            say(&problems.join("\n"));
            return Err(Code::UNKNOWN);
        }
        if !self.settings.visible || self.faults.plan().no_device {
            return Err(Code::NO_DEVICE);
        }
        self.started = true;
        Ok(())
    }

    pub(super) fn plan(&self) -> &Faults {
        self.faults.plan()
    }

    /// The version that the driver says it has.
    pub(super) fn version(&self) -> i32 {
        self.plan().driver.unwrap_or(attributes::DRIVER_VERSION)
    }

    /// Free and total memory.
    pub(super) fn info(&self) -> (u64, u64) {
        self.allocator.info()
    }

    pub(super) fn pools(&mut self) -> &mut Allocator {
        &mut self.allocator
    }

    /// The driver is initialised and no error stays.
    pub(crate) fn usable(&self) -> Answer {
        self.initialised()?;
        self.told().map_or(Ok(()), Err)
    }

    pub(super) fn initialised(&self) -> Answer {
        if self.started { Ok(()) } else { Err(Code::NOT_INITIALIZED) }
    }

    /// The only device there is.
    pub(super) fn device(&self, ordinal: i32) -> Answer {
        self.initialised()?;
        if ordinal == 0 { Ok(()) } else { Err(Code::INVALID_DEVICE) }
    }

    /// Adds a finding, and says it when it is the first of its sort.
    pub(crate) fn report(&mut self, report: Report) {
        let text = report.to_string();
        if self.reports.add(report) {
            say(&text);
        }
    }

    /// A finding that no kernel made.
    pub(crate) fn find(&mut self, kind: Kind, words: impl Into<String>) {
        self.report(Report { kind, place: None, words: words.into() });
    }

    /// Something that the stand-in does not do: 801, and a finding.
    pub(crate) fn unsupported(&mut self, what: impl Into<String>) -> Code {
        self.find(Kind::Unsupported, what);
        Code::NOT_SUPPORTED
    }

    /// A handle that a real driver would crash on, or not notice: 400, and a finding.
    pub(super) fn stale(&mut self, what: &str, handle: u64, why: Stale) -> Code {
        let why = match why {
            Stale::Destroyed => "was destroyed",
            Stale::Invented => "never was one",
        };
        self.find(Kind::WrongCall, format!("{what} {handle:#x} {why}; a real driver may crash"));
        Code::INVALID_HANDLE
    }

    /// A call begins. Recording an event behind a kernel that fails works; any other call tells the error.
    pub(super) fn begins(&mut self, name: &'static str) {
        self.counts.call(name);
        self.untold &= name == "cuEventRecord";
    }

    /// The error that stays, if it is told by now.
    pub(super) fn told(&self) -> Option<Code> {
        self.dead.filter(|_| !self.untold)
    }

    /// A kernel failed: the code stays.
    pub(crate) fn die(&mut self, code: Code) {
        self.dead.get_or_insert(code);
    }

    /// The name of the next allocation.
    pub(super) fn next_name(&mut self) -> BlockName {
        self.allocations += 1;
        BlockName::Allocation(self.allocations)
    }

    /// What was found, as a document.
    pub(super) fn findings(&self) -> String {
        self.reports.to_json(self.settings.compiled.as_deref())
    }

    /// The process ends: what was never freed is found, and both documents are written.
    pub(super) fn end(&mut self, other_threads: usize) {
        let blocks = self.memory.leaks().into_iter().filter(|(_, _, name)| !matches!(name, BlockName::Variable(_)));
        let blocks = blocks.map(|(_, len, name)| format!("{name} of {len} bytes"));
        let pinned =
            self.host.left().into_iter().map(|(number, len)| format!("pinned allocation {number} of {len} bytes"));
        let left: Vec<String> = blocks.chain(pinned).collect();
        if other_threads > 0 && !left.is_empty() {
            // One of them may have been about to free it.
            say(&format!(
                "the process ends while {other_threads} other threads run, with {} blocks not freed",
                left.len()
            ));
        } else {
            left.iter()
                .for_each(|block| self.find(Kind::Leak, format!("{block} was not freed when the process ended")));
        }
        let documents =
            [(self.settings.report.as_ref(), self.findings()), (self.settings.counts.as_ref(), self.counts.to_json())];
        for (path, text) in documents {
            let Some(path) = path else { continue };
            if let Err(why) = std::fs::write(path, text) {
                say(&format!("{} could not be written: {why}", path.display()));
            }
        }
    }
}

/// A line on stderr, the only place where a library may speak.
pub(crate) fn say(text: &str) {
    let mut to = std::io::stderr().lock();
    let lines: String = text.lines().map(|line| format!("cuda-standin: {line}\n")).collect();
    // In one piece, so that lines of several threads stay apart. Nobody is left to be told that stderr is closed.
    let _ = to.write_all(lines.as_bytes());
}
