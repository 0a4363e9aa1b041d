//! How one test ended, and why. Pure.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::cuda::traps::SAID;

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed(Why),
}

/// What is seen of a failure from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// It called a function that nothing here has.
    Missing(String),
    /// It took too long, and was stopped.
    Late,
    /// It panicked, with these words.
    Panicked(String),
    /// A signal, or an exit code without a panic.
    Ended(String),
    /// It passed, and the stand-in found this all the same.
    Found(String),
}

/// Why a failure is no news.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is the same on a real card, or it asks for what is left out on purpose.
    Known(&'static str),
    /// It calls what sluice does not.
    Missing(String),
    /// It is news.
    Unknown(Why),
}

impl Outcome {
    /// From how the process ended (`None`: it was stopped), what it said on its standard error, and the first thing that
    /// the stand-in found.
    pub(super) fn of(status: Option<ExitStatus>, said: &str, found: Option<String>) -> Self {
        let Some(status) = status else { return Self::Failed(Why::Late) };
        if status.success() {
            return found.map_or(Self::Passed, |words| Self::Failed(Why::Found(words)));
        }
        let mut lines = said.lines();
        if let Some(name) = said.lines().find_map(missing) {
            return Self::Failed(Why::Missing(name));
        }
        // `thread 'x' panicked at file:line:` and then the message.
        if lines.any(|line| line.contains("' panicked at ") || line.contains(") panicked at ")) {
            let words = lines.next().unwrap_or_default();
            return Self::Failed(Why::Panicked(words.chars().take(120).collect()));
        }
        // A test that answers an error does not panic.
        if let Some(error) = said.lines().find_map(|line| line.strip_prefix("Error: ")) {
            return Self::Failed(Why::Panicked(error.chars().take(120).collect()));
        }
        Self::Failed(Why::Ended(match status.signal() {
            Some(signal) => format!("signal {signal}"),
            None => status.to_string(),
        }))
    }
}

/// How the stand-in says that it does not do what a function asks for.
const UNSUPPORTED: &str = "cuda-standin: unsupported: ";

/// The function that a line says is not there.
fn missing(line: &str) -> Option<String> {
    let rest = line.strip_prefix(SAID).or_else(|| line.strip_prefix(UNSUPPORTED))?;
    let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

impl Reason {
    /// For the table.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Known(words) => (*words).to_owned(),
            Self::Missing(name) => format!("calls {name}, which neither candle nor sluice does"),
            Self::Unknown(Why::Missing(name)) => format!("NOT EXPLAINED: {name} is called by sluice too"),
            Self::Unknown(Why::Late) => "NOT EXPLAINED: it did not end".to_owned(),
            Self::Unknown(Why::Found(words)) => format!("NOT EXPLAINED: passed, with a finding: {words}"),
            Self::Unknown(Why::Panicked(words) | Why::Ended(words)) => format!("NOT EXPLAINED: {words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: i32, said: &str) -> Why {
        match Outcome::of(Some(ExitStatus::from_raw(code)), said, None) {
            Outcome::Failed(why) => why,
            Outcome::Passed => panic!("it did not pass"),
        }
    }

    #[test]
    fn an_end_without_error_is_a_pass_whatever_was_said() {
        let good = || Some(ExitStatus::from_raw(0));
        assert_eq!(Outcome::of(good(), "thread 'x' panicked at a.rs:1:\nno", None), Outcome::Passed);
        assert_eq!(Outcome::of(None, "", None), Outcome::Failed(Why::Late));
        let race = "shared-race: x".to_owned();
        assert_eq!(Outcome::of(good(), "", Some(race.clone())), Outcome::Failed(Why::Found(race)));
    }

    #[test]
    fn the_cause_is_found_in_what_was_said() {
        let aborted = "not in the stand-in: cuGraphLaunch\n";
        assert_eq!(failed(6, aborted), Why::Missing("cuGraphLaunch".to_owned()));
        let unsupported = "cuda-standin: unsupported: cuStreamEndCapture of a good capture: graphs are not built\n";
        assert_eq!(failed(101 << 8, unsupported), Why::Missing("cuStreamEndCapture".to_owned()));
        let panicked = "\nthread 'a::b' (7) panicked at src/a.rs:1:2:\nassertion failed\nnote: run\n";
        assert_eq!(failed(101 << 8, panicked), Why::Panicked("assertion failed".to_owned()));
        assert_eq!(failed(1 << 8, "Error: DriverError(1)\n"), Why::Panicked("DriverError(1)".to_owned()));
        assert_eq!(failed(11, "nothing"), Why::Ended("signal 11".to_owned()));
    }
}
