//! The V1 predict request and response: rows (`instances`, answered as `predictions`) or columns (`inputs`, answered
//! as `outputs`), with the rules of TensorFlow Serving.
//!
//! V1 sends neither datatype nor shape: the datatype is the signature's, the shape is how the lists are nested. A model
//! of one input (output) leaves its name out; one of several uses objects.

mod decode;
mod encode;

pub use decode::decode;
pub use encode::encode;

/// How the request came, and so how the response goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `instances` to `predictions`: one entry for each row.
    Rows,
    /// `inputs` to `outputs`: one tensor for each name.
    Columns,
}
