//! Which model, and which version or role of it, a path names; and what headers say of any request.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use http::request::Parts;
use http::{Extensions, HeaderMap};

use super::HttpError;
use crate::front::convert::{invalid, name};
use crate::front::{TIMEOUT_HEADER, shown};
use crate::route::Variant;

/// What a path names. Parts that a path lacks are empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) model: String,
    pub(super) version: Option<String>,
    /// V1 only: `labels/{stable|canary}`.
    pub(super) label: Option<Variant>,
    /// V1 only: what follows the colon, such as `predict`.
    pub(super) verb: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| invalid("the path is not percent-encoded UTF-8"))?;
        let path = parts.uri.path();
        let mut target = Self::default();
        for (key, value) in &params {
            match key {
                "model" => value.clone_into(&mut target.model),
                "version" => target.version = Some(value.to_owned()),
                _ => target.call(value, path)?,
            }
        }
        name("the model's name", &target.model)?;
        if let Some(version) = &target.version {
            name("the version", version)?;
        }
        Ok(target)
    }
}

impl Target {
    /// The last part of a V1 path: a model, version or label, with `:verb` behind it or not.
    fn call(&mut self, value: &str, path: &str) -> Result<(), HttpError> {
        let (value, verb) = value.split_once(':').map_or((value, None), |(value, verb)| (value, Some(verb)));
        self.verb = verb.map(str::to_owned);
        if path.contains("/labels/") {
            self.label = Some(variant(value)?);
        } else if path.contains("/versions/") {
            self.version = Some(value.to_owned());
        } else {
            value.clone_into(&mut self.model);
        }
        Ok(())
    }
}

fn variant(label: &str) -> Result<Variant, HttpError> {
    match label {
        "stable" => Ok(Variant::Stable),
        "canary" => Ok(Variant::Canary),
        other => Err(invalid(format!("label '{}' is neither stable nor canary", shown(other))).into()),
    }
}

/// The `x-sluice-timeout-ms` header; 0 is none.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, HttpError> {
    let Some(value) = headers.get(TIMEOUT_HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let millis: u64 = text.parse().map_err(|_| {
        invalid(format!("header {TIMEOUT_HEADER} is '{}', not a whole number of milliseconds", shown(text)))
    })?;
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}

/// Who asked, where the listener said.
pub(super) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer)
}
