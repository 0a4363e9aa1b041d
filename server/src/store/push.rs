//! `sluice push`: digests a model directory, signs it where a key is given, and uploads it so that nobody ever sees
//! half of it as whole: `manifest.json` goes last, and other bytes under the same URI are never overwritten.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use config::{Digest, StorageUri};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::buffered::BufWriter;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::digest::{FileDigest, Hasher, MANIFEST_NAME, SIGNATURE_NAME, Sha256, covered, hash_file, root};
use super::listing::{Limits, Listing, Refusal, RemoteFile, skipped};
use super::manifest::{MANIFEST_BYTES_MAX, Manifest};
use super::oms::{self, PrivateKey, SignatureError};
use super::retry::{Class, RetryPolicy};
use super::source::{Environment, Repeats, Source, local_path};
use super::{FetchError, Progress, ProgressPhase};

/// Files that are uploaded at once.
const PARALLEL: usize = 4;
/// Bytes held of each of them.
const BUFFER_BYTES: usize = 8 << 20;

/// What to push where.
#[derive(Debug)]
pub struct PushOptions {
    /// The model directory.
    pub dir: PathBuf,
    /// The artifact directory it becomes; must be empty, or hold the same bytes.
    pub url: StorageUri,
    /// Signs with this private key, PEM; otherwise a `model.sig` in the directory is uploaded as it is.
    pub key: Option<PathBuf>,
    /// The clouds' options.
    pub environment: Environment,
    /// Hears how far it is.
    pub progress: watch::Sender<Progress>,
}

/// What was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// The OMS root digest, for `model.digest`.
    pub digest: Digest,
    /// Files, manifest and signature included.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a directory was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The directory cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The directory is no artifact: too large, too deep, unsafe names, pickles, symbolic links, or empty.
    #[error("{} cannot be an artifact: {}", dir.display(), problems.join("; "))]
    Refused {
        /// The directory.
        dir: PathBuf,
        /// Everything wrong with it.
        problems: Vec<String>,
    },
    /// The key cannot sign.
    #[error("key {}: {reason}", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignatureError),
    /// Something else is there already.
    #[error("{url} holds {found}; a version never changes: push to another URI")]
    Occupied {
        /// The destination.
        url: String,
        /// What is there.
        found: String,
    },
    /// A file changed while it was uploaded.
    #[error("{} changed during the push; push again when it is still", path.display())]
    FileChanged {
        /// The file.
        path: PathBuf,
    },
    /// The scheme cannot be written to.
    #[error("{url} cannot be pushed to; use file, gs, s3 or az")]
    ReadOnly {
        /// The destination.
        url: String,
    },
    /// The destination did not answer or refused.
    #[error("{object}: {reason}")]
    Store {
        /// The object or directory.
        object: String,
        /// The answer.
        reason: String,
    },
}

/// One file to upload.
struct Upload {
    digest: FileDigest,
    content: Content,
}

enum Content {
    Disk(PathBuf),
    Memory(Bytes),
}

/// Pushes `options.dir` to `options.url`. Stopping it half way leaves objects without a manifest, which the same push
/// completes later.
pub async fn push(options: PushOptions) -> Result<Pushed, PushError> {
    let PushOptions { dir, url, key, environment, progress } = options;
    let destination = destination(&url, &environment).await?;
    let model = dir.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
    let (digest, uploads) = on_blocking_thread(move || prepare(&dir, key.as_deref(), &model)).await?;
    let manifest = Manifest::new(digest, uploads.iter().map(|upload| upload.digest.clone()).collect());
    let manifest = Bytes::from(manifest.to_bytes());
    let total = uploads.iter().map(|upload| upload.digest.size).sum::<u64>() + manifest.len() as u64;
    let pushed = Pushed { digest, files: uploads.len() + 1, bytes: total };
    if check_vacant(&destination, &uploads, digest).await? == Vacancy::Pushed {
        return Ok(pushed);
    }
    let report = |count| {
        progress.send_modify(|progress| {
            let done_bytes = progress.done_bytes + count;
            *progress = Progress { phase: ProgressPhase::Pulling, done_bytes, total_bytes: total };
        });
    };
    progress.send_replace(Progress { total_bytes: total, ..Progress::default() });
    stream::iter(&uploads)
        .map(|upload| upload_one(&destination, upload, &report))
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    put_manifest(&destination, manifest.clone()).await?;
    report(manifest.len() as u64);
    Ok(pushed)
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PushError> + Send + 'static,
) -> Result<T, PushError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| PushError::Store { object: "blocking task".to_owned(), reason: error.to_string() })?
}

async fn destination(url: &StorageUri, environment: &Environment) -> Result<Source, PushError> {
    match url.url().scheme() {
        "http" | "https" => return Err(PushError::ReadOnly { url: url.to_string() }),
        "file" => {
            let path = local_path(url.url());
            let made = tokio::fs::create_dir_all(&path).await;
            made.map_err(|source| PushError::Read { path, source })?;
        }
        _ => {}
    }
    Source::open(url, environment, Repeats::Client)
        .map_err(|error| PushError::Store { object: url.to_string(), reason: error.to_string() })
}

// === what to upload ===

/// Walks, checks, hashes and signs the directory. Blocking.
fn prepare(dir: &Path, key: Option<&Path>, model: &str) -> Result<(Digest, Vec<Upload>), PushError> {
    let refused = |problems| PushError::Refused { dir: dir.to_path_buf(), problems };
    let mut files = Vec::new();
    walk(dir, dir, &mut files)?;
    // The manifest is made anew, and so is the signature where there is a key.
    files.retain(|file| file.name != MANIFEST_NAME && (key.is_none() || file.name != SIGNATURE_NAME));
    let listing = Listing::check(files, &Limits::default()).map_err(|refusal| match refusal {
        Refusal::Bounds(problems) => refused(problems),
        Refusal::Pickle(files) => refused(files.iter().map(|file| format!("{file} is a pickle")).collect()),
    })?;
    let mut uploads = listing.files().iter().map(|file| hashed(dir, &file.name)).collect::<Result<Vec<_>, _>>()?;
    let digests: Vec<FileDigest> =
        uploads.iter().map(|upload| upload.digest.clone()).filter(|file| covered(&file.name, SIGNATURE_NAME)).collect();
    if digests.is_empty() {
        return Err(refused(vec!["it holds no files".to_owned()]));
    }
    if let Some(path) = key {
        let signature = Bytes::from(oms::sign(&read_key(path)?, model, &digests, SIGNATURE_NAME)?);
        let name = SIGNATURE_NAME.to_owned();
        let digest = FileDigest { name, size: signature.len() as u64, sha256: Sha256::of(&signature) };
        uploads.push(Upload { digest, content: Content::Memory(signature) });
    }
    Ok((root(&digests), uploads))
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<RemoteFile>) -> Result<(), PushError> {
    let failed = |source| PushError::Read { path: folder.to_path_buf(), source };
    for item in std::fs::read_dir(folder).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let meta = std::fs::symlink_metadata(&path).map_err(failed)?;
        let too_many = files.len() > Limits::default().files_max;
        let too_deep = name.split('/').count() > Limits::default().depth_max + 1;
        if skipped(&name) || too_many || too_deep {
            // Too many and too deep are reported by the check of what was gathered.
            continue;
        }
        if meta.is_dir() {
            walk(root, &path, files)?;
        } else if meta.is_file() {
            let location = ObjectPath::default();
            files.push(RemoteFile { name, location, size: meta.len(), tag: None, modified_ms: 0, sha256: None });
        } else {
            let problem = format!("{name} is neither a file nor a folder; copy what a link points to");
            return Err(PushError::Refused { dir: root.to_path_buf(), problems: vec![problem] });
        }
    }
    Ok(())
}

fn hashed(dir: &Path, name: &str) -> Result<Upload, PushError> {
    let path = dir.join(name);
    let (size, sha256) = hash_file(&path).map_err(|source| PushError::Read { path: path.clone(), source })?;
    Ok(Upload { digest: FileDigest { name: name.to_owned(), size, sha256 }, content: Content::Disk(path) })
}

fn read_key(path: &Path) -> Result<PrivateKey, PushError> {
    let failed = |reason: String| PushError::Key { path: path.to_path_buf(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    PrivateKey::from_pem(&pem).map_err(failed)
}

// === what is there already ===

#[derive(PartialEq, Eq)]
enum Vacancy {
    /// Nothing, or the start of this very push.
    Free,
    /// This very artifact, whole.
    Pushed,
}

async fn check_vacant(destination: &Source, uploads: &[Upload], digest: Digest) -> Result<Vacancy, PushError> {
    let occupied = |found: String| PushError::Occupied { url: destination.uri().to_owned(), found };
    match destination.get_small(MANIFEST_NAME, MANIFEST_BYTES_MAX).await {
        Ok(bytes) => {
            let manifest =
                Manifest::parse(&bytes).map_err(|problem| occupied(format!("a manifest.json: {problem}")))?;
            let files: Vec<FileDigest> = uploads.iter().map(|upload| upload.digest.clone()).collect();
            return match manifest.digest() {
                Some(there) if there == digest && same_but_signature(&manifest, &files) => Ok(Vacancy::Pushed),
                Some(there) => Err(occupied(format!("an artifact with digest {there}, this one has {digest}"))),
                None => Err(occupied("a manifest.json without a digest".to_owned())),
            };
        }
        Err(missing) if missing.class == Class::Missing => {}
        Err(attempt) => {
            let object = format!("{}/{MANIFEST_NAME}", destination.uri());
            return Err(PushError::Store { object, reason: attempt.reason });
        }
    }
    match destination.list(&Limits::default(), &RetryPolicy::default()).await {
        Err(FetchError::Empty { .. }) => Ok(Vacancy::Free),
        Err(error @ (FetchError::Bounds { .. } | FetchError::Pickle { .. })) => Err(occupied(error.to_string())),
        Err(error) => Err(PushError::Store { object: destination.uri().to_owned(), reason: error.to_string() }),
        Ok(listing) => {
            let ours: HashMap<&str, u64> =
                uploads.iter().map(|upload| (upload.digest.name.as_str(), upload.digest.size)).collect();
            let foreign =
                |file: &&RemoteFile| file.name != SIGNATURE_NAME && ours.get(file.name.as_str()) != Some(&file.size);
            match listing.files().iter().find(foreign) {
                Some(file) => Err(occupied(format!("{} ({} bytes), which is not part of this", file.name, file.size))),
                None => Ok(Vacancy::Free),
            }
        }
    }
}

/// ECDSA signs the same bytes differently each time, so signatures are not compared.
fn same_but_signature(manifest: &Manifest, files: &[FileDigest]) -> bool {
    let unsigned = |files: &[FileDigest]| -> Vec<FileDigest> {
        let mut files: Vec<FileDigest> = files.iter().filter(|file| file.name != SIGNATURE_NAME).cloned().collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files
    };
    unsigned(&manifest.files) == unsigned(files)
}

// === uploading ===

async fn upload_one(destination: &Source, upload: &Upload, report: &impl Fn(u64)) -> Result<(), PushError> {
    let name = &upload.digest.name;
    let object = format!("{}/{name}", destination.uri());
    let failed = |reason: String| PushError::Store { object: object.clone(), reason };
    let location = destination.location(name).map_err(|error| failed(error.to_string()))?;
    match &upload.content {
        Content::Memory(bytes) => {
            let put = destination.store().put(&location, bytes.clone().into()).await;
            put.map_err(|error| failed(error.to_string()))?;
            report(bytes.len() as u64);
            Ok(())
        }
        Content::Disk(path) => upload_file(destination, location, path, &upload.digest, report, failed).await,
    }
}

/// Uploads a file in bounded pieces and compares what was read with what was hashed before.
async fn upload_file(
    destination: &Source,
    location: ObjectPath,
    path: &Path,
    expected: &FileDigest,
    report: &impl Fn(u64),
    failed: impl Fn(String) -> PushError,
) -> Result<(), PushError> {
    let unread = |source| PushError::Read { path: path.to_path_buf(), source };
    let mut file = tokio::fs::File::open(path).await.map_err(unread)?;
    let mut writer = BufWriter::with_capacity(Arc::clone(destination.store()), location, BUFFER_BYTES);
    let mut hasher = Hasher::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut piece).await.map_err(unread)?;
        if count == 0 {
            break;
        }
        hasher.update(&piece[..count]);
        writer.write_all(&piece[..count]).await.map_err(|error| failed(error.to_string()))?;
        report(count as u64);
    }
    if hasher.finish() != expected.sha256 {
        if let Err(error) = writer.abort().await {
            tracing::debug!(%error, "could not abort an upload");
        }
        return Err(PushError::FileChanged { path: path.to_path_buf() });
    }
    writer.shutdown().await.map_err(|error| failed(error.to_string()))
}

/// The manifest makes the artifact whole. Where the store can, it is only created and never replaced, so that of two
/// pushes that race one loses.
async fn put_manifest(destination: &Source, bytes: Bytes) -> Result<(), PushError> {
    let failed = |reason: String| PushError::Store { object: format!("{}/{MANIFEST_NAME}", destination.uri()), reason };
    let location = destination.location(MANIFEST_NAME).map_err(|error| failed(error.to_string()))?;
    let create = PutOptions::from(PutMode::Create);
    match destination.store().put_opts(&location, bytes.clone().into(), create).await {
        Ok(_) => Ok(()),
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            let found = "a manifest.json that another push just wrote".to_owned();
            Err(PushError::Occupied { url: destination.uri().to_owned(), found })
        }
        Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
            let put = destination.store().put(&location, bytes.into()).await;
            put.map(|_| ()).map_err(|error| failed(error.to_string()))
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
