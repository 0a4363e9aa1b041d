//! The contract of a model with its callers: named inputs and outputs, checked before anything is queued.

use std::fmt;
use std::sync::Arc;

use crate::error::InputError;
use crate::tensor::{Datatype, NamedTensor};

/// One axis of a declared shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Exactly this size.
    Fixed(usize),
    /// Any size, written `-1` on the wire.
    Any,
}

/// A named input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name on the wire.
    pub name: Arc<str>,
    /// Element type.
    pub datatype: Datatype,
    /// Dimensions, the batch axis included where the model has one.
    pub shape: Vec<Dim>,
}

/// Named inputs and outputs, in the model's own order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Required inputs.
    pub inputs: Vec<TensorSpec>,
    /// Outputs, all of which are computed.
    pub outputs: Vec<TensorSpec>,
    /// Whether the first axis of every input and output is the batch: rows of several requests may be joined.
    pub batched: bool,
}

impl Dim {
    /// Whether this size is allowed.
    #[must_use]
    pub const fn accepts(self, size: usize) -> bool {
        match self {
            Self::Fixed(fixed) => fixed == size,
            Self::Any => true,
        }
    }

    /// Whether every size that `other` allows is allowed here.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other
    }

    /// As on the wire: `-1` for any size.
    #[must_use]
    pub fn wire(self) -> i64 {
        match self {
            Self::Fixed(size) => i64::try_from(size).unwrap_or(i64::MAX),
            Self::Any => -1,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.wire())
    }
}

impl TensorSpec {
    /// The shape as written in messages, such as `[-1, 9]`.
    #[must_use]
    pub fn shape_text(&self) -> String {
        format!("[{}]", self.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }

    /// Whether a tensor may have this shape.
    #[must_use]
    pub fn accepts_shape(&self, shape: &[usize]) -> bool {
        shape.len() == self.shape.len() && self.shape.iter().zip(shape).all(|(dim, size)| dim.accepts(*size))
    }

    /// Whether every tensor that fits `other` fits this.
    fn covers(&self, other: &Self) -> bool {
        self.datatype == other.datatype
            && self.shape.len() == other.shape.len()
            && self.shape.iter().zip(&other.shape).all(|(mine, theirs)| mine.covers(*theirs))
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.datatype, self.shape_text())
    }
}

impl Signature {
    /// Checks the inputs of one request, in any order, and returns how many rows they have: the size of their common
    /// first axis, or 1 for a model that does not batch.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn check(&self, inputs: &[NamedTensor]) -> Result<usize, Vec<InputError>> {
        let mut problems = Vec::new();
        for (index, input) in inputs.iter().enumerate() {
            match self.inputs.iter().find(|spec| spec.name == input.name) {
                _ if inputs[..index].iter().any(|earlier| earlier.name == input.name) => {
                    problems.push(InputError::Duplicate { name: input.name.clone() });
                }
                None => problems.push(InputError::Unexpected {
                    name: input.name.clone(),
                    known: self.inputs.iter().map(|spec| spec.name.clone()).collect(),
                }),
                Some(spec) => problems.extend(check_one(spec, input)),
            }
        }
        for spec in &self.inputs {
            if !inputs.iter().any(|input| input.name == spec.name) {
                problems.push(InputError::Missing { name: spec.name.clone(), spec: spec.to_string() });
            }
        }
        // Rows mean nothing while a shape is wrong.
        let rows = if self.batched && problems.is_empty() { common_rows(inputs, &mut problems) } else { 1 };
        if problems.is_empty() { Ok(rows) } else { Err(problems) }
    }

    /// Whether this model can take the place of `stable`: it accepts every input that `stable` accepts and returns
    /// each of its outputs with the same datatype and a shape that fits.
    ///
    /// # Errors
    /// Everything that does not fit, at once.
    pub fn compatible_with(&self, stable: &Self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        for spec in &self.inputs {
            if !stable.inputs.iter().any(|s| s.name == spec.name) {
                problems.push(format!("input '{}' ({spec}) is required, but stable has no such input", spec.name));
            }
        }
        for theirs in &stable.inputs {
            match self.inputs.iter().find(|s| s.name == theirs.name) {
                None => problems.push(format!("input '{}' of stable ({theirs}) is not accepted", theirs.name)),
                Some(mine) if !mine.covers(theirs) => {
                    problems.push(format!("input '{}' is {mine}, but stable accepts {theirs}", theirs.name));
                }
                Some(_) => {}
            }
        }
        for theirs in &stable.outputs {
            match self.outputs.iter().find(|s| s.name == theirs.name) {
                None => problems.push(format!("output '{}' of stable ({theirs}) is not returned", theirs.name)),
                Some(mine) if !theirs.covers(mine) => {
                    problems.push(format!("output '{}' is {mine}, but stable returns {theirs}", theirs.name));
                }
                Some(_) => {}
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

fn check_one(spec: &TensorSpec, input: &NamedTensor) -> Vec<InputError> {
    let name = &spec.name;
    let (datatype, shape) = (input.tensor.datatype(), input.tensor.shape());
    let mut problems = Vec::new();
    if datatype != spec.datatype {
        problems.push(InputError::Datatype { name: name.clone(), expected: spec.datatype, actual: datatype });
    }
    if !spec.accepts_shape(shape) {
        let expected = spec.shape_text();
        problems.push(InputError::Shape { name: name.clone(), expected, actual: shape.to_vec() });
    } else if shape.contains(&0) {
        problems.push(InputError::Empty { name: name.clone(), actual: shape.to_vec() });
    }
    problems
}

fn common_rows(inputs: &[NamedTensor], problems: &mut Vec<InputError>) -> usize {
    let Some(first) = inputs.first() else { return 1 };
    let expected = first.tensor.rows();
    for input in &inputs[1..] {
        let actual = input.tensor.rows();
        if actual != expected {
            let (name, first) = (input.name.clone(), first.name.clone());
            problems.push(InputError::Rows { name, first, expected, actual });
        }
    }
    expected
}

#[cfg(test)]
mod tests;
