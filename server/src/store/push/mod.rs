//! `sluice push`: digests a model directory, signs it where a key is given, and uploads it so that nobody ever sees
//! half of it as whole, and nothing that is there is overwritten.
//!
//! A mark (`.push-unfinished`) goes first: it says that an upload is under way, and of what, so that readers wait and that of
//! two pushes of different bytes one gives way. The signature and the files follow, each only created. `manifest.json`
//! goes last, and then the mark goes away. What a push that was cut off leaves is completed by the same push again.

mod prepare;
mod upload;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use config::{Digest, StorageUri};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;

use super::digest::FileDigest;
use super::manifest::Manifest;
use super::oms::SignatureError;
use super::source::{Environment, Repeats, Source, local_path};
use super::{FetchError, Progress, ProgressPhase};
use prepare::{Prepared, Upload, prepare};
use upload::{Destination, There, Vacancy};

/// Files that are uploaded at once.
const PARALLEL: usize = 4;

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
    /// All of it was there already, and nothing was uploaded.
    pub unchanged: bool,
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
    /// The directory is an artifact, and what looked into it found that it can never serve.
    #[error("{}: {reason}", dir.display())]
    Unservable {
        /// The directory.
        dir: PathBuf,
        /// Why.
        reason: String,
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
    /// The same files are there, whole and without the signature that this push would add. The manifest that says so is
    /// never overwritten.
    #[error("{url} is there without a signature, and a version never changes: push it under another version")]
    Unsigned {
        /// The destination.
        url: String,
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

/// Pushes `options.dir` to `options.url`.
pub async fn push(options: PushOptions) -> Result<Pushed, PushError> {
    push_if(options, |_| Ok(())).await
}

/// Pushes `options.dir` to `options.url` unless `servable`, which may block, says why it could never serve. Nothing is
/// touched at `options.url` before that.
pub async fn push_if(
    options: PushOptions,
    servable: impl FnOnce(&Path) -> Result<(), String> + Send + 'static,
) -> Result<Pushed, PushError> {
    let PushOptions { dir, url, key, environment, progress } = options;
    if matches!(url.url().scheme(), "http" | "https") {
        return Err(PushError::ReadOnly { url: url.to_string() });
    }
    let prepared = on_blocking_thread(move || {
        let prepared = prepare(&dir, key.as_deref())?;
        servable(&dir).map_err(|reason| PushError::Unservable { dir, reason })?;
        Ok(prepared)
    });
    let prepared = prepared.await?;
    upload_to(destination(&url, &environment).await?, prepared, &progress).await
}

/// Pushes to a source that is open already.
#[cfg(test)]
pub(super) async fn push_to(
    source: Source,
    dir: PathBuf,
    key: Option<PathBuf>,
    progress: &watch::Sender<Progress>,
) -> Result<Pushed, PushError> {
    upload_to(source, prepare(&dir, key.as_deref())?, progress).await
}

/// Uploads what was prepared, unless it is there or something else is.
async fn upload_to(
    source: Source,
    prepared: Prepared,
    progress: &watch::Sender<Progress>,
) -> Result<Pushed, PushError> {
    let destination = Destination::new(source);
    // Before the first write: what is somebody else's is not even marked.
    let known = match destination.vacancy(&prepared).await? {
        Vacancy::Free(there) => there,
        Vacancy::Pushed(pushed) => {
            destination.unmark().await;
            return Ok(pushed);
        }
    };
    destination.compare_all(&prepared, &known).await?;
    let ours = destination.mark(prepared.digest).await?;
    // And again, now that nobody else begins: another push may have ended in between.
    let there = match destination.vacancy(&prepared).await {
        Ok(Vacancy::Free(there)) => there,
        Ok(Vacancy::Pushed(pushed)) => {
            destination.unmark().await;
            return Ok(pushed);
        }
        Err(error) => {
            if ours {
                destination.unmark().await;
            }
            return Err(error);
        }
    };
    let Prepared { digest, uploads, .. } = &prepared;
    let signature = destination.sign(&prepared).await?;
    let files: Vec<FileDigest> =
        uploads.iter().map(|upload| &upload.digest).chain(signature.as_ref()).cloned().collect();
    let manifest = Bytes::from(Manifest::new(*digest, files.clone()).to_bytes());
    let bytes = files.iter().map(|file| file.size).sum::<u64>() + manifest.len() as u64;
    progress.send_replace(Progress { total_bytes: bytes, ..Progress::default() });
    let report = |count| {
        progress.send_modify(|progress| {
            let done_bytes = progress.done_bytes + count;
            *progress = Progress { phase: ProgressPhase::Pulling, done_bytes, total_bytes: bytes };
        });
    };
    report(signature.map_or(0, |file| file.size));
    let seen = |upload: &Upload| match there.get(&upload.digest.name) {
        None => There::Nothing,
        now if now == known.get(&upload.digest.name) => There::Same,
        Some(_) => There::Something,
    };
    stream::iter(uploads)
        .map(|upload| destination.upload(upload, seen(upload), &report))
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    destination.confirm(&files).await?;
    destination.put_manifest(manifest.clone()).await?;
    report(manifest.len() as u64);
    destination.unmark().await;
    Ok(Pushed { digest: *digest, files: files.len() + 1, bytes, unchanged: false })
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PushError> + Send + 'static,
) -> Result<T, PushError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| PushError::Store { object: "blocking task".to_owned(), reason: error.to_string() })?
}

async fn destination(url: &StorageUri, environment: &Environment) -> Result<Source, PushError> {
    if url.url().scheme() == "file" {
        let path = local_path(url.url());
        let made = tokio::fs::create_dir_all(&path).await;
        made.map_err(|source| PushError::Read { path, source })?;
    }
    Source::open(url, environment, Repeats::Client)
        .map_err(|error| PushError::Store { object: url.to_string(), reason: error.to_string() })
}

#[cfg(test)]
mod tests;
