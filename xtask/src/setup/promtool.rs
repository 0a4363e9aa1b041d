//! promtool, taken out of Debian's package of Prometheus. The package is not installed: it would start a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::package::{Sources, unpacked};
use crate::cache::{Cache, Key};
use crate::shell;

/// Debian 12's. What its linter and its parser say is part of the checks.
const VERSION: &str = "2.42.";

const PACKAGE: &str = "prometheus";

/// The program.
pub(super) fn program(cache: &Cache) -> Result<PathBuf> {
    let entry = cache.entry("promtool", &Key::new().with(VERSION), |folder| {
        let program = folder.join("promtool");
        let work = folder.join("work");
        fs::create_dir(&work)?;
        fs::rename(unpacked(&work, PACKAGE, &Sources::System)?.join("usr/bin/promtool"), &program)?;
        fs::remove_dir_all(work)?;
        expected(&program)
    })?;
    Ok(entry.join("promtool"))
}

/// Another Debian has another version, whose linter may say other things.
fn expected(program: &Path) -> Result<()> {
    let said = shell::text(Command::new(program).arg("--version"))?;
    let first = said.lines().next().context("promtool does not say its version")?;
    if !first.contains(&format!("version {VERSION}")) {
        bail!("promtool {VERSION}x of Debian 12 is needed, and this machine's sources have `{first}`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_refused() {
        // Whatever `echo` makes of `--version`, it is not what promtool says.
        let error = expected(Path::new("/bin/echo")).unwrap_err().to_string();
        assert!(error.contains("2.42."), "{error}");
    }
}
