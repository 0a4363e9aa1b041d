//! The ConfigMap itself, read and written over the Kubernetes API. Every call is bounded; what an answer means for the
//! next one is [`super::pace`]'s business. The only file that knows the API's client.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::time::timeout;

use super::notice::{self, Seen};
use super::place::Place;
use crate::outgoing::innermost;
use crate::telemetry::WriteResult;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one answer may take, connecting included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Who writes, in the object's `managedFields`.
const MANAGER: &str = "sluice";
/// Characters of somebody else's words that are told.
const REASON_MAX: usize = 300;

/// One ConfigMap.
pub(super) struct Object {
    place: Place,
    name: String,
    /// Made at the first use, and anew after a failure: the account's files may have changed.
    api: Option<Api<ConfigMap>>,
}

/// Why the object was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ObjectError {
    /// It changed between reading and writing.
    #[error("another process wrote at the same moment")]
    Conflict,
    /// 401, 403, 404, 422: somebody has to change the cluster.
    #[error("the cluster refuses it ({code}): {reason}")]
    Refused { code: u16, reason: String },
    /// Anything that may pass by itself.
    #[error("{0}")]
    Failed(String),
}

// === impl ObjectError ===

impl ObjectError {
    pub(super) const fn result(&self) -> WriteResult {
        match self {
            Self::Conflict => WriteResult::Conflict,
            Self::Refused { .. } => WriteResult::Refused,
            Self::Failed(_) => WriteResult::Failed,
        }
    }
}

impl From<kube::Error> for ObjectError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                409 => Self::Conflict,
                code @ (401 | 403 | 404 | 422) => Self::Refused { code, reason: short(&status.message) },
                code => Self::Failed(format!("the cluster answers {code}: {}", short(&status.message))),
            },
            other => Self::Failed(short(&innermost(&other))),
        }
    }
}

fn short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_MAX).collect()
}

// === impl Object ===

impl Object {
    pub(super) const fn new(place: Place, name: String) -> Self {
        Self { place, name, api: None }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it says now.
    pub(super) async fn read(&mut self) -> Result<Seen, ObjectError> {
        let (api, name) = (self.api()?, self.name.clone());
        let map = self.answered(async move { api.get(&name).await }).await?;
        let data = map.data.unwrap_or_default();
        Ok(Seen {
            resource_version: map.metadata.resource_version.unwrap_or_default(),
            annotations: map.metadata.annotations.unwrap_or_default(),
            wanted: notice::wanted(data.iter().map(|(key, text)| (key.as_str(), text.as_str()))),
        })
    }

    /// Writes `annotations`, where it is still as it was `seen`.
    pub(super) async fn write(
        &mut self,
        seen: &Seen,
        annotations: &BTreeMap<&'static str, String>,
    ) -> Result<(), ObjectError> {
        let (api, name) = (self.api()?, self.name.clone());
        let metadata = json!({ "resourceVersion": seen.resource_version, "annotations": annotations });
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.answered(async move { api.patch(&name, &params, &patch).await }).await.map(drop)
    }

    async fn answered<T>(&mut self, call: impl Future<Output = kube::Result<T>>) -> Result<T, ObjectError> {
        let answer = match timeout(ANSWER_TIMEOUT, call).await {
            Ok(answer) => answer.map_err(ObjectError::from),
            Err(_) => Err(ObjectError::Failed("the cluster does not answer in time".to_owned())),
        };
        if matches!(answer, Err(ObjectError::Failed(_) | ObjectError::Refused { code: 401, .. })) {
            self.api = None;
        }
        answer
    }

    fn api(&mut self) -> Result<Api<ConfigMap>, ObjectError> {
        if let Some(api) = &self.api {
            return Ok(api.clone());
        }
        let client = Client::try_from(self.config()?)?;
        Ok(self.api.insert(Api::namespaced(client, &self.place.namespace)).clone())
    }

    fn config(&self) -> Result<Config, ObjectError> {
        let url = self.place.api.as_str().parse();
        let mut config = Config::new(url.map_err(|error| ObjectError::Failed(format!("the API's address: {error}")))?);
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // The pace of tries is decided elsewhere.
        config.default_retry = false;
        config.auth_info.token_file = Some(self.place.account.join("token").display().to_string());
        // No other roots than the cluster's own.
        config.root_cert = Some(Vec::new());
        if self.place.api.scheme() == "https" {
            config.root_cert_file = Some(self.place.account.join("ca.crt"));
        }
        Ok(config)
    }
}
