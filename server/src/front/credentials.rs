//! Files of credentials (certificates, the access file) that something else replaces while the server runs: read at the
//! start, where anything wrong is an error, and again and again, where the last good ones stay in force.
//!
//! Content decides, and it is read on a timer: these files change once in weeks, and a mount of Kubernetes sends no event
//! that can be relied on. Knows nothing of what is in the files.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use config::Digest;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Readings until two agree: an update may come between two files, take one away for a moment, or be half written.
const READS_MAX: usize = 5;

/// What makes something of the files' contents, given what is in force.
type Make<T> = dyn Fn(&[Vec<u8>], Option<&T>, SystemTime) -> Result<T, String> + Send + Sync;

/// A file, and the setting that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFile {
    /// The setting.
    pub flag: &'static str,
    /// As given.
    pub path: PathBuf,
}

/// Files, and what is in force of them.
pub struct Credentials<T> {
    what: &'static str,
    files: Vec<CredentialFile>,
    make: Box<Make<T>>,
    current: watch::Sender<Arc<T>>,
    health: Arc<ReloadHealth>,
    /// Of the contents in force.
    in_force: Vec<Digest>,
    /// What was last told to be wrong.
    told: Option<String>,
}

/// How reading the files goes.
#[derive(Debug, Default)]
pub struct ReloadHealth {
    /// New contents that are in force.
    pub reloads: AtomicU64,
    /// New contents that were refused, contents in force that time made bad, and times that the files could not be read.
    pub failures: AtomicU64,
    /// What is on disk now is not in force, or is good no longer.
    pub refused: AtomicBool,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {path}: {why}", flag = .file.flag, path = .file.path.display())]
struct Unreadable {
    file: CredentialFile,
    why: io::Error,
}

impl<T: Send + Sync + 'static> Credentials<T> {
    /// Reads the files for the first time.
    pub fn load(
        what: &'static str,
        files: Vec<CredentialFile>,
        make: impl Fn(&[Vec<u8>], Option<&T>, SystemTime) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let contents = settled(&files).map_err(|error| error.to_string())?;
        let first = make(&contents, None, SystemTime::now())?;
        Ok(Self {
            what,
            files,
            make: Box::new(make),
            current: watch::Sender::new(Arc::new(first)),
            health: Arc::default(),
            in_force: digests(&contents),
            told: None,
        })
    }

    /// What is in force.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<T>> {
        self.current.subscribe()
    }

    /// How it goes.
    #[must_use]
    pub fn health(&self) -> Arc<ReloadHealth> {
        Arc::clone(&self.health)
    }

    /// Reads the files every `interval`, until `stop`.
    pub async fn follow(mut self, interval: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            // Files may be on a slow disk, and a key takes a moment to be read.
            let looked = tokio::task::spawn_blocking(move || {
                let contents = settled(&self.files).map_err(|error| error.to_string());
                self.look(contents, SystemTime::now());
                self
            });
            match looked.await {
                Ok(credentials) => self = credentials,
                Err(error) => return tracing::error!(%error, "reading credentials did not finish"),
            }
        }
    }

    /// Takes what was read into force, or says why not: once for each reason, and again when it comes back.
    fn look(&mut self, contents: Result<Vec<Vec<u8>>, String>, now: SystemTime) {
        let before = Arc::clone(&self.current.borrow());
        let known = contents.as_ref().is_ok_and(|contents| digests(contents) == self.in_force);
        let made = contents.and_then(|contents| {
            // What is known is asked again, since time may have made it bad: a certificate that was not renewed.
            let made = (self.make)(&contents, Some(&before), now)?;
            Ok((!known).then(|| (made, digests(&contents))))
        });
        self.health.refused.store(made.is_err(), Ordering::Relaxed);
        match made {
            Ok(None) => self.told = None,
            Ok(Some((made, digests))) => {
                (self.told, self.in_force) = (None, digests);
                self.current.send_replace(Arc::new(made));
                self.health.reloads.fetch_add(1, Ordering::Relaxed);
                tracing::info!(what = self.what, "new credentials are in force");
            }
            Err(why) if self.told.as_ref() == Some(&why) => {}
            Err(why) => {
                self.health.failures.fetch_add(1, Ordering::Relaxed);
                if known {
                    tracing::error!(
                        what = self.what,
                        why,
                        "the credentials in force are good no longer, and stay: clients may refuse them"
                    );
                } else {
                    tracing::error!(what = self.what, why, "new credentials are refused, the old ones stay in force");
                }
                self.told = Some(why);
            }
        }
    }
}

fn digests(contents: &[Vec<u8>]) -> Vec<Digest> {
    contents.iter().map(|bytes| config::content_digest(bytes)).collect()
}

/// The contents of all files, of one moment.
fn settled(files: &[CredentialFile]) -> Result<Vec<Vec<u8>>, Unreadable> {
    let read = || {
        let unreadable = |file: &CredentialFile, why| Unreadable { file: file.clone(), why };
        files.iter().map(|file| content(&file.path).map_err(|why| unreadable(file, why))).collect::<Result<Vec<_>, _>>()
    };
    let mut contents = read();
    for _ in 1..READS_MAX {
        let again = read();
        let same = matches!((&contents, &again), (Ok(before), Ok(after)) if before == after);
        contents = again;
        if same {
            break;
        }
    }
    contents
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("the file is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}
