//! What happens to versions, told as it happens: one line for each event. Pure.

use crate::cli::output::{BAD, Clean, FAINT, STRONG, short_digests};
use crate::cli::status::{EventView, ModelView, Percent, event_style, refusal};

/// The lines that tell how a model came from `before` to `after`.
pub(super) fn lines(before: Option<&ModelView>, after: &ModelView) -> Vec<String> {
    let events = new_events(before, after);
    let told = before.and_then(|before| before.values_error.as_ref());
    let refused = after.values_error.as_ref().filter(|error| told != Some(*error));
    let mut lines = Vec::new();
    for (index, event) in events.iter().enumerate() {
        // A refusal that still holds is told once, below, with its problems.
        let told_below = refused.is_some() && event.event == "valuesRefused";
        if !told_below && !events.get(index + 1).is_some_and(|next| says_it_all(event, next)) {
            lines.push(line(event, after));
        }
    }
    if let Some(error) = refused {
        lines.push(format!("{BAD}values refused{BAD:#}  {}", refusal(error)));
    }
    lines
}

/// What `after` remembers and `before` does not. The history forgets its oldest, so its end is compared.
fn new_events<'a>(before: Option<&ModelView>, after: &'a ModelView) -> &'a [EventView] {
    let last = before.and_then(|before| before.history.last());
    let known = last.and_then(|last| after.history.iter().rposition(|event| event == last));
    &after.history[known.map_or(0, |index| index + 1)..]
}

/// Steps that pass in the same instant are one step to a person: the last of them. A failure that is final is told once.
fn says_it_all(event: &EventView, next: &EventView) -> bool {
    let both = (&*event.event, &*next.event);
    event.version == next.version && matches!(both, ("step", "step") | ("stageFailed", "rejected"))
}

fn line(event: &EventView, model: &ModelView) -> String {
    let style = event_style(&event.event);
    let time = event.at.get(11..19).unwrap_or_default();
    let (version, words, word) = (Clean(&event.version), words(event, model), Clean(&event.event));
    format!("{FAINT}{}{FAINT:#}  {STRONG}{version}{STRONG:#}  {style}{word:<14}{style:#}  {words}", Clean(time))
}

/// What an event means, for who sees it for the first time.
fn words(event: &EventView, model: &ModelView) -> String {
    let canary = model.canary.as_ref().filter(|canary| canary.version.version == event.version);
    let reason = short_digests(&event.reason);
    let reason = Clean(&reason);
    match (event.event.as_str(), canary) {
        ("valuesObserved", _) => "the values file changed".to_owned(),
        ("staging", _) => reason.to_string(),
        ("staged", _) => "digest and signature are right, golden requests answered right, warmed up".to_owned(),
        ("trialStarted", Some(canary)) => {
            format!("{reason}; it gets {} of the live requests", Percent(canary.weight_percent))
        }
        ("step", Some(canary)) => {
            let (step, steps, weight) = (canary.step, canary.steps, Percent(canary.weight_percent));
            format!("{step} of {steps}: {weight} of the live requests{}", verdict(model))
        }
        ("rejected", _) => {
            let stable = model.stable.as_ref().map_or_else(
                || "nothing serves".to_owned(),
                |stable| format!("{} serves all requests", Clean(&stable.version)),
            );
            format!("{reason}; {stable}")
        }
        _ => reason.to_string(),
    }
}

/// What the analysis says so far: one word where its metrics agree, else a word for each.
fn verdict(model: &ModelView) -> String {
    let Some(first) = model.analysis.first() else { return String::new() };
    if model.analysis.iter().all(|metric| metric.verdict == first.verdict) {
        return format!(", analysis {}", Clean(&first.verdict));
    }
    let each = model.analysis.iter().map(|metric| format!("{} {}", Clean(&metric.name), Clean(&metric.verdict)));
    format!(", {}", each.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn model(events: &[(&str, &str, &str)], canary: serde_json::Value) -> ModelView {
        let history: Vec<_> = events
            .iter()
            .enumerate()
            .map(|(second, (event, version, reason))| {
                let at = format!("2026-01-01T12:00:{second:02}.5Z");
                json!({ "at": at, "event": event, "version": version, "reason": reason })
            })
            .collect();
        serde_json::from_value(json!({
            "name": "m", "stable": { "version": "v1" }, "canary": canary, "history": history,
            "analysis": [
                { "name": "request-success-rate", "verdict": "Running" }, { "name": "nan-share", "verdict": "Running" },
            ],
        }))
        .unwrap()
    }

    fn told(before: Option<&ModelView>, after: &ModelView) -> String {
        anstream::adapter::strip_str(&lines(before, after).join("\n")).to_string()
    }

    #[test]
    fn a_trial_that_ends_badly() {
        let canary = |weight: f64, step: usize| json!({ "version": "v2", "state": "Canary", "weightPercent": weight, "step": step, "steps": 6 });
        let staged = model(&[("staging", "v2", "the values ask for it")], json!(null));
        let mut events = vec![("staging", "v2", "the values ask for it"), ("trialStarted", "v2", "gates passed")];
        let started = model(&events, canary(10.0, 1));
        events.extend([("step", "v2", "through 1 steps"), ("step", "v2", "through 2 steps")]);
        let stepped = model(&events, canary(25.0, 3));
        events.push(("rejected", "v2", "nan-share is 12.5 %"));
        let rejected = model(&events, json!(null));
        let story = [
            told(None, &staged),
            told(Some(&staged), &started),
            told(Some(&started), &stepped),
            told(Some(&stepped), &rejected),
            told(Some(&rejected), &rejected),
        ];
        insta::assert_snapshot!(story.join("\n"), @r"
        12:00:00  v2  staging         the values ask for it
        12:00:01  v2  trialStarted    gates passed; it gets 10% of the live requests
        12:00:03  v2  step            3 of 6: 25% of the live requests, analysis Running
        12:00:04  v2  rejected        nan-share is 12.5 %; v1 serves all requests
        ");
    }

    #[test]
    fn metrics_that_disagree_are_named() {
        let mut model = model(&[], json!(null));
        model.analysis[1].verdict = "Failed".to_owned();
        assert_eq!(verdict(&model), ", request-success-rate Running, nan-share Failed");
        model.analysis.clear();
        assert_eq!(verdict(&model), "");
    }

    #[test]
    fn a_history_that_has_forgotten_what_was_told_is_told_whole() {
        let before = model(&[("promoted", "v0", "old")], json!(null));
        let after = model(&[("staging", "v2", "x"), ("dropped", "v2", "y")], json!(null));
        assert_eq!(told(Some(&before), &after).lines().count(), 2);
    }

    #[test]
    fn a_refused_values_file_is_told_once() {
        let before = model(&[], json!(null));
        let refused = |error: &str| ModelView {
            values_error: Some(error.to_owned()),
            ..model(&[("valuesRefused", "v1", "why")], json!(null))
        };
        let after = refused("values.yaml:3:1: no");
        assert_eq!(told(Some(&before), &after), "values refused  values.yaml:3:1: no");
        assert_eq!(told(Some(&after), &after), "");
        let after = refused("values.yaml:3:1: no\nvalues.yaml:4:1: nor this");
        assert_eq!(
            told(Some(&before), &after),
            "values refused  2 problems\n    values.yaml:3:1: no\n    values.yaml:4:1: nor this"
        );
        // Mended before anybody looked.
        let mended = ModelView { values_error: None, ..after };
        assert_eq!(told(Some(&before), &mended), "12:00:00  v1  valuesRefused   why");
    }
}
