//! The cache's files: where they lie, how they are written so that a crash at any moment leaves them whole, and how
//! they are read back. Blocking.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::{Digest, ModelName, Version};
use serde::{Deserialize, Serialize};

use super::super::digest::{FileDigest, Sha256};
use super::super::files::{read_bounded, sync_folder, write_whole};
use super::super::listing::name_problem;
use super::CacheKey;

/// Largest entry or record that is read.
const RECORD_BYTES_MAX: u64 = 16 << 20;
/// Most listings remembered for one artifact; the oldest are forgotten.
const LISTINGS_MAX: usize = 16;
const ENTRY_NAME: &str = "entry.json";

/// Paths under the cache directory.
#[derive(Debug, Clone)]
pub(in super::super) struct Layout {
    root: PathBuf,
}

/// `entry.json`: what an artifact folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Entry {
    /// Inside the root digest.
    pub(in super::super) files: Vec<FileDigest>,
    /// Outside it: the manifest and the signature.
    pub(in super::super) loose: Vec<FileDigest>,
    /// Fingerprints of listings that turned out to be this artifact.
    pub(in super::super) listings: Vec<String>,
}

/// What a version was when it was last pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Remembered {
    pub(in super::super) key: CacheKey,
    /// Where it came from.
    pub(in super::super) uri: String,
}

/// `versions/<model>/<version>.json`.
#[derive(Debug, Serialize, Deserialize)]
struct VersionRecord {
    digest: String,
    names: Sha256,
    uri: String,
}

impl Layout {
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        let layout = Self { root: root.to_path_buf() };
        for folder in [layout.artifacts(), layout.versions(), layout.stagings(), layout.trash()] {
            fs::create_dir_all(folder)?;
        }
        Ok(layout)
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(super) fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    pub(super) fn artifact(&self, key: CacheKey) -> PathBuf {
        self.artifacts().join(key.to_string())
    }

    pub(super) fn stagings(&self) -> PathBuf {
        self.root.join("staging")
    }

    pub(super) fn staging(&self, name: &str) -> PathBuf {
        self.stagings().join(name)
    }

    fn versions(&self) -> PathBuf {
        self.root.join("versions")
    }

    fn version(&self, model: &ModelName, version: &Version) -> PathBuf {
        self.versions().join(model.as_str()).join(format!("{version}.json"))
    }

    pub(super) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Takes a folder out of sight in one step. What is in the trash when a process starts is removed then.
    pub(super) fn discard(&self, folder: &Path) -> io::Result<PathBuf> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let away = self.trash().join(format!("{name}-{}", uuid::Uuid::new_v4().simple()));
        fs::rename(folder, &away)?;
        Ok(away)
    }

    /// What `version` was when it was last pulled.
    pub(super) fn read_version(&self, model: &ModelName, version: &Version) -> io::Result<Option<Remembered>> {
        let path = self.version(model, version);
        match read_bounded(&path, RECORD_BYTES_MAX) {
            Ok(bytes) => {
                let VersionRecord { digest, names, uri } = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
                let digest = Digest::parse(&digest).map_err(io::Error::other)?;
                Ok(Some(Remembered { key: CacheKey { digest, names }, uri }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write_version(&self, model: &ModelName, version: &Version, is: &Remembered) -> io::Result<()> {
        let path = self.version(model, version);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        sync_folder(&self.versions())?;
        let Remembered { key: CacheKey { digest, names }, uri } = is.clone();
        let record = VersionRecord { digest: digest.to_string(), names, uri };
        write_whole(&path, &serde_json::to_vec(&record).map_err(io::Error::other)?)
    }
}

impl Entry {
    /// Reads the entry of an artifact folder; refuses one whose content does not fit the folder's name.
    pub(super) fn read(folder: &Path) -> io::Result<(CacheKey, Self)> {
        let entry: Self = serde_json::from_slice(&read_bounded(&folder.join(ENTRY_NAME), RECORD_BYTES_MAX)?)
            .map_err(io::Error::other)?;
        let key = CacheKey::of(&entry.files);
        let unsafe_name = |file: &FileDigest| name_problem(&file.name, usize::MAX).is_some();
        let other = folder.file_name().is_none_or(|name| *name != *key.to_string());
        if other || entry.files.iter().chain(&entry.loose).any(unsafe_name) {
            return Err(io::Error::other("the entry does not describe this artifact"));
        }
        Ok((key, entry))
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        write_whole(&folder.join(ENTRY_NAME), &serde_json::to_vec(self).map_err(io::Error::other)?)
    }

    /// Adds a fingerprint; says whether it was new.
    pub(in super::super) fn remember(&mut self, fingerprint: &str) -> bool {
        if self.listings.iter().any(|known| known == fingerprint) {
            return false;
        }
        if self.listings.len() >= LISTINGS_MAX {
            self.listings.remove(0);
        }
        self.listings.push(fingerprint.to_owned());
        true
    }

    /// Bytes of all its files.
    pub(in super::super) fn bytes(&self) -> u64 {
        self.files.iter().chain(&self.loose).fold(0, |sum, file| sum.saturating_add(file.size))
    }
}

/// When an artifact was last used: the time of its entry, which needs no file of its own.
pub(super) fn last_used_ms(folder: &Path) -> u64 {
    let modified = fs::metadata(folder.join(ENTRY_NAME)).and_then(|meta| meta.modified());
    modified.map_or(0, millis)
}

pub(super) fn mark_used(folder: &Path, now: SystemTime) -> io::Result<()> {
    File::options().append(true).open(folder.join(ENTRY_NAME))?.set_modified(now)
}

pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
