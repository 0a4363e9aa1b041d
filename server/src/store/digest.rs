//! SHA-256 of files and the OMS root digest of a directory. Knows nothing of where the bytes come from.
//!
//! The root digest covers every file of an artifact except two: `manifest.json`, which describes the artifact and is
//! written after it, and the signature file, which is made from the digest. Both are kept and checked, and neither is
//! ever handed to a loader.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use config::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The file that lists an artifact's files; outside the root digest.
pub const MANIFEST_NAME: &str = "manifest.json";
/// Where a signature lies unless `signing.signaturePath` says otherwise; outside the root digest.
pub const SIGNATURE_NAME: &str = "model.sig";

/// Marks a directory that `push` is writing to; no part of an artifact. It says whose push it is, is made first and goes
/// last, after the manifest.
pub(super) const MARKER_NAME: &str = ".push-unfinished";

/// SHA-256 of one file; 64 lower-case hex digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

/// One file of an artifact: its path relative to the artifact, with `/`, its size in bytes and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Relative path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Hash of the content.
    pub sha256: Sha256,
}

/// An incremental SHA-256.
#[derive(Clone)]
pub(super) struct Hasher(Context);

/// The OMS root digest: the raw SHA-256 of each file, concatenated in the order of the names, hashed once more.
///
/// Names are compared by code point, as the OMS specification (6.5.1) says.
#[must_use]
pub fn root(files: &[FileDigest]) -> Digest {
    let mut sorted: Vec<&FileDigest> = files.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = Hasher::new();
    for file in sorted {
        hasher.update(&file.sha256.0);
    }
    Digest::from_bytes(hasher.finish().0)
}

/// Whether `name` is inside the root digest of an artifact whose signature lies at `signature_path`.
#[must_use]
pub(super) fn covered(name: &str, signature_path: &str) -> bool {
    name != MANIFEST_NAME && name != signature_path
}

/// Hashes a file on disk, in pieces; returns its size as read. Blocking.
pub(super) fn hash_file(path: &Path) -> io::Result<(u64, Sha256)> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut piece = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((size, hasher.finish())),
            count => {
                hasher.update(&piece[..count]);
                size += count as u64;
            }
        }
    }
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Appends `bytes`.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything appended.
    pub(super) fn finish(self) -> Sha256 {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Sha256(bytes)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Parses 64 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let lower = text.len() == 64 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(Self(bytes))
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("{text:?} is not 64 lower-case hex digits")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &[u8]) -> FileDigest {
        FileDigest { name: name.to_owned(), size: content.len() as u64, sha256: Sha256::of(content) }
    }

    #[test]
    fn root_is_the_hash_of_the_raw_hashes_in_name_order() {
        let (a, b) = (file("a/x", b"one"), file("b", b"two"));
        let mut joined = a.sha256.as_bytes().to_vec();
        joined.extend_from_slice(b.sha256.as_bytes());
        let expected = *Sha256::of(&joined).as_bytes();
        assert_eq!(root(&[b.clone(), a.clone()]).as_bytes(), &expected);
        assert_eq!(root(&[a, b]).as_bytes(), &expected);
    }

    #[test]
    fn names_sort_by_code_point_not_by_component() {
        // '-' (0x2d) sorts before '/' (0x2f): sorting by path component would put "a/x" first.
        let (dash, slash) = (file("a-b", b"1"), file("a/x", b"2"));
        let mut joined = dash.sha256.as_bytes().to_vec();
        joined.extend_from_slice(slash.sha256.as_bytes());
        assert_eq!(root(&[slash, dash]).as_bytes(), Sha256::of(&joined).as_bytes());
    }

    #[test]
    fn hash_file_agrees_with_memory() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
        let path = dir.path().join("f");
        std::fs::write(&path, &content).unwrap();
        assert_eq!(hash_file(&path).unwrap(), (3_000_000, Sha256::of(&content)));
    }

    #[test]
    fn only_lower_case_hex_is_a_hash() {
        let text = Sha256::of(b"x").to_string();
        assert_eq!(Sha256::parse(&text), Some(Sha256::of(b"x")));
        assert_eq!(Sha256::parse(&text.to_uppercase()), None);
        assert_eq!(Sha256::parse(&text[1..]), None);
    }
}
