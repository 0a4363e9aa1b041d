//! Why an artifact is not a model, and why a model did not answer.

use std::fmt;
use std::sync::Arc;

/// Why an artifact could not be loaded. The same bytes fail again, except for [`LoadError::Device`].
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// None of the files is a model.
    #[error("no model{}; expected model.onnx", among(files))]
    NoModel {
        /// What is there (the first few).
        files: Vec<String>,
    },
    /// More than one file could be the model.
    #[error("several models: {}; an artifact holds one", files.join(", "))]
    Ambiguous {
        /// The candidates.
        files: Vec<String>,
    },
    /// A format that sluice knows of but does not run.
    #[error("format {format} ({file}) is not supported; export the model to ONNX")]
    Unsupported {
        /// Such as `xgboost`.
        format: &'static str,
        /// Where it was found.
        file: String,
    },
    /// A pickle can run any code while it is read.
    #[error("{file} is a pickle, which can run any code when it is read: export the model to ONNX")]
    Pickle {
        /// Which file.
        file: String,
    },
    /// A file or count over its limit.
    #[error("{what}: {actual} is over the limit of {limit}")]
    TooLarge {
        /// What was counted, with its place.
        what: String,
        /// Most that is accepted.
        limit: u64,
        /// What was found.
        actual: u64,
    },
    /// A protobuf that cannot be decoded.
    #[error("{file} ({bytes} bytes) is not an ONNX model: {source}; export or upload it again")]
    Decode {
        /// Which file.
        file: String,
        /// Its size.
        bytes: usize,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// What is wrong with the graph, all of it.
    #[error("{}", list(.0))]
    Graph(Vec<GraphProblem>),
    /// An `MLmodel` file that cannot be read.
    #[error("MLmodel: {reason}")]
    Mlmodel {
        /// What is wrong and where.
        reason: String,
    },
    /// The signature in `MLmodel` and the graph's own do not agree.
    #[error("the signature in MLmodel does not fit the model: {}", .problems.join("; "))]
    SignatureMismatch {
        /// Each disagreement.
        problems: Vec<String>,
    },
    /// The plan did not run on a sample made from its signature.
    #[error("a trial run of {rows} row failed: {source}")]
    Trial {
        /// Rows of the sample.
        rows: usize,
        /// What went wrong.
        source: RunError,
    },
    /// What a trial run returned is not what the graph declares.
    #[error("output '{output}' is declared as {declared} but a trial run returned {actual}")]
    OutputMismatch {
        /// Which output.
        output: String,
        /// Datatype and shape from the graph.
        declared: String,
        /// What came.
        actual: String,
    },
    /// The device refused, such as for lack of memory.
    #[error("device: {0}")]
    Device(#[source] candle_core::Error),
}

/// One thing wrong with a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphProblem {
    /// An op that is not implemented.
    #[error("op `{op}` (node `{node}`, {domain} opset {opset}) is not supported{}", advice(.hint))]
    UnsupportedOp {
        /// Type of the op.
        op: String,
        /// Name of the node, or its first output where it has none.
        node: String,
        /// `ai.onnx` where the file leaves it empty.
        domain: String,
        /// Version of the domain.
        opset: i64,
        /// What to do instead, where there is something.
        hint: Option<&'static str>,
    },
    /// A node that is wrong or outside what is implemented of its op.
    #[error("op `{op}` (node `{node}`): {reason}")]
    Node {
        /// Type of the op.
        op: String,
        /// Name of the node.
        node: String,
        /// What is wrong.
        reason: String,
    },
    /// A name that nothing produces before it is used.
    #[error("node `{node}` reads `{name}`, which {}", if *.later { "is produced by a later node or by itself" } else { "nothing produces" })]
    Undefined {
        /// The reader.
        node: String,
        /// The name.
        name: String,
        /// Whether a node further down produces it: the graph has a cycle or is not sorted.
        later: bool,
    },
    /// A value with two producers.
    #[error("value `{0}` is defined twice")]
    Duplicate(String),
    /// An initializer or attribute tensor that is not a tensor.
    #[error("tensor `{name}`: {reason}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A model input or output that callers could not send or receive.
    #[error("{what} `{name}`: {reason}")]
    Interface {
        /// `input` or `output`.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An operator set version that is not implemented.
    #[error("{domain} opset {version} is not supported; supported are {min} to {max}")]
    Opset {
        /// Which operator set.
        domain: String,
        /// As imported.
        version: i64,
        /// Oldest.
        min: i64,
        /// Newest.
        max: i64,
    },
    /// A file without a graph, or a graph without outputs.
    #[error("{0}")]
    Empty(&'static str),
}

/// Why a model did not answer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The inputs do not fit the signature.
    #[error("{}", list(.0))]
    Inputs(Vec<InputError>),
    /// A number in an input is outside what the model was built for, such as an id past the end of an embedding.
    #[error("input '{input}': index {index} is not within -{size}..{size}")]
    Index {
        /// Which input.
        input: Arc<str>,
        /// As given.
        index: i64,
        /// Entries of the table.
        size: usize,
    },
    /// A number in an input is more than the engine can compute with.
    #[error("input '{input}': {problem}")]
    Number {
        /// Which input.
        input: Arc<str>,
        /// What about it.
        problem: OpError,
    },
    /// A step of the plan failed.
    #[error("step `{step}` ({op}): {source}")]
    Step {
        /// Name of the node it comes from.
        step: Arc<str>,
        /// What it computes.
        op: &'static str,
        /// Why.
        source: OpError,
    },
}

impl RunError {
    /// Whether a NaN came up that no output could have carried.
    #[must_use]
    pub const fn is_non_finite(&self) -> bool {
        matches!(self, Self::Step { source: OpError::NonFinite, .. })
    }

    /// Whether the caller's numbers are at fault, not the model.
    #[must_use]
    pub const fn is_callers(&self) -> bool {
        matches!(self, Self::Inputs(_) | Self::Index { .. } | Self::Number { .. })
    }
}

/// One thing wrong with the inputs of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A required input is absent.
    #[error("input '{name}' is missing; it is {spec}")]
    Missing {
        /// Which.
        name: Arc<str>,
        /// What is expected.
        spec: String,
    },
    /// A name the model does not have.
    #[error("input '{name}' is not known; the model has {}", quoted(.known))]
    Unexpected {
        /// As given.
        name: Arc<str>,
        /// The model's.
        known: Vec<Arc<str>>,
    },
    /// One name twice.
    #[error("input '{name}' is given twice")]
    Duplicate {
        /// As given.
        name: Arc<str>,
    },
    /// Another element type.
    #[error("input '{name}': datatype {actual} does not fit the model's {expected}")]
    Datatype {
        /// Which.
        name: Arc<str>,
        /// The model's.
        expected: crate::Datatype,
        /// As given.
        actual: crate::Datatype,
    },
    /// Another rank or another size of a fixed axis, or an axis of size 0.
    #[error("input '{name}': shape {actual:?} does not fit the model's {expected}")]
    Shape {
        /// Which.
        name: Arc<str>,
        /// The model's, `-1` for any size.
        expected: String,
        /// As given.
        actual: Vec<usize>,
    },
    /// Inputs of one request with different sizes of the first axis.
    #[error("input '{name}' has {actual} rows, but '{first}' has {expected}")]
    Rows {
        /// Which.
        name: Arc<str>,
        /// The input it is compared with.
        first: Arc<str>,
        /// Rows of that one.
        expected: usize,
        /// Rows of this one.
        actual: usize,
    },
    /// A tensor without elements.
    #[error("input '{name}': shape {actual:?} has no elements; send at least one row")]
    Empty {
        /// Which.
        name: Arc<str>,
        /// As given.
        actual: Vec<usize>,
    },
}

/// Why an op could not compute.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    /// An operand of a datatype that the op does not take.
    #[error("{op} does not take {datatype}")]
    Datatype {
        /// The op.
        op: &'static str,
        /// Of the operand.
        datatype: crate::Datatype,
    },
    /// Operands of two datatypes.
    #[error("operands are {0} and {1}")]
    Mixed(crate::Datatype, crate::Datatype),
    /// Shapes that do not fit the op.
    #[error("{0}")]
    Shape(String),
    /// An index out of range.
    #[error("index {index} is not within -{size}..{size}")]
    Index {
        /// As given.
        index: i64,
        /// Entries.
        size: usize,
    },
    /// A number that cannot be computed with, such as a division by zero in integers.
    #[error("{0}")]
    Value(&'static str),
    /// A NaN where the result cannot say that there was one.
    #[error("no element is the largest where one is NaN")]
    NonFinite,
    /// The engine computes whole numbers as I64.
    #[error("a UINT64 over 2^63 - 1 cannot be computed with")]
    Unsigned,
    /// More elements than a value may have.
    #[error("{elements} elements are over the limit of {limit}")]
    TooLarge {
        /// Asked for.
        elements: u64,
        /// Most.
        limit: u64,
    },
    /// Not a tensor: bytes and shape disagree.
    #[error(transparent)]
    Tensor(#[from] crate::TensorError),
    /// From the engine or the device.
    #[error(transparent)]
    Engine(#[from] candle_core::Error),
}

fn list<T: fmt::Display>(problems: &[T]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn quoted(names: &[Arc<str>]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

fn advice(hint: &Option<&'static str>) -> String {
    hint.map_or_else(|| ": export the model without it".to_owned(), |hint| format!(": {hint}"))
}

/// What is there in place of a model.
fn among(files: &[String]) -> String {
    if files.is_empty() { ": there are no files".to_owned() } else { format!(" among the files {}", files.join(", ")) }
}
