//! What MLflow answers, as it is written. Unknown fields are its own business.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{MetricValue, ModelVersion, Status};

#[derive(Deserialize)]
pub(super) struct VersionAnswer {
    pub(super) model_version: VersionJson,
}

/// Without a match the list is left out.
#[derive(Deserialize)]
pub(super) struct VersionsAnswer {
    #[serde(default)]
    pub(super) model_versions: Vec<VersionJson>,
}

#[derive(Deserialize)]
pub(super) struct VersionJson {
    version: Number,
    #[serde(default)]
    status: String,
    #[serde(default)]
    status_message: String,
    #[serde(default)]
    run_id: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    tags: Vec<TagJson>,
}

/// Protobuf's JSON writes 64-bit numbers as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
struct TagJson {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
pub(super) struct DownloadAnswer {
    pub(super) artifact_uri: String,
}

#[derive(Deserialize)]
pub(super) struct RunAnswer {
    pub(super) run: MeasuredJson,
}

#[derive(Deserialize)]
pub(super) struct LoggedModelAnswer {
    pub(super) model: MeasuredJson,
}

#[derive(Deserialize)]
pub(super) struct MeasuredJson {
    #[serde(default)]
    data: DataJson,
}

#[derive(Deserialize, Default)]
struct DataJson {
    #[serde(default)]
    metrics: Vec<MetricJson>,
}

/// A run tells the last value of each metric; a logged model tells every one that was logged.
#[derive(Deserialize)]
struct MetricJson {
    key: String,
    /// Left out where it is 0, as numbers are.
    #[serde(default)]
    value: Float,
    #[serde(default)]
    step: Int,
    #[serde(default)]
    timestamp: Int,
    #[serde(default)]
    dataset_name: String,
    #[serde(default)]
    dataset_digest: String,
}

/// Protobuf's JSON writes 64-bit numbers as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Int {
    Number(i64),
    Text(String),
}

impl Default for Int {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Int {
    fn get(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

/// JSON has no word for what is no number: protobuf writes `"NaN"`, `"Infinity"` and `"-Infinity"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Float {
    Number(f64),
    Text(String),
}

impl Default for Float {
    fn default() -> Self {
        Self::Number(0.0)
    }
}

impl VersionJson {
    /// The version, or `None` where its number is none.
    pub(super) fn read(self) -> Option<ModelVersion> {
        let version = match self.version {
            Number::Number(number) => number,
            Number::Text(text) => text.parse().ok()?,
        };
        let status = if self.status == "READY" { Status::Ready } else { Status::Other(self.status) };
        Some(ModelVersion {
            version,
            status,
            status_message: self.status_message,
            run_id: Some(self.run_id).filter(|run| !run.is_empty()),
            source: self.source,
            tags: self.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        })
    }
}

impl MeasuredJson {
    /// The last value of each metric on each data set: what was logged while training went on is not the result.
    pub(super) fn metrics(self) -> Vec<MetricValue> {
        let value = |value| match value {
            Float::Number(number) => number,
            // Rust reads the words that protobuf writes. What it cannot read is no number.
            Float::Text(text) => text.parse().unwrap_or(f64::NAN),
        };
        let mut last = BTreeMap::new();
        for metric in self.data.metrics {
            let moment = (metric.step.get(), metric.timestamp.get());
            let account = (metric.key, metric.dataset_name, metric.dataset_digest);
            let before = last.entry(account).or_insert((moment, f64::NAN));
            if moment >= before.0 {
                *before = (moment, value(metric.value));
            }
        }
        last.into_iter().map(|((name, ..), (_, value))| MetricValue { name, value }).collect()
    }
}
