//! The content of a Debian package that is not installed, and needs neither root nor a change of the system's sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::debian::runs;
use super::install;
use crate::shell;

/// Where packages come from.
pub(super) enum Sources {
    /// What the machine's administrator chose.
    System,
    /// Debian 12's component `non-free`, which that choice may leave out.
    NonFree,
}

/// Debian's own key, which the packages' lists are signed with.
const NON_FREE: &str =
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm non-free\n";

/// The content of a package, below `work`.
pub(super) fn unpacked(work: &Path, package: &str, sources: &Sources) -> Result<PathBuf> {
    if !(runs("apt-get", "--version") && runs("dpkg", "--version")) {
        bail!("it comes out of the package `{package}` of Debian 12, and apt-get or dpkg is missing");
    }
    install(apt(work, sources)?.args(["update", "-q"]))?;
    install(apt(work, sources)?.args(["download", "-q", package]))?;
    let content = work.join("content");
    install(shell::program("dpkg", work).arg("--extract").arg(archive(work, package)?).arg(&content))?;
    Ok(content)
}

/// `apt-get` with lists of its own, so that it needs neither root nor somebody's `apt-get update`.
fn apt(work: &Path, sources: &Sources) -> Result<Command> {
    let (lists, archives) = (work.join("lists"), work.join("archives"));
    for folder in [&lists, &archives] {
        fs::create_dir_all(folder.join("partial"))?;
    }
    let mut command = shell::program("apt-get", work);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    let mut options = vec![
        format!("Dir::State::lists={}", lists.display()),
        format!("Dir::Cache::archives={}", archives.display()),
        "Dir::Cache::pkgcache=".to_owned(),
        "Dir::Cache::srcpkgcache=".to_owned(),
        // Where it is root, its own user could not write here.
        "APT::Sandbox::User=root".to_owned(),
        "Acquire::Languages=none".to_owned(),
    ];
    if let Sources::NonFree = sources {
        let list = work.join("non-free.list");
        fs::write(&list, NON_FREE)?;
        options.push(format!("Dir::Etc::sourcelist={}", list.display()));
        options.push("Dir::Etc::sourceparts=/dev/null".to_owned());
    }
    options.iter().for_each(|option| {
        command.arg("-o").arg(option);
    });
    Ok(command)
}

fn archive(work: &Path, package: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(work)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            return Ok(path);
        }
    }
    bail!("apt-get downloaded no package `{package}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_of_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lists")).unwrap();
        let error = archive(folder.path(), "prometheus").unwrap_err().to_string();
        assert_eq!(error, "apt-get downloaded no package `prometheus`");
        fs::write(folder.path().join("prometheus_2.42.0.deb"), "").unwrap();
        assert!(archive(folder.path(), "prometheus").unwrap().ends_with("prometheus_2.42.0.deb"));
    }

    #[test]
    fn the_systems_sources_are_left_out_where_others_are_meant() {
        let folder = tempfile::tempdir().unwrap();
        let options = |sources| format!("{:?}", apt(folder.path(), &sources).unwrap());
        assert!(options(Sources::NonFree).contains("Dir::Etc::sourceparts=/dev/null"));
        assert!(!options(Sources::System).contains("Dir::Etc"));
    }
}
