//! The front ends: Open Inference Protocol V2 over HTTP and gRPC, V1 over HTTP, and the admin port.
//!
//! Owns wire formats, connection handling, TLS, who may ask for what, limits on what callers send, and the access log. It
//! must not know how a request is routed, batched or run: it turns bytes into an [`InferRequest`](crate::infer::InferRequest), asks
//! [`Inference`], and turns the reply or the [`InferError`](crate::infer::InferError) back into bytes. What it says of
//! models comes from the [`Catalog`].

pub mod access;
pub mod admin;
pub mod budget;
pub mod convert;
pub mod credentials;
pub mod grpc;
pub mod guard;
pub mod http;
pub mod listen;
pub mod proto;
pub mod routes;
pub mod secured;
pub mod status;
pub mod tls;

mod request_id;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue};
pub(crate) use models::oip::shown;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::infer::Inference;
use crate::route::Variant;

pub use crate::infer::pick::VARIANT_HEADER;
pub use access::AccessLog;
pub use budget::Budget;
pub use guard::Guard;

/// Response header and metadata key: the version that answered.
pub const VERSION_HEADER: &str = "x-sluice-version";
/// Request header: how long the caller waits, in whole milliseconds.
pub const TIMEOUT_HEADER: &str = "x-sluice-timeout-ms";
/// Request and response header and metadata key: one id for one request, in every log.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// The headers above, parsed once: a name that is given as text is checked, hashed and copied at each use.
pub(crate) mod names {
    use ::http::HeaderName;

    pub(crate) use crate::infer::pick::VARIANT;

    pub(crate) static VERSION: HeaderName = HeaderName::from_static(super::VERSION_HEADER);
    pub(crate) static TIMEOUT: HeaderName = HeaderName::from_static(super::TIMEOUT_HEADER);
    pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static(super::REQUEST_ID_HEADER);
    pub(crate) static HEADER_LENGTH: HeaderName = HeaderName::from_static(models::oip::HEADER_LENGTH);
}

/// How much a caller may send. Each limit is checked before memory for what is over it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one HTTP body as sent.
    pub body_bytes: usize,
    /// Bytes of one gRPC request message, before and after decompression.
    pub message_bytes: usize,
    /// Bytes of one HTTP body after `Content-Encoding` is undone.
    pub inflated_bytes: usize,
    /// How long an HTTP body may take to arrive.
    pub body_read_timeout: Duration,
    /// Inputs of one request, and outputs asked for.
    pub tensors: usize,
    /// Dimensions of one tensor.
    pub rank: usize,
    /// Requests of one `ModelStreamInfer` stream that are worked on at once.
    pub stream_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            message_bytes: 64 << 20,
            inflated_bytes: 64 << 20,
            body_read_timeout: Duration::from_secs(60),
            tensors: 256,
            rank: 16,
            stream_in_flight: 16,
        }
    }
}

impl Limits {
    /// What bounds the tensors of one request.
    pub(crate) const fn oip(&self) -> models::oip::Limits {
        models::oip::Limits { tensors: self.tensors, rank: self.rank }
    }
}

/// What the serving front ends share.
pub struct Front {
    /// The request path.
    pub inference: Inference,
    /// What may be said of models.
    pub catalog: Catalog,
    /// How much callers may send.
    pub limits: Limits,
    /// How much all of them together may have sent.
    pub budget: Budget,
    /// Who may ask on the serving ports.
    pub guard: Guard,
    /// Which requests are logged.
    pub access: AccessLog,
    /// Cancelled when the process starts to go away: health says so from then on, while everything is still served.
    pub draining: CancellationToken,
    /// Cancelled when the ports close: streams end after what they hold is answered.
    pub closing: CancellationToken,
}

impl Front {
    /// Ready to be handed to [`http::service`] and [`grpc::service`].
    #[must_use]
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

/// Names the version that answered, and its role.
pub(crate) fn tell_who_answered(headers: &mut HeaderMap, version: &str, variant: Variant) {
    // The label of a version is visible ASCII.
    if let Ok(version) = HeaderValue::from_str(version) {
        headers.insert(&names::VERSION, version);
    }
    let variant = match variant {
        Variant::Stable => &STABLE,
        Variant::Canary => &CANARY,
    };
    headers.insert(&names::VARIANT, variant.clone());
}

/// Checked when they are compiled, and not for each answer.
static STABLE: HeaderValue = HeaderValue::from_static(Variant::Stable.name());
static CANARY: HeaderValue = HeaderValue::from_static(Variant::Canary.name());

/// Bytes of the longest error. gRPC clients read 8 to 16 KiB of headers, in which an error's text may take three bytes
/// for each of its own, and fail with an error of their own over that.
const ERROR_BYTES_MAX: usize = 4 << 10;

/// `error` as a caller is told it: whatever names and problems it repeats, no longer than clients can take.
pub(crate) fn told(error: &impl std::fmt::Display) -> String {
    let mut text = error.to_string();
    if text.len() > ERROR_BYTES_MAX {
        text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX - '…'.len_utf8()));
        text.push('…');
    }
    text
}

/// The shorter of two waits, where `None` is no limit.
pub(crate) fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_cut_between_characters() {
        assert_eq!(told(&"short"), "short");
        assert_eq!(told(&"x".repeat(ERROR_BYTES_MAX)).len(), ERROR_BYTES_MAX);
        let cut = told(&"é".repeat(ERROR_BYTES_MAX));
        assert!(cut.ends_with("é…") && (ERROR_BYTES_MAX - 1..=ERROR_BYTES_MAX).contains(&cut.len()), "{}", cut.len());
    }
}
