//! `cargo xtask fresh`: the README on a machine that has never seen sluice.
//!
//! Owns the temporary folder with the clone, the empty HOME and the empty caches. What a package client needs to reach
//! its registry is carried over, see [`environment`]; nothing else is.

mod environment;
mod play;
mod printed;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tempfile::TempDir;

pub(crate) use environment::registry_settings;

use crate::clock::{Stopwatch, readable};
use crate::shell;

/// How long a clone may take.
const CLONE_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How long quickstart may take to say that it is ready: it compiles everything first.
const READY_LIMIT: Duration = Duration::from_secs(45 * 60);

/// How long one of `cargo xtask test`, `test-cuda` and `test-deploy` may take.
const TEST_LIMIT: Duration = Duration::from_secs(3 * 60 * 60);

/// How long a program that is built may take to say that it is ready.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What `cargo xtask fresh` was asked to do.
#[derive(Args)]
pub(crate) struct Options {
    /// Make the folders in DIR, which needs about 20 GB, instead of the system's temporary folder
    #[arg(long, value_name = "DIR")]
    within: Option<PathBuf>,
    /// Run `cargo xtask test-cuda` and `cargo xtask test-deploy` there as well
    #[arg(long)]
    all: bool,
    /// Only play the quickstart of this program, in an empty folder
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["within", "all"])]
    play_only: Option<PathBuf>,
}

/// A clone with nothing around it.
struct Scene {
    /// Removed with all it holds when the scene ends.
    folder: TempDir,
}

/// Runs both README commands on a fresh scene, and what else is asked for.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(binary) = &options.play_only {
        return act("sluice quickstart", || play_only(binary));
    }
    let scene = Scene::set(&shell::repository()?, options.within.as_deref())?;
    act("cargo run --release -- quickstart", || {
        let mut quickstart = scene.cargo()?;
        quickstart.args(["run", "--release", "--", "quickstart"]);
        play::play(&mut quickstart, &scene.checkout(), READY_LIMIT)
    })?;
    let tests: &[&str] = if options.all { &["test", "test-cuda", "test-deploy"] } else { &["test"] };
    for test in tests {
        act(&format!("cargo xtask {test}"), || shell::run(scene.cargo()?.args(["xtask", test]), TEST_LIMIT))?;
    }
    Ok(())
}

/// Plays the quickstart of `binary`, in a folder that is empty.
fn play_only(binary: &Path) -> Result<()> {
    let binary = binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    play::play(Command::new(binary).arg("quickstart"), folder.path(), START_LIMIT)
}

/// Plays the quickstart of the release that is built in `root`.
pub(crate) fn play_release(root: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut quickstart = shell::cargo(root);
    quickstart.args(["run", "--release", "--", "quickstart", "--dir"]).arg(folder.path());
    play::play(&mut quickstart, root, READY_LIMIT)
}

fn act(command: &str, perform: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("\n=== fresh: {command}");
    let watch = Stopwatch::start();
    let result = perform().with_context(|| format!("`{command}`"));
    println!(
        "=== fresh: {command}: {} in {}",
        if result.is_ok() { "passed" } else { "FAILED" },
        readable(watch.elapsed())
    );
    result
}

impl Scene {
    fn set(repository: &Path, within: Option<&Path>) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("sluice-fresh-");
        let folder = match within {
            Some(parent) => builder.tempdir_in(std::path::absolute(parent)?),
            None => builder.tempdir(),
        }
        .context("cannot make a temporary folder")?;
        let scene = Self { folder };
        std::fs::create_dir(scene.home())?;
        std::fs::create_dir(scene.cargo_home())?;
        if let Some(settings) = environment::registry_settings()? {
            println!("kept the registry part of {}", settings.source.display());
            std::fs::write(scene.cargo_home().join("config.toml"), settings.text)?;
        }
        scene.clone_from(repository)?;
        Ok(scene)
    }

    /// `--no-local`: a clone that copies objects as a remote one would, so that nothing uncommitted can slip in.
    fn clone_from(&self, repository: &Path) -> Result<()> {
        let mut git = shell::program("git", self.folder.path());
        git.args(["clone", "--quiet", "--no-local", "--depth", "1", "--single-branch"])
            .arg(repository)
            .arg(self.checkout());
        shell::run(&mut git, CLONE_LIMIT)
    }

    /// `cargo` in the clone, with an environment that holds nothing of this one but the way to the registries.
    fn cargo(&self) -> Result<Command> {
        let mut command = Command::new("cargo");
        command
            .current_dir(self.checkout())
            .env_clear()
            .envs(environment::carried())
            .env("RUSTUP_HOME", environment::rustup_home()?)
            .env("HOME", self.home())
            .env("CARGO_HOME", self.cargo_home());
        Ok(command)
    }

    fn checkout(&self) -> PathBuf {
        self.folder.path().join("sluice")
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn cargo_home(&self) -> PathBuf {
        self.folder.path().join("cargo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scene_holds_what_is_committed_and_nothing_else() {
        let origin = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
            shell::text(Command::new("git").args(identity).args(args).current_dir(origin.path())).unwrap()
        };
        git(&["init", "--quiet"]);
        std::fs::write(origin.path().join("committed"), "").unwrap();
        git(&["add", "committed"]);
        git(&["commit", "--quiet", "--message", "One"]);
        std::fs::write(origin.path().join("forgotten"), "").unwrap();
        let scene = Scene::set(origin.path(), None).unwrap();
        assert!(scene.checkout().join("committed").exists());
        assert!(!scene.checkout().join("forgotten").exists());
        assert_eq!(std::fs::read_dir(scene.home()).unwrap().count(), 0);
    }
}
