//! `sluice status` and `sluice history`: what serves, what is on trial, how it is judged, what happened.

mod render;
#[cfg(test)]
mod tests;
mod view;

use std::time::{Duration, SystemTime};

use super::client::{AdminArgs, Client};
use super::exit::{Exit, Failure};
use super::output::{Clean, Console};

pub(crate) use render::{Percent, event_style, refusal};
pub(crate) use view::{EventView, ModelView, StatusView};

/// Tries in a row that may find no server while watching: a restart is worth waiting for, an hour is not.
const LOST_MAX: u32 = 60;
/// Moves the cursor home and clears what is below it.
const HOME: &str = "\u{1b}[H\u{1b}[J";

const HELP: &str = "\
Examples:
  sluice status                           # every model of the local server
  sluice status fraud-detection --watch   # redrawn; without a terminal, one line per change
  sluice status --json --admin http://127.0.0.1:9002 | jq '.models[].phase'

The phase is Healthy (what the values ask for serves all traffic), Progressing (on its way), Paused (a pause that ends \
when its time is over, or waits for you: `sluice promote`) or Degraded (what the values ask for does not serve, and will \
not without a change).

Exit codes: 0 shown, whatever the phase (`sluice wait` judges it) · 1 no such model · 3 no server reached, or with --alive \
not alive";

/// Show what serves, what is on trial, and how it is judged
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Only this model
    model: Option<String>,

    /// Keep showing, until interrupted
    #[arg(long, short)]
    watch: bool,

    /// How often to look while watching
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = config::duration, requires = "watch")]
    interval: Duration,

    /// The server's own answer in JSON; with --watch, one line per change
    #[arg(long)]
    json: bool,

    /// Only whether the server is alive: for the health check of a container, and needs no token
    #[arg(long, conflicts_with_all = ["model", "watch", "json"])]
    alive: bool,

    #[command(flatten)]
    admin: AdminArgs,
}

const HISTORY_HELP: &str = "\
Examples:
  sluice history
  sluice history fraud-detection --json | jq 'map(select(.event == \"rejected\"))'

The server keeps the last 50 events of each model; Git has the rest.

Exit codes: 0 shown · 1 no such model · 3 no server reached";

/// Show what happened to a model's versions: staged, tried, promoted, rejected, and why
#[derive(Debug, clap::Args)]
#[command(after_long_help = HISTORY_HELP)]
pub(crate) struct HistoryArgs {
    /// The model; needed where the server has more than one
    model: Option<String>,

    /// The server's own answer in JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    admin: AdminArgs,
}

/// The model that was named, or the only one that the server has.
pub(crate) async fn named_or_only(client: &Client, named: Option<&str>) -> Result<String, Failure> {
    if let Some(name) = named {
        return Ok(name.to_owned());
    }
    let models = StatusView::ask(client).await?.models;
    match models.as_slice() {
        [only] => Ok(only.name.clone()),
        [] => Err(Failure::failed("the server has no model yet")),
        several => {
            let names: Vec<&str> = several.iter().map(|model| &*model.name).collect();
            let hint = format!("name one of {}", Clean(&names.join(", ")));
            Err(Failure::input("the server has several models").hint(hint))
        }
    }
}

/// Asks what every front end leaves open.
async fn alive(client: &Client, console: &mut Console) -> Result<(), Failure> {
    let heard = client.hear(&["healthz"]).await?;
    if heard.status.is_success() { console.line("alive") } else { Err(Failure::failed(heard.said())) }
}

pub(crate) async fn run(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let client = args.admin.client()?;
    if args.alive {
        return alive(&client, console).await;
    }
    if !args.watch {
        return show(&client, args, console).await.map(drop);
    }
    let mut shown = String::new();
    let mut lost = 0;
    loop {
        match look(&client, args, console).await {
            Ok(text) if text != shown => {
                lost = 0;
                draw(&text, &shown, console)?;
                shown = text;
            }
            Ok(_) => lost = 0,
            // A server that was there may be restarting.
            Err(failure) if failure.exit == Exit::Failed && !shown.is_empty() && lost < LOST_MAX => {
                lost += 1;
                if lost == 1 {
                    console.note(format_args!("{failure}; trying again"));
                }
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(args.interval.max(Duration::from_millis(100))).await;
    }
}

async fn show(client: &Client, args: &Args, console: &mut Console) -> Result<(), Failure> {
    let text = if args.json { json(client, args, true).await? } else { page(client, args).await? };
    console.print(text)
}

/// What a watcher shows now: a page where it can be redrawn, one line per model otherwise.
async fn look(client: &Client, args: &Args, console: &Console) -> Result<String, Failure> {
    if args.json {
        return json(client, args, false).await;
    }
    if console.is_terminal() {
        return page(client, args).await;
    }
    let status = StatusView::ask(client).await?;
    let models = render::chosen(&status, args.model.as_deref())?;
    Ok(models.iter().map(|model| format!("{}\n", render::line(model))).collect())
}

/// A page replaces the page before it; of lines only the new ones are written.
fn draw(text: &str, shown: &str, console: &mut Console) -> Result<(), Failure> {
    if console.is_terminal() && !text.starts_with('{') {
        return console.print(format_args!("{HOME}{text}"));
    }
    for line in text.lines().filter(|line| !shown.lines().any(|before| before == *line)) {
        console.line(line)?;
    }
    Ok(())
}

async fn page(client: &Client, args: &Args) -> Result<String, Failure> {
    let status = StatusView::ask(client).await?;
    let now = SystemTime::now();
    Ok(match &args.model {
        Some(name) => render::page(&[status.model(name)?], now),
        None => render::whole_page(&status, now),
    })
}

/// What the server said, not what this program understood of it.
async fn json(client: &Client, args: &Args, pretty: bool) -> Result<String, Failure> {
    let status: serde_json::Value = client.get(&["status"]).await?;
    let chosen = match &args.model {
        Some(name) => json_model(&status, name)?,
        None => &status,
    };
    Ok(if pretty { format!("{chosen:#}\n") } else { format!("{chosen}\n") })
}

fn json_model<'a>(status: &'a serde_json::Value, name: &str) -> Result<&'a serde_json::Value, Failure> {
    let models = status["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = models.iter().find(|model| model["name"] == name);
    found.ok_or_else(|| Failure::input(format_args!("there is no model {name:?}")))
}

pub(crate) async fn history(args: &HistoryArgs, console: &mut Console) -> Result<(), Failure> {
    let client = args.admin.client()?;
    let model = named_or_only(&client, args.model.as_deref()).await?;
    if args.json {
        let status: serde_json::Value = client.get(&["status"]).await?;
        return console.line(format_args!("{:#}", json_model(&status, &model)?["history"]));
    }
    let status = StatusView::ask(&client).await?;
    console.print(render::history(status.model(&model)?))
}
