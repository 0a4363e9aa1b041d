//! `sluice push`: a model directory, digested, signed where a key is given, and uploaded so that nobody sees half.

use std::path::{Path, PathBuf};

use config::StorageUri;
use indicatif::{ProgressBar, ProgressStyle};
use models::Golden;
use reqwest::Url;
use tokio::sync::watch;

use super::exit::{Exit, Failure};
use super::mlflow::mlflow;
use super::output::{Console, FAINT, STRONG, TYPED};
use super::{client, explain};
use crate::registry::{self, How, Mlflow, Registered, RegistryError, Release};
use crate::store::{self, Environment, Progress, PushError, PushOptions, Pushed};

const HELP: &str = "\
Examples:
  sluice push ./model gs://acme-models/fraud-detection/v2.3.1 --key release.pem
  sluice push ./model s3://models/fraud-detection/v2.3.1   # AWS_* variables, or the pod's identity
  sluice push ./model file:///srv/bucket/fraud-detection/v2.3.1
  sluice push ./model gs://acme-models/fraud-detection/v2.3.1 --key release.pem \\
    --registry https://mlflow.example.com --name fraud-detection --run-id 9d1f0c2e…

DIR is what MLflow logs: MLmodel and model.onnx (or another format that is read), golden/*.json where there are \
recorded answers. What `sluice explain` refuses, and a golden file that cannot be read, is refused before anything is \
uploaded. Credentials come from the environment. A mark (.push-unfinished) goes first, the manifest last, and then \
the mark goes away, so a half-uploaded version is never taken for a whole one; the same push again completes it. What is \
there is compared and never overwritten: other bytes under the same URL are refused, and so is a signature for a \
version that is there without one.

--registry makes it known to MLflow afterwards, under the last part of URL as its label: tags `version`, `sluice.digest` \
and `sluice.storageUri`. They go to the version that has the label, or else to the one that the run of --run-id registered \
and nobody labelled; where there is neither, a version is made. A label that is known with another digest, place or run is \
refused. The variables by which MLflow is asked are those of `sluice check`.

Exit codes: 0 it is there, and was before or is now · 1 the directory or the key is wrong, or URL or label holds another \
version · 3 store or registry did not answer or refused";

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

    /// The MLflow server that is told of it
    #[arg(long, value_name = "URL", value_parser = client::base_url, requires = "name")]
    registry: Option<Url>,

    /// The registered model there; made where it is not
    #[arg(long, value_name = "NAME", requires = "registry")]
    name: Option<String>,

    /// The run that trained it
    #[arg(long, value_name = "ID", requires = "registry")]
    run_id: Option<String>,
}

pub(crate) async fn run(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let announcement = Announcement::of(args)?;
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
    let pushed = pushed.map_err(|error| refused(&error))?;
    report(args, &pushed, console)?;
    match announcement {
        Some(announcement) => announcement.make(args, &pushed, console).await,
        None => Ok(()),
    }
}

/// Whom to tell of what is pushed, read before anything is uploaded.
struct Announcement<'a> {
    mlflow: Mlflow,
    name: &'a str,
    label: String,
}

impl<'a> Announcement<'a> {
    fn of(args: &'a Args) -> Result<Option<Self>, Failure> {
        let (Some(registry), Some(name)) = (&args.registry, &args.name) else { return Ok(None) };
        let Some((_, label)) = split(&args.url) else {
            let failure = Failure::input(format_args!("the last part of {} is no version to register", args.url));
            return Err(failure.hint("end it with the release label, as in gs://bucket/model/v2.3.1"));
        };
        Ok(Some(Self { mlflow: mlflow(registry)?, name, label }))
    }

    async fn make(&self, args: &Args, pushed: &Pushed, console: &mut Console) -> Result<(), Failure> {
        let (digest, uri) = (pushed.digest.to_string(), args.url.to_string());
        let release = Release {
            name: self.name,
            label: &self.label,
            digest: &digest,
            storage_uri: uri.trim_end_matches('/'),
            run: args.run_id.as_deref(),
        };
        let Registered { version, how } = registry::register(&self.mlflow, release).await.map_err(unregistered)?;
        let (name, label) = (self.name, &self.label);
        let said = match how {
            How::Created => format!("{label} is version {version} of {name} from now on"),
            How::Tagged => format!("version {version} of {name} is tagged as {label}"),
            How::Unchanged => format!("{label} was version {version} of {name} already"),
        };
        console.line(format_args!("\n{STRONG}registered{STRONG:#} {said}"))?;
        console.line(format_args!("{TYPED}  registry: {{type: mlflow, name: {name}, version: \"{version}\"}}{TYPED:#}"))
    }
}

/// It is uploaded, and the same push again goes on from there.
fn unregistered(error: RegistryError) -> Failure {
    let failure = if error.is_answer() { Failure::input(&error) } else { Failure::failed(&error) };
    failure.hint("the upload is whole; the same push again only registers it")
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
            let found = Golden::fitting(text, model.signature()).err()?;
            Some(format!("{name}: {}", found.join("; ")))
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// Draws how far it is until the push ends.
pub(super) async fn show(mut heard: watch::Receiver<Progress>) {
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
    match split(url) {
        Some((above, last)) => (format!("{above}/{{version}}"), last),
        None => (url.to_string().trim_end_matches('/').to_owned(), "v…".to_owned()),
    }
}

/// What is above the last part, and that part, where it can be a version.
fn split(url: &StorageUri) -> Option<(String, String)> {
    let text = url.to_string();
    let (above, last) = text.trim_end_matches('/').rsplit_once('/')?;
    config::Version::new(last).is_ok().then(|| (above.to_owned(), last.to_owned()))
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
