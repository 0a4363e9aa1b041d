//! `sluice quickstart`: deploy, watch, break and roll back real versions of a real model, in a folder of its own.
//!
//! The server that runs is the one of `sluice serve`, in this process. What is added: a folder and callers
//! ([`super::demo`]), and a terminal that tells what happens ([`story`]) and what to try ([`guide`]).

mod guide;
mod story;

use std::path::PathBuf;
use std::sync::Arc;

use config::{Settings, SettingsLayer};
use tokio::sync::watch;

use super::demo::content::MODEL;
use super::demo::folder::Folder;
use super::demo::replay::{self, Replay};
use super::exit::Failure;
use super::output::{BAD, BUSY, Clean, Console, GOOD, STRONG};
use super::serve;
use super::status::{ModelView, StatusView};
use crate::app::{App, StartError};
use crate::rollout::Status;
use crate::shutdown;
use guide::Guide;

/// The values file, with `@…@` where paths of this machine go.
pub(super) const VALUES: &str = include_str!("values.yaml");

const HELP: &str = "\
Examples:
  sluice quickstart                    # makes ./sluice-quickstart and serves from it
  sluice quickstart --dir /tmp/demo --http 127.0.0.1:9000 --grpc 127.0.0.1:9001 --admin 127.0.0.1:9002

Makes a folder with four signed versions of a fraud model (trained on real data), the key that signed them, and a \
values file; serves it on the CPU, and sends it real requests at a gentle pace, so that there is traffic to judge a \
version by. Prints what to try next, and then one line for each thing that happens. A line that starts with `ready` \
says that it serves. Ctrl-C ends it; the folder stays, and the next start goes on from there.

Exit codes: 0 ended by Ctrl-C or SIGTERM · 1 DIR is no quickstart folder · 3 a port is taken, or DIR cannot be made";

/// See it work: real versions, a canary, a bad version that goes back by itself, on this machine
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The working folder; made where it is not there
    #[arg(long, value_name = "DIR", default_value = "./sluice-quickstart")]
    dir: PathBuf,

    /// Where HTTP is served [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,

    /// Where gRPC is served [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<String>,

    /// Where status, metrics and rollout verbs are served [default: 127.0.0.1:8002]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
}

pub(crate) async fn run(args: Args, console: &mut Console) -> Result<(), Failure> {
    // Heard from the start, so that Ctrl-C works while the server comes up too.
    let mut stop = std::pin::pin!(shutdown::signal().map_err(Failure::failed)?);
    let folder = Folder::prepare(&args.dir, VALUES)?;
    let settings = settings(&args, &folder)?;
    let _logs = serve::start_logs(&settings)?;
    introduce(&folder, console)?;
    let mut app = App::start(settings).await.map_err(|error| not_started(&error))?;
    let mut stage = Stage::new(&app, &folder)?;
    let told = tokio::select! {
        told = stage.tell(app.rollout().status(), console) => told,
        lost = app.lost() => Err(serve::failed(&lost.into())),
        _ = &mut stop => Ok(()),
    };
    // Callers go first: what they would get from a server that is going away is no failure of a version.
    let tally = stage.end().await;
    // A second Ctrl-C does not wait for what is left.
    let again = shutdown::signal().map_err(Failure::failed)?;
    tokio::select! {
        _ = app.shut_down() => {}
        _ = again => {}
    }
    if let Some(tally) = tally {
        console.line(format_args!("\nended; requests of this session: {tally}"))?;
    }
    told
}

/// Settings of a server that runs on this machine's CPU, out of the folder, and reacts at once.
fn settings(args: &Args, folder: &Folder) -> Result<Settings, Failure> {
    let mut flags = SettingsLayer::new();
    let values = folder.values_dir().display().to_string();
    if values.contains(',') {
        return Err(Failure::input(format_args!("{values} holds a comma")).hint("--dir DIR names another folder"));
    }
    flags.set("values", values);
    flags.set("cache", folder.cache().display().to_string());
    for (name, value) in [
        ("device", "cpu"),
        ("log", "error"),
        ("log-format", "text"),
        ("not-ready-wait", "0s"),
        ("grace-period", "10s"),
        ("watch-interval", "2s"),
        ("readiness", "any"),
    ] {
        flags.set(name, value);
    }
    for (name, address) in [("http", &args.http), ("grpc", &args.grpc), ("admin", &args.admin)] {
        if let Some(address) = address {
            flags.set(name, address);
        }
    }
    serve::settle(&flags, None)
}

fn not_started(error: &StartError) -> Failure {
    let failure = serve::not_started(error);
    match error {
        StartError::Bind { .. } => failure.hint(
            "is a server running already? ports of its own: --http 127.0.0.1:9000 --grpc 127.0.0.1:9001 --admin \
             127.0.0.1:9002",
        ),
        StartError::Store(_) => failure.hint("does another quickstart run in this folder? --dir DIR names another"),
        _ => failure,
    }
}

fn introduce(folder: &Folder, console: &mut Console) -> Result<(), Failure> {
    let values = folder.values_file();
    let (what, kept) = if folder.reused { ("reusing", ", kept as you left it") } else { ("made", "") };
    console.line(format_args!("{what} four signed versions of {MODEL} in {}", folder.bucket().display()))?;
    console.line(format_args!("{what} the values file {STRONG}{}{STRONG:#}{kept}", values.display()))?;
    match folder.complaint() {
        Some(complaint) => console.line(format_args!("{BAD}but{BAD:#} {complaint}")),
        None => Ok(()),
    }
}

/// What is shown, and what was shown before.
struct Stage {
    guide: Guide,
    requests: Vec<String>,
    seen: Option<ModelView>,
    replay: Option<Replay>,
    started: tokio::time::Instant,
}

impl Stage {
    fn new(app: &App, folder: &Folder) -> Result<Self, Failure> {
        let requests = replay::requests()?;
        let first = requests.first().cloned().unwrap_or_default();
        let guide = Guide::new(&folder.values_file(), app.addresses(), first);
        Ok(Self { guide, requests, seen: None, replay: None, started: tokio::time::Instant::now() })
    }

    /// Tells every change of the rollout, until the server is gone.
    async fn tell(&mut self, mut statuses: watch::Receiver<Arc<Status>>, console: &mut Console) -> Result<(), Failure> {
        loop {
            let status = Arc::clone(&statuses.borrow_and_update());
            self.show(&status, console)?;
            if statuses.changed().await.is_err() {
                return Err(Failure::failed("the rollout ended by itself; its log says why"));
            }
        }
    }

    fn show(&mut self, status: &Status, console: &mut Console) -> Result<(), Failure> {
        let Some(model) = StatusView::of(status)?.models.into_iter().find(|model| model.name == MODEL) else {
            return Ok(());
        };
        let ended = |event: &str| matches!(event, "promoted" | "rejected");
        let news = model.history.last() != self.seen.as_ref().and_then(|seen| seen.history.last());
        for line in story::lines(self.seen.as_ref(), &model) {
            console.line(line)?;
        }
        if let Some(replay) =
            self.replay.as_ref().filter(|_| news && model.history.last().is_some_and(|e| ended(&e.event)))
        {
            console.line(format_args!("          callers so far: {}", replay.tally()))?;
        }
        self.greet(&model, console)?;
        self.seen = Some(model);
        Ok(())
    }

    /// Once, when something serves; and says so when nothing will.
    fn greet(&mut self, model: &ModelView, console: &mut Console) -> Result<(), Failure> {
        if self.replay.is_some() {
            return Ok(());
        }
        match &model.stable {
            Some(stable) => {
                let at = self.guide.at;
                self.replay = Some(Replay::start(at.http, std::mem::take(&mut self.requests))?);
                let took = self.started.elapsed().as_secs_f64();
                console.line(format_args!(
                    "\n{GOOD}ready{GOOD:#} in {took:.1} s: {STRONG}{MODEL} {}{STRONG:#} on http://{} (gRPC {}), with about 100 requests a second",
                    Clean(&stable.version), at.http, at.grpc
                ))?;
                console.line(self.guide.text(&stable.version))
            }
            None if model.phase == "Degraded" && self.seen.as_ref().is_none_or(|seen| seen.phase != "Degraded") => {
                let (message, values) = (Clean(&model.message), &self.guide.values);
                console
                    .line(format_args!("{BUSY}Degraded{BUSY:#}  {message}\n          change the version in {values}"))
            }
            None => Ok(()),
        }
    }

    /// Ends the callers; what they got.
    async fn end(&mut self) -> Option<String> {
        let replay = self.replay.as_mut()?;
        replay.stop().await;
        Some(replay.tally())
    }
}
