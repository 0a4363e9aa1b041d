//! The JSON Schema of a values file and its reference page, both generated from the wire types in [`wire`].
//!
//! The decoder does not read these types (it must collect every problem, which derived code cannot), so tests hold
//! the two together: the same keys in every object, and the same meaning of an absent field.

mod reference;
#[cfg(test)]
pub(crate) mod tests;
mod wire;

use serde_json::{Value, json};

pub use reference::values_reference;

use crate::decode::CHART_KEYS;

/// The JSON Schema (2020-12) of a values file, as checked in at `deploy/base/values.schema.json`.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(wire::Values).to_value();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for key in CHART_KEYS {
            properties
                .insert((*key).to_owned(), json!({ "description": "The chart's own; the server does not read it." }));
        }
    }
    schema
}
