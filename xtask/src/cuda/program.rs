//! Building `sluice` with the feature `cuda`, and what cargo says about where things are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::toolkit::Toolkit;
use crate::shell;

/// With candle's library for GGUF, on a machine with one core.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// An archive without members: what is there of candle's library for GGUF where it was left out.
const EMPTY_ARCHIVE: &[u8] = b"!<arch>\n";

/// How it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// What ships.
    Release,
    /// What tests run: with fail points, sharing what `cargo xtask test` has compiled.
    Test,
}

/// Where things are that were built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Built {
    /// `sluice`.
    pub(crate) program: PathBuf,
    /// Our kernels, as PTX, machine code and both.
    pub(crate) kernels: PathBuf,
    /// Candle's, as PTX.
    pub(crate) candle: PathBuf,
}

/// Builds it.
pub(crate) fn build(root: &Path, toolkit: &Toolkit, build: Build, gguf: bool) -> Result<Built> {
    if gguf {
        forget_empty_archives(root, build)?;
    }
    let (said, status) = attempt(root, toolkit, build, Errors::Shown)?;
    if !status.success() {
        bail!("cargo ended with {status}");
    }
    let built = built(&said)?;
    // Cargo prints a build script's folder also where it was made by a toolkit that is gone since.
    for folder in [&built.kernels, &built.candle] {
        if !folder.is_dir() {
            bail!(
                "{} is gone: `cargo clean -p kernels -p candle-kernels` makes cargo build it again",
                folder.display()
            );
        }
    }
    Ok(built)
}

/// Runs cargo, which may fail; answers what it printed, as lines of JSON.
pub(super) fn attempt(root: &Path, toolkit: &Toolkit, build: Build, errors: Errors) -> Result<(String, ExitStatus)> {
    let mut command = shell::cargo(root);
    toolkit.export(&mut command)?;
    command.arg("build").arg(match errors {
        Errors::Shown => "--message-format=json-render-diagnostics",
        Errors::Answered => "--message-format=json",
    });
    match build {
        Build::Release => command.args(["--package=server", "--bin=sluice", "--features=server/cuda", "--release"]),
        Build::Test => command.args(["--workspace", "--bin=sluice", TEST_FEATURES]),
    };
    shell::read(&mut command, LIMIT)
}

/// Where what compilers and linker say is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errors {
    /// On the terminal, as text.
    Shown,
    /// Among what cargo prints, in JSON.
    Answered,
}

/// Of every build with CUDA that tests run.
pub(super) const TEST_FEATURES: &str = "--features=server/failpoints,tests/cuda";

fn built(said: &str) -> Result<Built> {
    let messages: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let out_of = |name: &str| {
        let ran = messages.iter().filter(|it| it["reason"] == "build-script-executed");
        let of_package = ran.filter(|it| it["package_id"].as_str().is_some_and(|id| is_package(id, name)));
        of_package.filter_map(|it| it["out_dir"].as_str()).next_back().map(PathBuf::from)
    };
    let artifacts = messages.iter().filter(|it| it["reason"] == "compiler-artifact");
    let program = artifacts.filter(|it| it["target"]["name"] == "sluice").filter_map(|it| it["executable"].as_str());
    Ok(Built {
        program: program.map(PathBuf::from).next_back().context("cargo does not say where sluice is")?,
        kernels: out_of("kernels").context("cargo does not say where our kernels are")?,
        candle: out_of("candle-kernels").context("cargo does not say where candle's kernels are")?,
    })
}

/// Ids end with `#NAME@VERSION`, or with `/NAME#VERSION` where the folder is called like the package.
fn is_package(id: &str, name: &str) -> bool {
    let Some((place, rest)) = id.rsplit_once('#') else { return false };
    match rest.split_once('@') {
        Some((named, _)) => named == name,
        None => place.rsplit('/').next() == Some(name),
    }
}

/// What candle's build script left empty it would keep, so it has to start anew.
fn forget_empty_archives(root: &Path, build: Build) -> Result<()> {
    let profile = if build == Build::Release { "release" } else { "debug" };
    let folder = shell::target(root).join(profile).join("build");
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let archive = entry?.path().join("out/libmoe.a");
        if fs::read(archive).is_ok_and(|bytes| bytes == EMPTY_ARCHIVE) {
            let mut clean = shell::cargo(root);
            clean.args(["clean", "--package=candle-kernels"]);
            if build == Build::Release {
                clean.arg("--release");
            }
            return shell::run(&mut clean, LIMIT);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNELS: &str = r#"{"reason":"build-script-executed","package_id":"path+file:///src/kernels#0.1.0","out_dir":"/t/kernels/out"}"#;
    const CANDLE: &str = r#"{"reason":"build-script-executed","package_id":"registry+https://x/i#candle-kernels@0.11.1","out_dir":"/t/candle/out"}"#;
    const LAZY: &str = r#"{"reason":"build-script-executed","package_id":"path+file:///src/kernels/cuda-lazy#0.1.0","out_dir":"/t/lazy"}"#;
    const PROGRAM: &str =
        r#"{"reason":"compiler-artifact","target":{"name":"sluice","kind":["bin"]},"executable":"/t/debug/sluice"}"#;

    #[test]
    fn what_cargo_says_is_read() {
        let said = [KERNELS, "not JSON", LAZY, CANDLE, PROGRAM].join("\n");
        let expected = Built {
            program: "/t/debug/sluice".into(),
            kernels: "/t/kernels/out".into(),
            candle: "/t/candle/out".into(),
        };
        assert_eq!(built(&said).unwrap(), expected);
    }

    #[test]
    fn what_cargo_does_not_say_is_told() {
        for (said, missing) in [
            ([KERNELS, CANDLE].join("\n"), "sluice"),
            ([LAZY, CANDLE, PROGRAM].join("\n"), "our kernels"),
            ([KERNELS, PROGRAM].join("\n"), "candle's kernels"),
        ] {
            assert!(built(&said).unwrap_err().to_string().contains(missing), "{missing}");
        }
    }

    #[test]
    fn packages_are_told_apart_in_both_forms_of_an_id() {
        assert!(is_package("registry+https://x/i#candle-kernels@0.11.1", "candle-kernels"));
        assert!(!is_package("registry+https://x/i#candle-kernels@0.11.1", "kernels"));
        assert!(is_package("path+file:///a/kernels#0.1.0", "kernels"));
        assert!(!is_package("path+file:///a/kernels/cuda-lazy#0.1.0", "kernels"));
    }
}
