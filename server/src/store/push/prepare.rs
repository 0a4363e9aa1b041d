//! What is uploaded: a directory that was walked, checked and hashed. Blocking.

use std::path::{Path, PathBuf};

use config::Digest;
use object_store::path::Path as ObjectPath;

use super::super::digest::{FileDigest, MANIFEST_NAME, MARKER_NAME, SIGNATURE_NAME, covered, hash_file, root};
use super::super::listing::{Limits, Listing, Refusal, RemoteFile, skipped};
use super::super::oms::PrivateKey;
use super::PushError;

/// One file to upload.
pub(super) struct Upload {
    pub(super) digest: FileDigest,
    pub(super) path: PathBuf,
}

/// A directory that can be pushed.
pub(super) struct Prepared {
    pub(super) digest: Digest,
    pub(super) uploads: Vec<Upload>,
    pub(super) signer: Option<Signer>,
}

/// Makes the signature.
pub(super) struct Signer {
    pub(super) key: PrivateKey,
    pub(super) path: PathBuf,
    /// Names the subject, for people only.
    pub(super) model: String,
}

/// A directory while it is walked.
struct Walk<'a> {
    root: &'a Path,
    limits: Limits,
    /// Files and folders seen.
    items: usize,
    files: Vec<RemoteFile>,
    problems: Vec<String>,
}

/// Walks, checks and hashes the directory.
pub(super) fn prepare(dir: &Path, key: Option<&Path>) -> Result<Prepared, PushError> {
    let refused = |problems| PushError::Refused { dir: dir.to_path_buf(), problems };
    let mut walk = Walk { root: dir, limits: Limits::default(), items: 0, files: Vec::new(), problems: Vec::new() };
    walk.folder(dir)?;
    let Walk { limits, mut files, problems, .. } = walk;
    if !problems.is_empty() {
        return Err(refused(problems));
    }
    // The manifest is made anew, and so is the signature where there is a key.
    files.retain(|file| file.name != MANIFEST_NAME && (key.is_none() || file.name != SIGNATURE_NAME));
    let listing = Listing::check(files, &limits).map_err(|refusal| match refusal {
        Refusal::Bounds(problems) => refused(problems),
        Refusal::Pickle(files) => refused(files.iter().map(|file| format!("{file} is a pickle")).collect()),
    })?;
    let uploads = listing.files().iter().map(|file| hashed(dir, &file.name)).collect::<Result<Vec<_>, _>>()?;
    let digests: Vec<FileDigest> =
        uploads.iter().map(|upload| upload.digest.clone()).filter(|file| covered(&file.name, SIGNATURE_NAME)).collect();
    if digests.is_empty() {
        return Err(refused(vec!["it holds no files".to_owned()]));
    }
    let model = dir.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
    let signer = match key {
        Some(path) => Some(Signer { key: read_key(path)?, path: path.to_path_buf(), model }),
        None => None,
    };
    Ok(Prepared { digest: root(&digests), uploads, signer })
}

impl Prepared {
    /// Every file but the manifest and the signature that is made anew.
    pub(super) fn digests(&self) -> Vec<FileDigest> {
        self.uploads.iter().map(|upload| upload.digest.clone()).collect()
    }
}

impl Walk<'_> {
    /// Gathers what is under `folder`, or stops at the first problem that makes going on useless.
    fn folder(&mut self, folder: &Path) -> Result<(), PushError> {
        let failed = |source| PushError::Read { path: folder.to_path_buf(), source };
        for item in std::fs::read_dir(folder).map_err(failed)? {
            let path = item.map_err(failed)?.path();
            let name = path.strip_prefix(self.root).unwrap_or(&path).to_string_lossy().into_owned();
            if let Some(problem) = self.problem(&name) {
                self.problems.push(problem);
                return Ok(());
            }
            if skipped(&name) {
                continue;
            }
            let meta = std::fs::symlink_metadata(&path).map_err(failed)?;
            if meta.is_dir() {
                self.folder(&path)?;
            } else if meta.is_file() {
                let location = ObjectPath::default();
                let file = RemoteFile { name, location, size: meta.len(), tag: None, modified_ms: 0, sha256: None };
                self.files.push(file);
            } else {
                self.problems.push(format!("{name} is neither a file nor a folder; copy what a link points to"));
            }
            if !self.problems.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn problem(&mut self, name: &str) -> Option<String> {
        self.items += 1;
        if self.items > self.limits.objects_max() {
            return Some(format!("it holds more than {} files and folders", self.limits.objects_max()));
        }
        if name.split('/').count() > self.limits.depth_max {
            return Some(format!("{name} is deeper than {} folders", self.limits.depth_max));
        }
        (name == MARKER_NAME).then(|| format!("it is a copy of an unfinished upload: it holds {MARKER_NAME}"))
    }
}

fn hashed(dir: &Path, name: &str) -> Result<Upload, PushError> {
    let path = dir.join(name);
    let (size, sha256) = hash_file(&path).map_err(|source| PushError::Read { path: path.clone(), source })?;
    Ok(Upload { digest: FileDigest { name: name.to_owned(), size, sha256 }, path })
}

fn read_key(path: &Path) -> Result<PrivateKey, PushError> {
    let failed = |reason: String| PushError::Key { path: path.to_path_buf(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    PrivateKey::from_pem(&pem).map_err(failed)
}
