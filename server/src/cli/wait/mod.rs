//! `sluice wait`: blocks until a server, or each server of a name, has seen a values file, or serves what it asks for. For
//! pipelines and hooks.

mod service;

use std::path::PathBuf;
use std::time::Duration;

use config::Parsed;
use reqwest::Url;
use tokio::time::Instant;

use super::client::{AdminArgs, Client};
use super::exit::{Exit, Failure};
use super::files;
use super::output::{Clean, Console};
use super::status::{ModelView, StatusView, refusal};
use service::Servers;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// The longest wait; the clock cannot tell a deadline that is much further off.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 86_400);

const HELP: &str = "\
Examples:
  sluice wait --for=observed --values values.yaml --timeout 120s   # the server has read this very file
  sluice wait --for=healthy --values values.yaml                   # and its version is stable
  sluice wait --for=healthy --model fraud-detection                # what the server's values ask for
  sluice wait --for=observed --values values.yaml --service fraud-detection-model-serving-headless

--service asks every address that the name has, such as each ready pod of a headless Service, and all of them have to be \
so. The name is resolved again at each look: a pod that goes away is not waited for, and no address means not yet.

`observed` compares the SHA-256 of the file with the revision that the server reports. With --values, `healthy` waits \
for that first. A rollout of this revision that ends Degraded fails at once, with the server's reason; one that is \
Paused goes on waiting. A server that has read the file and refuses it ends the wait at once, too.

Exit codes: 0 it is so · 1 the values file is wrong, or there is no such model · 3 Degraded, timeout, or no server";

/// Wait until a server has seen a values file, or serves what it asks for
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// What to wait for
    #[arg(long = "for", value_enum, value_name = "STATE")]
    state: State,

    /// Values file to compare with; names the model too
    #[arg(long, value_name = "FILE", required_if_eq("state", "observed"))]
    values: Option<PathBuf>,

    /// The model; without it and without --values, every model
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,

    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = config::duration)]
    timeout: Duration,

    /// Ask every address of this name instead of --admin, at port 8002 or another
    #[arg(long, value_name = "NAME[:PORT]", value_parser = service::service)]
    service: Option<Url>,

    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum State {
    /// The server's revision is the digest of the values file
    Observed,
    /// The phase is Healthy and the version that the values ask for is stable
    Healthy,
}

/// What is waited for, of which models.
struct Goal {
    state: State,
    model: Option<String>,
    /// Revision and version of the values file, where one was given.
    wanted: Option<(String, String)>,
}

/// How far one look finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Done(String),
    NotYet(String),
    Never(Failure),
}

pub(crate) async fn run(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let goal = Goal::of(args)?;
    let mut asked = match &args.service {
        Some(base) => Asked::Every(Servers::new(base.clone(), args.admin.clone())),
        None => Asked::One(args.admin.client()?),
    };
    let deadline = Instant::now() + args.timeout.min(TIMEOUT_MAX);
    let mut told = String::new();
    loop {
        let waiting = match asked.look(&goal).await {
            Look::Done(message) => return console.line(message),
            Look::Never(failure) => return Err(failure),
            Look::NotYet(message) => message,
        };
        if told != waiting {
            console.note(format_args!("waiting: {waiting}"));
            told.clone_from(&waiting);
        }
        if Instant::now() + INTERVAL > deadline {
            let limit = humantime::format_duration(args.timeout);
            return Err(Failure::failed(format_args!("not so after {limit}: {waiting}")));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Who is asked.
enum Asked {
    One(Client),
    Every(Servers),
}

impl Asked {
    async fn look(&mut self, goal: &Goal) -> Look {
        match self {
            Self::One(client) => look(client, goal).await,
            Self::Every(servers) => servers.look(goal).await,
        }
    }
}

/// A server that cannot be reached may be starting, and one that does not know us may still read its access file; what is
/// wrong with the question itself stays wrong.
async fn look(client: &Client, goal: &Goal) -> Look {
    match StatusView::ask(client).await {
        Ok(status) => goal.look(&status),
        Err(failure) if failure.exit == Exit::Failed => Look::NotYet(failure.message),
        Err(failure) => Look::Never(failure),
    }
}

// === impl Goal ===

impl Goal {
    fn of(args: &Args) -> Result<Self, Failure> {
        let Some(path) = &args.values else {
            return Ok(Self { state: args.state, model: args.model.clone(), wanted: None });
        };
        let text = files::read_text(path, files::VALUES_MAX)?;
        let parsed = config::parse(&path.display().to_string(), &text);
        let Parsed { values, digest, .. } = parsed.map_err(Failure::input)?;
        let name = values.model.name.to_string();
        if let Some(other) = args.model.as_ref().filter(|model| **model != name) {
            let file = path.display();
            return Err(Failure::input(format_args!("{file} is about {name}, and --model says {other}")));
        }
        let wanted = Some((digest.to_string(), values.model.target.version.to_string()));
        Ok(Self { state: args.state, model: Some(name), wanted })
    }

    /// What `status` says of the goal. Pure.
    fn look(&self, status: &StatusView) -> Look {
        let models: Vec<&ModelView> = match &self.model {
            Some(name) => status.models.iter().filter(|model| model.name == *name).collect(),
            None => status.models.iter().collect(),
        };
        if let Some(failure) = self.refused(status, &models) {
            return Look::Never(failure);
        }
        if models.is_empty() {
            // With a file, the model may be new to the server. Without one, somebody named it.
            return match (&self.wanted, &self.model) {
                (None, Some(name)) => {
                    Look::Never(status.model(name).err().unwrap_or_else(|| Failure::input("no such model")))
                }
                _ => Look::NotYet("the server does not know the model yet".to_owned()),
            };
        }
        let mut done = Vec::new();
        for model in models {
            match self.look_at(model) {
                Look::Done(message) => done.push(message),
                other => return other,
            }
        }
        Look::Done(done.join("\n"))
    }

    /// The server has read this very file, and it is not in force.
    fn refused(&self, status: &StatusView, models: &[&ModelView]) -> Option<Failure> {
        let (revision, _) = self.wanted.as_ref().filter(|(revision, _)| status.revisions.contains(revision))?;
        let in_force = models.iter().any(|model| model.observed_revision == *revision);
        let error = match models {
            [] => status.problems.first(),
            _ => models.iter().find_map(|model| model.values_error.as_ref()),
        };
        let error = error.filter(|_| !in_force)?;
        Some(Failure::input(format_args!("the server refuses the file: {}", refusal(error))))
    }

    fn look_at(&self, model: &ModelView) -> Look {
        let name = Clean(&model.name);
        if let Some((revision, _)) = &self.wanted
            && *revision != model.observed_revision
        {
            return match &model.values_error {
                // Which revision the error is about is not told, so it may be the one before.
                Some(error) => Look::NotYet(format!("{name}: the values are refused: {}", Clean(error))),
                None => Look::NotYet(format!("{name}: the server has not read this revision yet")),
            };
        }
        if self.state == State::Observed {
            return Look::Done(format!("{name}: observed {}", Clean(&model.observed_revision)));
        }
        let wanted = self.wanted.as_ref().map_or(&model.desired_version, |(_, version)| version);
        let stable = model.stable.as_ref().map(|stable| &stable.version);
        match model.phase.as_str() {
            "Healthy" if stable == Some(wanted) => Look::Done(format!("{name}: {} is stable", Clean(wanted))),
            "Degraded" => {
                // The message says one problem of the values file itself, and of several only how many there are.
                let problems = model.values_error.as_deref().filter(|error| error.lines().nth(1).is_some());
                let problems = problems.map(|error| format!("\nvalues: {}", refusal(error))).unwrap_or_default();
                let message = Clean(&model.message);
                Look::Never(Failure::failed(format_args!("{name} is Degraded: {message}{problems}")))
            }
            phase => Look::NotYet(format!("{name} is {}: {}", Clean(phase), Clean(&model.message))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::StatusView;

    fn status(model: serde_json::Value) -> StatusView {
        serde_json::from_value(serde_json::json!({ "models": [model] })).unwrap()
    }

    fn goal(state: State, wanted: Option<(&str, &str)>) -> Goal {
        let wanted = wanted.map(|(revision, version)| (revision.to_owned(), version.to_owned()));
        Goal { state, model: Some("m".to_owned()), wanted }
    }

    fn word(look: &Look) -> &'static str {
        match look {
            Look::Done(_) => "done",
            Look::NotYet(_) => "not yet",
            Look::Never(_) => "never",
        }
    }

    #[test]
    fn the_table_of_what_is_seen_and_what_it_means() {
        let model = |revision: &str, phase: &str, stable: &str| {
            status(serde_json::json!({
                "name": "m", "observedRevision": revision, "phase": phase, "desiredVersion": "v2",
                "stable": { "version": stable },
            }))
        };
        let file = Some(("sha256:new", "v2"));
        for (state, wanted, seen, expected) in [
            (State::Observed, file, model("sha256:old", "Healthy", "v1"), "not yet"),
            (State::Observed, file, model("sha256:new", "Degraded", "v1"), "done"),
            (State::Healthy, file, model("sha256:new", "Healthy", "v2"), "done"),
            (State::Healthy, file, model("sha256:new", "Progressing", "v1"), "not yet"),
            (State::Healthy, file, model("sha256:new", "Paused", "v1"), "not yet"),
            (State::Healthy, file, model("sha256:new", "Degraded", "v1"), "never"),
            // Degraded because of the revision before: this one may still be fine.
            (State::Healthy, file, model("sha256:old", "Degraded", "v1"), "not yet"),
            // Healthy with the version before is not what was asked for.
            (State::Healthy, file, model("sha256:new", "Healthy", "v1"), "not yet"),
            (State::Healthy, None, model("sha256:any", "Healthy", "v2"), "done"),
            (State::Healthy, None, model("sha256:any", "Degraded", "v1"), "never"),
        ] {
            assert_eq!(word(&goal(state, wanted).look(&seen)), expected, "{state:?} {wanted:?} {seen:?}");
        }
    }

    #[test]
    fn a_file_that_the_server_read_and_refuses_is_not_waited_for() {
        let read = |revisions: &[&str], models: serde_json::Value, problems: &[&str]| {
            let status = serde_json::json!({ "models": models, "revisions": revisions, "problems": problems });
            serde_json::from_value::<StatusView>(status).unwrap()
        };
        let model = |error: Option<&str>| {
            serde_json::json!([{
                "name": "m", "observedRevision": "sha256:old", "valuesError": error, "phase": "Degraded",
            }])
        };
        let file = Some(("sha256:new", "v2"));
        for (seen, expected) in [
            (read(&["sha256:new"], model(Some("v.yaml:3: no")), &[]), "never"),
            // The error may be about the content before.
            (read(&["sha256:old"], model(Some("v.yaml:3: no")), &[]), "not yet"),
            (read(&["sha256:new"], model(None), &[]), "not yet"),
            (read(&["sha256:new"], serde_json::json!([]), &["v.yaml:3: no"]), "never"),
            (read(&[], serde_json::json!([]), &["other.yaml:3: no"]), "not yet"),
        ] {
            for state in [State::Observed, State::Healthy] {
                assert_eq!(word(&goal(state, file).look(&seen)), expected, "{state:?} {seen:?}");
            }
        }
        let Look::Never(failure) = goal(State::Observed, file).look(&read(&["sha256:new"], model(Some("no")), &[]))
        else {
            panic!("it is refused")
        };
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::BadInput, "the server refuses the file: no"));
    }

    #[test]
    fn an_unknown_model_is_a_mistake_unless_a_file_brings_it() {
        let empty = StatusView::default();
        assert!(
            matches!(goal(State::Healthy, None).look(&empty), Look::Never(failure) if failure.exit == Exit::BadInput)
        );
        assert_eq!(word(&goal(State::Healthy, Some(("sha256:x", "v1"))).look(&empty)), "not yet");
    }
}
