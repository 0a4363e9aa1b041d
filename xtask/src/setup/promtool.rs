//! promtool, taken out of Debian's package of Prometheus. The package is not installed: it would start a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian::runs;
use super::install;
use crate::cache::{Cache, Key};
use crate::shell;

/// Debian 12's. What its linter and its parser say is part of the checks.
const VERSION: &str = "2.42.";

const PACKAGE: &str = "prometheus";

/// The program.
pub(super) fn program(cache: &Cache) -> Result<PathBuf> {
    let entry = cache.entry("promtool", &Key::new().with(VERSION), |folder| {
        if !(runs("apt-get", "--version") && runs("dpkg", "--version")) {
            bail!(
                "promtool {VERSION}x comes out of the package `{PACKAGE}` of Debian 12, and apt-get or dpkg is missing"
            );
        }
        let program = folder.join("promtool");
        let work = folder.join("work");
        fs::create_dir(&work)?;
        fs::rename(unpacked(&work)?.join("usr/bin/promtool"), &program)?;
        fs::remove_dir_all(work)?;
        expected(&program)
    })?;
    Ok(entry.join("promtool"))
}

/// The content of the package, below `work`.
fn unpacked(work: &Path) -> Result<PathBuf> {
    install(apt(work)?.args(["update", "-q"]))?;
    install(apt(work)?.args(["download", "-q", PACKAGE]))?;
    let content = work.join("content");
    install(shell::program("dpkg", work).arg("--extract").arg(archive(work)?).arg(&content))?;
    Ok(content)
}

/// `apt-get` with lists of its own, so that it needs neither root nor somebody's `apt-get update`.
fn apt(work: &Path) -> Result<Command> {
    let (lists, archives) = (work.join("lists"), work.join("archives"));
    for folder in [&lists, &archives] {
        fs::create_dir_all(folder.join("partial"))?;
    }
    let mut command = shell::program("apt-get", work);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    for option in [
        format!("Dir::State::lists={}", lists.display()),
        format!("Dir::Cache::archives={}", archives.display()),
        "Dir::Cache::pkgcache=".to_owned(),
        "Dir::Cache::srcpkgcache=".to_owned(),
        // Where it is root, its own user could not write here.
        "APT::Sandbox::User=root".to_owned(),
        "Acquire::Languages=none".to_owned(),
    ] {
        command.arg("-o").arg(option);
    }
    Ok(command)
}

fn archive(work: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(work)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            return Ok(path);
        }
    }
    bail!("apt-get downloaded no package `{PACKAGE}`")
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
    fn a_download_of_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lists")).unwrap();
        assert!(archive(folder.path()).unwrap_err().to_string().contains("downloaded no package"));
        fs::write(folder.path().join("prometheus_2.42.0.deb"), "").unwrap();
        assert!(archive(folder.path()).unwrap().ends_with("prometheus_2.42.0.deb"));
    }

    #[test]
    fn another_version_is_refused() {
        // Whatever `echo` makes of `--version`, it is not what promtool says.
        let error = expected(Path::new("/bin/echo")).unwrap_err().to_string();
        assert!(error.contains("2.42."), "{error}");
    }
}
