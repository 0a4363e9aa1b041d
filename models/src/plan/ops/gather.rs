//! Look-ups: rows of tables, columns of rows, labels of classes.

use candle_core::DType;
use kernels::embedding::{self, GatherError};

use super::bounded;
use super::shape::normalise_axis;
use crate::error::OpError;
use crate::plan::op::LabelKeys;
use crate::plan::value::Value;
use crate::tensor::{Datatype, Tensor};

impl From<GatherError> for OpError {
    fn from(error: GatherError) -> Self {
        match error {
            GatherError::OutOfRange { index, size } => Self::Index { index, size },
            GatherError::Tensor(error) => Self::Engine(error),
        }
    }
}

pub(crate) fn gather(table: &Value, indices: &Value, axis: i64) -> Result<Value, OpError> {
    let axis = normalise_axis(axis, table.dims().len())?;
    let dims = table.dims();
    let shape = [&dims[..axis], indices.dims(), &dims[axis + 1..]].concat();
    bounded(&shape)?;
    match table {
        Value::Host(table) => gather_host(table, &indices.to_ints("gather")?, axis, shape),
        Value::Engine { tensor, datatype } => {
            let indices = indices.tensor("gather")?.to_dtype(DType::I64)?;
            Ok(Value::engine(embedding::gather(tensor, &indices, axis)?, *datatype))
        }
    }
}

/// `ArrayFeatureExtractor`: entries of the last axis; a vector counts as one row.
pub(crate) fn take_last(table: &Value, indices: &Value) -> Result<Value, OpError> {
    let ints = indices.to_ints("take_last")?;
    let rank = table.dims().len();
    let Some(axis) = rank.checked_sub(1) else { return Err(OpError::Shape("a scalar has no columns".into())) };
    let out = gather(table, &Value::ints(ints)?, i64::try_from(axis).unwrap_or(i64::MAX))?;
    if rank == 1 { super::shape::unsqueeze(&out, &[0]) } else { Ok(out) }
}

/// The value of each key; `values` holds one more element, for keys that are not known.
pub(crate) fn labels(keys: &Value, known: &LabelKeys, values: &Tensor) -> Result<Value, OpError> {
    let unknown = values.elements().saturating_sub(1);
    let position = |found: Option<&usize>| i64::try_from(*found.unwrap_or(&unknown)).unwrap_or(i64::MAX);
    let positions: Vec<i64> = match (known, keys) {
        (LabelKeys::Bytes(known), Value::Host(keys)) => {
            keys.byte_elements().map(|key| position(known.get(key))).collect()
        }
        (LabelKeys::Ints(known), keys) => {
            keys.to_ints("labels")?.into_iter().map(|key| position(known.get(&key))).collect()
        }
        (LabelKeys::Bytes(_), keys) => return Err(OpError::Datatype { op: "labels", datatype: keys.datatype() }),
    };
    let picked = gather_host(values, &positions, 0, keys.dims().to_vec())?;
    picked.upload()
}

fn gather_host(table: &Tensor, indices: &[i64], axis: usize, shape: Vec<usize>) -> Result<Value, OpError> {
    let dims = table.shape();
    let (size, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>());
    let rows: Vec<usize> = indices.iter().map(|index| row(*index, size)).collect::<Result<_, _>>()?;
    let outer = dims[..axis].iter().product::<usize>();
    let picks = (0..outer).flat_map(|o| rows.iter().map(move |r| (o * size + r) * inner));
    let picks = picks.flat_map(|start| start..start + inner);
    if table.datatype() == Datatype::Bytes {
        let elements: Vec<&[u8]> = table.byte_elements().collect();
        let picked: Vec<&[u8]> = picks.map(|at| elements[at]).collect();
        return Ok(Value::Host(Tensor::from_elements(shape, &picked)?));
    }
    let width = table.datatype().size().unwrap_or(1);
    let data: Vec<u8> = picks.flat_map(|at| &table.data()[at * width..(at + 1) * width]).copied().collect();
    Ok(Value::Host(Tensor::new(table.datatype(), shape, data.into())?))
}

fn row(index: i64, size: usize) -> Result<usize, OpError> {
    let from_start = if index < 0 { index.checked_add(size as i64) } else { Some(index) };
    from_start.and_then(|row| usize::try_from(row).ok()).filter(|row| *row < size).ok_or(OpError::Index { index, size })
}
