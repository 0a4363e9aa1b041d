//! `cargo xtask sbom`: a CycloneDX list of the crates that are linked into `sluice`.
//!
//! Asks `cargo tree`, which knows what is compiled for this system with these features, and less what only runs in the
//! compiler. Tools that ask `cargo metadata` also name crates of features that are switched off (a whole second TLS among
//! them), and a scanner would report what is not there.

mod document;
mod lock;
mod tree;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::shell;

/// What `cargo xtask sbom` was asked to do.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to write it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What the program is built for
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    device: Device,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Device {
    Cpu,
    /// With the feature `cuda`
    Cuda,
}

/// Writes the list.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = shell::repository()?;
    let mut cargo = shell::cargo(&root);
    cargo.args(["tree", "--locked", "--package", "server", "--edges", "normal,no-proc-macro"]);
    cargo.args(["--prefix", "depth", "--format", tree::FORMAT]);
    if options.device == Device::Cuda {
        cargo.arg("--features=server/cuda");
    }
    let crates = tree::parse(&shell::text(&mut cargo)?)?;
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let sbom = document::document(&crates, &lock::checksums(&lock));
    let file = &options.file;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, format!("{sbom:#}\n")).with_context(|| format!("cannot write {}", file.display()))
}
