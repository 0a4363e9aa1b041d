//! `sluice check`: the pull request's gate. Finds out what the registry, the bucket and staging have to say of a values
//! file, and tells every check at once. Judging (`judge`) and telling (`report`, `machine`) are pure.

mod artifact;
mod facts;
mod judge;
mod machine;
mod registry;
mod report;
mod staging;
#[cfg(test)]
mod tests;
mod verdict;

use std::path::{Path, PathBuf};

use config::{Parsed, Problem, Values, VersionSpec};
use reqwest::Url;
use tokio::sync::watch;

use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::mlflow::mlflow;
use super::output::{Clean, Console};
use super::tls::TlsArgs;
use super::{files, push};
use crate::registry::Mlflow;
use crate::store::Progress;
use facts::Facts;
use report::Report;

const HELP: &str = "\
Examples:
  sluice check values.yaml --registry https://mlflow.example.com
  sluice check values.yaml --registry https://mlflow.example.com --staging https://fraud.example.com
  sluice check values.yaml --registry https://mlflow.example.com --public-key release.pub --format github

The checks, all of them told at once:
  values             the file is valid
  trust              model.digest or signing.policy enforce says which bytes are meant
  registry-version   model.registry names a version that is there and READY
  label, run         that version is tagged version=<model.version>, and made by model.registry.runId
  offline-tests      it is tagged <gate.offlineTestsTag>=passed
  metrics            its logged model, or else its run, has each of gate.metrics within bounds; not NaN
  storage-uri        the registry names the same place: in its tag sluice.storageUri, or as download URI
  bytes              what is there is whole, and nothing of it is a pickle
  digest             it has model.digest, and the registry's tag sluice.digest where there is one
  signature          it is signed as model.signing demands, and so is `stable`
  model, golden      it loads on this machine's CPU, and answers its golden requests
  compatible         it takes what `stable` takes, and returns what that returns
  staging            staging serves this label as stable, and is ready; asked at its serving port

The artifact is pulled to a folder in TMPDIR that is removed again. The registry is asked as MLFLOW_TRACKING_TOKEN, or \
MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; the bucket with what its own variables or this machine's identity \
say. A format other than text goes to standard output, and the text for people to standard error.

Exit codes: 0 every check passed or was skipped · 1 at least one failed · 2 usage · 3 none failed, and something could \
not be reached";

/// Check a version before it is merged: registry, tests, bytes, signature, answers, staging
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The values file
    file: PathBuf,

    /// The MLflow server
    #[arg(long, value_name = "URL", value_parser = client::base_url)]
    registry: Url,

    /// The serving port of the model in staging
    #[arg(long, value_name = "URL", value_parser = client::base_url)]
    staging: Option<Url>,

    /// File with a bearer token for staging
    #[arg(long, value_name = "FILE", env = client::STAGING_TOKEN_FILE_ENV, hide_env_values = true, requires = "staging")]
    staging_token_file: Option<PathBuf>,

    #[command(flatten)]
    tls: TlsArgs,

    /// The values file as it is merged now: staging is not asked for a version that is there already, since it was before
    #[arg(long, value_name = "FILE", requires = "staging")]
    merged: Option<PathBuf>,

    /// Where the public key is on this machine, in place of model.signing.publicKeyRef.path
    #[arg(long, value_name = "PEM")]
    public_key: Option<PathBuf>,

    /// How it is written to standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One JSON document
    Json,
    /// JUnit's XML, which GitLab shows in a merge request
    Junit,
    /// Annotations for GitHub Actions, on the lines of the fields
    Github,
}

pub(crate) async fn run(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let report = checked(args, console).await?;
    let text = report.text();
    let written = match args.format {
        Format::Text => None,
        Format::Json => Some(format!("{:#}\n", machine::json(&report))),
        Format::Junit => {
            Some(machine::junit(&report).map_err(|error| Failure::failed(format_args!("JUnit: {error}")))?)
        }
        Format::Github => Some(machine::github(&report)),
    };
    match written {
        None => console.print(text)?,
        Some(written) => {
            console.note(text.trim_end());
            console.print(written)?;
        }
    }
    match report.exit() {
        Exit::Done => Ok(()),
        exit => Err(Failure::quiet(exit)),
    }
}

/// A file that cannot be read is a check that failed; only a fault of the system is none.
async fn checked(args: &Args, console: &mut Console) -> Result<Report, Failure> {
    let file = args.file.display().to_string();
    let mlflow = mlflow(&args.registry)?;
    let token = args.staging_token_file.as_deref().map(client::read_token).transpose()?;
    let staging = args.staging.as_ref().map(|url| Client::over(url, "staging", token, &args.tls)).transpose()?;
    let text = match files::read_text(&args.file, files::VALUES_MAX) {
        Ok(text) => text,
        Err(failure) if failure.exit == Exit::BadInput => {
            let problem =
                Problem { file: file.clone(), line: 0, column: 0, path: String::new(), message: failure.message };
            let checks = judge::unreadable([&problem]);
            return Ok(Report { file, text: String::new(), release: None, checks });
        }
        Err(failure) => return Err(failure),
    };
    match config::parse(&file, &text) {
        Err(problems) => Ok(Report { file, text, release: None, checks: judge::unreadable(&problems) }),
        Ok(Parsed { values, .. }) => {
            let merged = args.merged.as_deref().is_some_and(|path| is_merged(path, &values.model.target, console));
            let staging = staging.as_ref().filter(|_| !merged);
            let facts = Facts { merged, ..gather(args, &mlflow, staging, &values, console).await };
            let release = Some((values.model.name.to_string(), values.model.target.version.to_string()));
            Ok(Report { file, text, release, checks: judge::judge(&values, &facts) })
        }
    }
}

/// Asks everybody at once.
async fn gather(args: &Args, mlflow: &Mlflow, staging: Option<&Client>, values: &Values, console: &Console) -> Facts {
    let (progress, heard) = watch::channel(Progress::default());
    let bar = if console.is_terminal() { tokio::spawn(push::show(heard)) } else { tokio::spawn(async {}) };
    let asked = async {
        match staging {
            Some(client) => Some(staging::ask(client, values.model.name.as_str()).await),
            None => None,
        }
    };
    let key = args.public_key.as_deref();
    let examined = artifact::examine(values, key, &progress);
    let (registry, artifact, staging) = tokio::join!(registry::ask(mlflow, values), examined, asked);
    // The sender ends the bar; it is waited for, so that it does not draw later.
    drop(progress);
    let _ = bar.await;
    Facts { registry, artifact, staging, merged: false }
}

/// Whether the file at `path` names `target` already. A merged file that cannot be read must not hold up the one that
/// mends it, and settles nothing.
fn is_merged(path: &Path, target: &VersionSpec, console: &mut Console) -> bool {
    let text = files::read_text(path, files::VALUES_MAX).map_err(|failure| failure.message);
    let parsed = text
        .and_then(|text| config::parse(&path.display().to_string(), &text).map_err(|problems| problems.to_string()));
    match parsed {
        Ok(Parsed { values, .. }) => names(&values, target),
        Err(why) => {
            console.note(format_args!("--merged is of no use: {}", Clean(&why)));
            false
        }
    }
}

/// Whether `values` name `target`, as the version or as stable. Pure.
fn names(values: &Values, target: &VersionSpec) -> bool {
    let same = |spec: &VersionSpec| {
        let bytes = match (&spec.digest, &target.digest) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        spec.version == target.version && spec.storage_uri == target.storage_uri && bytes
    };
    same(&values.model.target) || values.stable.as_ref().is_some_and(same)
}
