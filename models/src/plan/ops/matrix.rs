//! Products of matrices.

use std::fmt;

use candle_core::Tensor;
use kernels::Activation;

use super::{bounded, broadcast_shape, together};
use crate::error::OpError;
use crate::plan::value::Value;

/// A product with a constant matrix, what is added to it and what follows.
#[derive(Debug, Clone)]
pub(crate) struct Dense {
    /// `[K, N]`, contiguous.
    pub(crate) weight: Tensor,
    /// `[N]`.
    pub(crate) bias: Option<Tensor>,
    pub(crate) activation: Activation,
    /// The rank that a bias written as `[1, N]` gives the sum where `x` is a vector.
    pub(crate) rank_min: usize,
}

impl Dense {
    pub(crate) const fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias, activation: Activation::Identity, rank_min: 0 }
    }

    pub(crate) fn inner(&self) -> usize {
        self.weight.dims().first().copied().unwrap_or(0)
    }

    pub(crate) fn bytes(&self) -> u64 {
        let bytes = |t: &Tensor| (t.elem_count() * t.dtype().size_in_bytes()) as u64;
        bytes(&self.weight) + self.bias.as_ref().map_or(0, bytes)
    }

    pub(crate) fn run(&self, x: &Value) -> Result<Value, OpError> {
        let tensor = x.float("dense")?;
        let width = self.weight.dims().last().copied().unwrap_or(0);
        if tensor.dims().last() != Some(&self.inner()) {
            return Err(OpError::Shape(format!("{:?} cannot be multiplied with {:?}", x.dims(), self.weight.dims())));
        }
        let lead = &tensor.dims()[..tensor.rank() - 1];
        bounded(&[lead, &[width]].concat())?;
        let mut out = kernels::dense(tensor, &self.weight, self.bias.as_ref(), self.activation)?;
        while out.rank() < self.rank_min {
            out = out.unsqueeze(0)?;
        }
        Ok(Value::engine(out, x.datatype()))
    }
}

impl fmt::Display for Dense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.weight.dims())?;
        if self.bias.is_some() {
            write!(f, " + bias")?;
        }
        if self.activation != Activation::Identity {
            write!(f, " + {}", self.activation)?;
        }
        Ok(())
    }
}

/// By NumPy's rules: leading axes are broadcast, a vector is a row on the left and a column on the right.
pub(crate) fn matmul(a: &Value, b: &Value) -> Result<Value, OpError> {
    if a.datatype() != b.datatype() {
        return Err(OpError::Mixed(a.datatype(), b.datatype()));
    }
    let (x, y) = together(a.float("matmul")?, b.float("matmul")?)?;
    let unfit = || OpError::Shape(format!("{:?} cannot be multiplied with {:?}", a.dims(), b.dims()));
    let (row, column) = (x.rank() == 1, y.rank() == 1);
    let x = if row { x.unsqueeze(0)? } else { x };
    let y = if column { y.unsqueeze(1)? } else { y };
    let ([x_lead @ .., m, k], [y_lead @ .., k2, n]) = (x.dims(), y.dims()) else { return Err(unfit()) };
    if k != k2 {
        return Err(unfit());
    }
    let lead = broadcast_shape(x_lead, y_lead)?;
    bounded(&[&lead[..], &[*m, *n]].concat())?;
    let mut out = x.contiguous()?.broadcast_matmul(&y.contiguous()?)?;
    if column {
        out = out.squeeze(out.rank() - 1)?;
    }
    if row {
        let axis = out.rank() - if column { 1 } else { 2 };
        out = out.squeeze(axis)?;
    }
    Ok(Value::engine(out, a.datatype()))
}
