//! Holds the schema, the decoder and the checked-in files together.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::decode::Report;
use crate::parse::decode_text;
use crate::parse::tests::FULL;

/// Compares a generated text with the checked-in file; `UPDATE=1` writes it.
pub(crate) fn generated(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == text, "{path} is not what the types say; run: UPDATE=1 cargo test -p config");
}

#[test]
fn the_checked_in_schema_is_generated() {
    let text = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    generated("deploy/base/values.schema.json", &text);
}

#[test]
fn the_reference_page_is_generated() {
    generated("docs/values.md", &values_reference());
}

#[test]
fn the_decoder_and_the_schema_know_the_same_keys() {
    let mut report = Report::new("full.yaml");
    decode_text(FULL, &mut report).unwrap_or_else(|| panic!("{:#?}", report.problems));
    let schema = json_schema();
    let mut objects = schema["$defs"].as_object().unwrap().clone();
    objects.insert("Values".to_owned(), schema.clone());
    objects.retain(|_, object| object.get("properties").is_some());
    let names: BTreeSet<&str> = objects.keys().map(String::as_str).collect();
    assert_eq!(names, report.known.keys().copied().collect(), "objects of the schema; objects of the decoder");
    for (name, object) in &objects {
        let keys = object["properties"].as_object().unwrap().keys().map(String::as_str);
        let keys: BTreeSet<&str> = keys.filter(|key| name != "Values" || !CHART_KEYS.contains(key)).collect();
        assert_eq!(keys, report.known[name.as_str()], "keys of {name}");
        assert_eq!(object["additionalProperties"], Value::Bool(false), "{name} refuses unknown keys");
    }
}

/// Writes every default of `object` into its YAML and expects the same meaning.
#[test]
fn an_absent_field_means_the_default_of_the_schema() {
    let schema = json_schema();
    let defaults = |name: &str| {
        let properties = schema["$defs"][name]["properties"].as_object().unwrap();
        let set = properties.iter().filter_map(|(key, field)| Some((key.clone(), field.get("default")?.clone())));
        set.collect::<serde_json::Map<_, _>>()
    };
    let model = json!({"name": "x", "version": "v1", "storageUri": "gs://b/{version}"});
    let metric = json!({"name": "request-success-rate", "thresholdRange": {"min": 99}});
    let file = |fill: bool| {
        let merged = |mut value: Value, name: &str| {
            if fill {
                value.as_object_mut().unwrap().extend(defaults(name));
            }
            value
        };
        let mut model = model.clone();
        model["signing"] = merged(json!({}), "Signing");
        model["registry"] = merged(json!({"name": "x", "version": 1}), "Registry");
        let templates = json!([{"templateName": "a"}]);
        let mut canary = merged(json!({}), "Canary");
        canary["analysis"] = merged(json!({"templates": templates}), "BackgroundAnalysis");
        canary["rollbackWindow"] = merged(json!({}), "RollbackWindow");
        let text = json!({
            "schemaVersion": "v1alpha1",
            "model": model,
            "strategy": {"canary": canary},
            "analysisTemplates": {"a": {"metrics": [merged(metric.clone(), "Metric")]}},
            "serving": merged(json!({}), "Serving"),
        });
        // JSON is YAML.
        crate::parse("defaults", &text.to_string()).unwrap_or_else(|problems| panic!("{problems}")).values
    };
    let with = ["Signing", "Registry", "Canary", "BackgroundAnalysis", "RollbackWindow", "Metric", "Serving"];
    assert!(with.iter().all(|name| !defaults(name).is_empty()), "each of these objects has a default to test");
    let holders = schema["$defs"].as_object().unwrap().keys().filter(|name| !defaults(name).is_empty());
    assert_eq!(holders.map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(with), "every default is tested");
    assert_eq!(file(true), file(false));
}
