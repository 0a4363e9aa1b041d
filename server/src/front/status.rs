//! One table from [`InferError`], and one from [`Refused`], to the codes of both protocols.
//!
//! The `match`es have no wildcard: a new way to fail does not compile until it has a code in each protocol.

use std::time::Duration;

use ::http::StatusCode;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::guard::Refused;
use super::told;
use crate::infer::InferError;

/// What gRPC's own retry policies read: milliseconds to wait, and never again where it is negative.
pub(crate) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What each protocol answers, and when trying again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes {
    /// HTTP.
    pub http: StatusCode,
    /// gRPC.
    pub grpc: Code,
    /// `Retry-After`, and gRPC's retry pushback.
    pub retry_after: Option<Duration>,
}

/// The codes of `error`.
#[must_use]
pub fn codes(error: &InferError) -> Codes {
    let (http, grpc, retry_after) = match error {
        InferError::InvalidArgument(_) => (StatusCode::BAD_REQUEST, Code::InvalidArgument, None),
        InferError::ModelNotFound { .. } | InferError::VersionNotFound { .. } | InferError::VariantNotFound { .. } => {
            (StatusCode::NOT_FOUND, Code::NotFound, None)
        }
        InferError::NotReady { .. } | InferError::ShuttingDown | InferError::DeviceLost => {
            (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, None)
        }
        InferError::Overloaded { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted, Some(*retry_after))
        }
        InferError::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, Code::DeadlineExceeded, None),
        InferError::Model { .. } | InferError::NonFinite | InferError::NotInJson { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, None)
        }
    };
    Codes { http, grpc, retry_after }
}

/// The codes of a caller that is not let in: who it is is not known, it may not, or not so much.
#[must_use]
pub const fn refusal_codes(refused: Refused) -> Codes {
    let (http, grpc, retry_after) = match refused {
        Refused::Unknown | Refused::TokenUnknown | Refused::TokenMissing => {
            (StatusCode::UNAUTHORIZED, Code::Unauthenticated, None)
        }
        Refused::Forbidden(_) | Refused::TokenWrong | Refused::NotLocal | Refused::HostName => {
            (StatusCode::FORBIDDEN, Code::PermissionDenied, None)
        }
        Refused::AtOnce { retry_after } | Refused::TooOften { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted, Some(retry_after))
        }
    };
    Codes { http, grpc, retry_after }
}

/// `Retry-After` in whole seconds, at least one: the header has no finer unit.
#[must_use]
pub fn retry_after_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// `error` as a gRPC status.
#[must_use]
pub fn grpc_status(error: &InferError) -> Status {
    status(codes(error), error)
}

/// A refused caller's gRPC status.
#[must_use]
pub fn refusal_status(refused: Refused) -> Status {
    status(refusal_codes(refused), &refused)
}

fn status(codes: Codes, error: &impl std::fmt::Display) -> Status {
    let Codes { grpc, retry_after, .. } = codes;
    let mut metadata = MetadataMap::new();
    if let Some(wait) = retry_after {
        metadata.insert("retry-after", retry_after_seconds(wait).into());
        // Rounded up, so that who waits as long as it is told is not told again.
        let pushback_ms = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        metadata.insert(PUSHBACK, pushback_ms.into());
    }
    Status::with_metadata(grpc, told(error), metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Variant;

    #[test]
    fn each_error_has_the_codes_of_the_contract() {
        let model = || "m".to_owned();
        let wait = Duration::from_millis(1500);
        let table = [
            (InferError::InvalidArgument("x".into()), 400, Code::InvalidArgument),
            (InferError::ModelNotFound { model: model() }, 404, Code::NotFound),
            (InferError::VersionNotFound { model: model(), version: "v1".into() }, 404, Code::NotFound),
            (InferError::VariantNotFound { model: model(), variant: Variant::Canary }, 404, Code::NotFound),
            (InferError::NotReady { model: model() }, 503, Code::Unavailable),
            (InferError::ShuttingDown, 503, Code::Unavailable),
            (InferError::Overloaded { retry_after: wait }, 429, Code::ResourceExhausted),
            (InferError::DeadlineExceeded, 504, Code::DeadlineExceeded),
            (InferError::Model { reason: "x" }, 500, Code::Internal),
            (InferError::NonFinite, 500, Code::Internal),
            (InferError::NotInJson { output: "y".into() }, 500, Code::Internal),
        ];
        for (error, http, grpc) in table {
            let codes = codes(&error);
            assert_eq!((codes.http.as_u16(), codes.grpc), (http, grpc), "{error}");
            assert_eq!(codes.retry_after.is_some(), http == 429, "{error}");
        }
    }

    #[test]
    fn waits_are_rounded_up_to_a_second() {
        let seconds = |ms| retry_after_seconds(Duration::from_millis(ms));
        assert_eq!([seconds(0), seconds(1), seconds(1000), seconds(1001)], [1, 1, 1, 2]);
    }

    #[test]
    fn grpc_carries_the_pushback() {
        let status = grpc_status(&InferError::Overloaded { retry_after: Duration::from_millis(250) });
        assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "250");
    }
}
