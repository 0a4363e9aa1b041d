//! What MLflow answers, as it is written. Unknown fields are its own business.

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

#[derive(Deserialize)]
struct MetricJson {
    key: String,
    /// Left out where it is 0.
    #[serde(default)]
    value: Float,
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
    pub(super) fn metrics(self) -> Vec<MetricValue> {
        let value = |value| match value {
            Float::Number(number) => number,
            // Rust reads the words that protobuf writes. What it cannot read is no number.
            Float::Text(text) => text.parse().unwrap_or(f64::NAN),
        };
        self.data
            .metrics
            .into_iter()
            .map(|metric| MetricValue { name: metric.key, value: value(metric.value) })
            .collect()
    }
}
