//! The content-addressed cache: which artifacts are on disk, who uses them, and which leave when room is short.
//!
//! The disk is the index: an artifact is there when its folder is under `artifacts/`, and it gets there by one rename.
//! What half-made work a crash leaves lies in `staging/` (resumed or removed) and `trash/` (removed). Bytes are not
//! trusted because they are here: after a restart an artifact is hashed again before its first use.

mod disk;
mod evict;
mod key;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use config::{Digest, ModelName, Version};
use parking_lot::Mutex;

pub(super) use disk::{Entry, Remembered};
use disk::{Layout, last_used_ms, mark_used, millis};
use evict::{Choice, Held, choose};
pub(super) use key::CacheKey;

use super::digest::FileDigest;
use super::failpoint::{self, pass};
use super::files::sync_folder;
use super::staging;
use super::{FetchError, StoreError};

/// Stagings that nobody resumed for this long are removed at start.
const STAGING_AGE_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// How full the cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUsage {
    /// The limit, in bytes.
    pub limit_bytes: u64,
    /// Bytes of whole artifacts.
    pub artifact_bytes: u64,
    /// Of these, bytes that are live or protected.
    pub pinned_bytes: u64,
    /// Bytes set aside for pulls that are under way or can be resumed.
    pub staging_bytes: u64,
    /// Whole artifacts.
    pub artifacts: usize,
}

/// Keeps an artifact in the cache while it lives.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) key: CacheKey,
    /// Holds `files/`.
    pub(super) folder: PathBuf,
    /// Inside the root digest. What is outside changes under a lease: see [`Leased::loose`].
    pub(super) files: Vec<FileDigest>,
    proven: Arc<AtomicBool>,
}

/// What the cache knows of an artifact at the moment it is leased.
#[derive(Debug)]
pub(super) struct Leased {
    pub(super) lease: Arc<Lease>,
    /// Outside the root digest: the manifest and the newest signature.
    pub(super) loose: Vec<FileDigest>,
    /// Its bytes were hashed by this process, and nothing was wrong with them since.
    pub(super) proven: bool,
}

pub(super) struct Cache {
    layout: Layout,
    limit_bytes: u64,
    state: Mutex<State>,
    _lock: Lock,
}

#[derive(Default)]
struct State {
    artifacts: HashMap<CacheKey, Cached>,
    stagings: HashMap<String, StagingUse>,
    protected: HashSet<Digest>,
}

struct Cached {
    entry: Entry,
    used_ms: u64,
    lease: Weak<Lease>,
    /// Its bytes were hashed by this process. Shared with the leases, whose holders read the bytes.
    proven: Arc<AtomicBool>,
}

struct StagingUse {
    bytes: u64,
    used_ms: u64,
    active: bool,
}

#[derive(Debug, Clone)]
enum Key {
    Artifact(CacheKey),
    Staging(String),
}

/// Room set aside for one pull; the staging stays, idle, when this is dropped.
pub(super) struct Reservation {
    cache: Arc<Cache>,
    name: String,
}

/// The directory is this process's while this lives; the system lets go of it at a crash.
struct Lock(File);

impl Lock {
    fn take(path: &Path, root: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Io { path: root.to_path_buf(), source };
        let file = File::create(path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::Locked { path: path.to_path_buf() },
            TryLockError::Error(source) => failed(source),
        })?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    /// Closing the file would not be enough: the lock belongs to the open file, and a child process that some other
    /// thread is starting at this moment holds a copy of it until it has become its program.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "the cache's lock goes with its file");
        }
    }
}

impl Lease {
    /// Notes that the bytes were not what they should be, so that they are hashed before they are used again.
    pub(super) fn doubt(&self) {
        self.proven.store(false, Ordering::Release);
    }
}

impl Cache {
    /// Takes the directory for this process, removes what cannot be resumed and reads what is there.
    pub(super) fn open(root: &Path, limit_bytes: u64, now: SystemTime) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Io { path: root.to_path_buf(), source };
        let layout = Layout::new(root).map_err(failed)?;
        let lock = Lock::take(&layout.lock(), root)?;
        let mut state = State::default();
        empty(&layout.trash()).map_err(failed)?;
        read_artifacts(&layout, &mut state).map_err(failed)?;
        read_stagings(&layout, millis(now), &mut state).map_err(failed)?;
        Ok(Self { layout, limit_bytes, state: Mutex::new(state), _lock: lock })
    }

    /// The artifact, if it is here.
    pub(super) fn lease(&self, key: CacheKey, now: SystemTime) -> Option<Leased> {
        let mut state = self.state.lock();
        let cached = state.artifacts.get_mut(&key)?;
        cached.used_ms = millis(now);
        let folder = self.layout.artifact(key);
        if let Err(error) = mark_used(&folder, now) {
            // Only the order of eviction after a restart suffers.
            tracing::debug!(digest = key.short(), %error, "could not note the use of a cached artifact");
        }
        Some(cached.leased(key, folder))
    }

    /// Notes that the artifact's bytes were hashed and are right.
    pub(super) fn prove(&self, key: CacheKey) {
        if let Some(cached) = self.state.lock().artifacts.get_mut(&key) {
            cached.proven.store(true, Ordering::Release);
        }
    }

    /// Removes an artifact whose bytes went bad.
    pub(super) fn forget(&self, key: CacheKey) -> Result<(), FetchError> {
        let away = {
            let mut state = self.state.lock();
            state.artifacts.remove(&key);
            self.layout.discard(&self.layout.artifact(key))
        };
        remove(away)
    }

    /// The artifact that a listing with this fingerprint turned out to be.
    pub(super) fn by_listing(&self, fingerprint: &str) -> Option<CacheKey> {
        let state = self.state.lock();
        let knows = |cached: &Cached| cached.entry.listings.iter().any(|known| known == fingerprint);
        state.artifacts.iter().find(|(_, cached)| knows(cached)).map(|(key, _)| *key)
    }

    /// The artifact with this digest, if there is one. Of two that differ in names only the source can tell which.
    pub(super) fn by_digest(&self, digest: Digest) -> Option<CacheKey> {
        let state = self.state.lock();
        let mut with = state.artifacts.keys().filter(|key| key.digest == digest);
        let only = with.next().copied();
        only.filter(|_| with.next().is_none())
    }

    /// What is known of an artifact, if it is here.
    pub(super) fn entry(&self, key: CacheKey) -> Option<Entry> {
        self.state.lock().artifacts.get(&key).map(|cached| cached.entry.clone())
    }

    /// Changes what is known of an artifact, on disk first.
    pub(super) fn amend(&self, key: CacheKey, change: impl FnOnce(&mut Entry) -> bool) -> Result<(), FetchError> {
        let folder = self.layout.artifact(key);
        let mut state = self.state.lock();
        let Some(cached) = state.artifacts.get_mut(&key) else { return Ok(()) };
        let mut entry = cached.entry.clone();
        if change(&mut entry) {
            entry.write(&folder).map_err(|error| FetchError::io(&folder, &error))?;
            cached.entry = entry;
        }
        Ok(())
    }

    pub(super) fn remembered(&self, model: &ModelName, version: &Version) -> Result<Option<Remembered>, FetchError> {
        let failed = |error| FetchError::io(format!("record of {model} {version}"), &error);
        self.layout.read_version(model, version).map_err(failed)
    }

    pub(super) fn remember(&self, model: &ModelName, version: &Version, is: &Remembered) -> Result<(), FetchError> {
        pass(failpoint::BEFORE_VERSION)?;
        let failed = |error| FetchError::io(format!("record of {model} {version}"), &error);
        self.layout.write_version(model, version, is).map_err(failed)?;
        pass(failpoint::AFTER_VERSION)
    }

    /// Sets `bytes` aside for the staging `name`, evicting what may leave.
    pub(super) fn reserve(
        self: &Arc<Self>,
        name: &str,
        bytes: u64,
        now: SystemTime,
    ) -> Result<Reservation, FetchError> {
        pass(failpoint::BEFORE_EVICT)?;
        let mut trash = Vec::new();
        {
            let mut state = self.state.lock();
            let mut held = state.held();
            // Its own staging from an earlier attempt is part of what it asks for.
            held.retain(|entry| !matches!(&entry.key, Key::Staging(other) if other == name));
            let evicted = match choose(&held, self.limit_bytes, bytes) {
                Choice::Evict(keys) => keys,
                Choice::Full { held } => {
                    return Err(FetchError::CacheFull { needed: bytes, limit: self.limit_bytes, held });
                }
            };
            for key in evicted {
                tracing::info!(?key, "evicting from the cache");
                trash.push(self.discard(&mut state, &key));
            }
            state.stagings.insert(name.to_owned(), StagingUse { bytes, used_ms: millis(now), active: true });
        }
        let reservation = Reservation { cache: Arc::clone(self), name: name.to_owned() };
        pass(failpoint::AFTER_EVICT_RENAME)?;
        trash.into_iter().try_for_each(remove)?;
        Ok(reservation)
    }

    fn discard(&self, state: &mut State, key: &Key) -> io::Result<PathBuf> {
        match key {
            Key::Artifact(key) => {
                state.artifacts.remove(key);
                self.layout.discard(&self.layout.artifact(*key))
            }
            Key::Staging(name) => {
                state.stagings.remove(name);
                self.layout.discard(&self.layout.staging(name))
            }
        }
    }

    /// Where the staging `name` lies.
    pub(super) fn staging(&self, name: &str) -> PathBuf {
        self.layout.staging(name)
    }

    /// Removes other stagings of the same source: its listing has moved on, so they will not be resumed.
    pub(super) fn drop_stale_stagings(&self, name: &str) -> Result<(), FetchError> {
        let source = staging::source_part(name);
        let mut trash = Vec::new();
        {
            let mut state = self.state.lock();
            let stale = |(other, used): (&String, &StagingUse)| {
                (other != name && staging::source_part(other) == source && !used.active).then(|| other.clone())
            };
            let stale: Vec<String> = state.stagings.iter().filter_map(stale).collect();
            trash.extend(stale.into_iter().map(|other| self.discard(&mut state, &Key::Staging(other))));
        }
        trash.into_iter().try_for_each(remove)
    }

    /// Removes a staging whose bytes were refused.
    pub(super) fn drop_staging(&self, name: &str) -> Result<(), FetchError> {
        let away = self.discard(&mut self.state.lock(), &Key::Staging(name.to_owned()));
        remove(away)
    }

    /// Makes a whole, verified staging an artifact, in one rename. Where the artifact is here already, the staging
    /// goes.
    pub(super) fn install(&self, name: &str, entry: Entry, now: SystemTime) -> Result<Arc<Lease>, FetchError> {
        let key = CacheKey::of(&entry.files);
        let staging = self.layout.staging(name);
        let folder = self.layout.artifact(key);
        let failed = |error: io::Error| FetchError::io(&folder, &error);
        entry.write(&staging).map_err(failed)?;
        pass(failpoint::BEFORE_RENAME)?;
        let mut away = None;
        let lease = {
            let mut state = self.state.lock();
            if state.artifacts.contains_key(&key) {
                away = Some(self.discard(&mut state, &Key::Staging(name.to_owned())));
            } else {
                fs::rename(&staging, &folder).map_err(failed)?;
                state.stagings.remove(name);
                state.artifacts.insert(key, Cached::new(entry, millis(now), true));
            }
            let cached = state.artifacts.get_mut(&key).expect("it was there or was just put there");
            cached.leased(key, folder.clone()).lease
        };
        sync_folder(&self.layout.artifacts()).map_err(failed)?;
        pass(failpoint::AFTER_RENAME)?;
        away.map_or(Ok(()), remove)?;
        Ok(lease)
    }

    pub(super) fn protect(&self, digests: &HashSet<Digest>) {
        self.state.lock().protected.clone_from(digests);
    }

    pub(super) fn usage(&self) -> CacheUsage {
        let state = self.state.lock();
        let held = state.held();
        let sum = |wanted: &dyn Fn(&Held<Key>) -> bool| -> u64 {
            held.iter().filter(|entry| wanted(entry)).fold(0, |sum, entry| sum.saturating_add(entry.bytes))
        };
        let artifact = |entry: &Held<Key>| matches!(entry.key, Key::Artifact(_));
        CacheUsage {
            limit_bytes: self.limit_bytes,
            artifact_bytes: sum(&artifact),
            pinned_bytes: sum(&|entry| artifact(entry) && entry.pinned),
            staging_bytes: sum(&|entry| !artifact(entry)),
            artifacts: state.artifacts.len(),
        }
    }
}

impl State {
    fn held(&self) -> Vec<Held<Key>> {
        let artifacts = self.artifacts.iter().map(|(&key, cached)| Held {
            key: Key::Artifact(key),
            bytes: cached.entry.bytes(),
            used_ms: cached.used_ms,
            pinned: cached.lease.strong_count() > 0 || self.protected.contains(&key.digest),
        });
        let stagings = self.stagings.iter().map(|(name, used)| Held {
            key: Key::Staging(name.clone()),
            bytes: used.bytes,
            used_ms: used.used_ms,
            pinned: used.active,
        });
        artifacts.chain(stagings).collect()
    }
}

impl Cached {
    fn new(entry: Entry, used_ms: u64, proven: bool) -> Self {
        Self { entry, used_ms, lease: Weak::new(), proven: Arc::new(AtomicBool::new(proven)) }
    }

    fn leased(&mut self, key: CacheKey, folder: PathBuf) -> Leased {
        let lease = self.lease.upgrade().unwrap_or_else(|| {
            let (files, proven) = (self.entry.files.clone(), Arc::clone(&self.proven));
            let lease = Arc::new(Lease { key, folder, files, proven });
            self.lease = Arc::downgrade(&lease);
            lease
        });
        Leased { lease, loose: self.entry.loose.clone(), proven: self.proven.load(Ordering::Acquire) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(used) = self.cache.state.lock().stagings.get_mut(&self.name) {
            used.active = false;
        }
    }
}

fn read_artifacts(layout: &Layout, state: &mut State) -> io::Result<()> {
    for item in fs::read_dir(layout.artifacts())? {
        let folder = item?.path();
        match Entry::read(&folder) {
            Ok((key, entry)) => {
                let used_ms = last_used_ms(&folder);
                state.artifacts.insert(key, Cached::new(entry, used_ms, false));
            }
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "removing a cached artifact that cannot be read");
                layout.discard(&folder).and_then(|away| remove_any(&away))?;
            }
        }
    }
    Ok(())
}

fn read_stagings(layout: &Layout, now_ms: u64, state: &mut State) -> io::Result<()> {
    for item in fs::read_dir(layout.stagings())? {
        let folder = item?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let used_ms = fs::metadata(&folder).and_then(|meta| meta.modified()).map_or(0, millis);
        match staging::planned_bytes(&folder) {
            Some(bytes) if now_ms.saturating_sub(used_ms) <= STAGING_AGE_MAX_MS => {
                state.stagings.insert(name, StagingUse { bytes, used_ms, active: false });
            }
            _ => layout.discard(&folder).and_then(|away| remove_any(&away))?,
        }
    }
    Ok(())
}

fn empty(folder: &Path) -> io::Result<()> {
    fs::read_dir(folder)?.try_for_each(|item| remove_any(&item?.path()))
}

fn remove_any(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Deletes what was taken out of sight; a folder that was never there is as good as deleted.
fn remove(away: io::Result<PathBuf>) -> Result<(), FetchError> {
    match away.and_then(|away| remove_any(&away)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FetchError::io("trash", &error)),
        _ => Ok(()),
    }
}
