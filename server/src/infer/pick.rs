//! Which version answers a request: what the caller asked for, then the sticky key, then the weight.

use std::cell::RefCell;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use models::oip::shown;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::error::InferError;
use crate::route::split::Point;
use crate::route::{ModelRoutes, Variant};
use crate::version::LiveVersion;

/// Request and response header and metadata key: the variant that a caller asks for, and that answered.
pub const VARIANT_HEADER: &str = "x-sluice-variant";
pub(crate) static VARIANT: HeaderName = HeaderName::from_static(VARIANT_HEADER);

/// The version that answers, and in which role.
pub struct Pick {
    /// The version.
    pub live: Arc<LiveVersion>,
    /// Its role now.
    pub variant: Variant,
    /// Chosen by the split, so it is a fair sample: only such requests are evidence and only they fall back.
    pub by_split: bool,
}

thread_local! {
    static RNG: RefCell<SmallRng> = RefCell::new(SmallRng::from_os_rng());
}

/// Picks among the routes of one snapshot.
pub fn pick(routes: &ModelRoutes, version: Option<&str>, headers: &HeaderMap) -> Result<Pick, InferError> {
    if let Some(version) = version {
        return by_version(routes, version);
    }
    if let Some(asked) = headers.get(&VARIANT) {
        return by_variant(routes, asked);
    }
    let stable = routes.stable.as_ref().ok_or_else(|| InferError::NotReady { model: routes.name.to_string() })?;
    let chosen = match &routes.canary {
        Some(canary) if point(routes, canary, headers).pick(routes.canary_weight) == Variant::Canary => {
            Pick { live: Arc::clone(canary), variant: Variant::Canary, by_split: true }
        }
        _ => Pick { live: Arc::clone(stable), variant: Variant::Stable, by_split: true },
    };
    Ok(chosen)
}

fn point(routes: &ModelRoutes, canary: &LiveVersion, headers: &HeaderMap) -> Point {
    match routes.affinity.as_ref().and_then(|header| headers.get(header)) {
        Some(key) => Point::of_key(key.as_bytes(), canary.digest()),
        None => RNG.with_borrow_mut(Point::draw),
    }
}

fn by_version(routes: &ModelRoutes, version: &str) -> Result<Pick, InferError> {
    let found = routes.versions().find(|(_, live)| **live.version() == *version);
    match found {
        Some((variant, live)) => Ok(Pick { live: Arc::clone(live), variant, by_split: false }),
        None if routes.stable.is_none() => Err(InferError::NotReady { model: routes.name.to_string() }),
        None => Err(InferError::VersionNotFound { model: routes.name.to_string(), version: version.to_owned() }),
    }
}

fn by_variant(routes: &ModelRoutes, asked: &http::HeaderValue) -> Result<Pick, InferError> {
    let variant = asked.to_str().ok().and_then(Variant::parse).ok_or_else(|| {
        InferError::InvalidArgument(format!(
            "header {VARIANT_HEADER} is \"{}\", not a variant; write stable or canary",
            shown(&String::from_utf8_lossy(asked.as_bytes()))
        ))
    })?;
    match (routes.variant(variant), variant) {
        (Some(live), _) => Ok(Pick { live: Arc::clone(live), variant, by_split: false }),
        (None, Variant::Stable) => Err(InferError::NotReady { model: routes.name.to_string() }),
        (None, Variant::Canary) => Err(InferError::VariantNotFound { model: routes.name.to_string(), variant }),
    }
}
