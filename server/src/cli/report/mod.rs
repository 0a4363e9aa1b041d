//! `sluice report`: follows the rollout of a commit, and says at the Git host how it goes, as a status of the commit.
//!
//! [`place`] looks at the servers, [`follow`] decides what the looks mean (pure), [`host`] finds the Git host in the CI's
//! environment (pure), and [`post`] writes there. This file waits, and moves what one says to the other.

mod follow;
mod host;
mod place;
mod post;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::Parsed;
use parking_lot::Mutex;
use reqwest::Url;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{self, AdminArgs};
use super::exit::{Exit, Failure};
use super::files;
use super::output::{BAD, BUSY, Clean, Console, GOOD};
use super::tls::TlsArgs;
use crate::shutdown;
use follow::{Follow, Patience, Verdict, Wanted};
use host::HostArgs;
use place::Place;
use post::{Post, Poster};

/// The longest time that is followed; the clock cannot tell a deadline that is much further off.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Between two looks at least.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

const HELP: &str = "\
Examples:
  sluice report values-production.yaml --status 'https://{model}.{environment}.example.com'
  sluice report values.yaml --status http://127.0.0.1:8002 --host github --repository a/m --sha $SHA

In GitHub Actions and GitLab CI the host, the repository, the commit and the token are found in the job's environment: \
GITHUB_REPOSITORY, GITHUB_SHA, GITHUB_TOKEN, GITHUB_API_URL; CI_PROJECT_ID, CI_COMMIT_SHA, CI_API_V4_URL, and GITLAB_TOKEN or \
CI_JOB_TOKEN. The status is called sluice/MODEL-ENVIRONMENT, where the file is values-ENVIRONMENT.yaml, and else sluice/MODEL.

--status is where the rollout is seen: a serving port, for which no credential is needed, or an admin port. The serving \
port says which version is stable and which is on trial; a version that is refused before its trial is never seen there. \
The admin port says why. Each look may be answered by another server, so what is said has to stay true: that the version \
is stable for a minute, that it left its trial, that it is Degraded or that another commit took its place for two. A commit \
that is replaced before any server read it is never seen.

Exit codes: 0 the version is stable · 1 a file or what was given is wrong · 2 usage · 3 it was sent back, did not get there \
in time, or the host does not take the status";

/// Say at the Git host how the rollout of a commit goes
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Values files whose rollouts are followed
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Where a rollout is seen; {model} and {environment} stand for those of the file
    #[arg(long, value_name = "URL", env = client::STATUS_URL_ENV, hide_env_values = true)]
    status: String,

    /// How long to follow; of that, a minute is to see that the version stays
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = config::duration)]
    timeout: Duration,

    /// How often to look
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = config::duration)]
    interval: Duration,

    /// What the status is called
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// File with a bearer token for --status
    #[arg(long, value_name = "FILE", env = client::TOKEN_FILE_ENV, hide_env_values = true)]
    token_file: Option<PathBuf>,

    #[command(flatten)]
    tls: TlsArgs,

    #[command(flatten)]
    host: HostArgs,
}

/// One file's rollout.
struct Rollout {
    context: String,
    wanted: Wanted,
    place: Place,
}

pub(crate) async fn run(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let signal = shutdown::signal().map_err(|error| Failure::failed(format_args!("cannot hear signals: {error}")))?;
    let given = Given { variable: &|name| std::env::var(name).ok(), patience: Patience::default() };
    report(args, given, signal, console).await
}

/// What does not stand on the command line.
struct Given<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    patience: Patience,
}

async fn report<T>(
    args: &Args,
    given: Given<'_>,
    ended: impl Future<Output = T>,
    console: &mut Console,
) -> Result<(), Failure> {
    let rollouts = rollouts(args)?;
    let poster = Poster::new(args.host.resolve(given.variable)?)?;
    let stop = CancellationToken::new();
    let deadline = Instant::now() + args.timeout.min(TIMEOUT_MAX);
    let console = Mutex::new(console);
    let journeys = rollouts.into_iter().map(|rollout| {
        let follow = Follow::new(rollout.wanted.clone(), given.patience);
        let journey = Journey { rollout, poster: &poster, console: &console, stop: &stop, deadline };
        journey.run(follow, args.interval.max(INTERVAL_MIN), args.timeout)
    });
    let mut journeys = std::pin::pin!(futures::future::join_all(journeys));
    let ends = tokio::select! {
        ends = &mut journeys => ends,
        _ = ended => {
            stop.cancel();
            journeys.await
        }
    };
    let failures: Vec<Failure> = ends.into_iter().filter_map(Result::err).collect();
    match failures.first() {
        None => Ok(()),
        Some(first) if failures.len() == 1 => Err(first.clone()),
        Some(first) => {
            let all: Vec<&str> = failures.iter().map(|failure| failure.message.as_str()).collect();
            Err(Failure { message: all.join("\n"), ..first.clone() })
        }
    }
}

/// What the files ask for; every problem of all files at once.
fn rollouts(args: &Args) -> Result<Vec<Rollout>, Failure> {
    if args.context.is_some() && args.files.len() > 1 {
        return Err(Failure::input("--context names one status, and there are several files"));
    }
    let (good, bad): (Vec<_>, Vec<_>) = args.files.iter().map(|file| rollout(args, file)).partition(Result::is_ok);
    let problems: Vec<Failure> = bad.into_iter().filter_map(Result::err).collect();
    match problems.first() {
        None => Ok(good.into_iter().flatten().collect()),
        Some(first) => {
            let all: Vec<&str> = problems.iter().map(|failure| failure.message.as_str()).collect();
            Err(Failure { message: all.join("\n"), ..first.clone() })
        }
    }
}

fn rollout(args: &Args, file: &Path) -> Result<Rollout, Failure> {
    let text = files::read_text(file, files::VALUES_MAX)?;
    let parsed = config::parse(&file.display().to_string(), &text);
    let Parsed { values, digest, .. } = parsed.map_err(Failure::input)?;
    let (model, environment) = (values.model.name.to_string(), environment(file));
    let url = status_url(&args.status, &model, environment)
        .map_err(|why| Failure::input(format_args!("{}: --status {}: {why}", file.display(), Clean(&args.status))))?;
    let context = args.context.clone().unwrap_or_else(|| match environment {
        Some(environment) => format!("sluice/{model}-{environment}"),
        None => format!("sluice/{model}"),
    });
    let wanted = Wanted { version: values.model.target.version.to_string(), revision: digest.to_string() };
    let admin = AdminArgs { admin: url, token_file: args.token_file.clone(), tls: args.tls.clone() };
    Ok(Rollout { context, wanted, place: Place::new(admin, model) })
}

/// `production` of `values-production.yaml`.
fn environment(file: &Path) -> Option<&str> {
    let name = file.file_stem()?.to_str()?;
    name.strip_prefix("values-").filter(|environment| !environment.is_empty())
}

fn status_url(template: &str, model: &str, environment: Option<&str>) -> Result<Url, String> {
    let mut text = template.replace("{model}", model);
    if text.contains("{environment}") {
        let environment = environment.ok_or("the file is not called values-ENVIRONMENT.yaml")?;
        text = text.replace("{environment}", environment);
    }
    client::base_url(&text)
}

/// One rollout on its way, and who is told.
struct Journey<'a, 'c> {
    rollout: Rollout,
    poster: &'a Poster,
    console: &'a Mutex<&'c mut Console>,
    stop: &'a CancellationToken,
    deadline: Instant,
}

impl Journey<'_, '_> {
    async fn run(mut self, mut follow: Follow, interval: Duration, timeout: Duration) -> Result<(), Failure> {
        let mut post = Post::new(self.rollout.context.clone());
        let mut verdict = Verdict::Pending("waiting for the servers to read this commit".to_owned());
        loop {
            self.tell(&mut post, &verdict).await?;
            if let Verdict::Pending(waiting) = &verdict {
                let next = Instant::now() + interval;
                if next > self.deadline {
                    let limit = humantime::format_duration(timeout);
                    verdict = Verdict::Error(format!("not stable after {limit}: {waiting}"));
                    continue;
                }
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => {
                        verdict = Verdict::Error("not followed any more: the job was ended".to_owned());
                        continue;
                    }
                    seen = self.rollout.place.look() => verdict = follow.look(&seen, Instant::now()),
                }
                if matches!(verdict, Verdict::Pending(_)) {
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = tokio::time::sleep_until(next) => {}
                    }
                }
            } else {
                return outcome(&self.rollout.context, verdict);
            }
        }
    }

    /// Prints what is new, and posts it. A word on the way may get lost; the first and the last may not.
    async fn tell(&mut self, post: &mut Post, verdict: &Verdict) -> Result<(), Failure> {
        let Some(due) = post.due(verdict, self.poster.kind(), Instant::now()) else { return Ok(()) };
        {
            let style = match verdict {
                Verdict::Pending(_) => BUSY,
                Verdict::Success(_) => GOOD,
                Verdict::Failure(_) | Verdict::Error(_) => BAD,
            };
            let (word, text) = (verdict.word(), Clean(verdict.text()));
            self.console.lock().line(format_args!("{}: {style}{word}{style:#}: {text}", Clean(post.context())))?;
        }
        match self.poster.send(&due).await {
            Ok(()) => post.sent(due, Instant::now()),
            Err(failure) if post.must_be_heard(verdict) => return Err(failure),
            Err(failure) => self.console.lock().note(format_args!("{}: {failure}", Clean(post.context()))),
        }
        Ok(())
    }
}

fn outcome(context: &str, verdict: Verdict) -> Result<(), Failure> {
    match verdict {
        Verdict::Pending(_) | Verdict::Success(_) => Ok(()),
        Verdict::Failure(text) | Verdict::Error(text) => {
            Err(Failure { exit: Exit::Failed, message: format!("{context}: {}", Clean(&text)), hint: None })
        }
    }
}
