//! Wire forms to [`InferRequest`](crate::infer::InferRequest) and replies back to wire forms.
//!
//! The JSON of V2 is [`models::oip`]'s; gRPC messages, V1 and what is told of models are here. Pure functions of bytes
//! and data: no sockets, no clocks, no tasks. Every refusal is an
//! [`InferError::InvalidArgument`] that names the tensor; everything wrong with the tensors of a request is told at once.

pub mod bounds;
pub mod metadata;
pub mod proto;
pub mod v1;

use models::oip::{Invalid, NAME_MAX};

use crate::infer::InferError;

impl From<Invalid> for InferError {
    fn from(Invalid(problem): Invalid) -> Self {
        Self::InvalidArgument(problem)
    }
}

pub(crate) fn invalid(problem: impl Into<String>) -> InferError {
    InferError::InvalidArgument(problem.into())
}

/// A model's name or version from the wire: not empty, and short enough to be worth looking up.
pub(crate) fn name(what: &str, text: &str) -> Result<(), InferError> {
    match text.len() {
        0 => Err(invalid(format!("{what} is empty"))),
        1..=NAME_MAX => Ok(()),
        length => Err(invalid(format!("{what} is {length} bytes long, over the limit of {NAME_MAX}"))),
    }
}
