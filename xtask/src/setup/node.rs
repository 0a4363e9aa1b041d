//! Node packages, exactly as the lock file says.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::debian::{Package, ensure, runs};
use super::{install, list};
use crate::cache::{Cache, Key};
use crate::shell;

const NODE: &[Package] = &[
    Package { name: "nodejs", reason: "node is missing", present: || runs("node", "--version") },
    Package { name: "npm", reason: "npm is missing", present: || runs("npm", "--version") },
];

/// The `node_modules` folder of the `package-lock.json` in `lists`, kept as `name`.
pub(super) fn modules(cache: &Cache, name: &str, lists: &Path) -> Result<PathBuf> {
    ensure(NODE)?;
    let package = list(&lists.join("package.json"))?;
    let lock = list(&lists.join("package-lock.json"))?;
    let node = shell::text(Command::new("node").arg("--version"))?;
    let entry = cache.entry(name, &Key::new().with(&package).with(&lock).with(node), |folder| {
        std::fs::write(folder.join("package.json"), &package)?;
        std::fs::write(folder.join("package-lock.json"), &lock)?;
        // No install scripts: a download inside a script would not be covered by the lock file, and what the tests use is
        // plain JavaScript, WebAssembly, and programs that come in the package.
        install(shell::program("npm", folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))
    })?;
    Ok(entry.join("node_modules"))
}
