//! What stands on the ConfigMap, and what should. Pure: the object as it was read, this process's report and `now` go in,
//! the annotations to write come out.
//!
//! Phase, message and observed revision are a function of all reports and of the object's own content. So whoever writes,
//! the same is written, and no process takes back what another said.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::rollout::{Phase, Status};

/// How the servers are, in one word: what `deploy/argocd/config/health.lua` makes a health of.
pub const PHASE: &str = "sluice.dev/phase";
/// Why, in one sentence.
pub const MESSAGE: &str = "sluice.dev/message";
/// The content that phase and message are about: `sha256:…` of the values file.
pub const OBSERVED_REVISION: &str = "sluice.dev/observed-revision";
/// The report of each server, in JSON, by the name of its pod.
pub const REPORTS: &str = "sluice.dev/reports";

/// How often a report is renewed that does not change.
pub(super) const RENEWAL: Duration = Duration::from_secs(120);
/// A report that nobody renewed while this process looked for this long is of a server that is gone: two renewals and
/// their failures may be missed.
const EXPIRY: Duration = Duration::from_secs(300);
/// Reports that are kept: more than a model has servers.
const REPORTS_MAX: usize = 100;
/// Characters of a report's message, and of the message of all. An object has 256 KiB for annotations.
const MESSAGE_MAX: usize = 240;
const SUMMARY_MAX: usize = 400;

/// What one process says of its models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) phase: Phase,
    pub(super) message: String,
    /// `sha256:…` of the values file that it read last, in force or refused; of several files, joined by commas.
    pub(super) revision: String,
}

/// A report and when it was renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Renewed {
    #[serde(flatten)]
    report: Report,
    /// Seconds since 1970.
    at: u64,
}

/// The object, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub(super) resource_version: String,
    pub(super) annotations: BTreeMap<String, String>,
    /// What [`Report::revision`] is of a server that has read its content.
    pub(super) wanted: String,
}

type Reports = BTreeMap<String, Renewed>;

/// When a look at the object takes place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For others to read. Their clocks may differ by any amount.
    pub(super) wall: SystemTime,
    /// For what this process measures itself.
    pub(super) steady: Instant,
}

/// Since when, by this process's own clock, each report has stood as it does.
#[derive(Debug, Default)]
pub(super) struct Sightings(BTreeMap<String, (u64, Instant)>);

// === impl Now ===

impl Now {
    pub(super) fn get() -> Self {
        Self { wall: SystemTime::now(), steady: Instant::now() }
    }

    /// Seconds since 1970.
    fn unix(self) -> u64 {
        self.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

// === impl Sightings ===

impl Sightings {
    /// `reports` less those of servers that are gone.
    fn alive(&mut self, mut reports: Reports, now: Instant) -> Reports {
        self.0.retain(|name, _| reports.contains_key(name));
        reports.retain(|name, renewed| {
            let sighting = self.0.entry(name.clone()).or_insert((renewed.at, now));
            if sighting.0 != renewed.at {
                *sighting = (renewed.at, now);
            }
            now.saturating_duration_since(sighting.1) < EXPIRY
        });
        reports
    }
}

// === impl Report ===

impl Report {
    /// What `status` comes to: of several models the worst. Nothing before any values file was read.
    pub(super) fn of(status: &Status) -> Option<Self> {
        let refused =
            status.problems.first().map(|problem| (Phase::Degraded, format!("values: {}", headline(problem))));
        let several = status.models.len() > 1;
        let of_models = status.models.iter().map(|model| {
            let message = if several { format!("{}: {}", model.name, model.message) } else { model.message.clone() };
            (model.phase, message)
        });
        // The first of the worst, so that equals do not take turns.
        let worst = of_models.chain(refused).reduce(|worst, next| if next.0 > worst.0 { next } else { worst });
        let (phase, message) = worst?;
        Some(Self { phase, message: line(&message, MESSAGE_MAX), revision: status.revisions.join(",") })
    }
}

/// The first of several problems, and how many more there are.
fn headline(problems: &str) -> String {
    let first = problems.lines().next().unwrap_or_default();
    match problems.lines().count() {
        0 | 1 => first.to_owned(),
        count => format!("{first} (and {} more)", count - 1),
    }
}

/// What a server calls the revision of a ConfigMap's content: the watcher reads every `*.yaml` of the mounted folder.
pub(super) fn wanted<'a>(data: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let is_values = |key: &str| !key.starts_with('.') && (key.ends_with(".yaml") || key.ends_with(".yml"));
    let files = data.filter(|(key, _)| is_values(key));
    let mut revisions: Vec<String> =
        files.map(|(_, text)| config::content_digest(text.as_bytes()).to_string()).collect();
    revisions.sort_unstable();
    revisions.dedup();
    revisions.join(",")
}

/// The annotations to write, so that they say what is true with `report` as that of `reporter`, or without one. `None`
/// where they do already.
pub(super) fn update(
    seen: &Seen,
    sightings: &mut Sightings,
    reporter: &str,
    report: Option<&Report>,
    now: Now,
) -> Option<BTreeMap<&'static str, String>> {
    let before = seen.annotations.get(REPORTS).map(String::as_str);
    let mut reports = sightings.alive(read(before.unwrap_or_default()), now.steady);
    match report {
        Some(report) => renew(&mut reports, reporter, report, now.unix()),
        None if reports.remove(reporter).is_none() => return None,
        None => {}
    }
    let mut annotations = BTreeMap::from([(REPORTS, written(&reports))]);
    // The last server's last word stays: it was the truth when it ended.
    if let Some(Report { phase, message, revision }) = summary(&reports, &seen.wanted) {
        annotations.extend([(PHASE, phase.name().to_owned()), (MESSAGE, message), (OBSERVED_REVISION, revision)]);
    }
    let same = |(key, text): (&&str, &String)| seen.annotations.get(*key) == Some(text);
    if annotations.iter().all(same) { None } else { Some(annotations) }
}

/// Reports that can be read; what a newer version may write and this one does not understand is left out.
fn read(text: &str) -> Reports {
    let raw: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    raw.into_iter().filter_map(|(name, report)| Some((name, serde_json::from_value(report).ok()?))).collect()
}

fn written(reports: &Reports) -> String {
    serde_json::to_string(reports).unwrap_or_default()
}

/// Puts `report` in. What is said already is not said again before its time.
fn renew(reports: &mut Reports, reporter: &str, report: &Report, now: u64) {
    let fresh = |renewed: &Renewed| renewed.report == *report && now.abs_diff(renewed.at) < RENEWAL.as_secs() / 2;
    if !reports.get(reporter).is_some_and(fresh) {
        reports.insert(reporter.to_owned(), Renewed { report: report.clone(), at: now });
    }
    while reports.len() > REPORTS_MAX {
        let others = reports.iter().filter(|(name, _)| *name != reporter);
        let Some(oldest) = others.min_by_key(|(_, renewed)| renewed.at).map(|(name, _)| name.clone()) else { return };
        reports.remove(&oldest);
    }
}

/// What all reports come to, about the content that the servers should have read.
///
/// A server for which that content does not work says so for all: it is the worst that can be said, and the others will
/// not make it better. Before anybody is Degraded, a server that is behind keeps the whole Progressing. Where nobody has
/// read the content, the reports are about the one before, and so is the summary.
fn summary(reports: &Reports, wanted: &str) -> Option<Report> {
    let all: Vec<&Report> = reports.values().map(|renewed| &renewed.report).collect();
    let current: Vec<&Report> = all.iter().filter(|report| report.revision == wanted).copied().collect();
    let judged = if current.is_empty() { &all } else { &current };
    let worst = judged.iter().map(|report| report.phase).max()?;
    if worst != Phase::Degraded && !current.is_empty() && current.len() < all.len() {
        let message = format!("{} of {} servers have read this content", current.len(), all.len());
        return Some(Report { phase: Phase::Progressing, message, revision: wanted.to_owned() });
    }
    let of_worst: Vec<&&Report> = judged.iter().filter(|report| report.phase == worst).collect();
    let first = of_worst.first()?;
    let message = if of_worst.len() < all.len() {
        format!("{} of {} servers: {}", of_worst.len(), all.len(), first.message)
    } else {
        first.message.clone()
    };
    Some(Report { phase: worst, message: line(&message, SUMMARY_MAX), revision: first.revision.clone() })
}

/// One line of at most `max` characters.
fn line(text: &str, max: usize) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect();
    if text.chars().nth(max).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
