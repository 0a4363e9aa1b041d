//! Everything the HTTP port refuses, and how it says so.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_ENCODING, ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::front::guard::Refused;
use crate::front::status::{codes, refusal_codes, retry_after_seconds};
use crate::front::{shown, told};
use crate::infer::InferError;

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Refused by the request path, or while decoding for it.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The caller is not let in.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The body is over its limit.
    #[error("the body is {}, over the limit of {limit} bytes", length_told(*length))]
    BodyTooLarge {
        /// As announced, where it was.
        length: Option<u64>,
        /// What is allowed.
        limit: usize,
    },
    /// The body is over its limit once it is inflated.
    #[error("the body is over the limit of {limit} bytes when its {encoding} encoding is undone")]
    InflatedTooLarge {
        /// `gzip`, `deflate` or `zstd`.
        encoding: &'static str,
        /// What is allowed.
        limit: usize,
    },
    /// The body is not what its `Content-Encoding` says.
    #[error("the body is not {encoding} as its content-encoding says")]
    NotInflated {
        /// `gzip`, `deflate` or `zstd`.
        encoding: &'static str,
    },
    /// None of gzip, deflate and zstd.
    #[error("content-encoding '{}' is not supported; use gzip, deflate, zstd or none", shown(encoding))]
    UnknownEncoding {
        /// As sent.
        encoding: String,
    },
    /// What was to be done off the runtime's threads was not: the process is going away.
    #[error("the server is shutting down")]
    GoingAway,
    /// The body did not arrive in time.
    #[error("the body did not arrive within {seconds} s")]
    BodyTimeout {
        /// What is allowed.
        seconds: u64,
    },
    /// The caller went away, or broke the transfer encoding.
    #[error("the body broke off")]
    BodyBroken,
    /// No such endpoint.
    #[error("there is nothing at '{}'; see /v2", shown(path))]
    NoRoute {
        /// As asked.
        path: String,
    },
    /// The endpoint exists for another method.
    #[error("'{}' does not take {}", shown(path), shown(method))]
    WrongMethod {
        /// As asked.
        method: String,
        /// As asked.
        path: String,
        /// What it does take, where the router does not say so itself.
        allow: Option<&'static str>,
    },
    /// A call that changes what is served.
    #[error("models are loaded and unloaded by the values file, not by a call: commit the change there")]
    NotByCall,
}

fn length_told(length: Option<u64>) -> String {
    length.map_or_else(|| "longer".to_owned(), |length| format!("{length} bytes"))
}

impl From<models::oip::Invalid> for HttpError {
    fn from(invalid: models::oip::Invalid) -> Self {
        Self::Infer(invalid.into())
    }
}

impl HttpError {
    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Infer(error) => codes(error).http,
            Self::Refused(refused) => refusal_codes(*refused).http,
            Self::BodyTooLarge { .. } | Self::InflatedTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotInflated { .. } | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::UnknownEncoding { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::GoingAway => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTimeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoute { .. } => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotByCall => StatusCode::NOT_IMPLEMENTED,
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = error_response(self.status(), &told(&self));
        let retry_after = match &self {
            Self::Infer(error) => codes(error).retry_after,
            Self::Refused(refused) => refusal_codes(*refused).retry_after,
            _ => None,
        };
        if let Some(wait) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, retry_after_seconds(wait).into());
        }
        match &self {
            Self::Refused(_) if response.status() == StatusCode::UNAUTHORIZED => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::WrongMethod { allow: Some(allow), .. } => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            }
            Self::UnknownEncoding { .. } => {
                response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, zstd"));
            }
            _ => {}
        }
        response
    }
}

/// `{"error": "…"}` with that status.
pub(crate) fn error_response(status: StatusCode, error: &str) -> Response {
    (status, Json(serde_json::json!({ "error": error }))).into_response()
}
