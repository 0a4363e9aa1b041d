//! What is known of a source after a reading: pure, a function of what was known before and of what was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::source::Snapshot;
use crate::parse::{Parsed, content_digest, parse};
use crate::problem::Problems;
use crate::values::Digest;

/// What is known of one source. A failed reading never takes away what was known, and neither does a folder that holds
/// no values at all: a mount that vanishes for a moment looks like that. Only a folder that was read whole, and holds
/// other values files, says of a file that is not in it that it was removed.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Each file, by its path: the source as it was given, and the file's name below it.
    pub files: BTreeMap<String, FileState>,
    /// Why the source as a whole cannot be read at the moment.
    pub error: Option<String>,
    /// What an operator should know of the way it is watched, such as a mount that can never change.
    pub notes: Vec<String>,
    /// Readings so far; 0 before the first. A reading that changes nothing counts, but nobody is told of it.
    pub reads: u64,
}

/// What is known of one file.
#[derive(Debug, Clone, Default)]
pub struct FileState {
    /// The last content that was valid: what is to be served, whatever `error` says.
    pub last_good: Option<Arc<Parsed>>,
    /// What is wrong with the file now.
    pub error: Option<FileError>,
    /// SHA-256 of the content last read, valid or not: the observed revision.
    pub revision: Option<Digest>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It was read and it is not valid values.
    #[error("{0}")]
    Invalid(Problems),
    /// It could not be read.
    #[error("{0}")]
    Read(String),
    /// It is not there, and what is there does not say that it was removed.
    #[error("the file is gone")]
    Gone,
}

impl Observed {
    /// Whether `snapshot` holds content that has not been seen before, or says that a file was removed.
    pub(super) fn is_changed_by(&self, snapshot: &Snapshot) -> bool {
        let seen = |name: &String| self.files.get(name).and_then(|file| file.revision);
        let mut contents = snapshot.files.iter();
        contents.any(|(name, content)| content.as_ref().is_ok_and(|bytes| seen(name) != Some(content_digest(bytes))))
            || snapshot.is_whole() && self.files.keys().any(|name| !snapshot.files.contains_key(name))
    }

    /// What is known after `snapshot`.
    pub(super) fn after(&self, snapshot: Snapshot, note: Option<String>) -> Self {
        let whole = snapshot.is_whole();
        let Snapshot { mut files, error, mut notes, .. } = snapshot;
        notes.extend(note);
        let mut known = BTreeMap::new();
        for (name, state) in &self.files {
            let state = match (files.remove(name), &error) {
                (Some(content), _) => state.after(name, content),
                (None, Some(error)) => state.unreadable(error.clone()),
                // Removed: nothing of it is kept.
                (None, None) if whole => continue,
                (None, None) => FileState { error: Some(FileError::Gone), ..state.clone() },
            };
            // A file that never held values has nothing to keep when it goes.
            if state.revision.is_some() || error.is_some() {
                known.insert(name.clone(), state);
            }
        }
        for (name, content) in files {
            let state = FileState::default().after(&name, content);
            known.insert(name, state);
        }
        Self { files: known, error, notes, reads: self.reads + 1 }
    }

    /// Whether a receiver would learn anything from `self` that `other` did not say.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        let same = |(a, b): ((&String, &FileState), (&String, &FileState))| {
            a.0 == b.0 && a.1.revision == b.1.revision && a.1.error == b.1.error
        };
        self.error == other.error
            && self.notes == other.notes
            && self.files.len() == other.files.len()
            && self.files.iter().zip(&other.files).all(same)
    }
}

impl FileState {
    fn after(&self, name: &str, content: Result<Vec<u8>, String>) -> Self {
        let bytes = match content {
            Ok(bytes) => bytes,
            Err(error) => return self.unreadable(error),
        };
        let revision = content_digest(&bytes);
        let unread = matches!(self.error, Some(FileError::Read(_) | FileError::Gone));
        if self.revision == Some(revision) && !unread {
            return self.clone();
        }
        match understood(name, &bytes) {
            Ok(parsed) => {
                let last_good = match &self.last_good {
                    // Readers compare pointers; the same content is the same values.
                    Some(last) if last.digest == parsed.digest => Arc::clone(last),
                    _ => Arc::new(parsed),
                };
                Self { last_good: Some(last_good), error: None, revision: Some(revision) }
            }
            Err(error) => Self { last_good: self.last_good.clone(), error: Some(error), revision: Some(revision) },
        }
    }

    fn unreadable(&self, error: String) -> Self {
        Self { error: Some(FileError::Read(error)), ..self.clone() }
    }
}

fn understood(name: &str, bytes: &[u8]) -> Result<Parsed, FileError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        FileError::Read(format!("the file is not UTF-8 text after byte {}; save it as UTF-8", error.valid_up_to()))
    })?;
    parse(name, text).map_err(FileError::Invalid)
}
