//! Which model, and which version or role of it, a path names; and what headers say of any request.

use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use http::{Extensions, Method};

use super::HttpError;
use super::said::Said;
use crate::front::convert::{invalid, name};
use crate::front::guard::Caller;
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
    /// What an inference call names, where its path is written plainly: nothing percent-encoded, no empty part, and names
    /// that may be. The router takes the others, and finds the words for what is wrong with them.
    pub(super) fn of_infer(method: &Method, path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v2/models/")?.strip_suffix("/infer")?;
        let (model, version) = match rest.split_once('/') {
            None => (rest, None),
            Some((model, rest)) => (model, Some(rest.strip_prefix("versions/")?)),
        };
        let plain = |part: &str| !part.is_empty() && !part.contains(['%', '/']) && name("", part).is_ok();
        (method == Method::POST && plain(model) && version.is_none_or(plain)).then(|| Self {
            model: model.to_owned(),
            version: version.map(str::to_owned),
            ..Self::default()
        })
    }

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
pub(super) fn timeout(said: Said<'_>) -> Result<Option<Duration>, HttpError> {
    let Some(value) = said.timeout else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let millis: u64 = text.parse().map_err(|_| {
        invalid(format!("header {TIMEOUT_HEADER} is '{}', not a whole number of milliseconds", shown(text)))
    })?;
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}

/// Who asked, where the connection said.
pub(super) fn caller(extensions: &Extensions) -> Caller {
    extensions.get().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_of_inference_need_no_router() {
        let of = |path: &str| Target::of_infer(&Method::POST, path).map(|target| (target.model, target.version));
        let (model, version) = ("m-1.x".to_owned(), "v2.3.1".to_owned());
        assert_eq!(of("/v2/models/m-1.x/infer"), Some((model.clone(), None)));
        assert_eq!(of("/v2/models/m-1.x/versions/v2.3.1/infer"), Some((model, Some(version))));
        for other in [
            "/v2/models//infer",
            "/v2/models/infer",
            "/v2/models/a%20b/infer",
            "/v2/models/m/infer/",
            "/v2/models/m/n/infer",
            "/v2/models/m/versions/infer",
            "/v2/models/m/versions//infer",
            "/v2/models/m/versions/v/w/infer",
            "/v2/models/m",
            "/v1/models/m/infer",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(Target::of_infer(&Method::GET, "/v2/models/m/infer"), None);
    }
}
