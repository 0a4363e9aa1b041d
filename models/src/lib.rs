//! What a model is: artifact formats to a [`Signature`] and a plan, and running a batch of tensors through it.
//!
//! Owns tensors as callers see them, signatures, format parsing and the execution plan. It knows no tokio, no file
//! paths, no network and nothing of versions or traffic: files come in as named byte ranges.

#![forbid(unsafe_code)]

pub mod error;
pub mod files;
pub mod golden;
pub mod signature;
pub mod tensor;

mod artifact;
mod mlmodel;
pub mod model;
pub mod oip;
mod onnx;
mod plan;
mod sample;
mod trial;

/// The CUDA device below the engine.
pub use kernels::cuda;

pub use error::{GraphProblem, InputError, LoadError, OpError, RunError};
pub use files::{FilesError, ModelFiles};
pub use golden::{Golden, GoldenError, Tolerance};
pub use model::{Cost, Inspection, Model, Placing, inspect, load};
pub use signature::{Dim, Signature, TensorSpec};
pub use tensor::{Datatype, NamedTensor, Tensor, TensorError};
