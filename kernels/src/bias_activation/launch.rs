//! The in-place pass on a CUDA device, in F32 and F16.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, PushKernelArg};
use candle_core::cuda_backend::{CudaDType, CudaStorage, WrapErr};
use candle_core::{DType, Layout, Result, Storage, Tensor, bail};
use half::f16;

use super::{Activation, BiasActivation};
use crate::launch::{Module, elements, function, plane, together};

const OP: &str = "bias_activation";
static MODULE: Module = Module { name: OP, image: include_bytes!(concat!(env!("OUT_DIR"), "/bias_activation.fatbin")) };

/// Whether the pass has a kernel for this tensor.
pub(super) fn computes(x: &Tensor) -> bool {
    x.device().is_cuda() && matches!(x.dtype(), DType::F32 | DType::F16)
}

/// Bias and activation over a tensor of ours.
pub(super) fn pass(op: &BiasActivation, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
    match storage.dtype() {
        DType::F32 => launch::<f32>(op, storage, layout, 0),
        DType::F16 => launch::<f16>(op, storage, layout, 1),
        other => bail!("{OP} computes in F32 and F16 on a CUDA device, not in {}", other.as_str()),
    }
}

fn launch<T: CudaDType + DeviceRepr>(
    op: &BiasActivation,
    storage: &mut CudaStorage,
    layout: &Layout,
    datatype: usize,
) -> Result<()> {
    let len = layout.shape().elem_count();
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("{OP}: not contiguous") };
    let device = storage.device.clone();
    let Some(mut values) = storage.as_cuda_slice_mut::<T>()?.try_slice_mut(start..end) else {
        bail!("{OP}: layout past its storage")
    };
    if len == 0 {
        return Ok(());
    }
    let bias = op.bias.as_ref().map(Tensor::storage_and_layout);
    let bias = match &bias {
        Some((storage, layout)) => {
            let Storage::Cuda(storage) = &**storage else { bail!("{OP}: bias on another device") };
            together(&device, &storage.device, OP)?;
            Some(elements::<T>(storage, layout, OP)?)
        }
        None => None,
    };
    let columns = bias.as_ref().map_or(len, |bias| bias.len());
    if columns == 0 || !len.is_multiple_of(columns) {
        bail!("{OP}: {len} elements are no rows of {columns}");
    }
    let (name, parameter) = kernel(op.activation, datatype);
    let function = function(&device, &MODULE, NAMES, name)?;
    let stream = device.cuda_stream();
    let dims = [(len / columns) as u64, columns as u64];
    let mut launch = stream.launch_builder(&function);
    launch.arg(&mut values);
    match &bias {
        Some(bias) => launch.arg(bias),
        None => launch.arg(&0_u64),
    };
    launch.arg(&dims[0]).arg(&dims[1]).arg(&parameter);
    // SAFETY: these are the kernel's parameters in their order. `values` has rows × columns elements and the bias, where
    // there is one, a row of them; no other element is touched. Both live until the stream is past the kernel.
    unsafe { launch.launch(plane(len / columns, columns)) }.w()?;
    Ok(())
}

macro_rules! kernels {
    ($($pattern:pat => $name:literal, $parameter:expr;)*) => {
        /// Every kernel of `kernel.cu`.
        static NAMES: &[&str] = &[$(concat!($name, "_f32"), concat!($name, "_f16")),*];

        /// The kernel of an activation in F32 (0) or F16 (1), and what it is given.
        fn kernel(activation: Activation, datatype: usize) -> (&'static str, f32) {
            match activation {
                $($pattern => ([concat!($name, "_f32"), concat!($name, "_f16")][datatype], $parameter as f32),)*
            }
        }
    };
}

kernels! {
    Activation::Identity => "identity", 0.0;
    Activation::Relu => "relu", 0.0;
    Activation::LeakyRelu(slope) => "leaky_relu", slope;
    Activation::Elu(alpha) => "elu", alpha;
    Activation::Sigmoid => "sigmoid", 0.0;
    Activation::Tanh => "tanh", 0.0;
    Activation::Gelu => "gelu", 0.0;
    Activation::GeluTanh => "gelu_tanh", 0.0;
    Activation::Softplus => "softplus", 0.0;
}
