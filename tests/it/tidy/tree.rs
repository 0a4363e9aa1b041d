//! The text of the repository, read once: every Rust file with its lexemes, and the documents.

use std::fmt;
use std::path::{Path, PathBuf};

use super::lexemes::{Lexeme, lex};

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &["target", "node_modules", "__pycache__"];

/// One Rust file.
pub(super) struct Source {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) lexemes: Vec<Lexeme>,
}

/// One Markdown file in the root.
pub(super) struct Document {
    pub(super) name: String,
    pub(super) text: String,
}

/// What the rules judge.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) sources: Vec<Source>,
    pub(super) documents: Vec<Document>,
}

/// Where a rule is broken, and what to do about it.
#[derive(Debug, PartialEq)]
pub(super) struct Violation {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    // Read when it runs, not when it is compiled: a target folder may serve several clones.
    let tests = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    Path::new(&tests).parent().expect("the tests crate lies in the root").to_path_buf()
}

impl Tree {
    /// Every Rust file under `root`, and the documents in it.
    pub(super) fn read(root: &Path) -> Self {
        let mut tree = Self::default();
        tree.read_folder(root, "");
        tree.sources.sort_by(|a, b| a.path.cmp(&b.path));
        tree
    }

    /// A tree of these files only, for a test of a rule.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        files.iter().for_each(|(path, text)| tree.add(path, (*text).to_owned()));
        tree
    }

    fn read_folder(&mut self, folder: &Path, relative: &str) {
        for entry in std::fs::read_dir(folder).expect("a folder of the repository can be listed") {
            let entry = entry.expect("an entry of the repository can be read");
            let name = entry.file_name().into_string().expect("names in the repository are UTF-8");
            if name.starts_with('.') || SKIPPED.contains(&name.as_str()) {
                continue;
            }
            let path = format!("{relative}{name}");
            if entry.file_type().expect("an entry has a type").is_dir() {
                self.read_folder(&entry.path(), &format!("{path}/"));
            } else if name.ends_with(".rs") || is_document(&path) {
                self.add(&path, std::fs::read_to_string(entry.path()).expect("source files are UTF-8"));
            }
        }
    }

    fn add(&mut self, path: &str, text: String) {
        if is_document(path) {
            self.documents.push(Document { name: path.to_owned(), text });
        } else {
            let lexemes = lex(&text).unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
            self.sources.push(Source { path: path.to_owned(), text, lexemes });
        }
    }
}

impl Source {
    /// A violation on a line of this file.
    pub(super) fn violation(&self, line: usize, message: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, message: message.into() }
    }
}

fn is_document(path: &str) -> bool {
    path.ends_with(".md") && !path.contains('/')
}
