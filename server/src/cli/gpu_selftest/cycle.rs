//! A whole server on the device, in this process, from a folder of its own: a load, a canary that is promoted, and one
//! that goes back, under callers. What it answers is compared with the CPU.

use std::io;
use std::sync::Arc;

use config::{BumpTarget, Settings, SettingsLayer, Version};
use models::Golden;
use tempfile::TempDir;
use tokio::sync::watch;

use super::probe::bundled;
use super::report::{Check, News};
use super::{PATIENCE, Telling};
use crate::app::{App, Lost};
use crate::cli::demo::content::{BAD, BETTER, FIRST, MODEL};
use crate::cli::demo::folder::Folder;
use crate::cli::demo::replay::{self, Replay};
use crate::cli::exit::Failure;
use crate::cli::status::{ModelView, StatusView};
use crate::cli::{files, serve};
use crate::rollout::Status;
use crate::telemetry::logs::LogGuard;

/// The values file, with `@…@` where paths of this machine go.
const VALUES: &str = include_str!("values.yaml");
/// Rows that are asked for one by one, and compared.
const COMPARED: usize = 16;

/// Runs the cycle, and tells what came of it.
pub(super) async fn run(index: u32, simulated: bool, telling: &mut Telling<'_>) -> Result<(), Failure> {
    telling.tell(News::Part("a server on it, under callers"))?;
    let (mut app, mut cycle) = match started(index, simulated).await {
        Ok(started) => started,
        Err(failure) => return telling.tell(check("a server starts on it", Err(failure.message))),
    };
    let told = tokio::select! {
        told = cycle.run(telling) => told,
        lost = app.lost() => telling.tell(ended(lost)),
    };
    // Callers go first: what they would get from a server that is going away says nothing of the device.
    let callers = cycle.end().await;
    let drained = if app.shut_down().await { Ok(String::new()) } else { Err("requests were cut off".to_owned()) };
    told?;
    callers.into_iter().try_for_each(|check| telling.tell(check))?;
    telling.tell(check("it drains, and closes the device", drained))
}

async fn started(index: u32, simulated: bool) -> Result<(App, Cycle), Failure> {
    let temporary = temporary().map_err(|error| Failure::failed(format_args!("no folder to serve from: {error}")))?;
    let folder = Folder::prepare(temporary.path(), VALUES)?;
    let settings = settings(&folder, index, simulated)?;
    let logs = serve::start_logs(&settings)?;
    let app = App::start(settings).await.map_err(|error| serve::not_started(&error))?;
    let (statuses, http) = (app.rollout().status(), app.addresses().http);
    Ok((app, Cycle { folder, statuses, http, replay: None, _logs: logs, _temporary: temporary }))
}

/// A folder that goes with its value: where the system has its own, or beside the cache, as in the image.
fn temporary() -> io::Result<TempDir> {
    match std::env::var_os("SLUICE_CACHE") {
        Some(cache) if !std::env::temp_dir().is_dir() => tempfile::tempdir_in(cache),
        _ => tempfile::tempdir(),
    }
}

/// Settings of a server that reacts at once.
fn settings(folder: &Folder, index: u32, simulated: bool) -> Result<Settings, Failure> {
    let mut flags = SettingsLayer::new();
    flags.set("values", folder.values_dir().display().to_string());
    flags.set("cache", folder.cache().display().to_string());
    flags.set("device", format!("cuda:{index}"));
    flags.set("allow-simulated-device", simulated.to_string());
    for (name, value) in [
        ("http", "127.0.0.1:0"),
        ("grpc", "127.0.0.1:0"),
        ("admin", "127.0.0.1:0"),
        ("log", "error"),
        ("log-format", "text"),
        ("not-ready-wait", "0s"),
        ("grace-period", "30s"),
        ("watch-interval", "1s"),
    ] {
        flags.set(name, value);
    }
    // None of the environment's: beside a server, they are that server's.
    Settings::resolve(&flags, std::iter::empty(), None).map_err(|problems| Failure::input(format_args!("{problems}")))
}

fn ended(lost: Lost) -> News {
    match lost {
        Lost::Device { reason, .. } => News::Lost(reason),
        Lost::Task(_) => check("the server goes on", Err(lost.to_string())),
    }
}

fn check(name: impl Into<String>, outcome: Result<String, String>) -> News {
    News::Check(Check { name: name.into(), outcome })
}

struct Cycle {
    folder: Folder,
    statuses: watch::Receiver<Arc<Status>>,
    http: std::net::SocketAddr,
    replay: Option<Replay>,
    _logs: LogGuard,
    _temporary: TempDir,
}

impl Cycle {
    async fn run(&mut self, telling: &mut Telling<'_>) -> Result<(), Failure> {
        let first = self.until(FIRST, |model| serves(model, FIRST)).await;
        let up = first.is_ok();
        telling.tell(check(format!("{FIRST} is loaded, warmed up and serves"), first))?;
        if !up {
            return Ok(());
        }
        self.replay = Some(Replay::start(self.http, replay::requests()?)?);
        let promoted = self.after(BETTER, |model| serves(model, BETTER)).await;
        let better = promoted.is_ok();
        telling.tell(check(format!("{BETTER} gets a share of the requests, then all of them"), promoted))?;
        if better {
            let alike = self.answers_are_the_cpus(BETTER).await;
            telling.tell(check(format!("{BETTER} answers callers as on the CPU"), alike))?;
        }
        let refused = self.after(BAD, |model| refuses(model, BAD)).await;
        telling.tell(check(format!("{BAD}, which answers NaN to some, goes back by itself"), refused))
    }

    /// Changes the version, and waits for what should come of it.
    async fn after(&mut self, version: &str, done: impl Fn(&ModelView) -> Option<String>) -> Result<String, String> {
        self.bump(version)?;
        self.until(version, done).await
    }

    fn bump(&self, version: &str) -> Result<(), String> {
        let file = self.folder.values_file();
        let text = files::read_text(&file, files::VALUES_MAX).map_err(|failure| failure.message)?;
        let version = Version::new(version).map_err(|refused| refused.to_string())?;
        let target = BumpTarget { version, digest: None, storage_uri: None, registry: None };
        let text = config::bump(&text, &target, None).map_err(|error| error.to_string())?;
        files::replace(&file, &text).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Waits until it is so of a version, and says what `done` says of it; or why it will not be.
    async fn until(&mut self, version: &str, done: impl Fn(&ModelView) -> Option<String>) -> Result<String, String> {
        let mut last = String::new();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let status = Arc::clone(&self.statuses.borrow_and_update());
                let view = StatusView::of(&status).map_err(|failure| failure.message)?;
                if let Some(model) = view.models.into_iter().find(|model| model.name == MODEL) {
                    if let Some(said) = done(&model) {
                        return Ok(said);
                    }
                    last = format!("{}: {}", model.phase, model.message);
                    if model.rejected.iter().any(|it| it.version == version) && model.canary.is_none() {
                        return Err(last.clone());
                    }
                }
                self.statuses.changed().await.map_err(|_| "the rollout ended".to_owned())?;
            }
        });
        waited.await.unwrap_or_else(|_| Err(format!("not within {} s; {last}", PATIENCE.as_secs())))
    }

    async fn answers_are_the_cpus(&self, version: &str) -> Result<String, String> {
        let host = models::load(&bundled(version)?).map_err(|error| error.to_string())?;
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|error| error.to_string())?;
        let url = format!("http://{}/v2/models/{MODEL}/infer", self.http);
        let requests = replay::requests().map_err(|failure| failure.message)?;
        for request in requests.iter().take(COMPARED) {
            let answer = client.post(&url).body(request.clone()).send().await.map_err(|error| error.to_string())?;
            let answer = answer.text().await.map_err(|error| error.to_string())?;
            // A recorded request and its answer, for once recorded on the device.
            let recorded = format!(r#"{{"request":{request},"response":{answer}}}"#);
            let recorded = Golden::fitting(recorded.as_bytes(), host.signature());
            let recorded = recorded.map_err(|problems| format!("{answer}: {}", problems.join("; ")))?;
            let outputs = host.run(&recorded.inputs).map_err(|error| error.to_string())?;
            recorded.compare(&outputs).map_err(|differences| differences.join("; "))?;
        }
        Ok(format!("{COMPARED} real rows"))
    }

    /// Ends the callers; what they got.
    async fn end(&mut self) -> Option<News> {
        let replay = self.replay.as_mut()?;
        replay.stop().await;
        let (tally, failed) = (replay.tally(), replay.failed());
        Some(check("no request is lost", if failed == 0 { Ok(tally) } else { Err(tally) }))
    }
}

/// Where `version` serves all requests.
fn serves(model: &ModelView, version: &str) -> Option<String> {
    let stable = model.stable.as_ref().is_some_and(|stable| stable.version == version);
    (stable && model.phase == "Healthy").then(String::new)
}

/// Why `version` was rejected, once it was and another serves.
fn refuses(model: &ModelView, version: &str) -> Option<String> {
    let rejected = model.rejected.iter().find(|rejected| rejected.version == version)?;
    let settled = model.canary.is_none() && model.stable.is_some();
    settled.then(|| rejected.reason.clone())
}
