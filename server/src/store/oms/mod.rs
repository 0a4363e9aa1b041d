//! OpenSSF Model Signing v1.0, `key` method: verifying and making the detached signature of a directory.
//!
//! Knows hashes, not files: the caller brings the name and SHA-256 of everything it holds. Sigstore's keyless and
//! certificate methods, the `shards` serialization and hashes other than SHA-256 are refused by name.

mod bundle;
mod keys;
mod statement;

use super::digest::FileDigest;

pub(super) use keys::{PrivateKey, PublicKey};

/// Largest signature file that is read.
pub(super) const SIGNATURE_BYTES_MAX: u64 = 8 << 20;

/// Why a signature was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The artifact has no signature file.
    #[error("the artifact has no {path}; push it with `sluice push --key` under a new version")]
    Missing {
        /// Where it should be.
        path: String,
    },
    /// No key is configured.
    #[error("signing.publicKeyRef is not set, so {path} cannot be checked")]
    NoKey {
        /// The signature file.
        path: String,
    },
    /// The signature file cannot be read as what it should be.
    #[error("the signature is malformed: {0}")]
    Malformed(String),
    /// The signature uses something that OMS allows and this server does not.
    #[error("{0} is not supported; sign with an EC key, SHA-256 and the files method")]
    Unsupported(String),
    /// The signature was made with another key.
    #[error("it was signed with key {signed_with}, the configured key is {configured}")]
    OtherKey {
        /// Hint in the signature.
        signed_with: String,
        /// Hint of the configured key.
        configured: String,
    },
    /// The cryptographic check failed.
    #[error("the signature does not match its content")]
    Forged,
    /// Files of the signed list are not there; those that are there are the signed ones.
    #[error("the files are not all the signed ones: {}", .0.join("; "))]
    FilesMissing(Vec<String>),
    /// The signed list and the files disagree.
    #[error("the files are not the signed ones: {}", .0.join("; "))]
    Files(Vec<String>),
}

impl SignatureError {
    /// Whether more files could make it right, none of those that are there being wrong.
    pub(super) const fn lacks_files(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::FilesMissing(_))
    }
}

/// What of the artifact a signature may leave out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The signature file; never signed.
    pub(super) signature_path: &'a str,
    /// Accept files that the signature does not list.
    pub(super) ignore_unsigned_files: bool,
}

/// Checks `bundle` with `key` against `files` (everything in the artifact but the signature file).
///
/// Returns the files that are not signed; more than none only where `scope` allows it.
pub(super) fn verify(
    bundle: &[u8],
    key: &PublicKey,
    files: &[FileDigest],
    scope: Scope<'_>,
) -> Result<Vec<String>, SignatureError> {
    let payload = bundle::open(bundle, key)?;
    statement::check(&payload, files, scope)
}

/// Signs `files` with `key`; returns the bytes of the signature file. `model` names the subject, for people only.
pub(super) fn sign(
    key: &PrivateKey,
    model: &str,
    files: &[FileDigest],
    signature_path: &str,
) -> Result<Vec<u8>, SignatureError> {
    bundle::seal(&statement::make(model, files, signature_path), key)
}

#[cfg(test)]
mod tests;
