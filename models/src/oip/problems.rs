//! What is wrong with a request, gathered so that its sender sees all of it at once.

use std::fmt;

use super::Limits;

/// Characters of the sender's text that an error repeats.
const SHOWN_MAX: usize = 64;

/// A request or tensor that is refused; the text names the tensor, the value and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// More than this many are counted, not told: an error stays readable.
    const TOLD_MAX: usize = 8;

    /// Adds one.
    pub fn push(&mut self, problem: String) {
        self.0.push(problem);
    }

    /// The value, or what was wrong with it.
    pub fn take<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    /// `value`, unless something was wrong.
    ///
    /// # Errors
    /// Everything that was wrong, in one text.
    pub fn finish<T>(self, value: T) -> Result<T, Invalid> {
        if self.0.is_empty() { Ok(value) } else { Err(Invalid(self.text())) }
    }

    /// The first of them, and how many more there are.
    #[must_use]
    pub fn text(&self) -> String {
        let more = self.0.len().saturating_sub(Self::TOLD_MAX);
        let mut told = self.0[..self.0.len() - more].join("; ");
        if more > 0 {
            told.push_str(&format!("; and {more} more"));
        }
        told
    }
}

/// Text of the sender as an error may repeat it: escaped, and cut at 64 characters. Escaping is for those who read it:
/// where nothing is wrong with a request it costs nothing.
#[must_use]
pub const fn shown(text: &str) -> Shown<'_> {
    Shown(text)
}

/// See [`shown`].
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for char in chars.by_ref().take(SHOWN_MAX) {
            write!(f, "{}", char.escape_debug())?;
        }
        if chars.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}

/// Refuses more tensors than `limits` has; `what` is `inputs` or `outputs`.
///
/// # Errors
/// The limit.
pub fn tensor_count(what: &str, count: usize, limits: Limits) -> Result<(), Invalid> {
    if count <= limits.tensors { Ok(()) } else { Err(too_many(what, limits.tensors)) }
}

/// The refusal of a list of more than `limit`, which is not read to its end; `what` is in it, such as `inputs`.
#[must_use]
pub fn too_many(what: &str, limit: usize) -> Invalid {
    Invalid(format!("the request has more {what} than the limit of {limit}"))
}

/// Adds a problem for each name that occurs again; `what` is `input` or `output`.
pub fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>, problems: &mut Problems) {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            problems.push(format!("{what} '{}' is given twice", shown(name)));
        }
        seen.push(name);
    }
}
