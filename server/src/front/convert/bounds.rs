//! What a `ModelInferRequest` holds, counted in its bytes before memory is taken for it.
//!
//! An empty input is two bytes on the wire and three hundred decoded, so a message within its limit could still fill
//! the memory. Only fields that grow so are counted. What is malformed ends the count: decoding refuses it at the same
//! place.

use bytes::Bytes;
use models::oip::{Limits, too_many};

use super::invalid;
use crate::front::proto::ModelInferRequest;
use crate::infer::InferError;

/// Inputs, and outputs asked for.
const TENSORS_MAX: usize = Limits::DEFAULT.tensors;
/// Dimensions that are decoded; a shape over its limit within this is told with its length.
const DIMENSIONS_MAX: usize = 64;
/// Parameters of a request, its inputs and outputs.
const PARAMETERS_MAX: usize = 1024;
/// Elements of BYTES in typed contents.
const TEXTS_MAX: usize = 1 << 20;
/// Whole numbers in typed contents: one may be a byte on the wire, and eight decoded.
const NUMBERS_MAX: usize = 8 << 20;

/// Refuses `message` where it holds too much.
pub fn check(message: &[u8]) -> Result<(), InferError> {
    let mut held = Held::default();
    for (field, content) in Fields(message) {
        match field {
            4 => count(&mut held.parameters, 1, PARAMETERS_MAX, "parameters")?,
            5 => {
                count(&mut held.inputs, 1, TENSORS_MAX, "inputs")?;
                held.input(content)?;
            }
            6 => {
                count(&mut held.outputs, 1, TENSORS_MAX, "outputs")?;
                let parameters = Fields(content).filter(|(field, _)| *field == 2).count();
                count(&mut held.parameters, parameters, PARAMETERS_MAX, "parameters")?;
            }
            7 => count(&mut held.raw, 1, TENSORS_MAX, "raw_input_contents")?,
            _ => {}
        }
    }
    Ok(())
}

/// What was counted so far.
#[derive(Default)]
struct Held {
    inputs: usize,
    outputs: usize,
    raw: usize,
    parameters: usize,
    texts: usize,
    numbers: usize,
}

impl Held {
    fn input(&mut self, input: &[u8]) -> Result<(), InferError> {
        let mut dimensions = 0;
        for (field, content) in Fields(input) {
            match field {
                3 => dimensions += numbers(content),
                4 => count(&mut self.parameters, 1, PARAMETERS_MAX, "parameters")?,
                5 => self.contents(content)?,
                _ => {}
            }
            if dimensions > DIMENSIONS_MAX {
                let limit = Limits::DEFAULT.rank;
                return Err(invalid(format!("an input's shape has more dimensions than the limit of {limit}")));
            }
        }
        Ok(())
    }

    fn contents(&mut self, contents: &[u8]) -> Result<(), InferError> {
        for (field, content) in Fields(contents) {
            match field {
                2..=5 => count(&mut self.numbers, numbers(content), NUMBERS_MAX, "whole numbers in contents")?,
                8 => count(&mut self.texts, 1, TEXTS_MAX, "elements in contents.bytes_contents")?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Numbers in a field of them, packed or alone: the last byte of each has no high bit.
fn numbers(content: &[u8]) -> usize {
    content.iter().filter(|byte| **byte < 0x80).count()
}

/// Bytes that `message` takes until it is answered: raw contents are slices of it, and typed ones become a tensor beside
/// what they were decoded to.
pub fn held_bytes(message: &ModelInferRequest) -> usize {
    let typed = message.inputs.iter().filter_map(|input| input.contents.as_ref()).map(|contents| {
        let four = contents.int_contents.len() + contents.uint_contents.len() + contents.fp32_contents.len();
        let eight = contents.int64_contents.len() + contents.uint64_contents.len() + contents.fp64_contents.len();
        let texts: usize = contents.bytes_contents.iter().map(|text| size_of::<Bytes>() + text.len()).sum();
        2 * (contents.bool_contents.len() + 4 * four + 8 * eight + texts)
    });
    message.raw_input_contents.iter().map(Bytes::len).sum::<usize>() + typed.sum::<usize>()
}

fn count(so_far: &mut usize, more: usize, limit: usize, what: &str) -> Result<(), InferError> {
    *so_far = so_far.saturating_add(more);
    if *so_far > limit { Err(too_many(what, limit).into()) } else { Ok(()) }
}

/// The fields of a message, each with its number and its bytes on the wire, less their length.
struct Fields<'m>(&'m [u8]);

impl<'m> Iterator for Fields<'m> {
    type Item = (u64, &'m [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let content = match key & 7 {
            0 => {
                let before = self.0;
                self.varint()?;
                &before[..before.len() - self.0.len()]
            }
            1 => self.take(8)?,
            2 => {
                let length = self.varint()?;
                self.take(usize::try_from(length).ok()?)?
            }
            // Groups: what is in them is counted as if it were not.
            3 | 4 => &[],
            5 => self.take(4)?,
            _ => return None,
        };
        Some((key >> 3, content))
    }
}

impl<'m> Fields<'m> {
    fn varint(&mut self) -> Option<u64> {
        prost::encoding::decode_varint(&mut self.0).ok()
    }

    fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::front::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
    use crate::front::proto::{InferParameter, InferTensorContents};

    fn refusal(request: &ModelInferRequest) -> String {
        check(&request.encode_to_vec()).map_or_else(|error| error.to_string(), |()| String::new())
    }

    fn with(input: InferInputTensor) -> ModelInferRequest {
        ModelInferRequest { inputs: vec![input], ..ModelInferRequest::default() }
    }

    fn parameters(count: usize) -> std::collections::BTreeMap<String, InferParameter> {
        (0..count).map(|number| (number.to_string(), InferParameter::default())).collect()
    }

    #[test]
    fn what_grows_when_it_is_decoded_is_counted_before() {
        let (input, output) = (InferInputTensor::default(), InferRequestedOutputTensor::default());
        let inputs = |count| ModelInferRequest { inputs: vec![input.clone(); count], ..Default::default() };
        let outputs = |count| ModelInferRequest { outputs: vec![output.clone(); count], ..Default::default() };
        let raw = |count| ModelInferRequest { raw_input_contents: vec![Bytes::new(); count], ..Default::default() };
        for (what, full, over) in [
            ("inputs", inputs(256), inputs(257)),
            ("outputs", outputs(256), outputs(257)),
            ("raw_input_contents", raw(256), raw(257)),
        ] {
            assert_eq!(refusal(&full), "");
            assert_eq!(refusal(&over), format!("the request has more {what} than the limit of 256"));
        }
        let texts = |count| InferTensorContents { bytes_contents: vec![Bytes::new(); count], ..Default::default() };
        let typed = |count| with(InferInputTensor { contents: Some(texts(count)), ..input.clone() });
        assert_eq!(refusal(&typed(TEXTS_MAX)), "");
        assert!(refusal(&typed(TEXTS_MAX + 1)).contains("more elements in contents.bytes_contents than"));
        let whole = |count| InferTensorContents { int64_contents: vec![1; count], ..Default::default() };
        let numbers = |count| with(InferInputTensor { contents: Some(whole(count)), ..input.clone() });
        assert_eq!(refusal(&numbers(NUMBERS_MAX)), "");
        assert!(refusal(&numbers(NUMBERS_MAX + 1)).contains("more whole numbers in contents than"));
        assert_eq!(held_bytes(&numbers(1000)), 16_000);
        assert_eq!(held_bytes(&raw(3)), 0);
        let shaped = |rank| with(InferInputTensor { shape: vec![-1; rank], ..input.clone() });
        assert_eq!(refusal(&shaped(64)), "");
        assert_eq!(refusal(&shaped(65)), "an input's shape has more dimensions than the limit of 16");
        let noted = |count: usize| ModelInferRequest {
            parameters: parameters(count / 2),
            inputs: vec![InferInputTensor { parameters: parameters(count / 4), ..input.clone() }],
            outputs: vec![InferRequestedOutputTensor { parameters: parameters(count / 4), ..output.clone() }],
            ..Default::default()
        };
        assert_eq!(refusal(&noted(1024)), "");
        assert_eq!(refusal(&noted(1028)), "the request has more parameters than the limit of 1024");
    }

    #[test]
    fn other_encodings_hide_nothing() {
        // A group, a fixed field and an unknown one before them, and a shape that is not packed.
        let before = [0x7b, 0x7c, 0x79, 0, 0, 0, 0, 0, 0, 0, 0, 0x7d, 0, 0, 0, 0, 0x78, 1];
        let message = [&before[..], &[0x2a, 0].repeat(257)].concat();
        assert!(check(&message).is_err() && check(&message[..message.len() - 2]).is_ok());
        let dims = [0x18, 1].repeat(65);
        let input = [&[0x2a, 0x82, 0x01][..], &dims].concat();
        assert!(check(&input).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_message_panics(message: Vec<u8>) {
            let _ = check(&message);
        }
    }
}
