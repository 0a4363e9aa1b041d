//! The folder that keeps what tests need from one run to the next: built once for each key, or not there at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xxhash_rust::xxh3::xxh3_128;

/// Written last into a finished entry.
const FINISHED: &str = ".finished";

/// Where entries live.
pub(crate) struct Cache {
    folder: PathBuf,
}

/// What an entry depends on; another key is another entry.
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// A key that holds nothing yet.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// The key with one more part.
    pub(crate) fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        // With its length, so that two parts never read as one.
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part);
        self
    }

    fn hash(&self) -> String {
        format!("{:016x}", xxh3_128(&self.0) >> 64)
    }
}

impl Cache {
    /// `$XTASK_CACHE`, or `$XDG_CACHE_HOME/sluice`, or `~/.cache/sluice`.
    pub(crate) fn open() -> Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = variable("XTASK_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("sluice")))
            .or_else(|| variable("HOME").map(|folder| folder.join(".cache/sluice")))
            .context("no folder for the cache: set XTASK_CACHE or HOME")?;
        // Programs are started in several folders, so the path must not depend on one.
        let folder = std::path::absolute(folder)?;
        Self::at(folder)
    }

    fn at(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("cannot make the cache folder {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// The folder `NAME-KEY`, made by `build` unless it is there already.
    ///
    /// It is built in its final place and marked when finished, not renamed into it: virtual environments hold their
    /// own absolute path. A folder without the mark is what an interrupted run left, and is built again.
    pub(crate) fn entry(&self, name: &str, key: &Key, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let folder = self.folder.join(format!("{name}-{}", key.hash()));
        let mark = folder.join(FINISHED);
        let _lock = self.lock(name)?;
        if !mark.exists() {
            println!("setting up {name} in {}", folder.display());
            if folder.exists() {
                fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
            }
            fs::create_dir_all(&folder)?;
            build(&folder).with_context(|| format!("cannot set up {name}"))?;
            fs::write(mark, "")?;
        }
        Ok(folder)
    }

    /// A folder that only gathers things, none of them needed.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Held by one process at a time for each name, until it is dropped.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let path = self.folder.join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        (folder, cache)
    }

    #[test]
    fn an_entry_is_built_once_for_each_key() {
        let (_folder, cache) = cache();
        let mut builds = Vec::new();
        for version in ["1", "1", "2"] {
            let key = Key::new().with(version);
            cache
                .entry("tool", &key, |_| {
                    builds.push(version);
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(builds, ["1", "2"]);
    }

    #[test]
    fn what_a_failed_build_left_is_removed_before_the_next() {
        let (_folder, cache) = cache();
        let key = Key::new();
        let failed = cache.entry("tool", &key, |folder| {
            fs::write(folder.join("half"), "")?;
            bail!("the power went")
        });
        assert_eq!(format!("{:#}", failed.unwrap_err()), "cannot set up tool: the power went");
        let entry = cache.entry("tool", &key, |_| Ok(())).unwrap();
        assert!(!entry.join("half").exists());
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        assert_ne!(Key::new().with("ab").with("c").hash(), Key::new().with("a").with("bc").hash());
    }
}
