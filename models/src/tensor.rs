//! Tensors as callers send and receive them: the datatypes of the Open Inference Protocol, row-major, little-endian.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// A datatype of the Open Inference Protocol V2 (`BF16` as Triton spells it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the protocol's own")]
pub enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    /// Every datatype, in the protocol's order.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name, such as `FP32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The datatype of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|datatype| datatype.name() == name)
    }

    /// Bytes of one element; `None` for `BYTES`, whose elements carry their own length.
    #[must_use]
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes are not a tensor of the stated datatype and shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The product of the dimensions does not fit.
    #[error("shape {0:?} has more elements than can be counted")]
    ShapeOverflow(Vec<usize>),
    /// Fewer or more bytes than the shape needs.
    #[error("shape {shape:?} of {datatype} needs {expected} bytes, but {actual} were given")]
    ByteLength {
        /// As stated.
        datatype: Datatype,
        /// As stated.
        shape: Vec<usize>,
        /// What the shape needs.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// `BYTES` elements do not add up.
    #[error("{actual} BYTES elements were given, but shape {shape:?} needs {expected}")]
    ElementCount {
        /// As stated.
        shape: Vec<usize>,
        /// What the shape needs.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// A `BYTES` length prefix points past the end.
    #[error("element {index} of a BYTES tensor says it is longer than the data that follows")]
    Truncated {
        /// Which element.
        index: usize,
    },
    /// Tensors that cannot be joined along the first axis.
    #[error("tensors of {0} cannot be joined along the first axis")]
    Join(String),
}

/// A tensor in host memory. Its bytes always fit its datatype and shape.
///
/// `BYTES` elements are kept as on the wire: each a little-endian `u32` length and that many bytes.
#[derive(Clone)]
pub struct Tensor {
    datatype: Datatype,
    shape: Vec<usize>,
    data: Bytes,
    /// Counted where it was computed: no element is NaN or infinite.
    finite: bool,
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.datatype == other.datatype && self.shape == other.shape && self.data == other.data
    }
}

/// A tensor and the name it has in the signature.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Input or output name.
    pub name: Arc<str>,
    /// The value.
    pub tensor: Tensor,
}

impl Tensor {
    /// A tensor of `data`, which must have exactly the bytes that `datatype` and `shape` need.
    pub fn new(datatype: Datatype, shape: Vec<usize>, data: Bytes) -> Result<Self, TensorError> {
        let elements = count(&shape)?;
        match datatype.size() {
            Some(size) => {
                let expected = elements.checked_mul(size).ok_or_else(|| TensorError::ShapeOverflow(shape.clone()))?;
                if data.len() != expected {
                    return Err(TensorError::ByteLength { datatype, shape, expected, actual: data.len() });
                }
            }
            None => {
                let actual = element_ends(&data)?.len();
                if actual != elements {
                    return Err(TensorError::ElementCount { shape, expected: elements, actual });
                }
            }
        }
        Ok(Self { datatype, shape, data, finite: false })
    }

    /// A `BYTES` tensor of these elements.
    pub fn from_elements<T: AsRef<[u8]>>(shape: Vec<usize>, elements: &[T]) -> Result<Self, TensorError> {
        let mut data = BytesMut::new();
        for (index, element) in elements.iter().enumerate() {
            let element = element.as_ref();
            let length = u32::try_from(element.len()).map_err(|_| TensorError::Truncated { index })?;
            data.extend_from_slice(&length.to_le_bytes());
            data.extend_from_slice(element);
        }
        Self::new(Datatype::Bytes, shape, data.freeze())
    }

    /// The element type.
    #[must_use]
    pub const fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// Dimensions, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Row-major little-endian bytes.
    #[must_use]
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Size of the first axis; 1 for a scalar.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// How many elements are NaN or infinite; 0 for what is not a float.
    #[must_use]
    pub fn non_finite(&self) -> usize {
        match self.datatype {
            _ if self.finite => 0,
            Datatype::Fp16 => kernels::health::non_finite_f16(&self.data),
            Datatype::Bf16 => kernels::health::non_finite_bf16(&self.data),
            Datatype::Fp32 => kernels::health::non_finite_f32(&self.data),
            Datatype::Fp64 => kernels::health::non_finite_f64(&self.data),
            _ => 0,
        }
    }

    /// The same tensor, of which is known that no element is NaN or infinite.
    pub(crate) fn known_finite(mut self) -> Self {
        self.finite = true;
        self
    }

    /// The elements as numbers, truths as 0 and 1, for comparison and display; `None` for `BYTES`. Whole numbers
    /// beyond 2⁵³ are rounded.
    #[must_use]
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        macro_rules! decode {
            ($ty:ty, $convert:expr) => {{
                let (elements, _) = self.data.as_chunks::<{ size_of::<$ty>() }>();
                elements.iter().map(|e| $convert(<$ty>::from_le_bytes(*e))).collect()
            }};
        }
        Some(match self.datatype {
            Datatype::Bool | Datatype::Uint8 => self.data.iter().map(|byte| f64::from(*byte)).collect(),
            Datatype::Uint16 => decode!(u16, f64::from),
            Datatype::Uint32 => decode!(u32, f64::from),
            Datatype::Uint64 => decode!(u64, |v| v as f64),
            Datatype::Int8 => decode!(i8, f64::from),
            Datatype::Int16 => decode!(i16, f64::from),
            Datatype::Int32 => decode!(i32, f64::from),
            Datatype::Int64 => decode!(i64, |v| v as f64),
            Datatype::Fp16 => decode!(half::f16, half::f16::to_f64),
            Datatype::Bf16 => decode!(half::bf16, half::bf16::to_f64),
            Datatype::Fp32 => decode!(f32, f64::from),
            Datatype::Fp64 => decode!(f64, |v| v),
            Datatype::Bytes => return None,
        })
    }

    /// The elements of a `BYTES` tensor; empty for other datatypes.
    pub fn byte_elements(&self) -> impl Iterator<Item = &[u8]> {
        let ends =
            if self.datatype == Datatype::Bytes { element_ends(&self.data).unwrap_or_default() } else { Vec::new() };
        let mut start = 0;
        ends.into_iter().map(move |end| {
            let element = &self.data[start + 4..end];
            start = end;
            element
        })
    }

    /// Joins tensors of one datatype and row shape along the first axis. One tensor is returned as it is.
    pub fn concat(parts: &[Self]) -> Result<Self, TensorError> {
        let refused =
            || TensorError::Join(format!("{:?}", parts.iter().map(|t| (t.datatype, &t.shape)).collect::<Vec<_>>()));
        let [first, rest @ ..] = parts else { return Err(refused()) };
        if rest.is_empty() {
            return Ok(first.clone());
        }
        if first.shape.is_empty()
            || rest.iter().any(|t| t.datatype != first.datatype || t.shape.get(1..) != first.shape.get(1..))
        {
            return Err(refused());
        }
        let mut data = BytesMut::with_capacity(parts.iter().map(|t| t.data.len()).sum());
        let mut shape = first.shape.clone();
        shape[0] = parts.iter().map(Self::rows).sum();
        for part in parts {
            data.extend_from_slice(&part.data);
        }
        Ok(Self { datatype: first.datatype, shape, data: data.freeze(), finite: false })
    }

    /// Cuts along the first axis into pieces of `rows` rows each, sharing the bytes. The rows must add up.
    pub fn split(&self, rows: &[usize]) -> Result<Vec<Self>, TensorError> {
        if self.shape.is_empty() || rows.iter().sum::<usize>() != self.rows() {
            return Err(TensorError::Join(format!("shape {:?} into rows {rows:?}", self.shape)));
        }
        if let [_] = rows {
            return Ok(vec![self.clone()]);
        }
        let row_elements = self.shape[1..].iter().product::<usize>();
        let ends = if self.datatype == Datatype::Bytes { element_ends(&self.data)? } else { Vec::new() };
        let offset = |row: usize| match (self.datatype.size(), row * row_elements) {
            (Some(size), element) => element * size,
            (None, 0) => 0,
            (None, element) => ends[element - 1],
        };
        let mut row = 0;
        let piece = |count: &usize| {
            let (start, end) = (offset(row), offset(row + count));
            row += count;
            let mut shape = self.shape.clone();
            shape[0] = *count;
            Self { datatype: self.datatype, shape, data: self.data.slice(start..end), finite: self.finite }
        };
        Ok(rows.iter().map(piece).collect())
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {:?}, {} bytes)", self.datatype, self.shape, self.data.len())
    }
}

fn count(shape: &[usize]) -> Result<usize, TensorError> {
    shape
        .iter()
        .try_fold(1_usize, |product, dim| product.checked_mul(*dim))
        .ok_or_else(|| TensorError::ShapeOverflow(shape.to_vec()))
}

/// Where each length-prefixed element ends.
fn element_ends(data: &[u8]) -> Result<Vec<usize>, TensorError> {
    let mut ends = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let truncated = TensorError::Truncated { index: ends.len() };
        let Some(prefix) = data.get(at..at + 4) else { return Err(truncated) };
        let length = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
        at += 4 + length;
        if at > data.len() {
            return Err(truncated);
        }
        ends.push(at);
    }
    Ok(ends)
}
