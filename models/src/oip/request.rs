//! The infer request: JSON, with or without the binary tensor extension (JSON first, then the raw bytes of the tensors,
//! in order, as slices of the one body).

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use super::tensor::Binary;
use super::wire::{self, OutputJson};
use super::{HEADER_LENGTH, Invalid, Limits, NO_CLASSIFICATION, NO_SHARED_MEMORY, Problems, shown, unique};
use crate::tensor::NamedTensor;

/// A decoded infer request, less what path and headers say.
#[derive(Debug)]
pub struct Decoded {
    /// The caller's id; may be empty.
    pub id: String,
    /// Inputs, in the caller's order.
    pub inputs: Vec<NamedTensor>,
    /// Requested outputs; `None` is all of them.
    pub outputs: Option<Vec<String>>,
    /// The `timeout` parameter, which is in microseconds; 0 is none.
    pub timeout: Option<Duration>,
    /// Which outputs to answer in binary.
    pub binary: BinaryOutputs,
}

/// Which outputs are answered in binary.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BinaryOutputs {
    /// Those that say nothing themselves.
    default: bool,
    /// Those that do.
    named: HashMap<String, bool>,
}

impl BinaryOutputs {
    /// Whether `output` is.
    #[must_use]
    pub fn has(&self, output: &str) -> bool {
        self.named.get(output).copied().unwrap_or(self.default)
    }
}

/// Decodes `body`, of which the first `header_length` bytes are JSON (all of it where there is no such header).
///
/// # Errors
/// Everything wrong with the tensors, or the first thing wrong with the JSON around them.
pub fn decode(body: &Bytes, header_length: Option<usize>, limits: Limits) -> Result<Decoded, Invalid> {
    let json_length = header_length.unwrap_or(body.len());
    let Some(text) = body.get(..json_length) else {
        let have = body.len();
        return Err(Invalid(format!("{HEADER_LENGTH} is {json_length}, but the body has only {have} bytes")));
    };
    let wire = wire::read(text, limits)?;
    let mut problems = Problems::default();
    unique("input", wire.inputs.iter().map(|input| &*input.name), &mut problems);
    unique("output", wire.outputs.iter().map(|output| &*output.name), &mut problems);
    let mut binary = Binary { rest: body.slice(json_length..), announced: header_length.is_some() };
    let inputs =
        wire.inputs.iter().filter_map(|input| problems.take(input.decode_input(&mut binary, limits))).collect();
    if !binary.rest.is_empty() {
        problems.push(format!("{} bytes follow the last binary input", binary.rest.len()));
    }
    let (outputs, binary) = requested(wire.outputs, wire.parameters.binary_data_output, &mut problems);
    let timeout = wire.parameters.timeout.filter(|micros| *micros > 0).map(Duration::from_micros);
    problems.finish(Decoded { id: wire.id, inputs, outputs, timeout, binary })
}

/// The outputs asked for, and which of them in binary.
fn requested(outputs: Vec<OutputJson>, default: bool, problems: &mut Problems) -> (Option<Vec<String>>, BinaryOutputs) {
    let mut binary = BinaryOutputs { default, named: HashMap::new() };
    let mut names = Vec::with_capacity(outputs.len());
    for output in outputs {
        let name = shown(&output.name);
        if output.parameters.classification.is_some() {
            problems.push(format!("output '{name}': {NO_CLASSIFICATION}"));
        }
        if output.parameters.shared_memory_region.is_some() {
            problems.push(format!("output '{name}': {NO_SHARED_MEMORY}"));
        }
        if let Some(in_binary) = output.parameters.binary_data {
            binary.named.insert(output.name.clone(), in_binary);
        }
        names.push(output.name);
    }
    ((!names.is_empty()).then_some(names), binary)
}
