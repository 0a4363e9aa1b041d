//! `sluice push`: a model directory, digested, signed where a key is given, and uploaded so that nobody sees half.

use std::path::{Path, PathBuf};

use config::StorageUri;
use indicatif::{ProgressBar, ProgressStyle};
use models::Golden;
use tokio::sync::watch;

use super::exit::{Exit, Failure};
use super::explain;
use super::output::{Console, FAINT, STRONG, TYPED};
use crate::store::{self, Environment, Progress, PushError, PushOptions, Pushed};

const HELP: &str = "\
Examples:
  sluice push ./model gs://acme-models/fraud-detection/v2.3.1 --key release.pem
  sluice push ./model s3://models/fraud-detection/v2.3.1   # AWS_* variables, or the pod's identity
  sluice push ./model file:///srv/bucket/fraud-detection/v2.3.1

DIR is what MLflow logs: MLmodel and model.onnx (or another format that is read), golden/*.json where there are \
recorded answers. What `sluice explain` refuses, and a golden file that cannot be read, is refused before anything is \
uploaded. Credentials come from the environment. A mark (.push-unfinished) goes first, the manifest last, and then \
the mark goes away, so a half-uploaded version is never taken for a whole one; the same push again completes it. What is \
there is compared and never overwritten: other bytes under the same URL are refused, and so is a signature for a \
version that is there without one.

Exit codes: 0 it is there, and was before or is now · 1 the directory or the key is wrong, or URL holds another version \
· 3 the store did not answer or refused";

/// Digest, sign and upload a model directory
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The model directory
    dir: PathBuf,

    /// The artifact directory that it becomes: file, gs, s3 or az
    #[arg(value_parser = |text: &str| StorageUri::new(text).map_err(|refused| refused.to_string()))]
    url: StorageUri,

    /// Sign with this private key (PEM; EC P-256, P-384 or P-521)
    #[arg(long, value_name = "PEM")]
    key: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let (progress, heard) = watch::channel(Progress::default());
    let bar = if console.is_terminal() { tokio::spawn(show(heard)) } else { tokio::spawn(async {}) };
    let options = PushOptions {
        dir: args.dir.clone(),
        url: args.url.clone(),
        key: args.key.clone(),
        environment: Environment::from_process(),
        progress,
    };
    let pushed = store::push_if(options, servable).await;
    // The sender is gone with the push, so the bar ends by itself; it is waited for, so that it does not draw later.
    let _ = bar.await;
    report(args, &pushed.map_err(|error| refused(&error))?, console)
}

/// What `sluice explain` says of the directory, and whether its golden files can be read: what is refused here, a server
/// would refuse with the same words, and the version would be spent. Its answers need the server's device.
fn servable(dir: &Path) -> Result<(), String> {
    // Too large to be loaded on any machine: the server's device will tell.
    let Some(files) = explain::read(dir).map_err(|failure| failure.message)? else { return Ok(()) };
    let model = explain::load(&files)?;
    let golden = files.iter().filter(|(name, _)| Golden::is_file(name));
    let problems: Vec<String> = golden
        .filter_map(|(name, text)| {
            let found = match Golden::parse(text) {
                Ok(golden) => model.signature().check(&golden.inputs).err()?.iter().map(ToString::to_string).collect(),
                Err(error) => vec![error.to_string()],
            };
            Some(format!("{name}: {}", found.join("; ")))
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// Draws how far it is until the push ends.
async fn show(mut heard: watch::Receiver<Progress>) {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec}") {
        bar.set_style(style);
    }
    while heard.changed().await.is_ok() {
        let Progress { done_bytes, total_bytes, .. } = *heard.borrow_and_update();
        bar.set_length(total_bytes);
        bar.set_position(done_bytes);
    }
    bar.finish_and_clear();
}

fn report(args: &Args, pushed: &Pushed, console: &mut Console) -> Result<(), Failure> {
    let Pushed { digest, files, bytes, unchanged } = pushed;
    let size = indicatif::HumanBytes(*bytes);
    let url = &args.url;
    if *unchanged {
        console.line(format_args!("{STRONG}unchanged{STRONG:#} {files} files ({size}) are at {url} already"))?;
    } else {
        console.line(format_args!("{STRONG}pushed{STRONG:#} {files} files ({size}) to {url}"))?;
    }
    console.line(format_args!("{STRONG}digest{STRONG:#} {digest}"))?;
    let (uri, version) = templated(&args.url);
    console.line(format_args!("\n{FAINT}# in the values file{FAINT:#}"))?;
    console.line(format_args!("{TYPED}model:{TYPED:#}"))?;
    console.line(format_args!("{TYPED}  version: \"{version}\"{TYPED:#}"))?;
    console.line(format_args!("{TYPED}  storageUri: \"{uri}\"{TYPED:#}"))?;
    console.line(format_args!("{TYPED}  digest: {digest}{TYPED:#}"))
}

/// The URI with `{version}` in place of its last part where that can be a version, and the version.
fn templated(url: &StorageUri) -> (String, String) {
    let text = url.to_string();
    let text = text.trim_end_matches('/');
    match text.rsplit_once('/') {
        Some((above, last)) if config::Version::new(last).is_ok() => (format!("{above}/{{version}}"), last.to_owned()),
        _ => (text.to_owned(), "v…".to_owned()),
    }
}

fn refused(error: &PushError) -> Failure {
    let exit = match error {
        PushError::Read { source, .. } if source.kind() != std::io::ErrorKind::NotFound => Exit::Failed,
        PushError::Read { .. }
        | PushError::Refused { .. }
        | PushError::Unservable { .. }
        | PushError::Key { .. }
        | PushError::Occupied { .. }
        | PushError::Unsigned { .. }
        | PushError::ReadOnly { .. } => Exit::BadInput,
        PushError::Sign(_) | PushError::FileChanged { .. } | PushError::Store { .. } => Exit::Failed,
    };
    Failure { exit, message: error.to_string(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_url_is_the_version() {
        let split = |url: &str| templated(&StorageUri::new(url).unwrap());
        assert_eq!(split("gs://b/m/v2.3.1"), ("gs://b/m/{version}".to_owned(), "v2.3.1".to_owned()));
        assert_eq!(split("file:///m/v1/"), ("file:///m/{version}".to_owned(), "v1".to_owned()));
        assert_eq!(split("gs://b/m%20x").1, "v…");
    }
}
