//! What is wrong with a module beyond its grammar.

use crate::ptx::{Position, Problem};

use super::{LoadError, LoadErrorKind};

/// After so many troubles no more are looked for.
pub(super) const TROUBLES_MAX: usize = 20;

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) at: Position,
    pub(super) words: String,
    /// It may be right, but the stand-in does not know it.
    pub(super) unsupported: bool,
}

pub(super) type Checked<T> = Result<T, Trouble>;

/// An error in the text.
pub(super) fn invalid<T>(at: Position, words: impl Into<String>) -> Checked<T> {
    Err(Trouble { at, words: words.into(), unsupported: false })
}

/// Something that the stand-in lacks.
pub(super) fn unsupported<T>(at: Position, what: &str) -> Checked<T> {
    Err(Trouble { at, words: format!("unsupported: `{what}`"), unsupported: true })
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self { at: problem.at, words: problem.words, unsupported: false }
    }
}

/// All of them as one error. A driver would refuse the text if any is plainly wrong.
pub(super) fn load_error(mut troubles: Vec<Trouble>) -> LoadError {
    troubles.sort_by_key(|it| (it.at.line, it.at.column));
    let only_unsupported = troubles.iter().all(|it| it.unsupported);
    let kind = if only_unsupported { LoadErrorKind::Unsupported } else { LoadErrorKind::InvalidPtx };
    let first = troubles.first().map_or(Position { line: 1, column: 1 }, |it| it.at);
    let lines: Vec<String> = troubles
        .iter()
        .take(TROUBLES_MAX)
        .map(|it| format!("line {}, column {}: {}", it.at.line, it.at.column, it.words))
        .collect();
    LoadError { kind, line: first.line, column: first.column, message: lines.join("\n") }
}
