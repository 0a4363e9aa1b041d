//! What is learned of a model by running it on samples before it is loaded: whether it runs at all, what it costs,
//! whether rows of several requests may be joined, and what its inputs and outputs really are.

use crate::error::{LoadError, RunError};
use crate::plan::{Plan, Profile, profile, rows_are_independent};
use crate::sample::{Pattern, SAMPLE_ELEMENTS_MAX, sample};
use crate::signature::{Dim, Signature, TensorSpec};
use crate::tensor::{Datatype, Tensor};

/// Sizes of free axes that are tried.
const SIZES_MAX: usize = 16;

/// Runs the plan on samples and settles what the signature leaves open. Tells what batches cost, and the datatype of what
/// each step makes.
pub(crate) fn trial(signature: &mut Signature, plan: &Plan) -> Result<(Profile, Vec<Datatype>), LoadError> {
    settle_inputs(signature, plan)?;
    let failed = |source| LoadError::Trial { rows: 1, source };
    let one = samples(signature, 1, 1, Pattern::Plain)?;
    let answers = plan.run_samples(one.clone()).map_err(failed)?;
    // MLmodel may have fixed what the graph leaves free.
    let free = signature.inputs.iter().all(|spec| spec.shape.first() == Some(&Dim::Any));
    let mut joined = None;
    if signature.batched && free {
        let mut second = samples(signature, 1, 1, Pattern::Varied)?;
        if plan.run_samples(second.clone()).is_err() {
            second = samples(signature, 1, 1, Pattern::VariedFloats)?;
        }
        if rows_are_independent(plan, &one, &second) {
            joined = Some(samples(signature, 2, 1, Pattern::Plain)?);
        }
    }
    signature.batched = joined.is_some();
    let found = profile(plan, &one, joined.as_deref()).map_err(failed)?;
    for (spec, (_, answer)) in signature.outputs.iter_mut().zip(&answers) {
        settle_output(spec, answer, joined.is_some())?;
    }
    Ok(found)
}

fn samples(signature: &Signature, rows: usize, size: usize, pattern: Pattern) -> Result<Vec<Tensor>, LoadError> {
    let one = |spec: &TensorSpec| {
        sample(spec, rows, size, pattern).ok_or_else(|| LoadError::TooLarge {
            what: format!("elements of input '{}' {spec}", spec.name),
            limit: SAMPLE_ELEMENTS_MAX as u64,
            actual: u64::MAX,
        })
    };
    signature.inputs.iter().map(one).collect()
}

/// Converters often leave the width of a matrix open although the weights fix it. Where a model does not run at width
/// 1 nor beside the width of its weights, that width becomes part of the signature, so that a caller's wrong width is
/// the caller's error and not the model's.
fn settle_inputs(signature: &mut Signature, plan: &Plan) -> Result<(), LoadError> {
    let open = signature.inputs.iter().any(|spec| spec.shape.iter().skip(1).any(|dim| *dim == Dim::Any));
    let runs = |signature: &Signature, size: usize| -> Result<Result<(), RunError>, LoadError> {
        Ok(plan.run_samples(samples(signature, 1, size, Pattern::Plain)?).map(drop))
    };
    let Err(source) = runs(signature, 1)? else { return Ok(()) };
    if open {
        for width in plan.widths().into_iter().take(SIZES_MAX) {
            if runs(signature, width)?.is_ok() && runs(signature, width + 1)?.is_err() {
                let shapes = signature.inputs.iter_mut().flat_map(|spec| spec.shape.iter_mut().skip(1));
                shapes.filter(|dim| **dim == Dim::Any).for_each(|dim| *dim = Dim::Fixed(width));
                return Ok(());
            }
        }
    }
    Err(LoadError::Trial { rows: 1, source })
}

/// Exporters often declare shapes of outputs loosely. The datatype must be right; a shape that is not gives way to what
/// came.
fn settle_output(spec: &mut TensorSpec, answer: &Tensor, batched: bool) -> Result<(), LoadError> {
    if spec.datatype != answer.datatype() {
        return Err(LoadError::OutputMismatch {
            output: spec.name.to_string(),
            declared: spec.to_string(),
            actual: format!("{} {:?}", answer.datatype(), answer.shape()),
        });
    }
    if !spec.accepts_shape(answer.shape()) {
        spec.shape = vec![Dim::Any; answer.shape().len()];
    }
    if batched && let Some(first) = spec.shape.first_mut() {
        *first = Dim::Any;
    }
    Ok(())
}
