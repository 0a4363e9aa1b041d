//! From hashed files to the proof that they may serve: manifest, pinned digest, signature.
//!
//! [`VerifiedArtifact`] is that proof. Nothing else makes one, and its bytes are compared with the verified hashes once
//! more as they are handed out, so what a loader gets is what was verified.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use config::{Digest, Signing, SigningPolicy};

use super::FetchError;
use super::cache::{CacheKey, Entry, Lease};
use super::digest::{FileDigest, MANIFEST_NAME, Sha256, covered, root};
use super::files::read_bounded;
use super::manifest::{MANIFEST_BYTES_MAX, Manifest};
use super::oms::{self, PublicKey, SIGNATURE_BYTES_MAX, Scope, SignatureError};
use super::staging::FILES_NAME;

/// A public key file larger than this is none.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// An artifact whose every byte was verified. While it lives, the artifact stays in the cache.
#[derive(Debug, Clone)]
pub struct VerifiedArtifact {
    lease: Arc<Lease>,
    said: Said,
}

/// Files that passed every check, not yet in the cache.
pub(super) struct Checked {
    pub(super) entry: Entry,
    said: Said,
}

/// What the signing policy says of an artifact that it lets through.
#[derive(Debug, Clone, Default)]
struct Said {
    /// For the operator.
    notes: Vec<String>,
    /// The policy is `warn`, and it had to.
    warned: bool,
    /// Files that are in the artifact and are not handed out: the policy demands a signature, and nobody signed them.
    withheld: BTreeSet<String>,
}

/// What the files are checked against.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) uri: &'a str,
    pub(super) pinned: Option<Digest>,
    pub(super) signing: &'a Signing,
}

/// Checks the files under `folder`, whose hashes are `hashed`. Blocking.
pub(super) fn check(folder: &Path, hashed: Vec<FileDigest>, expected: Expected<'_>) -> Result<Checked, FetchError> {
    let Expected { uri, pinned, signing } = expected;
    check_manifest(folder, &hashed, uri)?;
    let (files, loose): (Vec<_>, Vec<_>) =
        hashed.into_iter().partition(|file| covered(&file.name, &signing.signature_path));
    if files.is_empty() {
        return Err(FetchError::Empty { uri: uri.to_owned() });
    }
    let digest = root(&files);
    if let Some(expected) = pinned.filter(|pinned| *pinned != digest) {
        return Err(FetchError::DigestMismatch { uri: uri.to_owned(), expected, got: digest });
    }
    let signature = read_signature(folder, &files, &loose, &signing.signature_path)
        .map_err(|error| FetchError::io(folder, &error))?;
    let said = check_signature(Held { files: &files, loose: &loose }, signature.as_deref(), expected)?;
    Ok(Checked { entry: Entry { files, loose, listings: Vec::new() }, said })
}

/// Checks a cached artifact under today's policy; `signature` replaces the one in the cache. Blocking.
///
/// Its bytes were hashed by this process: see [`intact`].
pub(super) fn check_cached(
    lease: Arc<Lease>,
    loose: &[FileDigest],
    signature: Option<&[u8]>,
    expected: Expected<'_>,
) -> Result<VerifiedArtifact, FetchError> {
    let folder = lease.folder.join(FILES_NAME);
    let cached = match signature {
        Some(_) => None,
        None => read_signature(&folder, &lease.files, loose, &expected.signing.signature_path)
            .map_err(|error| FetchError::io(&folder, &error))?,
    };
    let said = check_signature(Held { files: &lease.files, loose }, signature.or(cached.as_deref()), expected)?;
    Ok(VerifiedArtifact { lease, said })
}

/// Whether the cached bytes still are what the entry says. Blocking; reads everything inside the root digest. What is
/// outside can be had again, so it costs nobody the artifact.
pub(super) fn intact(lease: &Lease) -> bool {
    let folder = lease.folder.join(FILES_NAME);
    let same = |file: &FileDigest| {
        let hashed = super::digest::hash_file(&folder.join(&file.name));
        hashed.is_ok_and(|(size, sha256)| size == file.size && sha256 == file.sha256)
    };
    CacheKey::of(&lease.files) == lease.key && lease.files.iter().all(same)
}

impl Checked {
    /// The proof, once the files lie in the cache.
    pub(super) fn into_artifact(self, lease: Arc<Lease>) -> VerifiedArtifact {
        debug_assert_eq!(lease.files, self.entry.files, "the lease is of the artifact that was checked");
        VerifiedArtifact { lease, said: self.said }
    }
}

impl VerifiedArtifact {
    /// The OMS root digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.lease.key.digest
    }

    /// What it is in the cache.
    pub(super) fn key(&self) -> CacheKey {
        self.lease.key
    }

    /// Reads every file inside the root digest, as relative path and content, sorted by path; where the policy demands a
    /// signature, only those that are signed. Blocking.
    ///
    /// Fails with `InvalidData` if a file on disk is no longer what was verified. The next fetch then looks at the bytes
    /// again, and pulls them where they went bad.
    pub fn files(&self) -> io::Result<Vec<(String, Bytes)>> {
        let folder = self.lease.folder.join(FILES_NAME);
        let read = |file: &FileDigest| Ok((file.name.clone(), read_exact(&folder, file)?));
        let files: io::Result<Vec<_>> = self.handed_out().map(read).collect();
        if files.is_err() {
            self.lease.doubt();
        }
        files
    }

    /// Bytes of these files together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.handed_out().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    fn handed_out(&self) -> impl Iterator<Item = &FileDigest> {
        self.lease.files.iter().filter(|file| !self.said.withheld.contains(&file.name))
    }

    /// What an operator should know though it was let through, such as a missing signature under `warn`.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.said.notes
    }

    /// Whether the signing policy is `warn`, and a signature is missing, wrong, or covers less than everything.
    #[must_use]
    pub const fn unverified(&self) -> bool {
        self.said.warned
    }

    /// Adds a note.
    pub(super) fn noted(mut self, note: String) -> Self {
        self.said.notes.push(note);
        self
    }
}

fn check_manifest(folder: &Path, hashed: &[FileDigest], uri: &str) -> Result<(), FetchError> {
    let Some(file) = hashed.iter().find(|file| file.name == MANIFEST_NAME) else { return Ok(()) };
    let refused = |problems| FetchError::Manifest { uri: uri.to_owned(), problems };
    if file.size > MANIFEST_BYTES_MAX {
        return Err(refused(vec![format!("it has {} bytes, more than {MANIFEST_BYTES_MAX}", file.size)]));
    }
    let bytes = read_exact(folder, file).map_err(|error| FetchError::io(folder, &error))?;
    let manifest = Manifest::parse(&bytes).map_err(|problem| refused(vec![problem]))?;
    let problems = manifest.problems(hashed);
    if problems.is_empty() {
        Ok(())
    } else if manifest.lacks_files(hashed) {
        let reason = format!("{MANIFEST_NAME} lists files that are not there: {}", problems.join("; "));
        Err(FetchError::Unfinished { uri: uri.to_owned(), reason })
    } else {
        Err(refused(problems))
    }
}

/// The files of an artifact: inside the root digest, and outside it.
#[derive(Clone, Copy)]
struct Held<'a> {
    files: &'a [FileDigest],
    loose: &'a [FileDigest],
}

/// What the signing policy says to the signature: what it lets through, or an error under `enforce`.
fn check_signature(held: Held<'_>, signature: Option<&[u8]>, expected: Expected<'_>) -> Result<Said, FetchError> {
    let Expected { uri, signing, .. } = expected;
    let judged = match signing.policy {
        SigningPolicy::Disabled => return Ok(Said::default()),
        SigningPolicy::Warn | SigningPolicy::Enforce => judge_signature(held, signature, uri, signing),
    };
    match (judged, signing.policy) {
        (Ok(unsigned), _) if unsigned.is_empty() => Ok(Said::default()),
        (Ok(unsigned), SigningPolicy::Enforce) => Ok(Said {
            notes: vec![format!("not signed, so not loaded: {}", unsigned.join(", "))],
            warned: false,
            withheld: unsigned.into_iter().collect(),
        }),
        (Ok(unsigned), _) => Ok(Said::warning(format!("not signed: {}", unsigned.join(", ")))),
        (Err(error), SigningPolicy::Enforce) => Err(unless_unfinished(error, held.loose)),
        (Err(error), _) => Ok(Said::warning(served_unverified(&error))),
    }
}

/// What is so of an artifact that `enforce` would refuse.
fn served_unverified(error: &FetchError) -> String {
    const SERVED: &str = "served because signing.policy is warn";
    match error {
        FetchError::Signature { reason: SignatureError::Missing { .. }, .. } => {
            format!("not signed; {SERVED}; to sign it, push it with `sluice push --key` under a new version")
        }
        FetchError::Signature { reason, .. } => format!("signature not verified; {SERVED}: {reason}"),
        error => format!("signature not verified; {SERVED}: {error}"),
    }
}

/// Without a manifest nothing says that the upload has ended: what is not there may still come.
fn unless_unfinished(error: FetchError, loose: &[FileDigest]) -> FetchError {
    let whole = loose.iter().any(|file| file.name == MANIFEST_NAME);
    match error {
        FetchError::Signature { uri, reason } if !whole && reason.lacks_files() => {
            let reason = format!("{reason}; without {MANIFEST_NAME} nothing says that the upload has ended");
            FetchError::Unfinished { uri, reason }
        }
        other => other,
    }
}

impl Said {
    fn warning(note: String) -> Self {
        Self { notes: vec![note], warned: true, withheld: BTreeSet::new() }
    }
}

fn judge_signature(
    held: Held<'_>,
    signature: Option<&[u8]>,
    uri: &str,
    signing: &Signing,
) -> Result<Vec<String>, FetchError> {
    let refused = |reason| FetchError::Signature { uri: uri.to_owned(), reason };
    let path = || signing.signature_path.clone();
    let signature = signature.ok_or_else(|| refused(SignatureError::Missing { path: path() }))?;
    let key = signing.public_key_path.as_ref().ok_or_else(|| refused(SignatureError::NoKey { path: path() }))?;
    let key_failed = |reason: String| FetchError::Key { path: key.clone(), reason };
    let pem = read_bounded(key, KEY_BYTES_MAX).map_err(|error| key_failed(error.to_string()))?;
    let key = PublicKey::from_pem(&pem).map_err(key_failed)?;
    let scope = Scope { signature_path: &signing.signature_path, ignore_unsigned_files: signing.ignore_unsigned_files };
    let all: Vec<FileDigest> = held.files.iter().chain(held.loose).cloned().collect();
    oms::verify(signature, &key, &all, scope).map_err(refused)
}

/// The signature file, if the artifact has one.
///
/// Outside the root digest it is read as it is, whatever hash was noted of it: the key says whether it is right. A crash
/// between its replacement and the note must not cost it.
fn read_signature(folder: &Path, files: &[FileDigest], loose: &[FileDigest], path: &str) -> io::Result<Option<Bytes>> {
    if loose.iter().any(|file| file.name == path) {
        return match read_bounded(&folder.join(path), SIGNATURE_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(|bytes| Some(Bytes::from(bytes))),
        };
    }
    match files.iter().find(|file| file.name == path) {
        None => Ok(None),
        Some(file) if file.size > SIGNATURE_BYTES_MAX => {
            Err(io::Error::other(format!("{path} is larger than {SIGNATURE_BYTES_MAX} bytes")))
        }
        Some(file) => read_exact(folder, file).map(Some),
    }
}

/// The content of `file`, which must be what its hash says.
fn read_exact(folder: &Path, file: &FileDigest) -> io::Result<Bytes> {
    let bytes = read_bounded(&folder.join(&file.name), file.size)?;
    if bytes.len() as u64 == file.size && Sha256::of(&bytes) == file.sha256 {
        return Ok(Bytes::from(bytes));
    }
    let problem = format!("{} in the cache is no longer what was verified", file.name);
    Err(io::Error::new(io::ErrorKind::InvalidData, problem))
}
