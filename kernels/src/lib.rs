//! Each op of the engine in one folder: its CPU version and its reference.
//!
//! Owns arithmetic over buffers and candle tensors. It knows nothing of models, names or requests. A call on a shape
//! or datatype it does not have is an error, never a panic; an op without its own device code falls back to candle's.

pub mod bias_activation;
#[cfg(feature = "cuda")]
mod cases;
pub mod cuda;
mod element;
pub mod embedding;
pub mod health;
#[cfg(feature = "cuda")]
pub mod launch;
pub mod softmax;
#[cfg(feature = "cuda")]
mod suite;

pub use bias_activation::{Activation, dense};
pub use element::Float;
