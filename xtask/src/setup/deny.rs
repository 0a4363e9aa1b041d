//! `cargo deny`, pinned, built from its sources.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::install;
use crate::cache::{Cache, Key};
use crate::shell;

const VERSION: &str = "0.20.2";

/// The folder that holds `cargo-deny`.
pub(super) fn folder(cache: &Cache) -> Result<PathBuf> {
    let entry = cache.entry("cargo-deny", &Key::new().with(VERSION), build)?;
    Ok(entry.join("bin"))
}

/// Unoptimised: it runs for two seconds, so what optimising it takes would not come back.
fn build(folder: &Path) -> Result<()> {
    let target = folder.join("target");
    let mut command = shell::cargo(folder);
    command
        .args(["install", "--quiet", "--locked", "--debug", "--root"])
        .arg(folder)
        .arg(format!("cargo-deny@{VERSION}"))
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    install(&mut command)?;
    Ok(std::fs::remove_dir_all(target)?)
}
