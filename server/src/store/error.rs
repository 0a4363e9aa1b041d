//! Why a version could not be fetched: one closed enum, each case naming the object and what was expected of it.

use std::io;
use std::path::{Path, PathBuf};

use config::{Digest, ModelName, Version};

use super::oms::SignatureError;
use super::retry::{Class, Failure};

/// Why [`super::Store::open`] failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The cache directory could not be made or read.
    #[error("cache {}: {source}", path.display())]
    Io {
        /// What was being touched.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process uses the cache directory.
    #[error("cache {} is in use by another process; give each process its own cache directory", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
}

/// Why a version could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The source cannot be asked at all: the URI or the environment's credentials do not make a client.
    #[error("{uri}: {reason}")]
    Source {
        /// The artifact directory.
        uri: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The source did not answer, or answered with an error, until the attempts were used up.
    #[error("{object}: {reason} (gave up after {attempts} attempts)")]
    Unreachable {
        /// The object or directory asked for.
        object: String,
        /// The last answer.
        reason: String,
        /// Attempts made.
        attempts: u32,
    },
    /// The source refused the credentials.
    #[error("{object}: access denied: {reason} (gave up after {attempts} attempts)")]
    Denied {
        /// The object or directory asked for.
        object: String,
        /// The last answer.
        reason: String,
        /// Attempts made.
        attempts: u32,
    },
    /// The directory lists no files.
    #[error("{uri} lists no files; what is live stays live")]
    Empty {
        /// The artifact directory.
        uri: String,
    },
    /// What is there is the front part of an upload, or may be.
    #[error("{uri} is not whole yet: {reason}")]
    Unfinished {
        /// The artifact directory.
        uri: String,
        /// What says so, and what ends it.
        reason: String,
    },
    /// An object changed or vanished between the listing and its download.
    #[error("{object} changed while it was downloaded: {reason}")]
    Changed {
        /// The object.
        object: String,
        /// What differed.
        reason: String,
    },
    /// The listing breaks a limit or holds a name that is not allowed.
    #[error("{uri} is refused: {}", problems.join("; "))]
    Bounds {
        /// The artifact directory.
        uri: String,
        /// Everything wrong with it.
        problems: Vec<String>,
    },
    /// The artifact holds pickles, which run code when they are loaded.
    #[error(
        "{uri} holds pickle files, which run code when they are loaded: {}; export the model as ONNX, safetensors, or \
         XGBoost's or LightGBM's own format",
        files.join(", ")
    )]
    Pickle {
        /// The artifact directory.
        uri: String,
        /// The files.
        files: Vec<String>,
    },
    /// `manifest.json` and the files disagree.
    #[error("{uri}/manifest.json does not describe the files: {}", problems.join("; "))]
    Manifest {
        /// The artifact directory.
        uri: String,
        /// Every difference.
        problems: Vec<String>,
    },
    /// The bytes are not the pinned ones.
    #[error("{uri} has digest {got}, but model.digest or stable.digest pins {expected}")]
    DigestMismatch {
        /// The artifact directory.
        uri: String,
        /// The pinned root digest.
        expected: Digest,
        /// The root digest of what was downloaded.
        got: Digest,
    },
    /// The version was served before with other bytes.
    #[error(
        "version {version} of {model} was {remembered} before and is now {now}; a version never changes: give the new \
         bytes a new version"
    )]
    VersionChanged {
        /// The model.
        model: ModelName,
        /// The release label.
        version: Version,
        /// What the version was.
        remembered: Digest,
        /// What it would be now: a digest, or how the listing differs.
        now: String,
    },
    /// The signature is missing or wrong and the policy is `enforce`.
    #[error("{uri}: signature refused: {reason}")]
    Signature {
        /// The artifact directory.
        uri: String,
        /// Why.
        reason: SignatureError,
    },
    /// The public key cannot be read.
    #[error("signing.publicKeyRef.path {}: {reason}", path.display())]
    Key {
        /// `signing.publicKeyRef.path`.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nothing that may be evicted is left, and the artifact does not fit.
    #[error("the cache is full: {needed} bytes are needed, {held} of {limit} bytes hold live or protected artifacts")]
    CacheFull {
        /// Bytes of the artifact.
        needed: u64,
        /// The limit.
        limit: u64,
        /// Bytes that may not be evicted.
        held: u64,
    },
    /// The cache directory failed.
    #[error("cache {path}: {reason}")]
    Io {
        /// What was being touched.
        path: String,
        /// The system's answer.
        reason: String,
    },
}

impl FetchError {
    /// Whether the same bytes would be refused again, so that trying again is useless.
    #[must_use]
    pub const fn permanent(&self) -> bool {
        match self {
            Self::Bounds { .. }
            | Self::Pickle { .. }
            | Self::Manifest { .. }
            | Self::DigestMismatch { .. }
            | Self::VersionChanged { .. }
            | Self::Signature { .. } => true,
            Self::Source { .. }
            | Self::Unreachable { .. }
            | Self::Denied { .. }
            | Self::Empty { .. }
            | Self::Unfinished { .. }
            | Self::Changed { .. }
            | Self::Key { .. }
            | Self::CacheFull { .. }
            | Self::Io { .. } => false,
        }
    }

    pub(super) fn io(path: impl AsRef<Path>, source: &io::Error) -> Self {
        Self::Io { path: path.as_ref().display().to_string(), reason: source.to_string() }
    }

    /// What a failed read of `object` means, once its attempts are used up.
    pub(super) fn read(object: String, failure: Failure) -> Self {
        let Failure { class, reason, attempts } = failure;
        match class {
            Class::Denied => Self::Denied { object, reason, attempts },
            Class::Changed | Class::Missing => Self::Changed { object, reason },
            Class::Transient | Class::Unsupported => Self::Unreachable { object, reason, attempts },
        }
    }
}
