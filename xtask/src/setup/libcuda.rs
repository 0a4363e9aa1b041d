//! Debian's `libcuda.so.1`: NVIDIA's real driver library, of a driver too old for sluice. Where there is no GPU it says so.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::package::{Sources, unpacked};
use crate::cache::{Cache, Key};

/// Debian 12's. Its revisions change with security updates, so that none is pinned: Debian's signature is what is held.
const VERSION: &str = "535.";

const PACKAGE: &str = "libcuda1";

/// The folder that holds `libcuda.so.1`, and nothing else that the dynamic linker could take.
pub(super) fn folder(cache: &Cache) -> Result<PathBuf> {
    cache.entry("libcuda", &Key::new().with(VERSION), |folder| {
        let work = folder.join("work");
        fs::create_dir(&work)?;
        let content = unpacked(&work, PACKAGE, &Sources::NonFree)?;
        let library = library(&content)?;
        fs::copy(&library, folder.join("libcuda.so.1"))
            .with_context(|| format!("cannot copy {}", library.display()))?;
        Ok(fs::remove_dir_all(work)?)
    })
}

/// The file that is called by its full version.
fn library(content: &Path) -> Result<PathBuf> {
    let wanted = format!("libcuda.so.{VERSION}");
    let mut folders = vec![content.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() && entry.file_name().to_string_lossy().starts_with(&wanted) => {
                    return Ok(entry.path());
                }
                _ => {}
            }
        }
    }
    bail!("Debian's package `{PACKAGE}` holds no {wanted}*: another version is needed to be understood first")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_by_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("usr/lib/nvidia/current");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("libcuda.so.550.1"), "").unwrap();
        assert!(library(folder.path()).unwrap_err().to_string().contains("libcuda.so.535."));
        fs::write(deep.join("libcuda.so.535.261.03"), "").unwrap();
        assert_eq!(library(folder.path()).unwrap(), deep.join("libcuda.so.535.261.03"));
    }
}
