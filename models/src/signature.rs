//! The contract of a model with its callers: named inputs and outputs, checked before anything is queued.

use std::sync::Arc;

use crate::tensor::Datatype;

/// One axis of a declared shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Exactly this size.
    Fixed(usize),
    /// Any size, written `-1` on the wire.
    Any,
}

/// A named input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name on the wire.
    pub name: Arc<str>,
    /// Element type.
    pub datatype: Datatype,
    /// Dimensions, the batch axis included where the model has one.
    pub shape: Vec<Dim>,
}

/// Named inputs and outputs, in the model's own order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Required inputs.
    pub inputs: Vec<TensorSpec>,
    /// Outputs, all of which are computed.
    pub outputs: Vec<TensorSpec>,
    /// Whether the first axis of every input and output is the batch: rows of several requests may be joined.
    pub batched: bool,
}
