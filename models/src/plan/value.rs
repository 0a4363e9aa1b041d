//! What flows between ops: host tensors of any datatype, or engine tensors that can be computed on.
//!
//! The engine computes in fewer types than callers have: whole numbers up to 64 bits travel as I64, half precision as
//! F32, and are narrowed again on the way out. A host tensor that is only passed through is never converted.

use candle_core::{DType, Device};
use half::{bf16, f16};
use kernels::cuda::{Element, Gpu};

use crate::error::OpError;
use crate::tensor::{Datatype, Tensor};

/// A value of a plan.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// As callers send it; the only form of `BYTES`.
    Host(Tensor),
    /// In the engine.
    Engine {
        /// Of the datatype that [`engine_dtype`] gives.
        tensor: candle_core::Tensor,
        /// What it is to callers.
        datatype: Datatype,
    },
}

/// The engine's type for a datatype; `None` for `BYTES`.
pub(crate) const fn engine_dtype(datatype: Datatype) -> Option<DType> {
    match datatype {
        Datatype::Bool | Datatype::Uint8 => Some(DType::U8),
        Datatype::Int8
        | Datatype::Int16
        | Datatype::Int32
        | Datatype::Int64
        | Datatype::Uint16
        | Datatype::Uint32
        | Datatype::Uint64 => Some(DType::I64),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 => Some(DType::F32),
        Datatype::Fp64 => Some(DType::F64),
        Datatype::Bytes => None,
    }
}

/// Whether ops on floats take it.
pub(crate) const fn is_float(datatype: Datatype) -> bool {
    matches!(datatype, Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64)
}

impl Value {
    pub(crate) const fn engine(tensor: candle_core::Tensor, datatype: Datatype) -> Self {
        Self::Engine { tensor, datatype }
    }

    /// I64 numbers in host memory, as shapes and axes are.
    pub(crate) fn ints(values: Vec<i64>) -> Result<Self, OpError> {
        let count = values.len();
        Ok(Self::engine(candle_core::Tensor::from_vec(values, count, &Device::Cpu)?, Datatype::Int64))
    }

    pub(crate) const fn datatype(&self) -> Datatype {
        match self {
            Self::Host(tensor) => tensor.datatype(),
            Self::Engine { datatype, .. } => *datatype,
        }
    }

    pub(crate) fn dims(&self) -> &[usize] {
        match self {
            Self::Host(tensor) => tensor.shape(),
            Self::Engine { tensor, .. } => tensor.dims(),
        }
    }

    /// Bytes it holds, where it shares them with no other.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Host(tensor) => tensor.data().len() as u64,
            Self::Engine { tensor, .. } => (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64,
        }
    }

    /// The engine tensor, for an op that computes.
    pub(crate) fn tensor(&self, op: &'static str) -> Result<&candle_core::Tensor, OpError> {
        match self {
            Self::Engine { tensor, .. } => Ok(tensor),
            Self::Host(tensor) => Err(OpError::Datatype { op, datatype: tensor.datatype() }),
        }
    }

    /// The engine tensor, for an op on floats only: candle has no unary functions of whole numbers.
    pub(crate) fn float(&self, op: &'static str) -> Result<&candle_core::Tensor, OpError> {
        match self {
            Self::Engine { tensor, datatype } if is_float(*datatype) => Ok(tensor),
            other => Err(OpError::Datatype { op, datatype: other.datatype() }),
        }
    }

    /// All elements of a tensor of whole numbers, in order.
    pub(crate) fn to_ints(&self, op: &'static str) -> Result<Vec<i64>, OpError> {
        let tensor = self.tensor(op)?;
        match tensor.dtype() {
            DType::I64 => Ok(tensor.flatten_all()?.to_vec1()?),
            DType::U8 => Ok(tensor.flatten_all()?.to_dtype(DType::I64)?.to_vec1()?),
            _ => Err(OpError::Datatype { op, datatype: self.datatype() }),
        }
    }

    /// Into the engine, in host memory. `BYTES` stay as they are.
    pub(crate) fn upload(&self) -> Result<Self, OpError> {
        match self {
            Self::Host(tensor) => match upload(tensor)? {
                Some(uploaded) => Ok(Self::engine(uploaded, tensor.datatype())),
                None => Ok(self.clone()),
            },
            Self::Engine { .. } => Ok(self.clone()),
        }
    }

    /// From the host to `gpu`, or into the engine where there is none.
    pub(crate) fn to_device(&self, gpu: Option<&Gpu>) -> Result<Self, OpError> {
        let Some(gpu) = gpu else { return self.upload() };
        match self {
            Self::Host(tensor) => match upload_floats(tensor, gpu)? {
                Some(uploaded) => Ok(Self::engine(uploaded, tensor.datatype())),
                None => self.upload()?.to_device(Some(gpu)),
            },
            Self::Engine { tensor, datatype } => Ok(Self::engine(moved(tensor, gpu)?, *datatype)),
        }
    }

    /// From `gpu` to the host.
    pub(crate) fn to_host(&self, gpu: Option<&Gpu>) -> Result<Self, OpError> {
        match (self, gpu) {
            (Self::Engine { tensor, datatype }, Some(gpu)) if !tensor.device().is_cpu() => {
                Ok(Self::engine(fetched(tensor, gpu)?, *datatype))
            }
            _ => Ok(self.clone()),
        }
    }

    /// Into host memory, in the caller's datatype.
    pub(crate) fn download(&self, gpu: Option<&Gpu>) -> Result<Tensor, OpError> {
        match self {
            Self::Host(tensor) => Ok(tensor.clone()),
            Self::Engine { tensor, datatype } => download(tensor, *datatype, gpu),
        }
    }
}

/// A caller's floats on the device, converted on the way; `None` for what is no float.
fn upload_floats(tensor: &Tensor, gpu: &Gpu) -> Result<Option<candle_core::Tensor>, OpError> {
    let (data, shape) = (&tensor.data()[..], tensor.shape());
    macro_rules! convert {
        ($from:ty, $to:ty, $convert:expr) => {{
            let (elements, _) = data.as_chunks::<{ size_of::<$from>() }>();
            gpu.upload::<$to>(shape, |start, into| {
                let values = elements.iter().skip(start).map(|e| $convert(<$from>::from_le_bytes(*e)));
                into.iter_mut().zip(values).for_each(|(to, value)| *to = value);
            })?
        }};
    }
    Ok(Some(match tensor.datatype() {
        Datatype::Fp16 => convert!(f16, f32, f16::to_f32),
        Datatype::Bf16 => convert!(bf16, f32, bf16::to_f32),
        Datatype::Fp32 => convert!(f32, f32, |v| v),
        Datatype::Fp64 => convert!(f64, f64, |v| v),
        _ => return Ok(None),
    }))
}

/// A host tensor of the engine on the device.
fn moved(tensor: &candle_core::Tensor, gpu: &Gpu) -> Result<candle_core::Tensor, OpError> {
    fn of<T: Element>(tensor: &candle_core::Tensor, gpu: &Gpu) -> candle_core::Result<candle_core::Tensor> {
        let values = tensor.flatten_all()?.to_vec1::<T>()?;
        gpu.upload(tensor.dims(), |start, into| {
            into.iter_mut().zip(&values[start..]).for_each(|(to, value)| *to = *value);
        })
    }
    Ok(match tensor.dtype() {
        DType::F32 => of::<f32>(tensor, gpu)?,
        DType::F64 => of::<f64>(tensor, gpu)?,
        DType::U8 => of::<u8>(tensor, gpu)?,
        _ => of::<i64>(tensor, gpu)?,
    })
}

/// A tensor of the device in the host's memory.
fn fetched(tensor: &candle_core::Tensor, gpu: &Gpu) -> Result<candle_core::Tensor, OpError> {
    fn of<T: Element>(tensor: &candle_core::Tensor, gpu: &Gpu) -> Result<candle_core::Tensor, OpError> {
        Ok(candle_core::Tensor::from_vec(numbers::<T>(tensor, Some(gpu))?, tensor.dims(), &Device::Cpu)?)
    }
    match tensor.dtype() {
        DType::F32 => of::<f32>(tensor, gpu),
        DType::F64 => of::<f64>(tensor, gpu),
        DType::U8 => of::<u8>(tensor, gpu),
        _ => of::<i64>(tensor, gpu),
    }
}

/// All elements in order, wherever they are.
fn numbers<T: Element>(tensor: &candle_core::Tensor, gpu: Option<&Gpu>) -> Result<Vec<T>, OpError> {
    match gpu {
        Some(gpu) if !tensor.device().is_cpu() => {
            let mut values = Vec::with_capacity(tensor.elem_count());
            gpu.download::<T>(tensor, |piece| values.extend_from_slice(piece))?;
            Ok(values)
        }
        _ => Ok(tensor.flatten_all()?.to_vec1::<T>()?),
    }
}

fn upload(tensor: &Tensor) -> Result<Option<candle_core::Tensor>, OpError> {
    let (data, shape, device) = (&tensor.data()[..], tensor.shape(), &Device::Cpu);
    macro_rules! convert {
        ($from:ty, $to:ty, $convert:expr) => {{
            let (elements, _) = data.as_chunks::<{ size_of::<$from>() }>();
            let values: Vec<$to> = elements.iter().map(|e| $convert(<$from>::from_le_bytes(*e))).collect();
            candle_core::Tensor::from_vec(values, shape, device)?
        }};
    }
    Ok(Some(match tensor.datatype() {
        Datatype::Bool => {
            let truths: Vec<u8> = data.iter().map(|byte| u8::from(*byte != 0)).collect();
            candle_core::Tensor::from_vec(truths, shape, device)?
        }
        Datatype::Uint8 => candle_core::Tensor::from_slice(data, shape, device)?,
        Datatype::Int8 => convert!(i8, i64, i64::from),
        Datatype::Int16 => convert!(i16, i64, i64::from),
        Datatype::Int32 => convert!(i32, i64, i64::from),
        Datatype::Int64 => convert!(i64, i64, |v| v),
        Datatype::Uint16 => convert!(u16, i64, i64::from),
        Datatype::Uint32 => convert!(u32, i64, i64::from),
        Datatype::Uint64 => {
            let (elements, _) = data.as_chunks::<8>();
            let values: Result<Vec<i64>, _> = elements.iter().map(|e| i64::try_from(u64::from_le_bytes(*e))).collect();
            let values = values.map_err(|_| OpError::Unsigned)?;
            candle_core::Tensor::from_vec(values, shape, device)?
        }
        Datatype::Fp16 => convert!(f16, f32, f16::to_f32),
        Datatype::Bf16 => convert!(bf16, f32, bf16::to_f32),
        Datatype::Fp32 => convert!(f32, f32, |v| v),
        Datatype::Fp64 => convert!(f64, f64, |v| v),
        Datatype::Bytes => return Ok(None),
    }))
}

fn download(tensor: &candle_core::Tensor, datatype: Datatype, gpu: Option<&Gpu>) -> Result<Tensor, OpError> {
    fn bytes<T: Element, const N: usize>(
        tensor: &candle_core::Tensor,
        gpu: Option<&Gpu>,
        bytes: impl Fn(T) -> [u8; N],
    ) -> Result<Vec<u8>, OpError> {
        let values = numbers::<T>(tensor, gpu)?;
        let mut out = vec![0; values.len() * N];
        let (chunks, _) = out.as_chunks_mut::<N>();
        chunks.iter_mut().zip(values).for_each(|(chunk, value)| *chunk = bytes(value));
        Ok(out)
    }
    // Whole numbers wrap as they would have, had the op computed in the narrow type.
    let data = match datatype {
        Datatype::Bool | Datatype::Uint8 => numbers::<u8>(tensor, gpu)?,
        Datatype::Int8 => bytes(tensor, gpu, |v: i64| (v as i8).to_le_bytes())?,
        Datatype::Int16 => bytes(tensor, gpu, |v: i64| (v as i16).to_le_bytes())?,
        Datatype::Int32 => bytes(tensor, gpu, |v: i64| (v as i32).to_le_bytes())?,
        Datatype::Int64 | Datatype::Uint64 => bytes(tensor, gpu, i64::to_le_bytes)?,
        Datatype::Uint16 => bytes(tensor, gpu, |v: i64| (v as u16).to_le_bytes())?,
        Datatype::Uint32 => bytes(tensor, gpu, |v: i64| (v as u32).to_le_bytes())?,
        Datatype::Fp16 => bytes(tensor, gpu, |v: f32| f16::from_f32(v).to_le_bytes())?,
        Datatype::Bf16 => bytes(tensor, gpu, |v: f32| bf16::from_f32(v).to_le_bytes())?,
        Datatype::Fp32 => bytes(tensor, gpu, f32::to_le_bytes)?,
        Datatype::Fp64 => bytes(tensor, gpu, f64::to_le_bytes)?,
        Datatype::Bytes => return Err(OpError::Datatype { op: "download", datatype }),
    };
    Ok(Tensor::new(datatype, tensor.dims().to_vec(), data.into())?)
}
