//! What is wrong with a file or a setting, and where. Knows nothing of what the text means.

use std::fmt;

/// How many problems of one text are kept; a broken file of a thousand lines says the same thing a thousand times.
const PROBLEMS_MAX: usize = 100;

/// One thing that is wrong, the place of it, and what would be right.
///
/// Displays as `values.yaml:12:7: strategy.canary.steps[2].setWeight: 120 is over 100; write a share of 0 to 100`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the caller named it, or the flag or environment variable of a setting.
    pub file: String,
    /// Line, from 1; 0 where the source has no lines (a flag, an environment variable).
    pub line: usize,
    /// Column in characters, from 1; 0 where the source has no lines.
    pub column: usize,
    /// Path of the field, such as `strategy.canary.steps[2].setWeight`; empty for the whole text.
    pub path: String,
    /// The value found and what to write instead: lower-case, no full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that is wrong with one text, in the order of the text. Never empty. Displays one problem per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Some` when there is a problem. Sorts by place, drops repetitions, and keeps the first 100.
    pub(crate) fn of(mut problems: Vec<Problem>) -> Option<Self> {
        arrange(&mut problems);
        if problems.is_empty() { None } else { Some(Self(problems)) }
    }

    /// For a text that was refused without a reason: a defect of the decoder, told instead of hidden.
    pub(crate) fn unexplained(file: &str) -> Self {
        let message = "this was refused and no reason was recorded; this is a defect, please report it".to_owned();
        Self(vec![Problem { file: file.to_owned(), line: 0, column: 0, path: String::new(), message }])
    }

    /// The problems, in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// The problems, in the order of the text; at least one.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

/// Sorts by place (sources keep the order in which they were read) and bounds the list.
pub(crate) fn arrange(problems: &mut Vec<Problem>) {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    problems.truncate(PROBLEMS_MAX);
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The nearest of `known` to a mistyped `text`, as ` (did you mean `x`?)`, or nothing.
pub(crate) fn did_you_mean<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    // Beyond a name's length a distance means nothing, and it costs the product of both lengths.
    if text.len() > 64 {
        return String::new();
    }
    let folded = text.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}

/// `value` for a message: quoted, escaped, and cut after 60 characters.
pub(crate) fn quoted(value: &str) -> String {
    let cut: String = value.chars().take(60).collect();
    if cut.len() < value.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}
