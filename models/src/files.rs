//! The files of an artifact as named byte ranges. Where the bytes come from (memory map, download) is not known here.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Files of one artifact, by relative name with `/` between folders.
#[derive(Debug, Clone, Default)]
pub struct ModelFiles {
    files: BTreeMap<String, Bytes>,
}

/// Why a set of files was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilesError {
    /// Absolute, with `..`, empty parts, backslashes or control characters.
    #[error("file name {0:?} is not a plain relative path")]
    Name(String),
    /// More than [`ModelFiles::FILES_MAX`].
    #[error("an artifact holds at most {} files", ModelFiles::FILES_MAX)]
    Count,
}

impl ModelFiles {
    /// Files that one artifact may have.
    pub const FILES_MAX: usize = 10_000;
    const NAME_BYTES_MAX: usize = 1024;

    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, in place of one of the same name.
    ///
    /// # Errors
    /// A name that is not a plain relative path, or too many files.
    pub fn insert(&mut self, name: impl Into<String>, data: Bytes) -> Result<(), FilesError> {
        let name = name.into();
        if !plain(&name) {
            return Err(FilesError::Name(name));
        }
        if self.files.len() >= Self::FILES_MAX && !self.files.contains_key(&name) {
            return Err(FilesError::Count);
        }
        self.files.insert(name, data);
        Ok(())
    }

    /// The bytes of a file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.files.get(name)
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Names and bytes in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.files.iter().map(|(name, data)| (name.as_str(), data))
    }

    /// Bytes of all files.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files.values().map(|data| data.len() as u64).sum()
    }
}

fn plain(name: &str) -> bool {
    name.len() <= ModelFiles::NAME_BYTES_MAX
        && !name.contains(['\\', ':'])
        && !name.chars().any(char::is_control)
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_must_be_plain_relative_paths() {
        let mut files = ModelFiles::new();
        for good in ["model.onnx", "golden/one.json", "a/b/c.bin", "..a"] {
            files.insert(good, Bytes::from_static(b"x")).unwrap();
        }
        for bad in ["", "/model.onnx", "../x", "a/../b", "a//b", "a/", "a\\b", "c:x", "a\nb", "./a", &"x".repeat(2000)]
        {
            assert!(files.insert(bad, Bytes::new()).is_err(), "{bad:?}");
        }
        assert_eq!(files.total_bytes(), 4);
        assert_eq!(files.names().count(), 4);
    }
}
