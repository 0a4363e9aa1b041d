//! What no field can know by itself: references between sections, and advice that needs the whole file.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cursor, Report, analysis};
use crate::document::{Kind, Node};
use crate::problem::did_you_mean;
use crate::values::{AnalysisTemplate, MetricKind, Step, Values, Weight};

/// Every `templateName` must name a template. Runs on the tree, so that it speaks up beside any other problem.
pub(super) fn references(
    root: &Cursor<'_>,
    templates: Option<&Option<BTreeMap<String, AnalysisTemplate>>>,
    report: &mut Report,
) {
    let Some(canary) = root.node.entry("strategy").and_then(|entry| entry.value.entry("canary")) else { return };
    let names: Vec<&str> = match root.node.entry("analysisTemplates").map(|entry| &entry.value.kind) {
        Some(Kind::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    };
    let mut used = BTreeSet::new();
    let mut lists = Vec::new();
    if let Some(entry) = canary.value.entry("analysis") {
        lists.push(("strategy.canary.analysis".to_owned(), &entry.value));
    }
    if let Some(Kind::List(steps)) = canary.value.entry("steps").map(|entry| &entry.value.kind) {
        for (index, step) in steps.iter().enumerate() {
            let analysis = step.entry("analysis");
            lists.extend(analysis.map(|entry| (format!("strategy.canary.steps[{index}].analysis"), &entry.value)));
        }
    }
    for (path, list) in lists {
        for (index, name) in template_names(list) {
            let cursor = Cursor { node: name, path: format!("{path}.templates[{index}].templateName") };
            match name.text() {
                Some(text) if names.contains(&text) => drop(used.insert(text)),
                Some(text) => {
                    let known = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
                    let hint = did_you_mean(text, names.iter().copied());
                    cursor.wrong(report, format!("{} is not in analysisTemplates ({known}){hint}", name.found()));
                }
                None => {}
            }
        }
    }
    if templates.is_some() {
        unused(root, &used, report);
    }
}

fn template_names(analysis: &Node) -> Vec<(usize, &Node)> {
    match analysis.entry("templates").map(|entry| &entry.value.kind) {
        Some(Kind::List(items)) => items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| item.entry("templateName").map(|entry| (index, &entry.value)))
            .collect(),
        _ => Vec::new(),
    }
}

fn unused(root: &Cursor<'_>, used: &BTreeSet<&str>, report: &mut Report) {
    let Some(Kind::Map(entries)) = root.node.entry("analysisTemplates").map(|entry| &entry.value.kind) else { return };
    for entry in entries.iter().filter(|entry| !used.contains(entry.key.as_str())) {
        let path = format!("analysisTemplates.{}", entry.key);
        report.warn(entry.start, &path, "no step and no background analysis uses this template");
    }
}

/// The last look, with every section decoded.
pub(super) fn whole(root: &Cursor<'_>, mut values: Values, report: &mut Report) -> Option<Values> {
    guard_against_nan(&mut values);
    warn_of_weights(root, &values, report);
    warn_of_blind_steps(root, &values, report);
    warn_of_cold_start(root, &values, report);
    one_digest_per_version(root, &values, report).map(|()| values)
}

/// Adds the NaN share to an analysed trial, unless a template that judges it names it: one that is used, and not only
/// measured. Then the bound that is written there is the operator's word on it.
fn guard_against_nan(values: &mut Values) {
    let Values { strategy, analysis_templates, .. } = values;
    let inline = strategy.steps.iter().flat_map(|step| match step {
        Step::Analysis(names) => names.as_slice(),
        Step::SetWeight(_) | Step::Pause(_) => &[],
    });
    let beside = strategy.analysis.iter().flat_map(|analysis| &analysis.templates);
    let mut metrics = beside.chain(inline).filter_map(|name| analysis_templates.get(name)).flat_map(|t| &t.metrics);
    let named = metrics.any(|metric| metric.kind == MetricKind::NanShare && !metric.dry_run);
    let analysed = strategy.analysis.is_some() || strategy.steps.iter().any(|step| matches!(step, Step::Analysis(_)));
    strategy.guard = (analysed && !named).then(|| AnalysisTemplate { metrics: vec![analysis::nan_share()] });
}

fn warn_of_weights(root: &Cursor<'_>, values: &Values, report: &mut Report) {
    let canary = root.node.entry("strategy").and_then(|entry| entry.value.entry("canary"));
    let steps = canary.and_then(|entry| entry.value.entry("steps"));
    let Some(Kind::List(nodes)) = steps.map(|entry| &entry.value.kind) else { return };
    let mut weight = Weight::ZERO;
    for (index, (step, node)) in values.strategy.steps.iter().zip(nodes).enumerate() {
        let path = format!("strategy.canary.steps[{index}]");
        match step {
            Step::SetWeight(next) => {
                if *next < weight {
                    let message = format!("{next} is under the {weight} of an earlier step; callers move back");
                    report.warn(node.start, &format!("{path}.setWeight"), message);
                }
                weight = *next;
            }
            Step::Analysis(_) if weight == Weight::ZERO => {
                let message = "the canary has no traffic at this step, so this waits for ever; write a setWeight first";
                report.warn(node.start, &path, message);
            }
            Step::Analysis(_) | Step::Pause(_) => {}
        }
    }
}

/// Steps that only wait promote whatever answers. A pause without an end is for a person, who judges.
fn warn_of_blind_steps(root: &Cursor<'_>, values: &Values, report: &mut Report) {
    let strategy = &values.strategy;
    let judged = strategy.analysis.is_some()
        || strategy.steps.iter().any(|step| matches!(step, Step::Analysis(_) | Step::Pause(None)));
    let canary = root.node.entry("strategy").and_then(|entry| entry.value.entry("canary"));
    let Some(steps) = canary.and_then(|entry| entry.value.entry("steps")) else { return };
    if !judged && !strategy.skip_analysis && !strategy.steps.is_empty() {
        let message =
            "nothing judges the canary: it is promoted after the last step whatever it answers; add `analysis`";
        report.warn(steps.start, "strategy.canary.steps", message);
    }
}

/// A pod that starts during a trial, or after a rejection, can only know the good version from the file.
fn warn_of_cold_start(root: &Cursor<'_>, values: &Values, report: &mut Report) {
    if values.stable.is_some() {
        return;
    }
    let replicas = values.model.replicas.map_or(0, u64::from);
    let (count, source) = match autoscaling_max(root) {
        Some(max) if max > replicas => (max, "autoscaling.maxReplicas"),
        _ => (replicas, "model.replicas"),
    };
    if count > 1 {
        let message = format!(
            "this is missing, and {source} allows {count} replicas: a pod that starts during a trial or after a \
             rejection would serve the candidate to everyone; write stable: {{version: …}}"
        );
        report.warn(root.node.start, "stable", message);
    }
}

fn autoscaling_max(root: &Cursor<'_>) -> Option<u64> {
    let autoscaling = &root.node.entry("autoscaling")?.value;
    let off = autoscaling.entry("enabled").and_then(|entry| entry.value.text()) == Some("false");
    let max = autoscaling.entry("maxReplicas")?.value.text()?.parse().ok()?;
    (!off).then_some(max)
}

/// One label cannot mean two sets of bytes.
fn one_digest_per_version(root: &Cursor<'_>, values: &Values, report: &mut Report) -> Option<()> {
    let Some(stable) = &values.stable else { return Some(()) };
    let target = &values.model.target;
    let differ = matches!((stable.digest, target.digest), (Some(stable), Some(target)) if stable != target);
    if stable.version != target.version || !differ {
        return Some(());
    }
    let entry = root.node.entry("stable").and_then(|entry| entry.value.entry("digest"));
    let at = entry.map_or(root.node.start, |entry| entry.value.start);
    let message = format!(
        "stable and model are both {} but have different digests; one label names one set of bytes: \
         write another version or the same digest",
        target.version
    );
    report.wrong(at, "stable.digest", message);
    None
}
