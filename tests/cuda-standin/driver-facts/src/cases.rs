//! The probes. Each runs in a process of its own, because many of them end with a dead context.

mod execution;
mod handles;
mod libraries;
mod memory;
mod modules;
mod start;
mod sticky;
mod streams;

use crate::probe::Probe;

pub(crate) struct Case {
    pub(crate) name: String,
    /// Variables of the child's environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Whether nothing else may use the device meanwhile.
    pub(crate) alone: bool,
    pub(crate) run: Box<dyn Fn(&Probe)>,
}

impl Case {
    fn new(name: impl Into<String>, run: impl Fn(&Probe) + 'static) -> Case {
        Case { name: name.into(), environment: Vec::new(), alone: false, run: Box::new(run) }
    }

    fn alone(mut self) -> Case {
        self.alone = true;
        self
    }

    fn with(mut self, key: &'static str, value: impl Into<String>) -> Case {
        self.environment.push((key, value.into()));
        self
    }
}

/// Every probe, the most wanted first.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = start::cases();
    cases.extend(memory::cases());
    cases.extend(modules::cases());
    cases.extend(streams::cases());
    cases.extend(execution::cases());
    cases.extend(sticky::cases());
    cases.extend(handles::cases());
    cases.extend(libraries::cases());
    cases
}
