//! `cargo xtask cuda`: builds `sluice` with the feature `cuda`, without a GPU and without a toolkit of the machine's; and
//! `cargo xtask test-cuda`: everything that can be known of it without a GPU.
//!
//! Knows where the compiler comes from and what is asked of what it made. What kernels compute is in `kernels/`.

mod elf;
mod gate;
mod mutants;
mod opcodes;
mod program;
mod selftest;
mod ship;
mod standin;
mod start;
mod steps;
mod suites;
mod symbols;
mod toolkit;
mod traps;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::cache::Cache;
use crate::setup::Tools;
use crate::{shell, test};
use program::{Build, Built};
use steps::STEPS;
use toolkit::Toolkit;

/// What `cargo xtask cuda` was asked to do.
#[derive(Args)]
pub(crate) struct BuildOptions {
    /// Take the compiler that sluice is tested with, even where the machine has one
    #[arg(long)]
    pinned: bool,
    /// Compile candle's kernels for GGUF too, which sluice never calls: twelve minutes of one core
    #[arg(long)]
    gguf: bool,
    /// Leave the program there, with the libraries of CUDA that it opens and their licences
    #[arg(long, value_name = "DIR")]
    ship: Option<PathBuf>,
    /// Write the list of CUDA's functions that are called, instead of building what ships
    #[arg(long, conflicts_with = "ship")]
    symbols: bool,
}

/// What `cargo xtask test-cuda` was asked to do.
#[derive(Args)]
pub(crate) struct TestOptions {
    /// Run this check only; give it again for more
    #[arg(long, value_name = "CHECK", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
    /// Name the checks, run none
    #[arg(long, conflicts_with = "only")]
    list: bool,
}

/// Builds the program that ships.
pub(crate) fn build(options: &BuildOptions) -> Result<()> {
    let root = shell::repository()?;
    let mut tools = Tools::new(&root)?;
    let toolkit = Toolkit::provide(&mut tools, &Cache::open()?, options.pinned, options.gguf)?;
    if options.symbols {
        return symbols::write(&root, &toolkit);
    }
    let built = program::build(&root, &toolkit, Build::Release, options.gguf)?;
    elf::needs_no_cuda(&built.program)?;
    if let Some(folder) = &options.ship {
        ship::lay_out(folder, &built, &mut tools)?;
    }
    println!("cuda program={} nvcc={} gguf={}", built.program.display(), toolkit.version, options.gguf);
    Ok(())
}

/// Runs the checks asked for; fails when one of them failed. The last line is their figures.
pub(crate) fn test(options: &TestOptions) -> Result<()> {
    if options.list {
        test::list(STEPS);
        return Ok(());
    }
    let figures = figures(&shell::repository()?);
    // Those of another run are not this one's.
    if figures.exists() {
        fs::remove_dir_all(&figures).with_context(|| format!("cannot remove {}", figures.display()))?;
    }
    let outcome = test::run_steps("test-cuda", STEPS, &options.only);
    println!("{}", line(&figures)?);
    outcome
}

/// A folder of what stands in for CUDA's libraries, under their names.
pub(crate) fn standin_folder(root: &Path) -> Result<PathBuf> {
    standin::folder(root)
}

/// The compiler that checks are made with.
fn pinned(tools: &mut Tools) -> Result<Toolkit> {
    Toolkit::provide(tools, &Cache::open()?, true, false)
}

/// The compiler and the program that checks are made of, built unless they are there.
fn prepared(root: &Path, tools: &mut Tools) -> Result<(Toolkit, Built)> {
    let toolkit = pinned(tools)?;
    let built = program::build(root, &toolkit, Build::Test, false)?;
    Ok((toolkit, built))
}

/// A folder of what checks counted: a file for each, of `key=value` pairs.
fn figures(root: &Path) -> PathBuf {
    shell::target(root).join("cuda-figures")
}

/// What the checks that ran have counted, in one line.
fn line(figures: &Path) -> Result<String> {
    let mut line = "cuda".to_owned();
    for name in ["candle", "cudarc", "mutations"] {
        let file = figures.join(name);
        if file.exists() {
            let counted = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            line.push(' ');
            line.push_str(counted.trim());
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_the_checks_that_ran_are_one_line() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(line(folder.path()).unwrap(), "cuda");
        fs::write(folder.path().join("cudarc"), "cudarc=66 cudarc_of=76\n").unwrap();
        fs::write(folder.path().join("candle"), "candle=92 candle_of=93\n").unwrap();
        assert_eq!(line(folder.path()).unwrap(), "cuda candle=92 candle_of=93 cudarc=66 cudarc_of=76");
    }
}
