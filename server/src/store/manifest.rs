//! `manifest.json`: the name, size and SHA-256 of every file of an artifact. `push` writes it last, so its presence
//! says that the upload is whole.

use std::collections::BTreeMap;

use config::Digest;
use serde::{Deserialize, Serialize};

use super::digest::{FileDigest, MANIFEST_NAME};

/// Largest manifest that is read: room for the names and hashes of 4096 files with long names.
pub(super) const MANIFEST_BYTES_MAX: u64 = 8 << 20;
const SCHEMA_VERSION: &str = "v1alpha1";

/// A parsed `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    schema_version: String,
    /// The root digest, as text; for people and tools, never trusted.
    digest: String,
    /// Every file except the manifest itself.
    pub files: Vec<FileDigest>,
}

impl Manifest {
    /// Describes `files`, the signature included; `digest` is their root digest.
    #[must_use]
    pub fn new(digest: Digest, mut files: Vec<FileDigest>) -> Self {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Self { schema_version: SCHEMA_VERSION.to_owned(), digest: digest.to_string(), files }
    }

    /// Parses the file; says what is wrong with it otherwise.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| format!("it cannot be read: {error}"))?;
        if manifest.schema_version == SCHEMA_VERSION {
            Ok(manifest)
        } else {
            Err(format!("schemaVersion is {:?}, this server reads {SCHEMA_VERSION:?}", manifest.schema_version))
        }
    }

    /// The file's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings and numbers always make JSON");
        bytes.push(b'\n');
        bytes
    }

    /// The root digest it names, where that is one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        Digest::parse(&self.digest).ok()
    }

    /// Whether all that is wrong with `files` is that some are not there. Tools that copy an artifact write the manifest
    /// in any order, so what is not there may still come.
    #[must_use]
    pub fn lacks_files(&self, files: &[FileDigest]) -> bool {
        let listed: BTreeMap<&str, &FileDigest> = self.files.iter().map(|file| (file.name.as_str(), file)).collect();
        let mut found = files.iter().filter(|file| file.name != MANIFEST_NAME);
        found.all(|file| listed.get(file.name.as_str()) == Some(&file))
    }

    /// Every difference between the manifest and `files`.
    #[must_use]
    pub fn problems(&self, files: &[FileDigest]) -> Vec<String> {
        let listed: BTreeMap<&str, &FileDigest> = self.files.iter().map(|file| (file.name.as_str(), file)).collect();
        let found: BTreeMap<&str, &FileDigest> =
            files.iter().filter(|file| file.name != MANIFEST_NAME).map(|file| (file.name.as_str(), file)).collect();
        let differs = |(name, wanted): (&&str, &&FileDigest)| match found.get(name) {
            None => Some(format!("{name} is missing")),
            Some(got) if got.size != wanted.size => {
                Some(format!("{name} has {} bytes, expected {}", got.size, wanted.size))
            }
            Some(got) if got.sha256 != wanted.sha256 => {
                Some(format!("{name} has SHA-256 {}, expected {}", got.sha256, wanted.sha256))
            }
            Some(_) => None,
        };
        let extra = found.keys().filter(|name| !listed.contains_key(*name)).map(|name| format!("{name} is not listed"));
        listed.iter().filter_map(differs).chain(extra).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::{Sha256, root};
    use super::*;

    fn file(name: &str, content: &[u8]) -> FileDigest {
        FileDigest { name: name.to_owned(), size: content.len() as u64, sha256: Sha256::of(content) }
    }

    #[test]
    fn bytes_and_back() {
        let files = vec![file("b", b"2"), file("a", b"1")];
        let manifest = Manifest::new(root(&files), files.clone());
        let read = Manifest::parse(&manifest.to_bytes()).unwrap();
        assert_eq!(read, manifest);
        assert_eq!(read.digest(), Some(root(&files)));
        assert!(read.problems(&files).is_empty());
    }

    #[test]
    fn every_difference_is_named() {
        let manifest =
            Manifest::new(Digest::from_bytes([0; 32]), vec![file("a", b"1"), file("b", b"2"), file("c", b"3")]);
        let problems =
            manifest.problems(&[file("a", b"x"), file("b", b"22"), file("d", b""), file(MANIFEST_NAME, b"")]);
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[0].starts_with("a has SHA-256") && problems[1] == "b has 2 bytes, expected 1");
        assert!(problems[2] == "c is missing" && problems[3] == "d is not listed");
    }

    #[test]
    fn files_that_may_still_come_are_no_contradiction() {
        let manifest = Manifest::new(Digest::from_bytes([0; 32]), vec![file("a", b"1"), file("b", b"2")]);
        assert!(manifest.lacks_files(&[file("a", b"1"), file(MANIFEST_NAME, b"")]));
        assert!(!manifest.lacks_files(&[file("a", b"x")]));
        assert!(!manifest.lacks_files(&[file("a", b"1"), file("c", b"")]));
    }

    #[test]
    fn another_tools_manifest_is_refused_with_its_reason() {
        assert!(Manifest::parse(b"{\"short_name\": \"app\"}").unwrap_err().starts_with("it cannot be read"));
        let newer = br#"{"schemaVersion":"v9","digest":"","files":[]}"#;
        assert!(Manifest::parse(newer).unwrap_err().contains("v9"));
    }
}
