//! Text of a values file to [`Values`] that cannot be wrong, or to everything that is wrong with it.

use crate::decode::{self, Report};
use crate::document;
use crate::problem::{self, Problem, Problems};
use crate::values::{Digest, Values};

/// A values file that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// What it asks for.
    pub values: Values,
    /// Legal, and probably not meant.
    pub warnings: Vec<Problem>,
    /// SHA-256 of the text: the revision that status reports as observed.
    pub digest: Digest,
}

/// Reads `text`; `file` is how problems name it.
///
/// # Errors
/// Every problem of the file, in the order of the text. Never stops at the first, unless the text is not YAML.
pub fn parse(file: &str, text: &str) -> Result<Parsed, Problems> {
    let mut report = Report::new(file);
    let values = decode_text(text, &mut report);
    let Report { problems, mut warnings, .. } = report;
    problem::arrange(&mut warnings);
    match (Problems::of(problems), values) {
        (Some(problems), _) => Err(problems),
        (None, Some(values)) => Ok(Parsed { values, warnings, digest: content_digest(text.as_bytes()) }),
        (None, None) => Err(Problems::unexplained(file)),
    }
}

/// Decodes `text` into `report`.
pub(crate) fn decode_text(text: &str, report: &mut Report) -> Option<Values> {
    // Editors on some systems put a byte order mark first; it is not part of the YAML.
    let (root, faults) = document::read(text.strip_prefix('\u{feff}').unwrap_or(text));
    let readable = root.is_some();
    let empty = !readable && faults.is_empty();
    for fault in faults {
        report.fault(fault);
    }
    if empty {
        return decode::values(&document::Node::null(), report);
    }
    decode::values(&root?, report)
}

/// SHA-256 of `bytes`: what decides whether a file changed.
#[must_use]
pub fn content_digest(bytes: &[u8]) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut array = [0; 32];
    array.copy_from_slice(digest.as_ref());
    Digest::from_bytes(array)
}

#[cfg(test)]
pub(crate) mod tests;
