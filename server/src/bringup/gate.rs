//! The gate: what a version must get right before one live request is routed to it.

use std::sync::Arc;

use models::{Golden, ModelFiles, Signature};

use super::failed;
use crate::device::Executable;
use crate::rollout::StageError;

/// Problems quoted in one reason, at most: the first few say what is wrong, the rest would only bury it.
const PROBLEMS_QUOTED: usize = 5;

/// Checks the signature against stable's, and every golden request.
pub(super) async fn check(
    executable: &Arc<Executable>,
    files: &ModelFiles,
    stable: Option<&Signature>,
) -> Result<(), StageError> {
    if let Some(stable) = stable {
        let compatible = executable.model().signature().compatible_with(stable);
        compatible.map_err(|problems| refused("is not compatible with stable", &problems))?;
    }
    let mut problems = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| is_golden(name)) {
        let found = match Golden::parse(text) {
            Ok(golden) => run(executable, &golden).await,
            Err(error) => vec![error.to_string()],
        };
        problems.extend(found.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    if problems.is_empty() { Ok(()) } else { Err(refused("does not answer its golden requests", &problems)) }
}

fn is_golden(name: &str) -> bool {
    name.strip_prefix("golden/").is_some_and(|file| !file.contains('/') && file.ends_with(".json"))
}

async fn run(executable: &Arc<Executable>, golden: &Golden) -> Vec<String> {
    let signature = executable.model().signature();
    if let Err(problems) = signature.check(&golden.inputs) {
        return problems.iter().map(ToString::to_string).collect();
    }
    let mut inputs = golden.inputs.clone();
    inputs.sort_by_key(|input| signature.inputs.iter().position(|spec| spec.name == input.name));
    let outputs = match executable.run_aside(inputs).await {
        Ok(outputs) => outputs,
        Err(error) => return vec![error.to_string()],
    };
    let non_finite = outputs.iter().filter(|output| output.tensor.non_finite() > 0);
    let mut problems: Vec<String> =
        non_finite.map(|output| format!("output '{}' holds NaN or Inf", output.name)).collect();
    if let Err(differences) = golden.compare(&outputs) {
        problems.extend(differences);
    }
    problems
}

fn refused(what: &str, problems: &[String]) -> StageError {
    let mut quoted = problems[..problems.len().min(PROBLEMS_QUOTED)].join("; ");
    if problems.len() > PROBLEMS_QUOTED {
        quoted.push_str(&format!("; and {} more", problems.len() - PROBLEMS_QUOTED));
    }
    failed("gate", format!("the version {what}: {quoted}"), true)
}
