//! The calls, one method for each: bounded in time and size, each failure with the call that met it.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answers::{DownloadAnswer, LoggedModelAnswer, RunAnswer, VersionAnswer, VersionsAnswer};
use super::{Credentials, LABEL_TAG, MetricValue, ModelVersion, RegistryError};
use crate::outgoing::{self, innermost};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one answer may take, body included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of one answer: a run may carry thousands of parameters.
const ANSWER_MAX: usize = 16 << 20;
/// Characters of an error's text that are told.
const MESSAGE_MAX: usize = 300;
/// Versions that one search returns.
const FOUND_MAX: usize = 100;
/// What MLflow's middleware says to a host that it does not allow.
const HOST_REFUSED: &str = "Invalid Host header";

/// A registry to ask.
#[derive(Debug, Clone)]
pub struct Mlflow {
    http: reqwest::Client,
    base: Url,
    credentials: Credentials,
}

/// What MLflow says of an error.
#[derive(Deserialize)]
struct ErrorBody {
    error_code: String,
    #[serde(default)]
    message: String,
}

/// One call.
struct Call<'a> {
    method: Method,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    body: Option<Value>,
}

impl Mlflow {
    /// A client of the server at `base`, the URL that MLflow's own clients are given.
    ///
    /// # Errors
    /// This machine cannot make an HTTP client.
    pub fn new(base: &Url, credentials: Credentials) -> Result<Self, RegistryError> {
        let builder = outgoing::client(base).connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT);
        let unusable = |error| RegistryError::Unreachable { call: base.to_string(), reason: innermost(&error) };
        Ok(Self { http: builder.build().map_err(unusable)?, base: base.clone(), credentials })
    }

    /// One version of a registered model.
    pub async fn version(&self, name: &str, version: u64) -> Result<ModelVersion, RegistryError> {
        let query = [("name", name), ("version", &version.to_string())];
        let (told, VersionAnswer { model_version }) = self.ask(Call::get("model-versions/get", &query)).await?;
        model_version.read().ok_or_else(|| no_number(told))
    }

    /// Where the bytes of a version are, as MLflow resolves it.
    pub async fn download_uri(&self, name: &str, version: u64) -> Result<String, RegistryError> {
        let query = [("name", name), ("version", &version.to_string())];
        let (_, DownloadAnswer { artifact_uri }) =
            self.ask(Call::get("model-versions/get-download-uri", &query)).await?;
        Ok(artifact_uri)
    }

    /// The versions of a model that carry a release label, newest first; at most 100.
    pub async fn labelled(&self, name: &str, label: &str) -> Result<Vec<ModelVersion>, RegistryError> {
        let filter = format!("name={} and tags.`{LABEL_TAG}`={}", self.quoted(name)?, self.quoted(label)?);
        self.search(&filter).await
    }

    /// The newest versions of a model; at most 100.
    pub async fn versions(&self, name: &str) -> Result<Vec<ModelVersion>, RegistryError> {
        self.search(&format!("name={}", self.quoted(name)?)).await
    }

    /// What a run measured.
    pub async fn metrics_of_run(&self, run: &str) -> Result<Vec<MetricValue>, RegistryError> {
        let (_, RunAnswer { run }) = self.ask(Call::get("runs/get", &[("run_id", run)])).await?;
        Ok(run.metrics())
    }

    /// What was measured of a logged model.
    pub async fn metrics_of_model(&self, id: &str) -> Result<Vec<MetricValue>, RegistryError> {
        let (_, LoggedModelAnswer { model }) = self.ask(Call::get(&format!("logged-models/{id}"), &[])).await?;
        Ok(model.metrics())
    }

    /// Makes a registered model unless it is there.
    pub async fn create_model(&self, name: &str) -> Result<(), RegistryError> {
        match self.ask::<Value>(Call::post("registered-models/create", json!({ "name": name }))).await {
            Ok(_) | Err(RegistryError::Exists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Registers a version, tags and all in one call.
    pub async fn create_version(
        &self,
        name: &str,
        source: &str,
        run: Option<&str>,
        tags: &[(&str, &str)],
    ) -> Result<ModelVersion, RegistryError> {
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        let mut body = json!({ "name": name, "source": source, "tags": tags });
        if let Some(run) = run {
            body["run_id"] = run.into();
        }
        let (told, VersionAnswer { model_version }) = self.ask(Call::post("model-versions/create", body)).await?;
        model_version.read().ok_or_else(|| no_number(told))
    }

    /// Sets a tag of a version.
    pub async fn set_tag(&self, name: &str, version: u64, key: &str, value: &str) -> Result<(), RegistryError> {
        let body = json!({ "name": name, "version": version.to_string(), "key": key, "value": value });
        self.ask::<Value>(Call::post("model-versions/set-tag", body)).await.map(drop)
    }

    async fn search(&self, filter: &str) -> Result<Vec<ModelVersion>, RegistryError> {
        let most = FOUND_MAX.to_string();
        let query = [("filter", filter), ("order_by", "version_number DESC"), ("max_results", &most)];
        let (told, found) = self.ask::<VersionsAnswer>(Call::get("model-versions/search", &query)).await?;
        let read =
            found.model_versions.into_iter().map(|version| version.read().ok_or_else(|| no_number(told.clone())));
        read.collect()
    }

    /// A value in a filter. MLflow's filters have no escapes, so a value with both kinds of quotes cannot be written.
    fn quoted(&self, value: &str) -> Result<String, RegistryError> {
        let quote = ['\'', '"'].into_iter().find(|quote| !value.contains(*quote));
        let refused = || RegistryError::Refused {
            call: self.base.to_string(),
            message: format!("{value:?} holds both kinds of quotes, and cannot be searched for"),
        };
        quote.map(|quote| format!("{quote}{value}{quote}")).ok_or_else(refused)
    }

    /// The call as errors name it, and its answer.
    async fn ask<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<(String, T), RegistryError> {
        let Call { method, path, query, body } = call;
        let url = self.url(path);
        let told = format!("{method} {url}");
        let mut request = self.http.request(method, url).query(query);
        if let Some(authorization) = self.credentials.header() {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let lost = |error: reqwest::Error| {
            let reason = if error.is_timeout() { "it took too long".to_owned() } else { innermost(&error) };
            RegistryError::Unreachable { call: told.clone(), reason }
        };
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let Some(bytes) = bounded(response).await.map_err(lost)? else {
            return Err(RegistryError::NotMlflow { call: told, reason: format!("over {ANSWER_MAX} bytes") });
        };
        if !status.is_success() {
            return Err(self.refusal(told, status, &bytes));
        }
        match serde_json::from_slice(&bytes) {
            Ok(answer) => Ok((told, answer)),
            Err(error) => Err(RegistryError::NotMlflow { call: told, reason: error.to_string() }),
        }
    }

    /// `base` and a path of this API.
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "2.0", "mlflow"]).extend(path.split('/'));
        }
        url
    }

    /// What an answer that is no success means.
    fn refusal(&self, call: String, status: StatusCode, bytes: &[u8]) -> RegistryError {
        let text = String::from_utf8_lossy(bytes);
        if status == StatusCode::FORBIDDEN && text.contains(HOST_REFUSED) {
            let host = self.base.host_str().unwrap_or_default();
            let host = self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            return RegistryError::HostRefused { call, host };
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return RegistryError::Denied { call, status: status.to_string() };
        }
        let body = serde_json::from_slice::<ErrorBody>(bytes);
        let Ok(ErrorBody { error_code, message }) = body else {
            return match status {
                status if status.is_server_error() => {
                    RegistryError::Broken { call, status: status.to_string(), message: shortened(&text) }
                }
                status => RegistryError::NotMlflow { call, reason: format!("{status} without an error code") },
            };
        };
        let message = shortened(&message);
        match error_code.as_str() {
            "RESOURCE_DOES_NOT_EXIST" => RegistryError::NotFound { call, message },
            "RESOURCE_ALREADY_EXISTS" => RegistryError::Exists { call, message },
            "PERMISSION_DENIED" | "UNAUTHENTICATED" => RegistryError::Denied { call, status: error_code },
            "INVALID_PARAMETER_VALUE" | "BAD_REQUEST" | "INVALID_STATE" => RegistryError::Refused { call, message },
            "ENDPOINT_NOT_FOUND" => RegistryError::NotMlflow { call, reason: format!("{error_code}: {message}") },
            _ => RegistryError::Broken { call, status: format!("{status} {error_code}"), message },
        }
    }
}

impl<'a> Call<'a> {
    const fn get(path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { method: Method::GET, path, query, body: None }
    }

    const fn post(path: &'a str, body: Value) -> Self {
        Self { method: Method::POST, path, query: &[], body: Some(body) }
    }
}

/// The body, or `None` where it is too long.
async fn bounded(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > ANSWER_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

fn no_number(call: String) -> RegistryError {
    RegistryError::NotMlflow { call, reason: "a version that is no number".to_owned() }
}

/// Somebody else's text, on one line and of bounded length.
fn shortened(text: &str) -> String {
    let line: String = text.chars().take(MESSAGE_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() < text.len() { format!("{}…", line.trim()) } else { line.trim().to_owned() }
}
