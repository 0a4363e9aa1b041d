//! The gate: what a version must get right before one live request is routed to it.

use std::sync::Arc;

use models::{Datatype, Golden, ModelFiles, Signature};

use super::{failed, not_computed};
use crate::device::{Executable, ExecuteError};
use crate::rollout::StageError;

/// Problems quoted in one reason, at most: the first few say what is wrong, the rest would only bury it.
const PROBLEMS_QUOTED: usize = 5;
/// What is said of a version whose answers nobody recorded.
const UNCHECKED: &str = "no golden requests: its answers were not checked";
/// Rows of a sample that is looked at for want of golden requests.
const SAMPLE_ROWS: usize = 2;

/// Checks the signature against stable's, and every golden request. Says what was not checked.
pub(super) async fn check(
    executable: &Arc<Executable>,
    files: &ModelFiles,
    stable: Option<&Signature>,
) -> Result<Vec<String>, StageError> {
    if let Some(stable) = stable {
        let compatible = executable.model().signature().compatible_with(stable);
        compatible.map_err(|problems| refused("is not compatible with stable", &problems))?;
    }
    match answers(executable, files).await? {
        Answers::Right { .. } => Ok(Vec::new()),
        Answers::Unknown => Ok(vec![UNCHECKED.to_owned()]),
        Answers::Wrong(problems) => Err(refused("does not answer its golden requests", &problems)),
    }
}

/// What a version's golden requests say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Every one was answered right.
    Right {
        /// How many there are.
        requests: usize,
    },
    /// There are none; made-up requests were answered with numbers.
    Unknown,
    /// What is wrong with them, each with its file.
    Wrong(Vec<String>),
}

/// Asks every golden request, or made-up ones where there is none.
pub(super) async fn answers(executable: &Arc<Executable>, files: &ModelFiles) -> Result<Answers, StageError> {
    let (mut requests, mut problems) = (0, Vec::new());
    for (name, text) in files.iter().filter(|(name, _)| Golden::is_file(name)) {
        requests += 1;
        let found = match Golden::fitting(text, executable.model().signature()) {
            Ok(golden) => run(executable, &golden).await?,
            Err(found) => found,
        };
        problems.extend(found.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    if requests == 0 {
        look_at_samples(executable).await?;
        return Ok(Answers::Unknown);
    }
    Ok(if problems.is_empty() { Answers::Right { requests } } else { Answers::Wrong(problems) })
}

/// Nobody said what a right answer is, but one without a single number is none. Two samples, and all of both: a good
/// model may well have no answer for rows of ones (the logarithm of zero, a row without variance).
async fn look_at_samples(executable: &Arc<Executable>) -> Result<(), StageError> {
    let model = executable.model();
    for inputs in [model.sample_inputs(SAMPLE_ROWS), model.varied_inputs(SAMPLE_ROWS)] {
        let outputs = match executable.run_aside(inputs).await {
            Ok(outputs) => outputs,
            Err(ExecuteError::NonFinite(_)) => continue,
            Err(error) => return Err(not_computed("gate", "a made-up request failed", &error)),
        };
        let floats = outputs.iter().map(|output| &output.tensor).filter(|tensor| is_float(tensor.datatype()));
        let (numbers, broken) = floats.fold((0, 0), |(numbers, broken), tensor| {
            (numbers + tensor.shape().iter().product::<usize>(), broken + tensor.non_finite())
        });
        if numbers == 0 || broken < numbers {
            return Ok(());
        }
    }
    Err(failed("gate", "the version answers NaN or Inf, and nothing else, to every made-up request".to_owned(), true))
}

const fn is_float(datatype: Datatype) -> bool {
    matches!(datatype, Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64)
}

async fn run(executable: &Arc<Executable>, golden: &Golden) -> Result<Vec<String>, StageError> {
    match executable.run_aside(golden.inputs.clone()).await {
        Ok(outputs) => Ok(golden.problems(&outputs)),
        Err(error @ ExecuteError::DeviceGone) => Err(not_computed("gate", "a golden request", &error)),
        Err(error) => Ok(vec![error.to_string()]),
    }
}

fn refused(what: &str, problems: &[String]) -> StageError {
    let mut quoted = problems[..problems.len().min(PROBLEMS_QUOTED)].join("; ");
    if problems.len() > PROBLEMS_QUOTED {
        quoted.push_str(&format!("; and {} more", problems.len() - PROBLEMS_QUOTED));
    }
    failed("gate", format!("the version {what}: {quoted}"), true)
}
