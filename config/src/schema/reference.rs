//! The reference page `docs/values.md`: one table of every field, read from the JSON Schema.

use std::fmt::Write as _;

use serde_json::Value;

use super::json_schema;
use crate::decode::CHART_KEYS;

/// Objects of the schema are at most this deep; it ends the walk even if a type came to hold itself.
const DEPTH_MAX: usize = 12;

/// The Markdown of `docs/values.md`.
#[must_use]
pub fn values_reference() -> String {
    let schema = json_schema();
    let mut page = String::from(
        "# Values file\n\n\
         One file for each model: what should be served, and how a change of it is tried. It may change at any time; the \
         server follows. Generated from the schema (`deploy/base/values.schema.json`); do not edit.\n\n\
         Durations are a number of seconds, or text such as `250ms`, `30s`, `5m`, `1h` or `1h30m`. Unknown keys are \
         errors. `sluice validate FILE` tells everything that is wrong with a file at once.\n\n\
         The smallest useful file:\n\n\
         ```yaml\nschemaVersion: v1alpha1\nmodel:\n  name: fraud-detection\n  version: \"v2.3.1\"\n  \
         storageUri: gs://acme-models/fraud-detection/{version}\n```\n\n\
         | field | type | default | meaning |\n| --- | --- | --- | --- |\n",
    );
    rows(&schema, &schema, "", DEPTH_MAX, &mut page);
    let keys: Vec<String> = CHART_KEYS.iter().map(|key| format!("`{key}`")).collect();
    let _ = write!(
        page,
        "\nThe same file is the chart's values, so these keys may stand at its top; the server does not read them \
         (but for `autoscaling.maxReplicas`, to warn where `stable` is missing): {}.\n",
        keys.join(", ")
    );
    page
}

fn rows(root: &Value, object: &Value, path: &str, depth: usize, page: &mut String) {
    let Some(properties) = object.get("properties").and_then(Value::as_object) else { return };
    if depth == 0 {
        return;
    }
    let required = object.get("required").and_then(Value::as_array);
    for (key, field) in properties {
        if path.is_empty() && CHART_KEYS.contains(&key.as_str()) {
            continue;
        }
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let needed = required.is_some_and(|names| names.iter().any(|name| name == key));
        let target = resolved(root, field);
        let default = match field.get("default") {
            Some(Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
            None if needed => "required".to_owned(),
            None => String::new(),
        };
        let meaning = field.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        let _ = writeln!(page, "| `{path}` | {} | {default} | {meaning} |", type_of(root, field));
        if let Some(items) = target.get("items") {
            rows(root, resolved(root, items), &format!("{path}[]"), depth - 1, page);
        } else if let Some(values) = target.get("additionalProperties").filter(|values| values.is_object()) {
            rows(root, resolved(root, values), &format!("{path}.<name>"), depth - 1, page);
        } else {
            rows(root, target, &path, depth - 1, page);
        }
    }
}

/// What a field is, past `$ref` and past "or null".
fn resolved<'a>(root: &'a Value, field: &'a Value) -> &'a Value {
    if let Some(name) = field.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/")) {
        return root.get("$defs").and_then(|definitions| definitions.get(name)).unwrap_or(field);
    }
    let choices = field.get("anyOf").or_else(|| field.get("oneOf")).and_then(Value::as_array);
    let object = choices.into_iter().flatten().map(|choice| resolved(root, choice));
    object.into_iter().find(|choice| choice.get("properties").is_some()).unwrap_or(field)
}

fn type_of(root: &Value, field: &Value) -> String {
    if field.get("title").and_then(Value::as_str) == Some("duration") {
        return "duration".to_owned();
    }
    if let Some(choices) = field.get("enum").and_then(Value::as_array) {
        let names: Vec<String> = choices.iter().filter_map(Value::as_str).map(|name| format!("`{name}`")).collect();
        return names.join(", ");
    }
    if let Some(name) = field.get("const").and_then(Value::as_str) {
        return format!("`{name}`");
    }
    let choices = field.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let choices: Vec<&Value> = choices.filter(|choice| choice.get("type") != Some(&Value::from("null"))).collect();
    if choices.len() > 1 {
        let names: Vec<String> = choices.into_iter().map(|choice| type_of(root, choice)).collect();
        return names.join(" or ");
    }
    if let [choice] = choices[..] {
        return type_of(root, choice);
    }
    let target = resolved(root, field);
    let names: Vec<&str> = match target.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let names: Vec<&str> = names.into_iter().filter(|name| *name != "null").map(plain).collect();
    names.join(" or ")
}

fn plain(name: &str) -> &str {
    match name {
        "string" => "text",
        "array" => "list",
        "object" => "map",
        "boolean" => "`true`, `false`",
        other => other,
    }
}
