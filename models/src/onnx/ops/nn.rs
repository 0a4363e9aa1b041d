//! Layers and activations.

use candle_core::DType;
use kernels::Activation;
use kernels::softmax::Kind;

use super::super::lower::{Lowered, Lowering};
use crate::plan::{Arg, Binary, Dense, Op, Value};

/// A product with a constant matrix is a dense layer, which later steps join.
pub(super) fn matmul(l: &mut Lowering<'_>) -> Lowered {
    let (a, b) = (l.operand(0)?, l.operand(1)?);
    let op = match weight(l, b) {
        Some(weight) if matches!(a, Arg::Slot(_)) => Op::Dense(Box::new(Dense::new(weight, None))),
        _ => Op::MatMul,
    };
    let args: &[Arg] = if matches!(op, Op::MatMul) { &[a, b] } else { &[a] };
    let out = l.push(op, args)?;
    l.output(0, out);
    Ok(())
}

/// A constant `[K, N]` of floats.
fn weight(l: &Lowering<'_>, arg: Arg) -> Option<candle_core::Tensor> {
    match l.known(arg)? {
        Value::Engine { tensor, .. } if tensor.rank() == 2 && matches!(tensor.dtype(), DType::F32 | DType::F64) => {
            tensor.contiguous().ok()
        }
        _ => None,
    }
}

/// `alpha * A' * B' + beta * C`, where a prime is a transposition if asked for.
pub(super) fn gemm(l: &mut Lowering<'_>) -> Lowered {
    let alpha = f64::from(l.node.float("alpha")?.unwrap_or(1.0));
    let beta = f64::from(l.node.float("beta")?.unwrap_or(1.0));
    let transposed = |name| Ok::<_, String>(l.node.int(name)?.unwrap_or(0) != 0);
    let (trans_a, trans_b) = (transposed("transA")?, transposed("transB")?);
    let (mut a, mut b, c) = (l.operand(0)?, l.operand(1)?, l.optional(2));
    if trans_a {
        a = l.push(Op::Transpose { order: None }, &[a])?;
    }
    if trans_b {
        // A constant is transposed here, once.
        b = l.push(Op::Transpose { order: None }, &[b])?;
    }
    let mut out = match weight(l, b) {
        Some(weight) if matches!(a, Arg::Slot(_)) => {
            let weight = weight.affine(alpha, 0.0).map_err(|error| error.to_string())?;
            l.push(Op::Dense(Box::new(Dense::new(weight, None))), &[a])?
        }
        _ => {
            let product = l.push(Op::MatMul, &[a, b])?;
            scaled(l, product, alpha)?
        }
    };
    if c != Arg::Absent {
        let c = scaled(l, c, beta)?;
        out = l.push(Op::Binary(Binary::Add), &[out, c])?;
    }
    l.output(0, out);
    Ok(())
}

fn scaled(l: &mut Lowering<'_>, arg: Arg, factor: f64) -> Result<Arg, String> {
    if (factor - 1.0).abs() < f64::EPSILON {
        return Ok(arg);
    }
    l.push(Op::Scale(factor), &[arg])
}

pub(super) fn softmax(l: &mut Lowering<'_>) -> Lowered {
    softmax_of(l, Kind::Softmax)
}

pub(super) fn log_softmax(l: &mut Lowering<'_>) -> Lowered {
    softmax_of(l, Kind::LogSoftmax)
}

/// Until opset 12 the default axis is 1 and all axes from it on count as one; from 13 it is the last axis alone.
fn softmax_of(l: &mut Lowering<'_>, kind: Kind) -> Lowered {
    let old = l.node.opset < 13;
    let axis = l.node.int("axis")?.unwrap_or(if old { 1 } else { -1 });
    l.simple(Op::Softmax { axis, kind, flatten: old }, 1)
}

/// With the running statistics: `(x - mean) / sqrt(variance + epsilon) * scale + bias`, folded into two vectors.
pub(super) fn batch_normalization(l: &mut Lowering<'_>) -> Lowered {
    if l.node.int("training_mode")?.unwrap_or(0) != 0 {
        return Err("training_mode=1 is not supported".to_owned());
    }
    if l.node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
        return Err("only the first output exists outside training".to_owned());
    }
    let epsilon = f64::from(l.node.float("epsilon")?.unwrap_or(1e-5));
    let vector = |index: usize, what: &str| match l.known(l.optional(index)) {
        Some(Value::Engine { tensor, .. }) if tensor.rank() == 1 => Ok(tensor.clone()),
        _ => Err(format!("{what} must be a constant vector")),
    };
    let (scale, bias) = (vector(1, "scale")?, vector(2, "bias")?);
    let (mean, variance) = (vector(3, "mean")?, vector(4, "variance")?);
    let folded = || {
        let scale = scale.div(&variance.affine(1.0, epsilon)?.sqrt()?)?;
        let shift = bias.sub(&mean.mul(&scale)?)?;
        Ok((scale, shift))
    };
    let (scale, shift) = folded().map_err(|error: candle_core::Error| error.to_string())?;
    l.simple(Op::Channels { scale, shift }, 1)
}

/// Does nothing outside training.
pub(super) fn dropout(l: &mut Lowering<'_>) -> Lowered {
    if l.node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
        return Err("the mask output is not supported".to_owned());
    }
    if l.known_number(2, "training_mode")?.unwrap_or(0.0) != 0.0 {
        return Err("training_mode is not supported".to_owned());
    }
    let x = l.operand(0)?;
    l.output(0, x);
    Ok(())
}

pub(super) fn relu(l: &mut Lowering<'_>) -> Lowered {
    l.simple(Op::Activate(Activation::Relu), 1)
}

pub(super) fn sigmoid(l: &mut Lowering<'_>) -> Lowered {
    l.simple(Op::Activate(Activation::Sigmoid), 1)
}

pub(super) fn tanh(l: &mut Lowering<'_>) -> Lowered {
    l.simple(Op::Activate(Activation::Tanh), 1)
}

pub(super) fn softplus(l: &mut Lowering<'_>) -> Lowered {
    l.simple(Op::Activate(Activation::Softplus), 1)
}

pub(super) fn leaky_relu(l: &mut Lowering<'_>) -> Lowered {
    let slope = l.node.float("alpha")?.unwrap_or(0.01);
    l.simple(Op::Activate(Activation::LeakyRelu(f64::from(slope))), 1)
}

pub(super) fn elu(l: &mut Lowering<'_>) -> Lowered {
    let alpha = l.node.float("alpha")?.unwrap_or(1.0);
    l.simple(Op::Activate(Activation::Elu(f64::from(alpha))), 1)
}

pub(super) fn gelu(l: &mut Lowering<'_>) -> Lowered {
    let activation = match l.node.text("approximate")?.unwrap_or("none") {
        "none" => Activation::Gelu,
        "tanh" => Activation::GeluTanh,
        other => return Err(format!("approximate={other:?} is not one of none, tanh")),
    };
    l.simple(Op::Activate(activation), 1)
}
