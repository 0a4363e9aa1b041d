//! What tells cached artifacts apart.

use std::fmt;

use config::Digest;

use super::super::digest::{FileDigest, Hasher, Sha256, root};

/// Contents and names. The root digest, as OMS defines it, hashes contents in the order of their names and not the names
/// themselves, so two artifacts that differ in a file's name alone share it. It stays the digest that people see and pin;
/// on disk the two are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct CacheKey {
    pub(in super::super) digest: Digest,
    pub(in super::super) names: Sha256,
}

/// Hex digits of the names' hash in a folder's name: enough that nobody finds two alike.
const NAMES_DIGITS: usize = 32;

impl CacheKey {
    pub(in super::super) fn of(files: &[FileDigest]) -> Self {
        let mut names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        names.sort_unstable();
        let mut hasher = Hasher::new();
        for name in names {
            // Length first, so that no two lists of names hash alike.
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
        }
        Self { digest: root(files), names: hasher.finish() }
    }

    /// For logs.
    pub(in super::super) fn short(&self) -> String {
        self.digest.short()
    }
}

/// The folder's name: the digest first, so that people find it.
impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.digest.hex(), &self.names.to_string()[..NAMES_DIGITS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(names: &[&str]) -> CacheKey {
        let file = |name: &&str| FileDigest { name: (*name).to_owned(), size: 1, sha256: Sha256::of(b"x") };
        CacheKey::of(&names.iter().map(file).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_part_of_it_and_their_order_is_not() {
        assert_eq!(key(&["a", "b"]), key(&["b", "a"]));
        assert_eq!(key(&["a", "b"]).digest, key(&["a", "c"]).digest);
        assert_ne!(key(&["a", "b"]), key(&["a", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a", "b"]).to_string(), key(&["a", "c"]).to_string());
    }
}
