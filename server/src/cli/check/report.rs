//! What is told of one file, for people: a line for each check, lined up, and what it comes to.

use crate::cli::exit::Exit;
use crate::cli::output::{BAD, BUSY, Cell, Clean, FAINT, GOOD, STRONG, Table, short_digests};

use super::verdict::{Check, Finding, Verdict};

/// The checks of one values file.
#[derive(Debug)]
pub(super) struct Report {
    /// As it was named.
    pub(super) file: String,
    /// Its content, for the places of fields.
    pub(super) text: String,
    /// Model and version, where the file is valid.
    pub(super) release: Option<(String, String)>,
    pub(super) checks: Vec<Check>,
}

impl Report {
    /// What the process ends with. What is wrong for certain goes before what is not known.
    pub(super) fn exit(&self) -> Exit {
        let any = |word| self.checks.iter().any(|check| check.verdict.word() == word);
        if any("failed") {
            Exit::BadInput
        } else if any("unreachable") {
            Exit::Failed
        } else {
            Exit::Done
        }
    }

    /// In one word.
    pub(super) fn outcome(&self) -> &'static str {
        match self.exit() {
            Exit::Done => "passed",
            Exit::BadInput => "refused",
            _ => "undecided",
        }
    }

    /// Line and column of a finding; the first of the file where it has none.
    pub(super) fn place(&self, finding: &Finding) -> (usize, usize) {
        finding.place.or_else(|| config::locate(&self.text, &finding.field)).unwrap_or((1, 1))
    }

    /// For people. Digests are cut to what tells two apart.
    pub(super) fn text(&self) -> String {
        let file = Clean(&self.file);
        let heading = match &self.release {
            Some((model, version)) => format!("{STRONG}{file}{STRONG:#}: {model} {version}\n"),
            None => format!("{STRONG}{file}{STRONG:#}\n"),
        };
        let mut table = Table::indented(2);
        for check in &self.checks {
            let (word, style) = match check.verdict {
                Verdict::Passed(_) => ("passed", GOOD),
                Verdict::Failed(_) => ("FAILED", BAD),
                Verdict::Unreachable(_) => ("UNKNOWN", BAD),
                Verdict::NotRun(_) => ("not run", BUSY),
                Verdict::Skipped(_) => ("skipped", FAINT),
            };
            let (mut word, mut name) = (Cell::styled(style, word), Cell::styled(STRONG, check.name));
            for message in check.verdict.messages() {
                table.row([word, name, Cell::from(short_digests(&message))]);
                (word, name) = (Cell::from(""), Cell::from(""));
            }
        }
        format!("{heading}{table}{}\n", self.summary())
    }

    fn summary(&self) -> String {
        let style = match self.exit() {
            Exit::Done => GOOD,
            Exit::BadInput => BAD,
            _ => BUSY,
        };
        let words = ["passed", "failed", "unreachable", "notRun", "skipped"];
        let said = ["passed", "failed", "unknown", "not run", "skipped"];
        let count = |word| self.checks.iter().filter(|check| check.verdict.word() == word).count();
        let counts = words.iter().zip(said).map(|(word, said)| (count(*word), said)).filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, said)| format!("{count} {said}")).collect();
        format!("{style}{}{style:#}: {}", self.outcome(), counts.join(", "))
    }
}
