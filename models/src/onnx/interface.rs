//! The declared inputs and outputs of a graph as a signature.

use std::collections::HashSet;

use super::proto::tensor_shape_proto::dimension;
use super::proto::{GraphProto, ValueInfoProto, type_proto};
use super::tensor;
use crate::error::GraphProblem;
use crate::signature::{Dim, Signature, TensorSpec};

const TENSORS_MAX: usize = 1000;
const RANK_MAX: usize = 16;

/// The signature as declared; `batched` where rows could be joined, which a trial run has yet to confirm.
pub(super) fn signature(graph: &GraphProto, problems: &mut Vec<GraphProblem>) -> Signature {
    let constants: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name()).collect();
    // Old files list every weight as an input with a default.
    let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(|info| !constants.contains(info.name())).collect();
    let outputs: Vec<&ValueInfoProto> = graph.output.iter().collect();
    for (what, list) in [("inputs", &inputs), ("outputs", &outputs)] {
        if list.len() > TENSORS_MAX {
            let reason = format!("{} {what} are over the limit of {TENSORS_MAX}", list.len());
            problems.push(GraphProblem::Interface { what: "graph", name: graph.name().to_owned(), reason });
        }
    }
    if outputs.is_empty() {
        problems.push(GraphProblem::Empty("the graph has no outputs"));
    }
    let mut specs = |what: &'static str, list: &[&ValueInfoProto]| -> Vec<TensorSpec> {
        let mut seen = HashSet::new();
        let mut specs = Vec::new();
        for info in list.iter().take(TENSORS_MAX) {
            if !seen.insert(info.name()) {
                problems.push(GraphProblem::Duplicate(info.name().to_owned()));
            }
            match spec(info) {
                Ok(spec) => specs.push(spec),
                Err(reason) => {
                    problems.push(GraphProblem::Interface { what, name: info.name().to_owned(), reason });
                }
            }
        }
        specs
    };
    let (input_specs, output_specs) = (specs("input", &inputs), specs("output", &outputs));
    Signature { inputs: input_specs, outputs: output_specs, batched: share_first_axis(&inputs) }
}

/// Whether the first axis of every input is free, and under one name where it has a name.
fn share_first_axis(inputs: &[&ValueInfoProto]) -> bool {
    let mut names = HashSet::new();
    let free = |info: &&ValueInfoProto| match dims(info).and_then(|dims| dims.first().cloned()) {
        Some(Some(dimension::Value::DimParam(name))) => {
            if !name.is_empty() {
                names.insert(name);
            }
            true
        }
        Some(Some(dimension::Value::DimValue(size))) => size < 0,
        Some(None) => true,
        None => false,
    };
    !inputs.is_empty() && inputs.iter().all(free) && names.len() <= 1
}

fn dims(info: &ValueInfoProto) -> Option<Vec<Option<dimension::Value>>> {
    match info.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => {
            Some(tensor.shape.as_ref()?.dim.iter().map(|dim| dim.value.clone()).collect())
        }
        _ => None,
    }
}

fn spec(info: &ValueInfoProto) -> Result<TensorSpec, String> {
    if info.name().is_empty() {
        return Err("it has no name".to_owned());
    }
    let tensor = match info.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => tensor,
        Some(type_proto::Value::SequenceType(_) | type_proto::Value::MapType(_)) => {
            return Err("sequences and maps are not tensors: convert the model with zipmap=False".to_owned());
        }
        None => return Err("it has no type".to_owned()),
    };
    let datatype = tensor::datatype(tensor.elem_type())?;
    let dims = dims(info).ok_or("it has no shape")?;
    if dims.len() > RANK_MAX {
        return Err(format!("rank {} is over the limit of {RANK_MAX}", dims.len()));
    }
    let dim = |dim: &Option<dimension::Value>| match dim {
        Some(dimension::Value::DimValue(size)) => usize::try_from(*size).map_or(Dim::Any, Dim::Fixed),
        Some(dimension::Value::DimParam(_)) | None => Dim::Any,
    };
    Ok(TensorSpec { name: info.name().into(), datatype, shape: dims.iter().map(dim).collect() })
}
