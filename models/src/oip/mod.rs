//! The JSON forms of the Open Inference Protocol V2: what golden files hold and what callers send and get.
//!
//! Owns the wire forms of requests, answers and tensors, with or without the binary tensor extension, and what is wrong
//! with them in one sentence each. It knows neither transports nor versions nor traffic: bytes come in, and what it
//! refuses is an [`Invalid`] for others to wrap.

pub mod json;

mod elements;
mod header;
mod problems;
mod repeated;
mod reply;
mod request;
mod tensor;
mod wire;

pub use elements::{Element, Elements};
pub use header::{Header, NAME_MAX};
pub use problems::{Invalid, Problems, Shown, shown, tensor_count, too_many, unique};
pub use repeated::Repeated;
pub use reply::{COPY_BYTES_MAX, Encoded, Reply, encode};
pub use request::{BinaryOutputs, Decoded, decode};
pub use tensor::TensorJson;

/// Header of requests and answers: how many bytes of the body are JSON, where raw tensors follow it.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

/// FP16 and BF16 have no JSON or typed form; this says what does carry them.
pub const HALF_NEEDS_BINARY: &str = "has no JSON form; send and ask for it with the binary tensor extension";
/// The refusal of `shared_memory_region`.
pub const NO_SHARED_MEMORY: &str =
    "shared memory is not supported: a client cannot name memory of the server; send the tensor in the request";
/// The refusal of `classification`.
pub const NO_CLASSIFICATION: &str =
    "the classification extension is not supported; ask for the tensor and rank it in the client";

/// How much one request may say. Each limit is checked before memory for what is over it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Inputs of one request, and outputs asked for.
    pub tensors: usize,
    /// Dimensions of one tensor.
    pub rank: usize,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Self = Self { tensors: 256, rank: 16 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests;
