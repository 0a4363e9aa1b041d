//! What a model is: artifact formats to a [`Signature`] and a plan, and running a batch of tensors through it.
//!
//! Owns tensors as callers see them, signatures, format parsing and the execution plan. It knows no tokio, no file
//! paths, no network and nothing of versions or traffic: files come in as named byte ranges.

#![forbid(unsafe_code)]

pub mod signature;
pub mod tensor;

pub use signature::{Dim, Signature, TensorSpec};
pub use tensor::{Datatype, NamedTensor, Tensor, TensorError};
