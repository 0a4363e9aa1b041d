//! The closed list of ops, each with one output, and what one costs.

use std::collections::HashMap;

use kernels::Activation;
use kernels::cuda::Gpu;

use super::ops::{compare, elementwise, gather, matrix, normal, reduce, shape};
use super::value::Value;
use crate::error::OpError;
use crate::tensor::{Datatype, Tensor};

/// What one step computes. Operands are in the order of the comment.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// x: from a caller's bytes to what the engine computes in.
    Upload,
    /// x: from the host, a caller's bytes too, to the device.
    ToDevice,
    /// x: from the device.
    ToHost,
    /// x: `activation(x · weight + bias)`.
    Dense(Box<matrix::Dense>),
    /// a, b
    MatMul,
    /// x
    Activate(Activation),
    /// x: times this
    Scale(f64),
    /// x
    Unary(Unary),
    /// a, b
    Binary(Binary),
    /// condition, a, b
    Where,
    /// x, the bounds fixed
    Clip { min: Option<f64>, max: Option<f64> },
    /// x; before opset 13, everything from the axis on is one axis.
    Softmax { axis: i64, kind: kernels::softmax::Kind, flatten: bool },
    /// x: by the last axis
    Normalise(Norm),
    /// x: scale and shift of axis 1
    Channels { scale: candle_core::Tensor, shift: candle_core::Tensor },
    /// x: unchanged, if its last axis has this size; for constants that must not be broadcast to a narrower one
    Width(usize),
    /// table, indices
    Gather { axis: i64 },
    /// table, indices: `ArrayFeatureExtractor`
    TakeLast,
    /// keys
    Labels { keys: LabelKeys, values: Tensor },
    /// any number
    Concat { axis: i64 },
    /// x, shape
    Reshape { zero_copies: bool },
    /// x
    Flatten { axis: i64 },
    /// x; no axes: every axis of size 1
    Squeeze { axes: Option<Vec<i64>> },
    /// x
    Unsqueeze { axes: Vec<i64> },
    /// x; no order: reversed
    Transpose { order: Option<Vec<i64>> },
    /// x, starts, ends, axes or absent, steps or absent
    Slice,
    /// x: one of equal parts or of the given sizes
    Part { axis: i64, index: usize, parts: Parts },
    /// x, shape
    Expand,
    /// x
    Shape { start: i64, end: Option<i64> },
    /// x
    Cast { to: Datatype },
    /// x; no axes: all
    Reduce { kind: Reduce, axes: Option<Vec<i64>>, keep: bool },
    /// x
    ArgMax { axis: i64, keep: bool },
}

/// Functions of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Neg,
    Sqrt,
    Exp,
    Log,
    Abs,
    Erf,
    Reciprocal,
    Floor,
    Ceil,
    Sin,
    Cos,
    Not,
    IsNan,
}

/// Functions of two operands that are broadcast to one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Max,
    Min,
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Xor,
}

/// Functions over axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reduce {
    Sum,
    SumSquare,
    L1,
    L2,
    Mean,
    Max,
    Min,
}

/// What a row is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norm {
    Max,
    L1,
    L2,
}

/// How an axis is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parts {
    /// Into so many, the last one smaller.
    Count(usize),
    /// Into these.
    Sizes(Vec<usize>),
}

/// Where a label is in its list of values; a key that is not there takes the value past the last.
#[derive(Debug, Clone)]
pub(crate) enum LabelKeys {
    Ints(HashMap<i64, usize>),
    Bytes(HashMap<Vec<u8>, usize>),
}

impl Op {
    /// For `explain` and errors.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::ToDevice => "to_device",
            Self::ToHost => "to_host",
            Self::Dense(_) => "dense",
            Self::MatMul => "matmul",
            Self::Activate(_) => "activate",
            Self::Scale(_) => "scale",
            Self::Unary(_) => "unary",
            Self::Binary(_) => "binary",
            Self::Where => "where",
            Self::Clip { .. } => "clip",
            Self::Softmax { .. } => "softmax",
            Self::Normalise(_) => "normalise",
            Self::Channels { .. } => "channels",
            Self::Width(_) => "width",
            Self::Gather { .. } => "gather",
            Self::TakeLast => "take_last",
            Self::Labels { .. } => "labels",
            Self::Concat { .. } => "concat",
            Self::Reshape { .. } => "reshape",
            Self::Flatten { .. } => "flatten",
            Self::Squeeze { .. } => "squeeze",
            Self::Unsqueeze { .. } => "unsqueeze",
            Self::Transpose { .. } => "transpose",
            Self::Slice => "slice",
            Self::Part { .. } => "part",
            Self::Expand => "expand",
            Self::Shape { .. } => "shape",
            Self::Cast { .. } => "cast",
            Self::Reduce { .. } => "reduce",
            Self::ArgMax { .. } => "argmax",
        }
    }

    /// What tells two ops of one name apart.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Dense(dense) => dense.to_string(),
            Self::Activate(activation) => activation.to_string(),
            Self::Scale(factor) => factor.to_string(),
            Self::Width(width) => width.to_string(),
            Self::Unary(kind) => format!("{kind:?}").to_lowercase(),
            Self::Binary(kind) => format!("{kind:?}").to_lowercase(),
            Self::Softmax { axis, kind, .. } => format!("{kind:?} axis {axis}").to_lowercase(),
            Self::Normalise(norm) => format!("{norm:?}").to_lowercase(),
            Self::Gather { axis } | Self::Concat { axis } | Self::ArgMax { axis, .. } => format!("axis {axis}"),
            Self::Cast { to } => to.to_string(),
            Self::Clip { min, max } => format!("{min:?}..{max:?}"),
            Self::Reduce { kind, axes, .. } => format!("{kind:?} {axes:?}").to_lowercase(),
            _ => String::new(),
        }
    }

    /// [`run`](Self::run) on made-up values: a NaN among them says nothing of the model.
    pub(crate) fn run_on_samples(&self, args: &[Option<&Value>], gpu: Option<&Gpu>) -> Result<Value, OpError> {
        match (self, args) {
            (Self::ArgMax { axis, keep }, [Some(scores)]) => reduce::argmax_of_any(scores, *axis, *keep),
            _ => self.run(args, gpu),
        }
    }

    /// Computes. An absent optional operand is `None`. Where there is no device, the host stands for it.
    pub(crate) fn run(&self, args: &[Option<&Value>], gpu: Option<&Gpu>) -> Result<Value, OpError> {
        let arg = |index: usize| args.get(index).copied().flatten().ok_or(OpError::Value("an operand is missing"));
        let optional = |index: usize| args.get(index).copied().flatten();
        match self {
            Self::Upload => arg(0)?.upload(),
            Self::ToDevice => arg(0)?.to_device(gpu),
            Self::ToHost => arg(0)?.to_host(gpu),
            Self::Dense(dense) => dense.run(arg(0)?),
            Self::MatMul => matrix::matmul(arg(0)?, arg(1)?),
            Self::Activate(activation) => elementwise::activate(arg(0)?, *activation),
            Self::Scale(factor) => elementwise::scale(arg(0)?, *factor),
            Self::Unary(kind) => elementwise::unary(arg(0)?, *kind),
            Self::Binary(kind) => elementwise::binary(arg(0)?, arg(1)?, *kind),
            Self::Where => compare::select(arg(0)?, arg(1)?, arg(2)?),
            Self::Clip { min, max } => elementwise::clip(arg(0)?, *min, *max),
            Self::Softmax { axis, kind, flatten } => normal::softmax(arg(0)?, *axis, *kind, *flatten),
            Self::Normalise(norm) => normal::normalise(arg(0)?, *norm),
            Self::Channels { scale, shift } => normal::channels(arg(0)?, scale, shift),
            Self::Width(width) => shape::width(arg(0)?, *width),
            Self::Gather { axis } => gather::gather(arg(0)?, arg(1)?, *axis),
            Self::TakeLast => gather::take_last(arg(0)?, arg(1)?),
            Self::Labels { keys, values } => gather::labels(arg(0)?, keys, values),
            Self::Concat { axis } => shape::concat(args, *axis),
            Self::Reshape { zero_copies } => shape::reshape(arg(0)?, arg(1)?, *zero_copies),
            Self::Flatten { axis } => shape::flatten(arg(0)?, *axis),
            Self::Squeeze { axes } => shape::squeeze(arg(0)?, axes.as_deref()),
            Self::Unsqueeze { axes } => shape::unsqueeze(arg(0)?, axes),
            Self::Transpose { order } => shape::transpose(arg(0)?, order.as_deref()),
            Self::Slice => shape::slice::slice(arg(0)?, arg(1)?, arg(2)?, optional(3), optional(4)),
            Self::Part { axis, index, parts } => shape::slice::part(arg(0)?, *axis, *index, parts),
            Self::Expand => shape::expand(arg(0)?, arg(1)?),
            Self::Shape { start, end } => shape::shape(arg(0)?, *start, *end),
            Self::Cast { to } => elementwise::cast(arg(0)?, *to),
            Self::Reduce { kind, axes, keep } => reduce::reduce(arg(0)?, *kind, axes.as_deref(), *keep),
            Self::ArgMax { axis, keep } => reduce::argmax(arg(0)?, *axis, *keep),
        }
    }

    /// Which operand holds row numbers, for ops where one out of range is the caller's mistake.
    pub(crate) const fn index_operand(&self) -> Option<usize> {
        match self {
            Self::Gather { .. } | Self::TakeLast => Some(1),
            _ => None,
        }
    }

    /// Additions and multiplications, by the shapes of operands and output.
    pub(crate) fn flops(&self, args: &[Option<&Value>], out: &Value) -> u64 {
        let elements = |value: &Value| value.dims().iter().map(|d| *d as u64).product::<u64>();
        match self {
            Self::Dense(dense) => elements(out) * (2 * dense.inner() as u64 + 1),
            Self::MatMul => {
                let inner = args.first().copied().flatten().and_then(|a| a.dims().last()).copied().unwrap_or(1);
                elements(out) * 2 * inner as u64
            }
            // An exponential and two passes.
            Self::Softmax { .. } => 4 * elements(out),
            Self::Reduce { .. } | Self::ArgMax { .. } | Self::Normalise(_) => {
                args.iter().flatten().map(|arg| elements(arg)).sum()
            }
            Self::Activate(_) | Self::Scale(_) | Self::Unary(_) | Self::Binary(_) | Self::Where | Self::Clip { .. } => {
                elements(out)
            }
            Self::Channels { .. } => 2 * elements(out),
            // Moves of bytes.
            _ => 0,
        }
    }

    /// Bytes of the constants inside the op.
    pub(crate) fn constant_bytes(&self) -> u64 {
        let bytes = |t: &candle_core::Tensor| (t.elem_count() * t.dtype().size_in_bytes()) as u64;
        match self {
            Self::Dense(dense) => dense.bytes(),
            Self::Channels { scale, shift } => bytes(scale) + bytes(shift),
            Self::Labels { values, .. } => values.data().len() as u64,
            _ => 0,
        }
    }

    /// The size that an axis of the operand must have, where the op's constants say so.
    pub(crate) fn width(&self) -> Option<usize> {
        match self {
            Self::Dense(dense) => Some(dense.inner()),
            Self::Channels { scale, .. } => Some(scale.elem_count()),
            Self::Width(width) => Some(*width),
            _ => None,
        }
    }

    /// Its constants, which are where it runs.
    pub(crate) fn tensors_mut(&mut self) -> Vec<&mut candle_core::Tensor> {
        match self {
            Self::Dense(dense) => std::iter::once(&mut dense.weight).chain(dense.bias.as_mut()).collect(),
            Self::Channels { scale, shift } => vec![scale, shift],
            _ => Vec::new(),
        }
    }
}
