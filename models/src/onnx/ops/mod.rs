//! What each ONNX op means, by family. A rule reads attributes and operands as its opset defines them and adds steps.

mod math;
mod ml;
mod nn;
mod shape;

use super::lower::{Lowered, Lowering};
use super::node::{ML, STANDARD};
use crate::plan::{Binary, Unary};

/// How one op is lowered.
pub(super) type Rule = fn(&mut Lowering<'_>) -> Lowered;

/// The rule of an op; `None` where it is not supported.
pub(super) fn lookup(domain: &str, op: &str) -> Option<Rule> {
    match domain {
        STANDARD => standard(op),
        ML => ml::lookup(op),
        _ => None,
    }
}

/// What to do about an op that is not supported.
pub(super) fn hint(domain: &str, op: &str) -> Option<&'static str> {
    match (domain, op) {
        (ML, "ZipMap") => Some("convert the model with zipmap=False, so that it returns tensors"),
        _ => None,
    }
}

fn standard(op: &str) -> Option<Rule> {
    Some(match op {
        "Identity" => shape::identity,
        "Constant" => shape::constant,
        "ConstantOfShape" => shape::constant_of_shape,
        "Shape" => shape::shape,
        "Reshape" => shape::reshape,
        "Flatten" => shape::flatten,
        "Squeeze" => shape::squeeze,
        "Unsqueeze" => shape::unsqueeze,
        "Transpose" => shape::transpose,
        "Slice" => shape::slice,
        "Split" => shape::split,
        "Concat" => shape::concat,
        "Expand" => shape::expand,
        "Gather" => shape::gather,
        "Cast" => shape::cast,
        "MatMul" => nn::matmul,
        "Gemm" => nn::gemm,
        "Softmax" => nn::softmax,
        "LogSoftmax" => nn::log_softmax,
        "BatchNormalization" => nn::batch_normalization,
        "Dropout" => nn::dropout,
        "Relu" => nn::relu,
        "LeakyRelu" => nn::leaky_relu,
        "Elu" => nn::elu,
        "Sigmoid" => nn::sigmoid,
        "Tanh" => nn::tanh,
        "Gelu" => nn::gelu,
        "Softplus" => nn::softplus,
        "Clip" => math::clip,
        "Where" => math::select,
        "ReduceSum" => math::reduce_sum,
        "ReduceSumSquare" => math::reduce_sum_square,
        "ReduceL1" => math::reduce_l1,
        "ReduceL2" => math::reduce_l2,
        "ReduceMean" => math::reduce_mean,
        "ReduceMax" => math::reduce_max,
        "ReduceMin" => math::reduce_min,
        "ArgMax" => math::argmax,
        "Max" => math::max,
        "Min" => math::min,
        "Sum" => math::sum,
        "Add" => |l| math::binary(l, Binary::Add),
        "Sub" => |l| math::binary(l, Binary::Sub),
        "Mul" => |l| math::binary(l, Binary::Mul),
        "Div" => |l| math::binary(l, Binary::Div),
        "Pow" => |l| math::binary(l, Binary::Pow),
        "Equal" => |l| math::binary(l, Binary::Equal),
        "Less" => |l| math::binary(l, Binary::Less),
        "LessOrEqual" => |l| math::binary(l, Binary::LessOrEqual),
        "Greater" => |l| math::binary(l, Binary::Greater),
        "GreaterOrEqual" => |l| math::binary(l, Binary::GreaterOrEqual),
        "And" => |l| math::binary(l, Binary::And),
        "Or" => |l| math::binary(l, Binary::Or),
        "Xor" => |l| math::binary(l, Binary::Xor),
        "Neg" => |l| math::unary(l, Unary::Neg),
        "Sqrt" => |l| math::unary(l, Unary::Sqrt),
        "Exp" => |l| math::unary(l, Unary::Exp),
        "Log" => |l| math::unary(l, Unary::Log),
        "Abs" => |l| math::unary(l, Unary::Abs),
        "Erf" => |l| math::unary(l, Unary::Erf),
        "Reciprocal" => |l| math::unary(l, Unary::Reciprocal),
        "Floor" => |l| math::unary(l, Unary::Floor),
        "Ceil" => |l| math::unary(l, Unary::Ceil),
        "Sin" => |l| math::unary(l, Unary::Sin),
        "Cos" => |l| math::unary(l, Unary::Cos),
        "Not" => |l| math::unary(l, Unary::Not),
        "IsNaN" => |l| math::unary(l, Unary::IsNan),
        _ => return None,
    })
}
