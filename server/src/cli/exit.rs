//! How a command ends: the exit code that scripts rely on, and the sentence that people read.

use std::fmt;
use std::io;

/// The exit codes of `sluice`; a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Done = 0,
    /// What was given is wrong: a values file, an artifact, a name.
    BadInput = 1,
    /// The command line itself is wrong.
    Usage = 2,
    /// What was asked for is right, and could not be reached or done.
    Failed = 3,
    /// The device is gone; only a new process gets it back.
    DeviceLost = 4,
}

/// Why a command did not end with [`Exit::Done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the process ends with.
    pub exit: Exit,
    /// What went wrong: lower-case, no full stop. Empty where everything has been said already.
    pub message: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

// === impl Exit ===

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

// === impl Failure ===

impl Failure {
    /// The input is wrong.
    pub(crate) fn input(message: impl fmt::Display) -> Self {
        Self { exit: Exit::BadInput, message: message.to_string(), hint: None }
    }

    /// It could not be reached or done.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string(), hint: None }
    }

    /// Ends with `exit` without another word.
    pub(crate) const fn quiet(exit: Exit) -> Self {
        Self { exit, message: String::new(), hint: None }
    }

    /// A file could not be read: what was given is wrong where it is not there, the system's fault otherwise.
    pub(crate) fn reading(path: &std::path::Path, error: &io::Error) -> Self {
        let message = format!("cannot read {}: {}", path.display(), error);
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidData => Self::input(message),
            _ => Self::failed(message),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
