//! The shape of a values file as it is written: names, types, defaults and what each field means. These types exist
//! for their description only; nothing is ever made of them.

#![expect(dead_code, reason = "describes the shape; the decoder reads the text itself")]

mod analysis;
mod model;
mod serving;
mod strategy;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::decode::scalars::spelled;
use analysis::AnalysisTemplate;
use model::{Model, Stable};
use serving::{Gate, Serving};
use strategy::Strategy;

/// What should be served of one model, and how a change of it is tried.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Values {
    /// The schema of this file.
    schema_version: SchemaVersion,
    /// The model and the version that should be served: the candidate, until it is promoted.
    model: Model,
    /// What a process without any memory serves while the candidate is on trial or rejected.
    stable: Option<Stable>,
    /// How a new version gets traffic.
    strategy: Option<Strategy>,
    /// Named sets of metrics that judge a canary, at most 16. A trial with any analysis also watches for NaN (`nan-share`, `max: 0`), from its first step on, unless a template that it uses names `nan-share` without `dryRun`.
    analysis_templates: Option<BTreeMap<String, AnalysisTemplate>>,
    /// Limits of the model's batches, queues and requests.
    serving: Option<Serving>,
    /// What `sluice check` demands before a merge.
    gate: Option<Gate>,
    /// Raise it to try a rejected version again.
    #[schemars(default)]
    retry: u64,
}

#[derive(JsonSchema)]
#[schemars(inline)]
enum SchemaVersion {
    #[schemars(rename = "v1alpha1")]
    V1Alpha1,
}

/// A number of seconds, or text such as `250ms`, `30s`, `5m`, `1h`.
struct DurationText(Duration);

impl JsonSchema for DurationText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "title": "duration",
            "minimum": 0,
            "pattern": r"^([0-9]+(\.[0-9]+)?|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+)$",
        })
    }
}

impl serde::Serialize for DurationText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&spelled(self.0))
    }
}

const fn zero() -> DurationText {
    DurationText(Duration::ZERO)
}
