//! The whole file: its sections, and the keys at its top that are the chart's.

use super::model::{model, optional, stable};
use super::serving::{default_serving, gate, serving};
use super::strategy::{default_strategy, strategy};
use super::{Cursor, Map, Report, analysis, checks};
use crate::document::{Kind, Node};
use crate::values::{Gate, Values};

const SCHEMA_VERSION: &str = "v1alpha1";

/// Top-level keys that the chart reads and the server does not: the same file is Helm's values.
pub(crate) const CHART_KEYS: &[&str] = &[
    "access",
    "affinity",
    "autoscaling",
    "env",
    "envFrom",
    "extraVolumeMounts",
    "extraVolumes",
    "global",
    "image",
    "imagePullSecrets",
    "monitoring",
    "nameOverride",
    "networkPolicy",
    "nodeSelector",
    "podAnnotations",
    "podDisruptionBudget",
    "podLabels",
    "priorityClassName",
    "resources",
    "runtimeClassName",
    "service",
    "serviceAccount",
    "terminationGracePeriodSeconds",
    "tls",
    "tolerations",
    "topologySpreadConstraints",
];

/// Decodes the file; `None` with problems in the report.
pub(crate) fn values(root: &Node, report: &mut Report) -> Option<Values> {
    let here = Cursor::root(root);
    if root.is_null() {
        here.wrong(report, "the file is empty; write schemaVersion, and model with name, version and storageUri");
        return None;
    }
    let mut map = here.map(report, "Values")?;
    let version = schema_version(&mut map, report);
    let model_field = map.required("model", "write model with name, version and storageUri", report);
    let (model, template) = model_field.map_or((None, None), |cursor| self::model(&cursor, report));
    let stable = optional(map.get("stable"), report, |cursor, report| stable(cursor, template.as_ref(), report));
    let strategy = map.get("strategy").map_or_else(|| Some(default_strategy()), |cursor| strategy(&cursor, report));
    let templates = optional(map.get("analysisTemplates"), report, analysis::templates);
    let serving = map.get("serving").map_or_else(|| Some(default_serving()), |cursor| serving(&cursor, report));
    let gate = map.get("gate").map_or_else(|| Some(Gate::default()), |cursor| gate(&cursor, report));
    let retry = optional(map.get("retry"), report, |cursor, report| cursor.whole(report, 0..=u64::MAX));
    refuse_moved(&map, report);
    map.finish_but(&[CHART_KEYS, &["replicas", "metrics"]].concat(), report);
    checks::references(&here, templates.as_ref(), report);
    version?;
    let values = Values {
        model: model?,
        stable: stable?,
        strategy: strategy?,
        analysis_templates: templates?.unwrap_or_default(),
        serving: serving?,
        gate: gate?,
        retry: retry?.unwrap_or(0),
    };
    checks::whole(&here, values, report)
}

fn schema_version(map: &mut Map<'_>, report: &mut Report) -> Option<()> {
    let cursor = map.required("schemaVersion", "write schemaVersion: v1alpha1", report)?;
    if cursor.node.text() == Some(SCHEMA_VERSION) && !matches!(cursor.node.kind, Kind::Map(_) | Kind::List(_)) {
        return Some(());
    }
    cursor.wrong(report, format!("{} is not a schema this build reads; write {SCHEMA_VERSION}", cursor.node.found()));
    None
}

/// Keys that people know from elsewhere, with where they belong here.
fn refuse_moved(map: &Map<'_>, report: &mut Report) {
    map.refuse("replicas", "replicas belongs under model: write model.replicas", report);
    map.refuse("metrics", "metrics belong to a template: write analysisTemplates.<name>.metrics", report);
}
