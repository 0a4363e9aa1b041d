//! What a check comes to.

use config::Problem;

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// What scripts call it.
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is so; what was found.
    Passed(String),
    /// It is not so; each thing that is wrong, at least one.
    Failed(Vec<Finding>),
    /// It is not known, since somebody could not be asked.
    Unreachable(Finding),
    /// It depends on a check that did not pass.
    NotRun(&'static str),
    /// There is nothing to check; why.
    Skipped(String),
}

/// What is wrong, and the field of the values file that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) field: String,
    pub(super) message: String,
    /// Line and column, where they are not simply the field's.
    pub(super) place: Option<(usize, usize)>,
}

impl Verdict {
    /// The word for scripts.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "failed",
            Self::Unreachable(_) => "unreachable",
            Self::NotRun(_) => "notRun",
            Self::Skipped(_) => "skipped",
        }
    }

    /// What is wrong or unknown.
    pub(super) fn findings(&self) -> &[Finding] {
        match self {
            Self::Failed(findings) => findings,
            Self::Unreachable(finding) => std::slice::from_ref(finding),
            Self::Passed(_) | Self::NotRun(_) | Self::Skipped(_) => &[],
        }
    }

    /// What there is to say, each thing by itself.
    pub(super) fn messages(&self) -> Vec<String> {
        match self {
            Self::Passed(message) | Self::Skipped(message) => vec![message.clone()],
            Self::NotRun(other) => vec![format!("it depends on {other}, which did not pass")],
            Self::Failed(_) | Self::Unreachable(_) => {
                self.findings().iter().map(|finding| finding.message.clone()).collect()
            }
        }
    }

    /// Failed for one reason.
    pub(super) fn failed(field: &str, message: impl Into<String>) -> Self {
        Self::Failed(vec![Finding::new(field, message)])
    }
}

impl Finding {
    pub(super) fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into(), place: None }
    }

    /// A problem of the file itself.
    pub(super) fn of(problem: &Problem) -> Self {
        let place = (problem.line > 0).then_some((problem.line, problem.column));
        Self { field: problem.path.clone(), message: problem.message.clone(), place }
    }
}
