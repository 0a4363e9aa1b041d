//! Why a caller gets no answer: one closed enum, whose codes the front ends map without a wildcard.

use std::sync::Arc;
use std::time::Duration;

use crate::route::Variant;

/// Why a request has no answer. Texts are for callers: they name no path, address or internal identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InferError {
    /// The request is wrong; the text names the tensor and what would be right.
    #[error("{0}")]
    InvalidArgument(String),
    /// No values file declares this model.
    #[error("model '{model}' is not served here")]
    ModelNotFound {
        /// As asked for.
        model: String,
    },
    /// The model has no such version resident.
    #[error("model '{model}' has no version '{version}'")]
    VersionNotFound {
        /// As asked for.
        model: String,
        /// As asked for.
        version: String,
    },
    /// The request named a variant that does not exist now.
    #[error("model '{model}' has no {variant} version")]
    VariantNotFound {
        /// As asked for.
        model: String,
        /// As asked for.
        variant: Variant,
    },
    /// The model is declared, but its first version is not up yet.
    #[error("model '{model}' is not ready")]
    NotReady {
        /// As asked for.
        model: String,
    },
    /// The process is draining.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// What the models run on is lost, and the process is about to end.
    #[error("the server lost its device and is shutting down; another one may answer")]
    DeviceLost,
    /// More work waits than the limits allow.
    #[error("too many requests are waiting; try again in {} ms", retry_after.as_millis())]
    Overloaded {
        /// A sensible pause before the next try.
        retry_after: Duration,
    },
    /// The deadline passed before the answer was there.
    #[error("the deadline passed before the answer was ready")]
    DeadlineExceeded,
    /// The model failed on this request.
    #[error("the model failed: {reason}")]
    Model {
        /// What kind of failure, without internals.
        reason: &'static str,
    },
    /// Stable's own NaN or Inf, which it may mean, for a caller that asked for JSON.
    #[error(
        "output '{output}' holds NaN or infinity, which JSON cannot carry; ask for it with the binary tensor extension"
    )]
    NotInJson {
        /// Which output.
        output: Arc<str>,
    },
    /// An output held NaN or Inf, or would have.
    #[error("the model's outputs held NaN or infinity")]
    NonFinite,
}

impl InferError {
    /// The `code` label in metrics and logs.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::InvalidArgument(_) => Code::InvalidArgument,
            Self::ModelNotFound { .. } | Self::VersionNotFound { .. } | Self::VariantNotFound { .. } => Code::NotFound,
            Self::NotReady { .. } | Self::ShuttingDown | Self::DeviceLost => Code::Unavailable,
            Self::Overloaded { .. } => Code::Overloaded,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Model { .. } | Self::NonFinite | Self::NotInJson { .. } => Code::Internal,
        }
    }
}

/// How a request ended, as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Answered.
    Ok,
    /// The caller's mistake.
    InvalidArgument,
    /// No such model, version or variant.
    NotFound,
    /// Not ready, or going away.
    Unavailable,
    /// A queue or the process is full.
    Overloaded,
    /// Too late.
    DeadlineExceeded,
    /// The model's failure.
    Internal,
    /// The caller left first.
    Cancelled,
}

impl Code {
    /// Every code, in the order of the counters.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::InvalidArgument,
        Self::NotFound,
        Self::Unavailable,
        Self::Overloaded,
        Self::DeadlineExceeded,
        Self::Internal,
        Self::Cancelled,
    ];

    /// The label's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "resource_exhausted",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Internal => "internal",
            Self::Cancelled => "cancelled",
        }
    }
}
