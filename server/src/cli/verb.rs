//! `sluice promote`, `abort`, `pause` and `retry`: what a person may say to a rollout. Git stays what it is: a verb
//! changes what the process does about the values file, never the file.

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::AdminArgs;
use super::exit::Failure;
use super::output::{Clean, Console};
use super::status::named_or_only;

const CODES: &str = "Exit codes: 0 done · 1 no such model · 3 not possible now, not allowed, or no server reached";

/// Let the version on trial go on to its next step now
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("\
Examples:
  sluice promote fraud-detection          # ends a `pause: {{}}` step, or any wait
  sluice promote fraud-detection --full   # skips all steps that are left: stable now

Gates (digest, signature, golden requests) are never skipped, so a version that is still being staged cannot be \
promoted.

{CODES}"))]
pub(crate) struct PromoteArgs {
    /// Skip all steps that are left, and the analysis
    #[arg(long)]
    full: bool,

    #[command(flatten)]
    target: Target,
}

/// Send all traffic back to stable and reject the version on trial
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("\
Examples:
  sluice abort fraud-detection
  sluice abort fraud-detection && git revert HEAD   # Git should say what runs

The version stays rejected until `retry` changes in the values file, or `sluice retry`.

{CODES}"))]
pub(crate) struct AbortArgs {
    #[command(flatten)]
    target: Target,
}

/// Hold the version on trial at its step; `sluice promote` lets it go on
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("\
Examples:
  sluice pause fraud-detection
  sluice promote fraud-detection   # goes on

Analysis goes on while it is paused, and still aborts a bad version.

{CODES}"))]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    target: Target,
}

/// Try a rejected version again, or a failed attempt at once
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("\
Examples:
  sluice retry fraud-detection   # after the cause is gone, such as a bucket that was not reachable

In Git, the same is a change of `retry:` in the values file, which all replicas see.

{CODES}"))]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    target: Target,
}

/// Which model of which server.
#[derive(Debug, clap::Args)]
struct Target {
    /// The model; needed where the server has more than one
    model: Option<String>,

    #[command(flatten)]
    admin: AdminArgs,
}

/// What the server did, in one sentence.
#[derive(Deserialize)]
struct Answer {
    result: String,
}

pub(crate) async fn promote(args: &PromoteArgs, console: &mut Console) -> Result<(), Failure> {
    say(&args.target, "promote", json!({ "full": args.full }), console).await
}

pub(crate) async fn abort(args: &AbortArgs, console: &mut Console) -> Result<(), Failure> {
    say(&args.target, "abort", json!({}), console).await
}

pub(crate) async fn pause(args: &PauseArgs, console: &mut Console) -> Result<(), Failure> {
    say(&args.target, "pause", json!({}), console).await
}

pub(crate) async fn retry(args: &RetryArgs, console: &mut Console) -> Result<(), Failure> {
    say(&args.target, "retry", json!({}), console).await
}

async fn say(target: &Target, verb: &str, body: Value, console: &mut Console) -> Result<(), Failure> {
    let client = target.admin.client()?;
    let model = named_or_only(&client, target.model.as_deref()).await?;
    let (_, answer): (_, Answer) = client.post(&["v1", "models", &model, verb], &body, &[]).await?;
    console.line(format_args!("{}: {}", Clean(&model), Clean(&answer.result)))
}
