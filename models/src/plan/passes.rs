//! What makes a plan shorter without changing its answers: bias and activation join the product before them, and steps
//! whose answer nobody reads go.

use std::collections::HashMap;

use kernels::Activation;

use super::builder::{Arg, Builder, Step};
use super::op::{Binary, Op};
use super::value::Value;

/// Runs every pass. `outputs` are read by the caller and so never joined into another step.
pub(crate) fn optimise(builder: &mut Builder, outputs: &[Arg]) {
    remove_unread(builder, outputs);
    fuse_dense(builder, outputs);
}

fn remove_unread(builder: &mut Builder, outputs: &[Arg]) {
    let mut read = vec![false; builder.slots];
    let mark = |arg: &Arg, read: &mut Vec<bool>| {
        if let Arg::Slot(slot) = arg {
            read[*slot] = true;
        }
    };
    outputs.iter().for_each(|arg| mark(arg, &mut read));
    let mut kept = Vec::with_capacity(builder.steps.len());
    for step in builder.steps.drain(..).rev() {
        if read[step.output] {
            step.args.iter().for_each(|arg| mark(arg, &mut read));
            kept.push(step);
        }
    }
    kept.reverse();
    builder.steps = kept;
}

/// Walks the steps once: a bias or an activation that is the only reader of a dense step becomes a part of it.
fn fuse_dense(builder: &mut Builder, outputs: &[Arg]) {
    let mut readers = vec![0_usize; builder.slots];
    for arg in builder.steps.iter().flat_map(|step| &step.args).chain(outputs) {
        if let Arg::Slot(slot) = arg {
            readers[*slot] += 1;
        }
    }
    // Where in `kept` the dense step is that wrote a slot.
    let mut dense_at: HashMap<usize, usize> = HashMap::new();
    let mut kept: Vec<Step> = Vec::with_capacity(builder.steps.len());
    for step in std::mem::take(&mut builder.steps) {
        if let Some((at, joined)) = join(&step, &kept, &dense_at, &readers, builder) {
            kept[at].op = joined;
            kept[at].output = step.output;
            dense_at.insert(step.output, at);
            continue;
        }
        if matches!(step.op, Op::Dense(_)) {
            dense_at.insert(step.output, kept.len());
        }
        kept.push(step);
    }
    builder.steps = kept;
}

/// The dense step that `step` can be a part of, and what that step becomes.
fn join(
    step: &Step,
    kept: &[Step],
    dense_at: &HashMap<usize, usize>,
    readers: &[usize],
    builder: &Builder,
) -> Option<(usize, Op)> {
    let dense_of = |arg: &Arg| {
        let Arg::Slot(slot) = arg else { return None };
        let at = *dense_at.get(slot)?;
        match &kept.get(at)?.op {
            Op::Dense(dense) if readers[*slot] == 1 && dense.activation == Activation::Identity => Some((at, dense)),
            _ => None,
        }
    };
    match (&step.op, step.args.as_slice()) {
        (Op::Activate(activation), [x]) => {
            let (at, dense) = dense_of(x)?;
            let mut dense = dense.clone();
            dense.activation = *activation;
            Some((at, Op::Dense(dense)))
        }
        (Op::Binary(Binary::Add), [a, b]) => {
            let ((at, dense), other) = match dense_of(a) {
                Some(found) => (found, b),
                None => (dense_of(b)?, a),
            };
            if dense.bias.is_some() {
                return None;
            }
            let (bias, rank) = bias_of(builder.value(*other)?, &dense.weight)?;
            let mut dense = dense.clone();
            dense.bias = Some(bias);
            dense.rank_min = rank;
            Some((at, Op::Dense(dense)))
        }
        _ => None,
    }
}

/// `[N]` and the rank it was written with, where the constant adds the same row to every row.
fn bias_of(value: &Value, weight: &candle_core::Tensor) -> Option<(candle_core::Tensor, usize)> {
    let Value::Engine { tensor, .. } = value else { return None };
    let width = *weight.dims().get(1)?;
    let (last, lead) = tensor.dims().split_last().map_or((1, &[][..]), |(last, lead)| (*last, lead));
    if tensor.dtype() != weight.dtype() || lead.iter().any(|dim| *dim != 1) || (last != width && last != 1) {
        return None;
    }
    let row = tensor.flatten_all().ok()?.broadcast_as(width).ok()?.contiguous().ok()?;
    Some((row, tensor.rank()))
}
