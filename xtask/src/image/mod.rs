//! `cargo xtask image`: builds the image from the Dockerfile, starts it as a cluster would, and says how big and how quick
//! it is.
//!
//! Knows the order of things. What is looked at is in `tests/image`.

mod abilities;
mod base;
mod buildah;
mod labels;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::cache::Cache;
use crate::setup::{Need, Tools};
use crate::{cuda, shell};
use base::Base;
use buildah::{Build, Storage, Unpacked};
use labels::Labels;

/// What the image is called; after the colon comes the version, and `-cpu` where it is for no GPU.
const NAME: &str = "registry.example.com/ml/sluice";

/// Where it has its SBOM.
const SBOM: &str = "usr/share/doc/sluice/sluice.cdx.json";

/// How long compiling may take, everything included.
const COMPILE_LIMIT: Duration = Duration::from_secs(90 * 60);

/// How long looking at the image may take: the server is started and stopped a few times, and kernels are interpreted.
const CHECK_LIMIT: Duration = Duration::from_secs(15 * 60);

/// What `cargo xtask image` was asked to do.
#[derive(Args)]
pub(crate) struct Options {
    /// Take this program, from `cargo build --release`, instead of compiling one in the image's builder
    #[arg(long, value_name = "PROGRAM", conflicts_with = "gpu")]
    program: Option<PathBuf>,
    /// The one for GPUs, with the libraries of CUDA that the program opens
    #[arg(long)]
    gpu: bool,
}

/// Builds and checks the image.
pub(crate) fn run(options: &Options) -> Result<()> {
    abilities::check()?;
    let root = shell::repository()?;
    let cache = Cache::open()?;
    // One build at a time: each clears away what the one before left.
    let _lock = cache.lock("image")?;
    let mut tools = Tools::new(&root)?;
    tools.provide(&[Need::Containers, Need::Certificates, Need::Deploy])?;

    let base = Base::provide(&cache)?;
    let storage = Storage::at(base.storage());
    storage.clear()?;
    let labels = Labels::read(&root)?;
    let (device, end) = if options.gpu { ("cuda", "") } else { ("cpu", "-cpu") };
    let image = format!("{NAME}:{}{end}", labels.version);
    let work = tempfile::tempdir().context("cannot make a temporary folder")?;
    let program = options.program.as_deref().map(|program| stage_of(program, work.path())).transpose()?;
    storage.build(
        &Build {
            root: &root,
            base: base.image(),
            mounts: base.mounts(&root, work.path())?,
            kept: &cache.folder("image-mounts")?,
            program: program.as_deref(),
            labels: &labels,
            device,
            name: &image,
        },
        COMPILE_LIMIT,
    )?;
    let unpacked = storage.unpacked(&image, work.path())?;
    let shipped = options.program.is_none().then(|| shell::target(&root).join("image"));
    if let Some(folder) = &shipped {
        // Said before, since the last line is the figures'.
        println!("what passes is left in {}", folder.display());
    }
    let standin = options.gpu.then(|| cuda::standin_folder(&root)).transpose()?;
    check(&root, &tools, &image, &unpacked, standin.as_deref())?;
    shipped.map_or(Ok(()), |folder| export(&folder, &storage, &image, &unpacked))
}

/// A folder that stands in for the stage that compiles.
fn stage_of(program: &Path, work: &Path) -> Result<PathBuf> {
    let stage = work.join("program");
    fs::create_dir_all(stage.join("out"))?;
    fs::copy(program, stage.join("out/sluice")).with_context(|| format!("cannot copy {}", program.display()))?;
    Ok(stage)
}

/// Looks at the image and starts it, with the programs of `tests/image`.
fn check(root: &Path, tools: &Tools, image: &str, unpacked: &Unpacked, standin: Option<&Path>) -> Result<()> {
    let mut command = shell::program(tools.place(Need::Deploy)?, root);
    command.arg("tests/image/check.py");
    for (flag, path) in [("--deploy", "deploy"), ("--zoo", "models/zoo"), ("--lock", "Cargo.lock")] {
        command.args([flag, path]);
    }
    command.arg("--config").arg(&unpacked.config).arg("--files").arg(&unpacked.files);
    command.args(["--image", image]);
    if let Some(folder) = standin {
        command.arg("--standin").arg(folder);
    }
    // What reads manifests and starts servers is shared with the checks of the deploy tree.
    command.env("PYTHONPATH", root.join("tests/deploy")).env("PYTHONDONTWRITEBYTECODE", "1");
    shell::run(&mut command, CHECK_LIMIT)
}

/// Leaves the image as a file that can be pushed, and its SBOM beside it.
fn export(folder: &Path, storage: &Storage, image: &str, unpacked: &Unpacked) -> Result<()> {
    fs::create_dir_all(folder)?;
    storage.export(image, &folder.join("sluice.tar"))?;
    fs::copy(unpacked.files.join(SBOM), folder.join("sluice.cdx.json")).context("cannot copy the SBOM")?;
    Ok(())
}
