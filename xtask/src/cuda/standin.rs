//! What stands in for CUDA's libraries: built, and put where the dynamic linker finds it by their names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::shell;

const LIMIT: Duration = Duration::from_secs(20 * 60);

/// The folder, for `LD_LIBRARY_PATH`. Its own program knows the names.
pub(crate) fn folder(root: &Path) -> Result<PathBuf> {
    let folder = std::path::absolute(shell::target(root))?.join("cuda-standin");
    let mut build = shell::cargo(root);
    shell::run(build.args(["run", "--quiet", "--package=cuda-standin", "--"]).arg(&folder), LIMIT)?;
    Ok(folder)
}

/// What the stand-in finds wrong in processes that are started with it, a file for each of them.
pub(super) struct Findings(TempDir);

impl Findings {
    /// Of processes that are still to be started.
    pub(super) fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir().context("cannot make a temporary folder")?))
    }

    /// Has the processes of `command` write theirs, where it does not say so itself.
    pub(super) fn of<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("CUDA_STANDIN_REPORT", self.0.path().join("%p.json"))
    }

    /// Fails where there is one, or where no process has used the stand-in.
    pub(super) fn none(&self) -> Result<()> {
        let mut processes = 0;
        for file in fs::read_dir(self.0.path())? {
            let reports = reports(&file?.path())?;
            ensure!(reports.is_empty(), "the stand-in found {:#}", Value::Array(reports));
            processes += 1;
        }
        ensure!(processes > 0, "no process has used the stand-in");
        Ok(())
    }
}

/// What the stand-in found first in a process that has ended, in words.
pub(super) fn first_finding(report: &Path) -> Result<Option<String>> {
    let reports = reports(report)?;
    let word = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
    Ok(reports.first().map(|it| format!("{}: {}", word(it, "kind"), word(it, "words"))))
}

/// Where a driver was told to keep what it compiles, in a process that has ended.
pub(super) fn compiled_in(report: &Path) -> Result<Option<PathBuf>> {
    Ok(read(report)?["compiled"].as_str().map(PathBuf::from))
}

fn reports(file: &Path) -> Result<Vec<Value>> {
    match read(file)?["reports"].take() {
        Value::Array(reports) => Ok(reports),
        _ => bail!("a report of the stand-in is a list"),
    }
}

fn read(report: &Path) -> Result<Value> {
    let text = fs::read(report).with_context(|| format!("the stand-in left no report: {}", report.display()))?;
    serde_json::from_slice(&text).context("a report of the stand-in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_of_any_process_are_a_failure_and_so_is_none_that_looked() {
        let findings = Findings::new().unwrap();
        let write = |name: &str, text: &str| fs::write(findings.0.path().join(name), text).unwrap();
        assert!(findings.none().unwrap_err().to_string().contains("no process"));
        write("1.json", r#"{"reports": []}"#);
        findings.none().unwrap();
        write("2.json", r#"{"reports": [{"kind": "race", "words": "x"}]}"#);
        let first = |name: &str| first_finding(&findings.0.path().join(name));
        assert_eq!((first("1.json").unwrap(), first("2.json").unwrap()), (None, Some("race: x".to_owned())));
        assert!(first("3.json").is_err());
        assert!(findings.none().unwrap_err().to_string().contains("race"));
        write("2.json", "{}");
        assert!(findings.none().is_err());
    }
}
