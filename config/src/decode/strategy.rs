//! `strategy.canary`: steps, background analysis, and what happens around a trial.

use std::time::Duration;

use super::model::optional;
use super::{Cursor, Map, Report};
use crate::values::{AnalysisRef, CanaryStrategy, OnFailure, Refused, SessionAffinity, Step, Weight, defaults};

const STEPS_MAX: usize = 64;
const TEMPLATES_MAX: usize = 16;
const REVISIONS_MAX: u64 = 100;
const DAY: Duration = Duration::from_secs(86_400);
/// A pause may last over a holiday, not over a typo.
const PAUSE_MAX: Duration = Duration::from_secs(30 * 86_400);

/// What the absence of `strategy` means.
pub(super) fn default_strategy() -> CanaryStrategy {
    CanaryStrategy {
        steps: Vec::new(),
        analysis: None,
        guard: None,
        session_affinity: None,
        progress_deadline: defaults::PROGRESS_DEADLINE,
        progress_deadline_abort: defaults::PROGRESS_DEADLINE_ABORT,
        scale_down_delay: defaults::SCALE_DOWN_DELAY,
        abort_scale_down_delay: defaults::ABORT_SCALE_DOWN_DELAY,
        rollback_window_revisions: defaults::ROLLBACK_WINDOW_REVISIONS,
        skip_analysis: false,
        on_failure: OnFailure::Stable,
    }
}

/// `strategy`.
pub(super) fn strategy(here: &Cursor<'_>, report: &mut Report) -> Option<CanaryStrategy> {
    let mut map = here.map(report, "Strategy")?;
    let canary = map.get("canary");
    map.refuse("blueGreen", "only canary is built; a canary without steps swaps at once", report);
    map.finish_but(&["blueGreen"], report);
    match canary {
        Some(cursor) => self::canary(&cursor, report),
        None => Some(default_strategy()),
    }
}

fn canary(here: &Cursor<'_>, report: &mut Report) -> Option<CanaryStrategy> {
    let mut map = here.map(report, "Canary")?;
    let whole = optional(map.get("maxTrafficWeight"), report, |cursor, report| cursor.whole(report, 1..=1_000_000));
    let whole = whole.flatten().and_then(|whole| u32::try_from(whole).ok()).unwrap_or(defaults::MAX_TRAFFIC_WEIGHT);
    let steps = optional(map.get("steps"), report, |cursor, report| {
        cursor.each(report, STEPS_MAX, |cursor, report| step(cursor, whole, report))
    });
    let step_count = steps.as_ref().map_or(STEPS_MAX, |steps| steps.as_ref().map_or(0, Vec::len));
    let inline = steps.iter().flatten().flatten().any(|step| matches!(step, Step::Analysis(_)));
    let analysis = optional(map.get("analysis"), report, |cursor, report| analysis(cursor, step_count, inline, report));
    let session_affinity = optional(map.get("sessionAffinity"), report, session_affinity);
    let window = optional(map.get("rollbackWindow"), report, rollback_window);
    let around = around(&mut map, report);
    map.finish(report);
    let around = around?;
    Some(CanaryStrategy {
        steps: steps?.unwrap_or_default(),
        analysis: analysis?,
        session_affinity: session_affinity?,
        rollback_window_revisions: window?.unwrap_or(defaults::ROLLBACK_WINDOW_REVISIONS),
        ..around
    })
}

/// The fields of `canary` that are one plain value each.
fn around(map: &mut Map<'_>, report: &mut Report) -> Option<CanaryStrategy> {
    const ON_FAILURE: [(&str, OnFailure); 2] = [("stable", OnFailure::Stable), ("return", OnFailure::Return)];
    let second = Duration::from_secs(1);
    let deadline = optional(map.get("progressDeadlineSeconds"), report, |c, report| c.duration(report, second..=DAY));
    let abort = optional(map.get("progressDeadlineAbort"), report, |c, report| c.flag(report));
    let down = optional(map.get("scaleDownDelaySeconds"), report, |c, report| c.duration(report, Duration::ZERO..=DAY));
    let abort_down =
        optional(map.get("abortScaleDownDelaySeconds"), report, |c, report| c.duration(report, Duration::ZERO..=DAY));
    let skip = optional(map.get("skipAnalysis"), report, |c, report| c.flag(report));
    let on_failure = optional(map.get("onFailure"), report, |c, report| c.choice(report, &ON_FAILURE));
    let base = default_strategy();
    Some(CanaryStrategy {
        progress_deadline: deadline?.unwrap_or(base.progress_deadline),
        progress_deadline_abort: abort?.unwrap_or(base.progress_deadline_abort),
        scale_down_delay: down?.unwrap_or(base.scale_down_delay),
        abort_scale_down_delay: abort_down?.unwrap_or(base.abort_scale_down_delay),
        skip_analysis: skip?.unwrap_or(base.skip_analysis),
        on_failure: on_failure?.unwrap_or(base.on_failure),
        ..base
    })
}

fn step(here: &Cursor<'_>, whole: u32, report: &mut Report) -> Option<Step> {
    let mut map = here.map(report, "Step")?;
    let kinds = [map.get("setWeight"), map.get_or_null("pause"), map.get("analysis")];
    map.refuse("setMirrorRoute", "setMirrorRoute is not built yet; start with a small setWeight instead", report);
    let told = map.finish_but(&["setMirrorRoute"], report) || here.node.entry("setMirrorRoute").is_some();
    match kinds {
        [Some(cursor), None, None] => weight(&cursor, whole, report).map(Step::SetWeight),
        [None, Some(cursor), None] => pause(&cursor, report).map(Step::Pause),
        [None, None, Some(cursor)] => step_analysis(&cursor, report).map(Step::Analysis),
        [None, None, None] if told => None,
        _ => {
            here.wrong(report, "a step is exactly one of setWeight, pause or analysis; write one `- ` item for each");
            None
        }
    }
}

fn weight(cursor: &Cursor<'_>, whole: u32, report: &mut Report) -> Option<Weight> {
    cursor.share(report, whole)
}

fn pause(here: &Cursor<'_>, report: &mut Report) -> Option<Option<Duration>> {
    let mut map = here.map_of(report, "Pause", ("duration", "5m"))?;
    let duration =
        optional(map.get("duration"), report, |cursor, report| cursor.duration(report, Duration::ZERO..=PAUSE_MAX));
    map.finish(report);
    duration
}

fn step_analysis(here: &Cursor<'_>, report: &mut Report) -> Option<Vec<String>> {
    let mut map = here.map(report, "StepAnalysis")?;
    let templates = map.required("templates", "write [{templateName: name}]", report);
    let templates = templates.and_then(|cursor| template_names(&cursor, report));
    map.finish(report);
    templates
}

/// `analysis`. Without templates of its own it sets the confidence of the analyses among the steps.
fn analysis(here: &Cursor<'_>, steps: usize, inline: bool, report: &mut Report) -> Option<AnalysisRef> {
    let mut map = here.map(report, "BackgroundAnalysis")?;
    let templates = optional(map.get("templates"), report, template_names);
    let start = optional(map.get("startingStep"), report, |cursor, report| {
        let index = cursor.whole(report, 0..=STEPS_MAX as u64).and_then(|index| usize::try_from(index).ok())?;
        if index > 0 && index >= steps {
            cursor.wrong(report, format!("{index} is past the last step; there are {steps}, counted from 0"));
            return None;
        }
        Some(index)
    });
    let confidence = optional(map.get("confidence"), report, |cursor, report| {
        cursor.number(report, 0.5..=0.999_999, "write a confidence of 0.5 to 0.999999, such as 0.99")
    });
    if matches!(templates, Some(None)) && !inline {
        let hint = "this is missing; write [{templateName: name}]";
        report.wrong(here.node.start, &format!("{}.templates", here.path), hint);
    }
    map.finish(report);
    Some(AnalysisRef {
        templates: templates?.unwrap_or_default(),
        starting_step: start?.unwrap_or(0),
        confidence: confidence?.unwrap_or(defaults::CONFIDENCE),
    })
}

fn template_names(here: &Cursor<'_>, report: &mut Report) -> Option<Vec<String>> {
    let mut seen: Vec<String> = Vec::new();
    let names = here.each(report, TEMPLATES_MAX, |cursor, report| {
        let mut map = cursor.map_of(report, "TemplateRef", ("templateName", "name"))?;
        let name = map.required("templateName", "write the name of one of analysisTemplates", report);
        let name = name.and_then(|cursor| {
            let name = cursor.text(report)?.to_owned();
            if seen.contains(&name) {
                cursor.wrong(report, format!("{} is here twice; keep one", cursor.node.found()));
                return None;
            }
            seen.push(name.clone());
            Some(name)
        });
        map.finish(report);
        name
    })?;
    if names.is_empty() {
        here.wrong(report, "the list is empty; write [{templateName: name}]");
        return None;
    }
    Some(names)
}

fn session_affinity(here: &Cursor<'_>, report: &mut Report) -> Option<SessionAffinity> {
    let mut map = here.map_of(report, "SessionAffinity", ("header", "x-entity-id"))?;
    let header = map.required("header", "write the request header that names a caller, such as x-entity-id", report);
    let header = header.and_then(|cursor| cursor.parsed(report, header_name));
    map.finish(report);
    header.map(|header| SessionAffinity { header })
}

/// A header name that HTTP/1, HTTP/2 and gRPC metadata all carry, lower-cased as HTTP/2 sends it.
fn header_name(text: &str) -> Result<String, Refused> {
    let token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 64 || !text.chars().all(token) {
        return Err(Refused("use 1 to 64 letters, digits, '-', '_' or '.'".to_owned()));
    }
    let name = text.to_ascii_lowercase();
    if name.starts_with("x-sluice-") || name.starts_with("grpc-") {
        return Err(Refused("this header has a meaning of its own; use one that names a caller".to_owned()));
    }
    Ok(name)
}

fn rollback_window(here: &Cursor<'_>, report: &mut Report) -> Option<u32> {
    let mut map = here.map_of(report, "RollbackWindow", ("revisions", "3"))?;
    let revisions = optional(map.get("revisions"), report, |cursor, report| {
        cursor.whole(report, 0..=REVISIONS_MAX).and_then(|revisions| u32::try_from(revisions).ok())
    });
    map.finish(report);
    revisions.map(|revisions| revisions.unwrap_or(defaults::ROLLBACK_WINDOW_REVISIONS))
}
