//! What a plan needs, by running it on samples: measured, so it cannot differ from what the ops do.

use super::op::Op;
use super::schedule::{Observer, Plan};
use super::value::Value;
use crate::error::RunError;
use crate::tensor::{Datatype, Tensor};

/// What batches cost, as a straight line through a batch of one row and one of two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    one: Trace,
    two: Trace,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Trace {
    peak_bytes: u64,
    flops: u64,
    moved_bytes: u64,
}

impl Profile {
    /// Bytes of all values alive at once, weights not included.
    pub(crate) fn peak_bytes(&self, rows: usize) -> u64 {
        line(self.one.peak_bytes, self.two.peak_bytes, rows)
    }

    /// Additions and multiplications.
    pub(crate) fn flops(&self, rows: usize) -> u64 {
        line(self.one.flops, self.two.flops, rows)
    }

    /// Bytes read and written by all steps, weights included.
    pub(crate) fn moved_bytes(&self, rows: usize) -> u64 {
        line(self.one.moved_bytes, self.two.moved_bytes, rows)
    }
}

fn line(one: u64, two: u64, rows: usize) -> u64 {
    let more = (rows as u64).saturating_sub(1);
    one.saturating_add(two.saturating_sub(one).saturating_mul(more))
}

/// Measures one batch of one row and, where there is one, a batch of two. Tells the datatype of what each step makes,
/// too, which is the same for every batch.
pub(crate) fn profile(
    plan: &Plan,
    one: &[Tensor],
    two: Option<&[Tensor]>,
) -> Result<(Profile, Vec<Datatype>), RunError> {
    let (one, made) = trace(plan, one)?;
    let two = two.map(|two| trace(plan, two)).transpose()?.map_or(one, |(two, _)| two);
    Ok((Profile { one, two }, made))
}

fn trace(plan: &Plan, inputs: &[Tensor]) -> Result<(Trace, Vec<Datatype>), RunError> {
    let mut seen = Seen::default();
    plan.run_observed(inputs.to_vec(), &mut seen)?;
    Ok((seen.trace, seen.made))
}

#[derive(Default)]
struct Seen {
    trace: Trace,
    made: Vec<Datatype>,
}

impl Observer for Seen {
    const SAMPLES: bool = true;

    fn step(&mut self, op: &Op, args: &[Option<&Value>], out: &Value, live_bytes: impl FnOnce() -> u64) {
        let trace = &mut self.trace;
        trace.peak_bytes = trace.peak_bytes.max(live_bytes());
        trace.flops = trace.flops.saturating_add(op.flops(args, out));
        let read: u64 = args.iter().flatten().map(|arg| arg.bytes()).sum();
        trace.moved_bytes = trace.moved_bytes.saturating_add(read + op.constant_bytes() + out.bytes());
        self.made.push(out.datatype());
    }
}

/// Whether two rows joined into one batch get the answers that each gets alone. Requests of strangers are joined only
/// where that holds: a reduction over the first axis would mix them.
pub(crate) fn rows_are_independent(plan: &Plan, first: &[Tensor], second: &[Tensor]) -> bool {
    let joined: Result<Vec<Tensor>, _> =
        first.iter().zip(second).map(|(a, b)| Tensor::concat(&[a.clone(), b.clone()])).collect();
    let Ok(joined) = joined else { return false };
    let (Ok(a), Ok(b), Ok(both)) =
        (plan.run_samples(first.to_vec()), plan.run_samples(second.to_vec()), plan.run_samples(joined))
    else {
        return false;
    };
    both.iter().zip(a.iter().zip(&b)).all(|((_, both), ((_, a), (_, b)))| {
        !a.shape().is_empty()
            && a.rows() == 1
            && b.rows() == 1
            && both.split(&[1, 1]).is_ok_and(|parts| agree(&parts[0], a) && agree(&parts[1], b))
    })
}

/// Equal but for rounding, which differs between ways to multiply a batch of one and a batch of two.
fn agree(a: &Tensor, b: &Tensor) -> bool {
    if a.shape() != b.shape() || a.datatype() != b.datatype() {
        return false;
    }
    let (Some(x), Some(y)) = (a.to_f64(), b.to_f64()) else { return a == b };
    let tolerance = match a.datatype() {
        Datatype::Fp16 | Datatype::Bf16 => 2e-2,
        _ => 1e-3,
    };
    x.iter().zip(&y).all(|(x, y)| {
        let apart = (x - y).abs();
        x == y || (x.is_nan() && y.is_nan()) || apart <= tolerance * (1.0 + x.abs().max(y.abs()))
    })
}
