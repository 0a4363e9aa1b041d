//! Arithmetic, comparisons and reductions.

use super::super::lower::{Lowered, Lowering};
use crate::plan::{Arg, Binary, Op, Reduce, Unary};

pub(super) fn unary(l: &mut Lowering<'_>, kind: Unary) -> Lowered {
    l.simple(Op::Unary(kind), 1)
}

pub(super) fn binary(l: &mut Lowering<'_>, kind: Binary) -> Lowered {
    l.simple(Op::Binary(kind), 2)
}

pub(super) fn select(l: &mut Lowering<'_>) -> Lowered {
    l.simple(Op::Where, 3)
}

pub(super) fn max(l: &mut Lowering<'_>) -> Lowered {
    fold(l, Binary::Max)
}

pub(super) fn min(l: &mut Lowering<'_>) -> Lowered {
    fold(l, Binary::Min)
}

pub(super) fn sum(l: &mut Lowering<'_>) -> Lowered {
    fold(l, Binary::Add)
}

/// Any number of operands, from left to right.
fn fold(l: &mut Lowering<'_>, kind: Binary) -> Lowered {
    let mut out = l.operand(0)?;
    for index in 1..l.node.inputs.len() {
        let next = l.operand(index)?;
        out = l.push(Op::Binary(kind), &[out, next])?;
    }
    l.output(0, out);
    Ok(())
}

/// Bounds are attributes before opset 11, operands from then on.
pub(super) fn clip(l: &mut Lowering<'_>) -> Lowered {
    let (min, max) = if l.node.opset < 11 {
        (l.node.float("min")?.map(f64::from), l.node.float("max")?.map(f64::from))
    } else {
        (l.known_number(1, "min")?, l.known_number(2, "max")?)
    };
    l.simple(Op::Clip { min, max }, 1)
}

pub(super) fn reduce_sum(l: &mut Lowering<'_>) -> Lowered {
    reduce(l, Reduce::Sum, 13)
}

pub(super) fn reduce_sum_square(l: &mut Lowering<'_>) -> Lowered {
    reduce(l, Reduce::SumSquare, 18)
}

pub(super) fn reduce_l1(l: &mut Lowering<'_>) -> Lowered {
    reduce(l, Reduce::L1, 18)
}

pub(super) fn reduce_l2(l: &mut Lowering<'_>) -> Lowered {
    reduce(l, Reduce::L2, 18)
}

pub(super) fn reduce_mean(l: &mut Lowering<'_>) -> Lowered {
    reduce(l, Reduce::Mean, 18)
}

pub(super) fn reduce_max(l: &mut Lowering<'_>) -> Lowered {
    reduce(l, Reduce::Max, 18)
}

pub(super) fn reduce_min(l: &mut Lowering<'_>) -> Lowered {
    reduce(l, Reduce::Min, 18)
}

/// Axes became an operand at a different opset for each kind.
fn reduce(l: &mut Lowering<'_>, kind: Reduce, axes_operand_since: i64) -> Lowered {
    let axes = if l.node.opset < axes_operand_since {
        l.node.ints("axes")?.map(<[i64]>::to_vec)
    } else {
        l.known_ints(1, "axes")?
    };
    let axes = axes.filter(|axes| !axes.is_empty());
    if axes.is_none() && l.node.int("noop_with_empty_axes")? == Some(1) {
        let x = l.operand(0)?;
        l.output(0, x);
        return Ok(());
    }
    let keep = l.node.int("keepdims")?.unwrap_or(1) != 0;
    l.simple(Op::Reduce { kind, axes, keep }, 1)
}

pub(super) fn argmax(l: &mut Lowering<'_>) -> Lowered {
    if l.node.int("select_last_index")?.unwrap_or(0) != 0 {
        return Err("select_last_index=1 is not supported".to_owned());
    }
    let axis = l.node.int("axis")?.unwrap_or(0);
    let keep = l.node.int("keepdims")?.unwrap_or(1) != 0;
    let x: Arg = l.operand(0)?;
    let out = l.push(Op::ArgMax { axis, keep }, &[x])?;
    l.output(0, out);
    Ok(())
}
