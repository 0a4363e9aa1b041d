//! One small JSON file per model, replaced whole: written beside, synced, renamed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use config::{Digest, ModelName, StorageUri, Version, VersionSpec};
use serde::{Deserialize, Serialize};

use super::{Memory, PROMOTED_MAX, REJECTED_MAX, Rejection, Release, Target};

const VERSION: u32 = 1;
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The directory of remembered decisions, `<cache>/rollout`.
#[derive(Debug, Clone)]
pub struct MemoryDir {
    dir: PathBuf,
}

/// Why a file was not understood.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is over {FILE_BYTES_MAX} bytes")]
    TooLarge,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("it has format version {0}, this program knows {VERSION}")]
    Format(u32),
    #[error("it belongs to model {0:?}")]
    Model(String),
    #[error("{0}")]
    Name(String),
    #[error("{0:?} is not a time")]
    Time(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    format_version: u32,
    model: String,
    promoted: Vec<PromotedEntry>,
    rejected: Vec<RejectedEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PromotedEntry {
    version: String,
    digest: String,
    uri: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RejectedEntry {
    version: String,
    pin: Option<String>,
    uri: String,
    digest: Option<String>,
    retry: u64,
    reason: String,
    at: String,
}

// === impl MemoryDir ===

impl MemoryDir {
    /// Keeps decisions under `dir`, which is made on the first write.
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// What is remembered of `model`: nothing where there is no file, or none that can be read. A file that cannot be
    /// read is kept aside for whoever wants to know why.
    #[must_use]
    pub fn load(&self, model: &ModelName) -> Memory {
        let path = self.path(model);
        match read(&path, model) {
            Ok(memory) => memory,
            Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => Memory::default(),
            Err(error) => {
                let aside = path.with_extension("json.unreadable");
                let kept = fs::rename(&path, &aside).is_ok();
                tracing::warn!(%model, path = %path.display(), kept, %error, "remembered decisions are unreadable, starting without");
                Memory::default()
            }
        }
    }

    /// The newest promotion of every model that anything is remembered of. What cannot be read is left out here and told
    /// by [`MemoryDir::load`].
    #[must_use]
    pub fn last_known_good(&self) -> BTreeMap<String, Digest> {
        let files = fs::read_dir(&self.dir).into_iter().flatten().filter_map(Result::ok);
        let models = files.filter_map(|file| ModelName::new(file.file_name().to_str()?.strip_suffix(".json")?).ok());
        let newest = |model: ModelName| {
            let memory = read(&self.path(&model), &model).ok()?;
            Some((model.to_string(), memory.promoted().first()?.digest))
        };
        models.filter_map(newest).collect()
    }

    /// Replaces what is remembered of `model`. Readers, and a process killed at any moment, see the old or the new.
    pub fn save(&self, model: &ModelName, memory: &Memory) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let path = self.path(model);
        let partial = path.with_extension("json.partial");
        let mut file = File::create(&partial)?;
        file.write_all(&serde_json::to_vec_pretty(&Document::new(model, memory))?)?;
        file.sync_all()?;
        fail::fail_point!("rollout::memory_before_rename");
        fs::rename(&partial, &path)?;
        // The rename itself lives in the directory.
        File::open(&self.dir)?.sync_all()
    }

    fn path(&self, model: &ModelName) -> PathBuf {
        // A model name has no slash and does not begin with a dot: see `ModelName::new`.
        self.dir.join(format!("{model}.json"))
    }
}

fn read(path: &Path, model: &ModelName) -> Result<Memory, Unreadable> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Unreadable::TooLarge);
    }
    let document: Document = serde_json::from_slice(&text)?;
    if document.format_version != VERSION {
        return Err(Unreadable::Format(document.format_version));
    }
    if document.model != model.as_str() {
        return Err(Unreadable::Model(document.model));
    }
    document.into_memory()
}

fn name(refused: impl std::fmt::Display) -> Unreadable {
    Unreadable::Name(refused.to_string())
}

// === impl Document ===

impl Document {
    fn new(model: &ModelName, memory: &Memory) -> Self {
        Self {
            format_version: VERSION,
            model: model.to_string(),
            promoted: memory.promoted.iter().map(PromotedEntry::new).collect(),
            rejected: memory.rejected.iter().map(RejectedEntry::new).collect(),
        }
    }

    fn into_memory(self) -> Result<Memory, Unreadable> {
        let promoted = self.promoted.into_iter().take(PROMOTED_MAX).map(PromotedEntry::into_release);
        let rejected = self.rejected.into_iter().take(REJECTED_MAX).map(RejectedEntry::into_rejection);
        Ok(Memory { promoted: promoted.collect::<Result<_, _>>()?, rejected: rejected.collect::<Result<_, _>>()? })
    }
}

impl PromotedEntry {
    fn new(release: &Release) -> Self {
        Self {
            version: release.spec.version.to_string(),
            digest: release.digest.to_string(),
            uri: release.spec.storage_uri.to_string(),
        }
    }

    /// The remembered version is pinned to the bytes that were promoted, whether or not the values pinned it.
    fn into_release(self) -> Result<Release, Unreadable> {
        let digest = Digest::parse(&self.digest).map_err(name)?;
        let spec = VersionSpec {
            version: Version::new(&self.version).map_err(name)?,
            digest: Some(digest),
            storage_uri: StorageUri::new(&self.uri).map_err(name)?,
        };
        Ok(Release { spec, digest })
    }
}

impl RejectedEntry {
    fn new(rejection: &Rejection) -> Self {
        let spec = &rejection.target.spec;
        Self {
            version: spec.version.to_string(),
            pin: spec.digest.map(|pin| pin.to_string()),
            uri: spec.storage_uri.to_string(),
            digest: rejection.digest.map(|digest| digest.to_string()),
            retry: rejection.target.retry,
            reason: rejection.reason.clone(),
            at: humantime::format_rfc3339_seconds(rejection.at).to_string(),
        }
    }

    fn into_rejection(self) -> Result<Rejection, Unreadable> {
        let digest = |text: Option<String>| text.map(|text| Digest::parse(&text)).transpose().map_err(name);
        let spec = VersionSpec {
            version: Version::new(&self.version).map_err(name)?,
            digest: digest(self.pin)?,
            storage_uri: StorageUri::new(&self.uri).map_err(name)?,
        };
        let at: SystemTime = humantime::parse_rfc3339(&self.at).map_err(|_| Unreadable::Time(self.at))?;
        Ok(Rejection {
            target: Target { spec, retry: self.retry },
            digest: digest(self.digest)?,
            reason: self.reason,
            at,
        })
    }
}
