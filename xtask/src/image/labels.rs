//! What the image says of itself: from the manifest and the commit.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// Values of the Dockerfile's arguments of the same names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Labels {
    /// Of the workspace.
    pub(super) version: String,
    /// The commit; with `-dirty` where the folder holds something else.
    pub(super) revision: String,
    /// When the commit was made, and not when the image was: the same sources say the same.
    pub(super) created: String,
    /// The same in seconds, for the dates of files.
    pub(super) timestamp: String,
}

impl Labels {
    /// Of the repository at `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let git = |args: &[&str]| shell::text(Command::new("git").args(args).current_dir(root));
        let dirty = !git(&["status", "--porcelain"])?.is_empty();
        let commit = git(&["log", "-1", "--format=%H %cI %ct"]).context("the image is labelled with its commit")?;
        let package = shell::text(shell::cargo(root).args(["pkgid", "--offline", "--package", "server"]))?;
        Self::of(&package, &commit, dirty)
    }

    fn of(package: &str, commit: &str, dirty: bool) -> Result<Self> {
        let (_, version) = package.rsplit_once(['#', '@']).with_context(|| format!("`{package}` has no version"))?;
        let mut words = commit.split_whitespace();
        let mut word = || words.next().map(str::to_owned).with_context(|| format!("`{commit}` is no commit"));
        let (hash, created, timestamp) = (word()?, word()?, word()?);
        let revision = if dirty { format!("{hash}-dirty") } else { hash };
        Ok(Self { version: version.to_owned(), revision, created, timestamp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "00fd150 2026-11-26T10:46:00+00:00 1795689960";

    #[test]
    fn labels_are_of_the_manifest_and_the_commit() {
        let labels = Labels::of("path+file:///src/server#0.1.0", COMMIT, false).unwrap();
        let [version, revision, created, timestamp] =
            ["0.1.0", "00fd150", "2026-11-26T10:46:00+00:00", "1795689960"].map(str::to_owned);
        assert_eq!(labels, Labels { version, revision, created, timestamp });
    }

    #[test]
    fn what_is_not_committed_is_told() {
        let labels = Labels::of("path+file:///src#server@0.1.0", COMMIT, true).unwrap();
        assert_eq!((&*labels.version, &*labels.revision), ("0.1.0", "00fd150-dirty"));
    }

    #[test]
    fn without_arguments_the_dockerfile_says_the_version_of_the_workspace() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let dockerfile = std::fs::read_to_string(root.join("Dockerfile")).unwrap();
        let version = dockerfile.lines().find_map(|line| line.strip_prefix("ARG VERSION=")).unwrap();
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn what_is_no_commit_is_refused() {
        assert!(Labels::of("path+file:///src/server#0.1.0", "", false).is_err());
        assert!(Labels::of("server", COMMIT, false).is_err());
    }
}
