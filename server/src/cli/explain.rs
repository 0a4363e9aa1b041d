//! `sluice explain`: what a model is made of, as this program runs it. Reads the artifact; needs no server.

use std::path::{Path, PathBuf};

use models::{Model, ModelFiles};

use super::exit::Failure;
use super::output::{Console, STRONG};

/// Bytes of one artifact that are read into memory.
const ARTIFACT_MAX: u64 = 8 << 30;
/// Folders in folders.
const DEPTH_MAX: usize = 8;

const HELP: &str = "\
Examples:
  sluice explain ./sluice-quickstart/bucket/fraud-detection/v1.1.0
  sluice explain fraud-detection --dir mlruns/3/models/m-264e5720b12e4c89b6eec73873c77ad3/artifacts
  sluice explain ./model --device cuda   # which steps run on the GPU, and which on the host

Shows the inputs and outputs, the cost of a row, and each step that a batch goes through after the plan was made: \
what was folded away is not there any more, what was fused is one step.

Exit codes: 0 shown · 1 this is no model that can be served; every reason is told · 3 it cannot be read";

/// Show the plan of a model: its inputs, its outputs, and each step that a batch goes through
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The artifact directory; with --dir, the model's name for the heading
    model: String,

    /// The artifact directory
    #[arg(long, value_name = "ARTIFACT_DIR")]
    dir: Option<PathBuf>,

    /// What it would run on; the plan is made here, so no GPU is needed
    #[arg(long, value_enum, default_value_t = Place::Cpu)]
    device: Place,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Place {
    Cpu,
    Cuda,
}

pub(crate) fn run(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.model));
    if !dir.is_dir() {
        let failure = Failure::input(format_args!("{} is no directory", dir.display()));
        return Err(failure.hint("name the artifact directory, or give it with --dir"));
    }
    let files = read(&dir)?.ok_or_else(|| Failure::input("the artifact is over 8 GiB"))?;
    let model = models::inspect(&files).map_err(|error| Failure::input(format_args!("{}: {error}", dir.display())))?;
    let (place, plan) = match args.device {
        Place::Cpu => ("the CPU", model.describe()),
        Place::Cuda => ("a CUDA device", model.describe_on_device()),
    };
    console.line(format_args!("{STRONG}{}{STRONG:#}  {} on {place}", args.model, model.platform()))?;
    console.print(plan)
}

/// The model as the CPU runs it, or why it is none.
pub(super) fn load(files: &ModelFiles) -> Result<Model, String> {
    models::load(files).map_err(|error| error.to_string())
}

/// Every file of the artifact, by its path inside; nothing where they are more than [`ARTIFACT_MAX`] bytes together.
pub(super) fn read(dir: &Path) -> Result<Option<ModelFiles>, Failure> {
    let mut files = ModelFiles::new();
    let mut left = ARTIFACT_MAX;
    let mut folders = vec![(dir.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        let unreadable = |error| Failure::reading(&folder, &error);
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), format!("{name}/"), depth + 1));
            } else if kind.is_file() {
                let Some(bytes) = read_file(&entry.path(), &mut left)? else { return Ok(None) };
                files
                    .insert(name, bytes)
                    .map_err(|error| Failure::input(format_args!("{}: {error}", dir.display())))?;
            }
        }
    }
    Ok(Some(files))
}

/// One file, where it fits in what is `left` of the artifact's bytes.
fn read_file(path: &Path, left: &mut u64) -> Result<Option<bytes::Bytes>, Failure> {
    let unreadable = |error| Failure::reading(path, &error);
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    let Some(rest) = left.checked_sub(size) else { return Ok(None) };
    *left = rest;
    std::fs::read(path).map(|bytes| Some(bytes.into())).map_err(unreadable)
}
