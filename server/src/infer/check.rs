//! A request against one version's signature: what is wrong with it, and the form in which that version takes it.

use models::NamedTensor;
use models::oip::{Problems, shown};

use super::InferError;
use crate::rollout::Resident;
use crate::version::LiveVersion;

/// A request as one version takes it. Another version may order its inputs and outputs otherwise, join rows where this
/// one does not, or have other limits: each attempt checks for itself.
pub(super) struct Checked {
    /// In the order of the version's signature.
    inputs: Vec<NamedTensor>,
    /// On the batch axis.
    rows: usize,
    /// Positions of the wanted outputs; `None` is all of them.
    wanted: Option<Vec<usize>>,
}

impl Checked {
    /// Checks names, datatypes, shapes and rows.
    pub(super) fn new(
        live: &LiveVersion,
        inputs: Vec<NamedTensor>,
        outputs: Option<&[String]>,
    ) -> Result<Self, InferError> {
        let wanted = outputs.map(|outputs| positions(live, outputs)).transpose()?;
        let rows = rows(live, &inputs)?;
        Ok(Self { inputs: in_order(live, inputs), rows, wanted })
    }

    /// Inputs, rows and wanted outputs.
    pub(super) fn into_parts(self) -> (Vec<NamedTensor>, usize, Option<Vec<usize>>) {
        (self.inputs, self.rows, self.wanted)
    }
}

/// The wanted ones of the version's outputs.
pub(super) fn select(outputs: Vec<NamedTensor>, wanted: Option<&[usize]>) -> Vec<NamedTensor> {
    match wanted {
        None => outputs,
        Some(wanted) => wanted.iter().filter_map(|index| outputs.get(*index).cloned()).collect(),
    }
}

fn rows(live: &LiveVersion, inputs: &[NamedTensor]) -> Result<usize, InferError> {
    let rows = live.signature().check(inputs).map_err(|problems| {
        let mut told = Problems::default();
        problems.iter().for_each(|problem| told.push(problem.to_string()));
        InferError::InvalidArgument(told.text())
    })?;
    let max = live.rows_max();
    if rows > max {
        let message = format!("the request has {rows} rows, over the model's maxBatchSize of {max}; split it");
        return Err(InferError::InvalidArgument(message));
    }
    Ok(rows)
}

fn in_order(live: &LiveVersion, mut inputs: Vec<NamedTensor>) -> Vec<NamedTensor> {
    let specs = &live.signature().inputs;
    if !inputs.iter().zip(specs).all(|(input, spec)| input.name == spec.name) {
        inputs.sort_by_cached_key(|input| specs.iter().position(|spec| spec.name == input.name));
    }
    inputs
}

fn positions(live: &LiveVersion, wanted: &[String]) -> Result<Vec<usize>, InferError> {
    let outputs = &live.signature().outputs;
    let position = |name: &String| {
        outputs.iter().position(|spec| *spec.name == **name).ok_or_else(|| {
            let names: Vec<&str> = outputs.iter().map(|spec| &*spec.name).collect();
            InferError::InvalidArgument(format!(
                "output '{}': the model has no such output; it has {}",
                shown(name),
                names.join(", ")
            ))
        })
    };
    let positions: Vec<usize> = wanted.iter().map(position).collect::<Result<_, _>>()?;
    let mut seen = positions.clone();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() < positions.len() {
        return Err(InferError::InvalidArgument("an output is asked for twice; name each once".to_owned()));
    }
    Ok(positions)
}
