//! The `ai.onnx.ml` domain, as scikit-learn's converter writes it: lowered into the same ops as everything else.

use std::collections::HashMap;

use kernels::Activation;
use kernels::softmax::Kind;

use super::super::lower::{Lowered, Lowering};
use super::Rule;
use crate::plan::{Arg, Binary, Dense, LabelKeys, Norm, Op, Unary};
use crate::tensor::{Datatype, Tensor};

pub(super) fn lookup(op: &str) -> Option<Rule> {
    Some(match op {
        "Scaler" => scaler,
        "LinearClassifier" => linear_classifier,
        "LinearRegressor" => linear_regressor,
        "Normalizer" => normalizer,
        "Binarizer" => binarizer,
        "Imputer" => imputer,
        "ArrayFeatureExtractor" => array_feature_extractor,
        "LabelEncoder" => label_encoder,
        _ => return None,
    })
}

/// These ops take any number type and compute in F32.
fn to_f32(l: &mut Lowering<'_>) -> Result<Arg, String> {
    let x = l.operand(0)?;
    l.push(Op::Cast { to: Datatype::Fp32 }, &[x])
}

/// One number for every column, or one for each of exactly as many columns.
fn of_width(l: &mut Lowering<'_>, x: Arg, values: &[f32]) -> Result<Arg, String> {
    if values.len() == 1 { Ok(x) } else { l.push(Op::Width(values.len()), &[x]) }
}

fn scaler(l: &mut Lowering<'_>) -> Lowered {
    let mut out = to_f32(l)?;
    if let Some(values) = l.node.floats("offset")?.or(l.node.floats("scale")?) {
        out = of_width(l, out, values)?;
    }
    if let Some(offset) = l.node.floats("offset")? {
        let offset = l.floats(offset, vec![offset.len()])?;
        out = l.push(Op::Binary(Binary::Sub), &[out, offset])?;
    }
    if let Some(scale) = l.node.floats("scale")? {
        let scale = l.floats(scale, vec![scale.len()])?;
        out = l.push(Op::Binary(Binary::Mul), &[out, scale])?;
    }
    l.output(0, out);
    Ok(())
}

/// `x · coefficientsᵀ + intercepts`, one row of coefficients for each of `targets`.
fn linear(l: &mut Lowering<'_>, targets: usize) -> Result<Arg, String> {
    let coefficients = l.node.floats("coefficients")?.ok_or("coefficients are missing")?;
    let intercepts = l.node.floats("intercepts")?;
    if targets == 0 || coefficients.is_empty() || coefficients.len() % targets != 0 {
        return Err(format!("{} coefficients for {targets} targets", coefficients.len()));
    }
    let features = coefficients.len() / targets;
    let rows = candle_core::Tensor::from_slice(coefficients, (targets, features), &candle_core::Device::Cpu);
    let weight = rows.and_then(|rows| rows.t()?.contiguous()).map_err(|error| error.to_string())?;
    let bias = match intercepts {
        None | Some([]) => None,
        Some(values) if values.len() == targets => Some(values),
        Some(values) => return Err(format!("{} intercepts for {targets} targets", values.len())),
    };
    let bias = bias.map(|values| candle_core::Tensor::from_slice(values, targets, &candle_core::Device::Cpu));
    let bias = bias.transpose().map_err(|error| error.to_string())?;
    let x = to_f32(l)?;
    l.push(Op::Dense(Box::new(Dense::new(weight, bias))), &[x])
}

fn post_transform(l: &mut Lowering<'_>, scores: Arg) -> Result<Arg, String> {
    match l.node.text("post_transform")?.unwrap_or("NONE") {
        "NONE" => Ok(scores),
        "LOGISTIC" => l.push(Op::Activate(Activation::Sigmoid), &[scores]),
        "SOFTMAX" => l.push(Op::Softmax { axis: -1, kind: Kind::Softmax, flatten: false }, &[scores]),
        other => Err(format!("post_transform={other} is not supported")),
    }
}

fn linear_regressor(l: &mut Lowering<'_>) -> Lowered {
    let targets = usize::try_from(l.node.int("targets")?.unwrap_or(1)).map_err(|_| "targets is negative")?;
    let scores = linear(l, targets)?;
    let out = post_transform(l, scores)?;
    l.output(0, out);
    Ok(())
}

/// The label of the largest score, and the scores after their transformation.
fn linear_classifier(l: &mut Lowering<'_>) -> Lowered {
    let labels = class_labels(l)?;
    let classes = labels.elements();
    let targets = l.node.floats("intercepts")?.map_or(classes, <[f32]>::len);
    if targets != classes {
        return Err(format!("{targets} rows of coefficients for {classes} classes is not supported"));
    }
    let scores = linear(l, classes)?;
    let best = l.push(Op::ArgMax { axis: -1, keep: false }, &[scores])?;
    let labels = l.constant(&labels)?;
    let label = l.push(Op::Gather { axis: 0 }, &[labels, best])?;
    l.output(0, label);
    let out = post_transform(l, scores)?;
    l.output(1, out);
    Ok(())
}

fn class_labels(l: &Lowering<'_>) -> Result<Tensor, String> {
    if let Some(ints) = l.node.ints("classlabels_ints")?.filter(|ints| !ints.is_empty()) {
        return ints_tensor(ints.to_vec());
    }
    match l.node.texts("classlabels_strings")?.filter(|texts| !texts.is_empty()) {
        Some(texts) => Tensor::from_elements(vec![texts.len()], texts).map_err(|error| error.to_string()),
        None => Err("class labels are missing".to_owned()),
    }
}

fn ints_tensor(values: Vec<i64>) -> Result<Tensor, String> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(Datatype::Int64, vec![values.len()], data.into()).map_err(|error| error.to_string())
}

fn normalizer(l: &mut Lowering<'_>) -> Lowered {
    let norm = match l.node.text("norm")?.unwrap_or("MAX") {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        other => return Err(format!("norm={other:?} is not one of MAX, L1, L2")),
    };
    let x = to_f32(l)?;
    let out = l.push(Op::Normalise(norm), &[x])?;
    l.output(0, out);
    Ok(())
}

/// 1 above the threshold, else 0, in the type of the operand, which must be F32.
fn binarizer(l: &mut Lowering<'_>) -> Lowered {
    let threshold = l.node.float("threshold")?.unwrap_or(0.0);
    let x = to_f32(l)?;
    let threshold = l.floats(&[threshold], vec![])?;
    let above = l.push(Op::Binary(Binary::Greater), &[x, threshold])?;
    let out = l.push(Op::Cast { to: Datatype::Fp32 }, &[above])?;
    l.output(0, out);
    Ok(())
}

/// Replaces NaN, or a given number, by the value of its column.
fn imputer(l: &mut Lowering<'_>) -> Lowered {
    let Some(values) = l.node.floats("imputed_value_floats")? else {
        return Err("only imputed_value_floats is supported".to_owned());
    };
    let replaced = l.node.float("replaced_value_float")?.unwrap_or(0.0);
    let x = to_f32(l)?;
    let x = of_width(l, x, values)?;
    let missing = if replaced.is_nan() {
        l.push(Op::Unary(Unary::IsNan), &[x])?
    } else {
        let replaced = l.floats(&[replaced], vec![])?;
        l.push(Op::Binary(Binary::Equal), &[x, replaced])?
    };
    let values = l.floats(values, vec![values.len()])?;
    let out = l.push(Op::Where, &[missing, values, x])?;
    l.output(0, out);
    Ok(())
}

fn array_feature_extractor(l: &mut Lowering<'_>) -> Lowered {
    l.simple(Op::TakeLast, 2)
}

/// From whole numbers or texts to whole numbers, texts or floats.
fn label_encoder(l: &mut Lowering<'_>) -> Lowered {
    let node = l.node;
    if node.has("keys_tensor") || node.has("values_tensor") || node.has("keys_floats") {
        return Err("keys_tensor, values_tensor and keys_floats are not supported".to_owned());
    }
    let (keys, count) = if let Some(ints) = node.ints("keys_int64s")? {
        (LabelKeys::Ints(positions(ints)), ints.len())
    } else if let Some(texts) = node.texts("keys_strings")? {
        (LabelKeys::Bytes(positions(texts)), texts.len())
    } else {
        return Err("keys are missing".to_owned());
    };
    let values = if let Some(ints) = node.ints("values_int64s")? {
        let default = node.int("default_int64")?.unwrap_or(-1);
        ints_tensor([ints, &[default]].concat())?
    } else if let Some(texts) = node.texts("values_strings")? {
        let default = node.text("default_string")?.unwrap_or("_Unused").as_bytes().to_vec();
        let all = [texts, &[default]].concat();
        Tensor::from_elements(vec![all.len()], &all).map_err(|error| error.to_string())?
    } else if let Some(floats) = node.floats("values_floats")? {
        let default = node.float("default_float")?.unwrap_or(-0.0);
        let data: Vec<u8> = floats.iter().chain([&default]).flat_map(|v| v.to_le_bytes()).collect();
        Tensor::new(Datatype::Fp32, vec![floats.len() + 1], data.into()).map_err(|error| error.to_string())?
    } else {
        return Err("values are missing".to_owned());
    };
    if values.elements() != count + 1 {
        return Err(format!("{count} keys for {} values", values.elements() - 1));
    }
    l.simple(Op::Labels { keys, values }, 1)
}

fn positions<T: Clone + Eq + std::hash::Hash>(keys: &[T]) -> HashMap<T, usize> {
    let mut positions = HashMap::new();
    for (index, key) in keys.iter().enumerate() {
        // The first of equal keys counts.
        positions.entry(key.clone()).or_insert(index);
    }
    positions
}
