//! `ModelInferRequest` and `ModelInferResponse` of gRPC. Requests come in raw contents (slices of the message) or typed
//! contents; answers are raw, as Triton's are: its clients read nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use models::oip::{
    self, Element, Elements, Header, NO_CLASSIFICATION, NO_SHARED_MEMORY, Problems, shown, tensor_count, unique,
};
use models::{Datatype, NamedTensor};

use super::{invalid, name};
use crate::front::Limits;
use crate::front::proto::infer_parameter::ParameterChoice;
use crate::front::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use crate::front::proto::model_infer_response::InferOutputTensor;
use crate::front::proto::{InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse};
use crate::infer::{Form, InferError, InferReply, InferRequest};

/// Decodes `wire`. The `timeout` parameter is in microseconds; 0 is none.
pub fn decode(wire: ModelInferRequest, limits: &Limits) -> Result<InferRequest, InferError> {
    name("model_name", &wire.model_name)?;
    if !wire.model_version.is_empty() {
        name("model_version", &wire.model_version)?;
    }
    tensor_count("inputs", wire.inputs.len(), limits.oip())?;
    tensor_count("outputs", wire.outputs.len(), limits.oip())?;
    let mut problems = Problems::default();
    unique("input", wire.inputs.iter().map(|input| &*input.name), &mut problems);
    unique("output", wire.outputs.iter().map(|output| &*output.name), &mut problems);
    let timeout = timeout(&wire.parameters)?;
    let inputs = inputs(wire.inputs, wire.raw_input_contents, limits.oip(), &mut problems)?;
    let outputs = outputs(wire.outputs, &mut problems);
    let version = (!wire.model_version.is_empty()).then_some(wire.model_version);
    let request =
        InferRequest { model: wire.model_name, version, id: wire.id, inputs, outputs, timeout, form: Form::Raw };
    Ok(problems.finish(request)?)
}

fn timeout(parameters: &BTreeMap<String, InferParameter>) -> Result<Option<Duration>, InferError> {
    let Some(parameter) = parameters.get("timeout") else { return Ok(None) };
    let micros = match &parameter.parameter_choice {
        Some(ParameterChoice::Int64Param(micros)) => u64::try_from(*micros).ok(),
        Some(ParameterChoice::Uint64Param(micros)) => Some(*micros),
        _ => None,
    };
    let micros = micros.ok_or_else(|| invalid("parameter 'timeout' is not a whole number of microseconds"))?;
    Ok((micros > 0).then(|| Duration::from_micros(micros)))
}

fn inputs(
    wire: Vec<InferInputTensor>,
    raw: Vec<Bytes>,
    limits: oip::Limits,
    problems: &mut Problems,
) -> Result<Vec<NamedTensor>, InferError> {
    let typed = raw.is_empty() && !wire.is_empty();
    if !typed && raw.len() != wire.len() {
        let (given, needed) = (raw.len(), wire.len());
        return Err(invalid(format!("raw_input_contents has {given} entries for {needed} inputs; give one for each")));
    }
    let mut raw = raw.into_iter();
    let decoded = wire.into_iter().filter_map(|input| problems.take(decode_input(input, raw.next(), limits)));
    Ok(decoded.collect())
}

fn decode_input(input: InferInputTensor, raw: Option<Bytes>, limits: oip::Limits) -> Result<NamedTensor, String> {
    let name = &input.name;
    if input.parameters.contains_key("shared_memory_region") {
        return Err(format!("input '{}': {}", shown(name), NO_SHARED_MEMORY));
    }
    let header = Header::new("input", name, &input.datatype, &input.shape, limits)?;
    match (raw, input.contents) {
        (Some(raw), None) => header.raw(name, raw),
        (Some(_), Some(_)) => {
            Err(format!("input '{}' has both contents and raw_input_contents; give one", shown(name)))
        }
        (None, contents) => {
            let contents = contents.unwrap_or_default();
            let bytes = typed(&header, &contents).map_err(|problem| format!("input '{}': {problem}", shown(name)))?;
            header.raw(name, bytes)
        }
    }
}

/// The bytes of typed elements, which must all be in the one field of the datatype.
fn typed(header: &Header, contents: &InferTensorContents) -> Result<Bytes, String> {
    let Header { datatype, shape, .. } = header;
    let Some(right) = field(*datatype) else {
        return Err(format!("{datatype} has no field in contents; use raw_input_contents"));
    };
    let filled = filled(contents);
    if let Some((wrong, _)) = filled.iter().find(|(field, count)| *field != right && *count > 0) {
        return Err(format!("{datatype} elements belong in contents.{right}, but contents.{wrong} is filled"));
    }
    let given = filled.iter().find(|(field, _)| *field == right).map_or(0, |(_, count)| *count);
    let needed = shape.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    if needed != Some(given) {
        let needed = needed.map_or_else(|| "more than can be counted".to_owned(), |count| count.to_string());
        return Err(format!("shape {shape:?} needs {needed} elements, but contents.{right} has {given}"));
    }
    let c = contents;
    // Floats keep every bit, NaN included: what a model may be given is not for the wire format to say.
    match datatype {
        Datatype::Fp32 => return Ok(c.fp32_contents.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Datatype::Fp64 => return Ok(c.fp64_contents.iter().flat_map(|v| v.to_le_bytes()).collect()),
        _ => {}
    }
    let mut elements = Elements::new(*datatype, given, given);
    c.bool_contents.iter().try_for_each(|v| elements.push(Element::Bool(*v)))?;
    c.int_contents.iter().try_for_each(|v| elements.push(Element::Signed(i64::from(*v))))?;
    c.int64_contents.iter().try_for_each(|v| elements.push(Element::Signed(*v)))?;
    c.uint_contents.iter().try_for_each(|v| elements.push(Element::Unsigned(u64::from(*v))))?;
    c.uint64_contents.iter().try_for_each(|v| elements.push(Element::Unsigned(*v)))?;
    c.bytes_contents.iter().try_for_each(|v| elements.push(Element::Text(v)))?;
    Ok(elements.into_bytes())
}

/// The field of `InferTensorContents` for a datatype.
const fn field(datatype: Datatype) -> Option<&'static str> {
    Some(match datatype {
        Datatype::Bool => "bool_contents",
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => "int_contents",
        Datatype::Int64 => "int64_contents",
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => "uint_contents",
        Datatype::Uint64 => "uint64_contents",
        Datatype::Fp32 => "fp32_contents",
        Datatype::Fp64 => "fp64_contents",
        Datatype::Bytes => "bytes_contents",
        Datatype::Fp16 | Datatype::Bf16 => return None,
    })
}

const fn filled(contents: &InferTensorContents) -> [(&'static str, usize); 8] {
    [
        ("bool_contents", contents.bool_contents.len()),
        ("int_contents", contents.int_contents.len()),
        ("int64_contents", contents.int64_contents.len()),
        ("uint_contents", contents.uint_contents.len()),
        ("uint64_contents", contents.uint64_contents.len()),
        ("fp32_contents", contents.fp32_contents.len()),
        ("fp64_contents", contents.fp64_contents.len()),
        ("bytes_contents", contents.bytes_contents.len()),
    ]
}

fn outputs(wire: Vec<InferRequestedOutputTensor>, problems: &mut Problems) -> Option<Vec<String>> {
    for output in &wire {
        for (parameter, refusal) in [("classification", NO_CLASSIFICATION), ("shared_memory_region", NO_SHARED_MEMORY)]
        {
            if output.parameters.contains_key(parameter) {
                problems.push(format!("output '{}': {refusal}", shown(&output.name)));
            }
        }
    }
    (!wire.is_empty()).then(|| wire.into_iter().map(|output| output.name).collect())
}

/// Encodes `reply`.
#[must_use]
pub fn encode(reply: InferReply) -> ModelInferResponse {
    let mut response = ModelInferResponse {
        model_name: reply.model.as_ref().to_owned(),
        model_version: reply.version.as_ref().to_owned(),
        id: reply.id,
        outputs: Vec::with_capacity(reply.outputs.len()),
        raw_output_contents: Vec::with_capacity(reply.outputs.len()),
        ..ModelInferResponse::default()
    };
    for NamedTensor { name, tensor } in reply.outputs {
        response.raw_output_contents.push(tensor.data().clone());
        response.outputs.push(InferOutputTensor {
            name: name.as_ref().to_owned(),
            datatype: tensor.datatype().name().to_owned(),
            // A dimension is at most the bytes of a message, so it always fits.
            shape: tensor.shape().iter().map(|dim| i64::try_from(*dim).unwrap_or(i64::MAX)).collect(),
            ..InferOutputTensor::default()
        });
    }
    response
}
