//! What stands in for CUDA's libraries: built, and put where the dynamic linker finds it by their names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::shell;

/// The libraries that it is.
const NAMES: [&str; 3] = ["libcuda.so.1", "libcublas.so.13", "libcurand.so.10"];

const LIMIT: Duration = Duration::from_secs(20 * 60);

/// The folder, for `LD_LIBRARY_PATH`. One file under three names: loaded under each, it is one library with one state.
pub(crate) fn folder(root: &Path) -> Result<PathBuf> {
    shell::run(shell::cargo(root).args(["build", "--package=cuda-standin"]), LIMIT)?;
    let target = std::path::absolute(super::target(root))?;
    let folder = target.join("cuda-standin");
    fs::create_dir_all(&folder)?;
    for name in NAMES {
        let link = folder.join(name);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link)?;
        }
        let library = target.join("debug/libcuda_standin.so");
        symlink(&library, &link).with_context(|| format!("cannot link {} as {name}", library.display()))?;
    }
    Ok(folder)
}
