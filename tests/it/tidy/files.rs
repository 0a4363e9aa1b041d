//! How a file looks: short, and with its purpose first.

use super::tree::{Tree, Violation};

/// Above this a file holds more than one idea.
const LINES_MAX: usize = 500;

/// Every file is short enough to be read whole.
pub(super) fn short(tree: &Tree) -> Vec<Violation> {
    let lengths = tree.sources.iter().map(|source| (source, source.text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > LINES_MAX);
    long.map(|(source, lines)| source.violation(LINES_MAX, format!("{lines} lines: split it (at most {LINES_MAX})")))
        .collect()
}

/// Every file opens with `//!`. Sibling tests need none: their parent says it.
pub(super) fn open_with_documentation(tree: &Tree) -> Vec<Violation> {
    let judged = tree.sources.iter().filter(|source| !source.path.ends_with("tests.rs"));
    let silent = judged.filter(|source| !source.text.starts_with("//! "));
    silent.map(|source| source.violation(1, "open with `//!`: what it owns, and what it must not know")).collect()
}

#[test]
fn a_long_file_fires() {
    let (fits, long) = ("\n".repeat(LINES_MAX), "\n".repeat(LINES_MAX + 1));
    let found = short(&Tree::of(&[("a.rs", &fits), ("b.rs", &long)]));
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["b.rs:500: 501 lines: split it (at most 500)"]
    );
}

#[test]
fn a_silent_file_fires() {
    let files = [
        ("a.rs", "//! Owns a."),
        ("b.rs", "use std::fs;\n//! Late."),
        ("b/tests.rs", "use super::*;"),
        ("b_tests.rs", ""),
    ];
    let found = open_with_documentation(&Tree::of(&files));
    assert_eq!(found.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), ["b.rs"]);
}
