//! The answer to an infer request, written straight into its bytes.

use bytes::Bytes;

use super::{BinaryOutputs, Invalid, json};
use crate::tensor::NamedTensor;

/// What an answer says.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// Which model answered.
    pub model: &'a str,
    /// Which version of it.
    pub version: &'a str,
    /// The caller's own; left out where empty.
    pub id: &'a str,
    /// In the order in which they are written.
    pub outputs: &'a [NamedTensor],
}

/// Raw tensors up to this in all are better copied behind the JSON than sent as pieces of their own; there is room for
/// them in [`Encoded::json`].
pub const COPY_BYTES_MAX: usize = 16 << 10;

/// An encoded answer.
#[derive(Debug)]
pub struct Encoded {
    /// The JSON part.
    pub json: Vec<u8>,
    /// What follows it, in order; each shares the bytes of its tensor.
    pub binary: Vec<Bytes>,
}

/// Encodes `reply`, with the outputs that `binary` has as raw bytes after the JSON.
///
/// # Errors
/// An output that JSON cannot carry; the text says what to ask for.
pub fn encode(reply: Reply<'_>, binary: &BinaryOutputs) -> Result<Encoded, Invalid> {
    let in_json = reply.outputs.iter().filter(|output| !binary.has(&output.name));
    // A JSON number takes about three times the bytes of the value.
    let guess = 256 + reply.outputs.len() * 96 + in_json.map(|output| output.tensor.data().len() * 3).sum::<usize>();
    let in_binary = reply.outputs.iter().filter(|output| binary.has(&output.name));
    let behind = in_binary.map(|output| output.tensor.data().len()).sum::<usize>();
    let room = guess + if behind <= COPY_BYTES_MAX { behind } else { 0 };
    let mut encoded = Encoded { json: Vec::with_capacity(room), binary: Vec::new() };
    let out = &mut encoded.json;
    out.extend_from_slice(b"{\"model_name\":");
    put_text(out, reply.model);
    out.extend_from_slice(b",\"model_version\":");
    put_text(out, reply.version);
    if !reply.id.is_empty() {
        out.extend_from_slice(b",\"id\":");
        put_text(out, reply.id);
    }
    out.extend_from_slice(b",\"outputs\":[");
    for (index, output) in reply.outputs.iter().enumerate() {
        if index > 0 {
            encoded.json.push(b',');
        }
        encode_output(output, binary.has(&output.name), &mut encoded)?;
    }
    encoded.json.extend_from_slice(b"]}");
    Ok(encoded)
}

fn encode_output(output: &NamedTensor, in_binary: bool, encoded: &mut Encoded) -> Result<(), Invalid> {
    let NamedTensor { name, tensor } = output;
    let out = &mut encoded.json;
    out.extend_from_slice(b"{\"name\":");
    put_text(out, name);
    out.extend_from_slice(b",\"datatype\":");
    put_text(out, tensor.datatype().name());
    out.extend_from_slice(b",\"shape\":");
    put(out, tensor.shape());
    if in_binary {
        out.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
        put(out, &tensor.data().len());
        out.push(b'}');
        encoded.binary.push(tensor.data().clone());
    } else {
        out.extend_from_slice(b",\"data\":");
        json::encode(tensor, out).map_err(|problem| Invalid(format!("output '{name}' {problem}")))?;
    }
    encoded.json.push(b'}');
    Ok(())
}

/// A string. Most hold nothing that JSON escapes, and are copied in one piece.
fn put_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\')) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        put(out, text);
    }
}

fn put<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("strings and whole numbers always have a JSON form");
}
