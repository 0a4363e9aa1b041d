//! A status as a page for people, and as one line where only changes are told. Pure: `now` is an argument.

use std::fmt::{self, Display};
use std::time::{Duration, SystemTime};

use anstyle::Style;

use super::view::{CanaryView, MetricView, ModelView, RejectedView, StatusView, VersionView};
use crate::cli::output::{BAD, BUSY, Cell, Clean, FAINT, GOOD, STRONG, Table, short_digests};

/// Characters of the weight bar.
const BAR: usize = 20;
/// Rejected versions on the page; `history` and `--json` have them all.
const REJECTED_SHOWN: usize = 3;

/// Every model, one block each.
pub(crate) fn page(models: &[&ModelView], now: SystemTime) -> String {
    models.iter().map(|model| block(model, now)).collect::<Vec<_>>().join("\n")
}

/// Every model, below what belongs to none of them.
pub(crate) fn whole_page(status: &StatusView, now: SystemTime) -> String {
    let StatusView { models, problems, notes, device, revisions: _ } = status;
    let mut page = String::new();
    if device.simulated {
        let model = refusal(device.model.as_deref().unwrap_or("simulated"));
        page.push_str(&format!("{BUSY}device:{BUSY:#} {} is {model}: for tests only\n", refusal(&device.name)));
    }
    for (style, lines) in [(BAD, problems), (BUSY, notes)] {
        for line in lines {
            page.push_str(&format!("{style}values:{style:#} {}\n", refusal(line)));
        }
    }
    if !page.is_empty() && !models.is_empty() {
        page.push('\n');
    }
    page.push_str(&self::page(&models.iter().collect::<Vec<_>>(), now));
    if models.is_empty() && problems.is_empty() {
        page.push_str("no models: the server has seen no values file yet\n");
    }
    page
}

/// What changes in a block, in one line.
pub(crate) fn line(model: &ModelView) -> String {
    let mut line = format!("{} {}", Clean(&model.name), Clean(&model.phase));
    if let Some(stable) = &model.stable {
        line.push_str(&format!(" stable={}", Clean(&stable.version)));
    }
    if let Some(canary) = &model.canary {
        let (version, weight) = (&canary.version, Percent(canary.weight_percent));
        line.push_str(&format!(" canary={} {} {weight}", Clean(&version.version), Clean(&version.state)));
        if canary.steps > 0 {
            line.push_str(&format!(" step={}/{}", canary.step, canary.steps));
        }
    }
    line.push_str(&format!(": {}", Clean(&short_digests(&model.message))));
    line
}

/// The history of one model.
pub(crate) fn history(model: &ModelView) -> String {
    if model.history.is_empty() {
        return format!("{}: nothing has happened yet\n", Clean(&model.name));
    }
    let mut table = Table::headed(0, ["AT", "VERSION", "EVENT", "REASON"]);
    for event in &model.history {
        let style = event_style(&event.event);
        let cells = [Cell::styled(FAINT, second(&event.at)), event.version.as_str().into()];
        let [at, version] = cells;
        table.row([at, version, Cell::styled(style, &event.event), short_digests(&event.reason).into()]);
    }
    table.to_string()
}

/// The colour of a phase.
fn phase_style(phase: &str) -> Style {
    match phase {
        "Healthy" => GOOD,
        "Degraded" => BAD,
        _ => BUSY,
    }
}

/// The colour of an event.
pub(crate) fn event_style(event: &str) -> Style {
    match event {
        "promoted" => GOOD,
        "rejected" | "cancelled" | "dropped" => BAD,
        "paused" => BUSY,
        _ => Style::new(),
    }
}

/// What is wrong with a values file: one problem as it is, several under their number, each on a line of its own.
pub(crate) fn refusal(error: &str) -> String {
    let problems: Vec<&str> = error.lines().collect();
    if problems.len() < 2 {
        return Clean(error).to_string();
    }
    let each = problems.iter().map(|problem| format!("\n    {}", Clean(problem)));
    format!("{} problems{}", problems.len(), each.collect::<String>())
}

fn block(model: &ModelView, now: SystemTime) -> String {
    let style = phase_style(&model.phase);
    let mut block = format!("{STRONG}{}{STRONG:#}  {style}{}{style:#}", Clean(&model.name), Clean(&model.phase));
    if !model.message.is_empty() {
        block.push_str(&format!("  {}", Clean(&short_digests(&model.message))));
    }
    block.push('\n');
    block.push_str(&versions(model, now).to_string());
    if let Some(error) = &model.values_error {
        block.push_str(&format!("  {BAD}values{BAD:#}    refused: {}\n", refusal(error)));
    }
    for note in &model.notes {
        block.push_str(&format!("  {FAINT}note{FAINT:#}      {}\n", Clean(&short_digests(note))));
    }
    if !model.analysis.is_empty() {
        block.push_str(&analysis(&model.analysis).to_string());
    }
    block.push_str(&rejected(&model.rejected).to_string());
    block
}

/// The two roles. What the canary does not take, stable does.
fn versions(model: &ModelView, now: SystemTime) -> Table {
    let canary_weight = model.canary.as_ref().map_or(0.0, |canary| canary.weight_percent);
    let mut table = Table::indented(2);
    match &model.stable {
        Some(stable) => table.row(role("stable", stable, 100.0 - canary_weight, GOOD, String::new())),
        None => {
            table.row([Cell::styled(FAINT, "stable"), "none yet".into(), "".into(), "".into(), "".into(), "".into()])
        }
    }
    if let Some(canary) = &model.canary {
        table.row(role("canary", &canary.version, canary_weight, BUSY, progress(canary, now)));
    }
    table
}

fn role(name: &str, version: &VersionView, weight: f64, style: Style, more: String) -> [Cell; 6] {
    let state = if version.state == "Serving" { String::new() } else { version.state.clone() };
    let more = [state, more].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    [
        Cell::styled(FAINT, name),
        Cell::styled(STRONG, &version.version),
        Cell::styled(FAINT, short(version.digest.as_deref())),
        Cell::styled(style, bar(weight)),
        Percent(weight).into(),
        more.into(),
    ]
}

fn progress(canary: &CanaryView, now: SystemTime) -> String {
    let mut parts = Vec::new();
    if canary.step > 0 {
        parts.push(format!("step {} of {}", canary.step, canary.steps));
    }
    let next = canary.next_at.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
    if let Some(left) = next.and_then(|next| next.duration_since(now).ok()) {
        // What is due within the second has happened by the time it is read.
        let left = Duration::from_secs(left.as_secs());
        if !left.is_zero() {
            parts.push(format!("next in {}", humantime::format_duration(left)));
        }
    }
    parts.join(", ")
}

fn analysis(metrics: &[MetricView]) -> Table {
    let mut table = Table::headed(2, ["METRIC", "VALUE", "SAMPLES", "VERDICT", ""]);
    for metric in metrics {
        let style = match metric.verdict.as_str() {
            "Successful" => GOOD,
            "Failed" => BAD,
            _ => BUSY,
        };
        let name = if metric.dry_run { format!("{} (dry run)", metric.name) } else { metric.name.clone() };
        let value = metric.value.map_or_else(|| "-".to_owned(), |value| with_unit(&metric.name, value));
        let (verdict, reason) = (Cell::styled(style, &metric.verdict), Cell::styled(FAINT, &metric.reason));
        table.row([name.into(), value.into(), metric.samples.into(), verdict, reason]);
    }
    table
}

fn rejected(rejected: &[RejectedView]) -> Table {
    let mut table = Table::indented(2);
    for version in rejected.iter().take(REJECTED_SHOWN) {
        let name = Cell::styled(BAD, "rejected");
        let digest = Cell::styled(FAINT, short(version.digest.as_deref()));
        table.row([name, version.version.as_str().into(), digest, short_digests(&version.reason).into()]);
    }
    table
}

/// Latency is in milliseconds, all else in percent.
fn with_unit(metric: &str, value: f64) -> String {
    if metric.ends_with("duration") { format!("{value:.2} ms") } else { format!("{value:.2} %") }
}

fn bar(percent: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=BAR, and NaN becomes 0"
    )]
    let full = (percent / 100.0 * BAR as f64).round().clamp(0.0, BAR as f64) as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

/// The first 12 hex digits of a digest.
fn short(digest: Option<&str>) -> String {
    digest.map(|digest| digest.trim_start_matches("sha256:").chars().take(12).collect()).unwrap_or_default()
}

/// A time of RFC 3339 without its fraction.
fn second(at: &str) -> String {
    match at.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => at.to_owned(),
    }
}

/// A share in percent, with no more digits than it needs.
pub(crate) struct Percent(pub(crate) f64);

impl Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", (self.0 * 100.0).round() / 100.0)
    }
}

/// The models that were asked for: one, or all.
pub(crate) fn chosen<'a>(
    status: &'a StatusView,
    name: Option<&str>,
) -> Result<Vec<&'a ModelView>, crate::cli::exit::Failure> {
    match name {
        Some(name) => status.model(name).map(|model| vec![model]),
        None => Ok(status.models.iter().collect()),
    }
}
