//! A tensor as the file holds it to a host tensor: raw bytes, typed fields, or a range of another file.

use bytes::Bytes;

use super::proto::TensorProto;
use super::proto::tensor_proto::{DataLocation, DataType};
use crate::files::ModelFiles;
use crate::tensor::{Datatype, Tensor};

/// The datatype of an ONNX element type.
pub(super) fn datatype(element_type: i32) -> Result<Datatype, String> {
    Ok(match DataType::try_from(element_type) {
        Ok(DataType::Float) => Datatype::Fp32,
        Ok(DataType::Uint8) => Datatype::Uint8,
        Ok(DataType::Int8) => Datatype::Int8,
        Ok(DataType::Uint16) => Datatype::Uint16,
        Ok(DataType::Int16) => Datatype::Int16,
        Ok(DataType::Int32) => Datatype::Int32,
        Ok(DataType::Int64) => Datatype::Int64,
        Ok(DataType::String) => Datatype::Bytes,
        Ok(DataType::Bool) => Datatype::Bool,
        Ok(DataType::Float16) => Datatype::Fp16,
        Ok(DataType::Double) => Datatype::Fp64,
        Ok(DataType::Uint32) => Datatype::Uint32,
        Ok(DataType::Uint64) => Datatype::Uint64,
        Ok(DataType::Bfloat16) => Datatype::Bf16,
        Ok(DataType::Complex64 | DataType::Complex128 | DataType::Undefined) | Err(_) => {
            return Err(format!("element type {element_type} is not supported"));
        }
    })
}

/// Reads a tensor; `files` holds what `external_data` points to.
pub(super) fn read(proto: TensorProto, files: &ModelFiles) -> Result<Tensor, String> {
    let datatype = datatype(proto.data_type())?;
    let shape: Option<Vec<usize>> = proto.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let shape = shape.ok_or_else(|| format!("shape {:?} has a negative size", proto.dims))?;
    let wrong = |error: crate::TensorError| error.to_string();
    if proto.data_location() == DataLocation::External {
        return Tensor::new(datatype, shape, external(&proto, files)?).map_err(wrong);
    }
    if datatype == Datatype::Bytes {
        return Tensor::from_elements(shape, &proto.string_data).map_err(wrong);
    }
    let data = match proto.raw_data {
        Some(raw) => raw,
        None => typed(&proto, datatype).into(),
    };
    Tensor::new(datatype, shape, data).map_err(wrong)
}

/// The typed field of each datatype, as the specification assigns them: narrow types travel in wider ones.
fn typed(proto: &TensorProto, datatype: Datatype) -> Vec<u8> {
    fn bytes<T: Copy, const N: usize>(values: &[T], convert: impl Fn(T) -> [u8; N]) -> Vec<u8> {
        values.iter().flat_map(|value| convert(*value)).collect()
    }
    match datatype {
        Datatype::Fp32 => bytes(&proto.float_data, f32::to_le_bytes),
        Datatype::Fp64 => bytes(&proto.double_data, f64::to_le_bytes),
        Datatype::Int64 => bytes(&proto.int64_data, i64::to_le_bytes),
        Datatype::Uint64 => bytes(&proto.uint64_data, u64::to_le_bytes),
        Datatype::Uint32 => bytes(&proto.uint64_data, |v| (v as u32).to_le_bytes()),
        Datatype::Int32 => bytes(&proto.int32_data, i32::to_le_bytes),
        Datatype::Bool | Datatype::Int8 | Datatype::Uint8 => bytes(&proto.int32_data, |v| [v as u8]),
        // Half precision as its bits.
        Datatype::Int16 | Datatype::Uint16 | Datatype::Fp16 | Datatype::Bf16 => {
            bytes(&proto.int32_data, |v| (v as u16).to_le_bytes())
        }
        Datatype::Bytes => Vec::new(),
    }
}

fn external(proto: &TensorProto, files: &ModelFiles) -> Result<Bytes, String> {
    let entry = |key: &str| proto.external_data.iter().find(|e| e.key() == key).map(|e| e.value());
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text.parse::<usize>().map(Some).map_err(|_| format!("external_data {key} is {text:?}")),
    };
    let location = entry("location").ok_or("external_data without a location")?;
    let location = location.strip_prefix("./").unwrap_or(location);
    let file = files.get(location).ok_or_else(|| format!("external_data is in {location:?}, which is not there"))?;
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?.unwrap_or_else(|| file.len().saturating_sub(offset));
    match offset.checked_add(length) {
        Some(end) if end <= file.len() => Ok(file.slice(offset..end)),
        _ => Err(format!("external_data is {length} bytes from {offset} of {location:?}, which has {}", file.len())),
    }
}
