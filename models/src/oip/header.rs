//! What a tensor says of itself before its elements: name, datatype and shape.

use std::sync::Arc;

use bytes::Bytes;

use super::{Limits, Shown, shown};
use crate::tensor::{Datatype, NamedTensor, Tensor};

/// Bytes of the longest name of a tensor, a model or a version; the longest that can exist is shorter.
pub const NAME_MAX: usize = 256;

/// The checked header of one tensor.
#[derive(Debug, Clone)]
pub struct Header {
    what: &'static str,
    /// Element type.
    pub datatype: Datatype,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
}

impl Header {
    /// Checks the name, datatype and shape of one tensor; `what` is `input` or `output`, for the error.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(what: &'static str, name: &str, datatype: &str, shape: &[i64], limits: Limits) -> Result<Self, String> {
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(format!("an {what}'s name is {} bytes long; 1 to {NAME_MAX} are allowed", name.len()));
        }
        let name = shown(name);
        let Some(datatype) = Datatype::parse(datatype) else {
            let known = Datatype::ALL.map(Datatype::name).join(", ");
            return Err(format!("{what} '{name}': datatype '{}' is not one of {known}", shown(datatype)));
        };
        rank_within(what, name, shape.len(), limits)?;
        let dims = shape.iter().enumerate().map(|(axis, dim)| {
            usize::try_from(*dim).map_err(|_| format!("{what} '{name}': dimension {axis} of its shape is {dim}"))
        });
        Ok(Self { what, datatype, shape: dims.collect::<Result<_, _>>()? })
    }

    /// What an input said that was accepted.
    pub(super) fn of_input(tensor: &Tensor) -> Self {
        Self { what: "input", datatype: tensor.datatype(), shape: tensor.shape().to_vec() }
    }

    /// The tensor of raw little-endian bytes.
    ///
    /// # Errors
    /// The bytes do not fit datatype and shape.
    pub fn raw(self, name: &str, data: Bytes) -> Result<NamedTensor, String> {
        self.named(Arc::from(name), data)
    }

    /// [`raw`](Self::raw) with a name that is there already.
    pub(super) fn named(self, name: Arc<str>, data: Bytes) -> Result<NamedTensor, String> {
        // Models see 0 and 1 only; clients that send other bytes for true get what they mean.
        let data = match self.datatype {
            Datatype::Bool if data.iter().any(|byte| *byte > 1) => {
                data.iter().map(|byte| u8::from(*byte != 0)).collect()
            }
            _ => data,
        };
        let tensor = Tensor::new(self.datatype, self.shape, data);
        let tensor = tensor.map_err(|error| format!("{} '{}': {error}", self.what, shown(&name)))?;
        Ok(NamedTensor { name, tensor })
    }
}

/// Refuses more dimensions than `limits` has; `name` as an error may repeat it.
pub(super) fn rank_within(what: &str, name: Shown<'_>, rank: usize, limits: Limits) -> Result<(), String> {
    if rank <= limits.rank {
        return Ok(());
    }
    Err(format!("{what} '{name}': shape has {rank} dimensions, over the limit of {}", limits.rank))
}
