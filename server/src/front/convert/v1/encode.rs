//! Replies to V1 JSON.

use std::sync::Arc;

use models::oip::json;
use models::{NamedTensor, Tensor};
use serde_json::Value;

use super::Format;
use crate::front::convert::invalid;
use crate::infer::InferError;

/// Encodes `outputs` as the request came.
pub fn encode(outputs: &[NamedTensor], format: Format) -> Result<Vec<u8>, InferError> {
    let mut out = Vec::with_capacity(64 + outputs.iter().map(|output| output.tensor.data().len() * 3).sum::<usize>());
    match format {
        Format::Columns => {
            out.extend_from_slice(b"{\"outputs\":");
            write_row(outputs, &mut out)?;
        }
        Format::Rows => {
            out.extend_from_slice(b"{\"predictions\":[");
            for (index, row) in rows(outputs)?.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_row(row, &mut out)?;
            }
            out.push(b']');
        }
    }
    out.push(b'}');
    Ok(out)
}

/// `outputs` cut into rows along the first axis, which is dropped.
fn rows(outputs: &[NamedTensor]) -> Result<Vec<Vec<NamedTensor>>, InferError> {
    let count = outputs.first().map_or(0, |output| output.tensor.rows());
    let mut rows = vec![Vec::with_capacity(outputs.len()); count];
    for NamedTensor { name, tensor } in outputs {
        let no_rows = || {
            let shape = tensor.shape();
            invalid(format!("output '{name}' of shape {shape:?} has no rows like the others; send 'inputs' (columns)"))
        };
        if tensor.shape().is_empty() || tensor.rows() != count {
            return Err(no_rows());
        }
        let pieces = tensor.split(&vec![1; count]).map_err(|_| no_rows())?;
        for (row, piece) in rows.iter_mut().zip(pieces) {
            let inner = Tensor::new(piece.datatype(), piece.shape()[1..].to_vec(), piece.data().clone());
            row.push(NamedTensor { name: Arc::clone(name), tensor: inner.map_err(|_| no_rows())? });
        }
    }
    Ok(rows)
}

/// One value where there is one output, else an object of them.
fn write_row(outputs: &[NamedTensor], out: &mut Vec<u8>) -> Result<(), InferError> {
    if let [output] = outputs {
        return write_nested(output, out);
    }
    out.push(b'{');
    for (index, output) in outputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(Value::from(&*output.name).to_string().as_bytes());
        out.push(b':');
        write_nested(output, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_nested(output: &NamedTensor, out: &mut Vec<u8>) -> Result<(), InferError> {
    let NamedTensor { name, tensor } = output;
    json::encode_nested(tensor, out).map_err(|problem| invalid(format!("output '{name}' {problem}")))
}
