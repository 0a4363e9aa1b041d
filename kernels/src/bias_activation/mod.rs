//! A dense layer, `activation(x · W + b)`: the bias and the activation in one pass over the product.
//!
//! Small products never leave this folder: for a batch of a few rows, a general matrix multiplication spends longer on
//! packing and on its thread pool than on arithmetic. Larger ones go to candle's gemm, then through one in-place pass.

#[cfg(feature = "cuda")]
mod launch;
mod reference;
mod small;
#[cfg(feature = "cuda")]
mod suite;

use std::fmt;

use candle_core::{CpuStorage, CustomOp2, DType, InplaceOp1, Layout, Result, Shape, Tensor, bail};

use crate::element::{Float, elements};

#[cfg(feature = "cuda")]
pub(crate) use suite::CASES;

/// Multiplications up to which a product stays here. Provisional: it comes from one run on two busy cores, of a build in
/// which not all of gemm's dependencies were optimised, so gemm looked slower than it is. There the small path was ahead
/// at every size tried, up to 2²¹ (88 against 116 µs); where the two meet is to be measured in a release build.
const SMALL_MULTIPLICATIONS: usize = 1 << 20;
/// √(2 / π).
const GELU_TANH_SCALE: f64 = 0.797_884_560_802_865_4;

/// What follows the sum, element by element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// max(x, 0).
    Relu,
    /// x, or this slope times x below 0.
    LeakyRelu(f64),
    /// x, or this factor times (eˣ - 1) below 0.
    Elu(f64),
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// x · Φ(x), by the error function.
    Gelu,
    /// The usual approximation of [`Activation::Gelu`] by a hyperbolic tangent.
    GeluTanh,
    /// ln(1 + eˣ).
    Softplus,
}

impl Activation {
    /// One of each, for who tries them all.
    #[cfg(any(test, feature = "cuda"))]
    const EACH: [Self; 9] = [
        Self::Identity,
        Self::Relu,
        Self::LeakyRelu(0.1),
        Self::Elu(1.5),
        Self::Sigmoid,
        Self::Tanh,
        Self::Gelu,
        Self::GeluTanh,
        Self::Softplus,
    ];

    /// Of one element.
    #[inline(always)]
    pub fn apply<T: Float>(self, x: T) -> T {
        match self {
            Self::Identity => x,
            // Written so that NaN stays NaN: a layer must not hide a broken model.
            Self::Relu => {
                if x < T::ZERO {
                    T::ZERO
                } else {
                    x
                }
            }
            Self::LeakyRelu(slope) => {
                if x < T::ZERO {
                    x * T::of(slope)
                } else {
                    x
                }
            }
            Self::Elu(alpha) => {
                if x < T::ZERO {
                    T::of(alpha) * x.exp_m1()
                } else {
                    x
                }
            }
            Self::Sigmoid => T::ONE / (T::ONE + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::Gelu => T::of(0.5) * x * (T::ONE + (x * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf()),
            Self::GeluTanh => {
                let inner = T::of(GELU_TANH_SCALE) * (x + T::of(0.044_715) * x * x * x);
                T::of(0.5) * x * (T::ONE + inner.tanh())
            }
            // ln(1 + eˣ) overflows for large x, where it equals x.
            Self::Softplus => {
                if x > T::of(30.0) {
                    x
                } else {
                    x.exp().ln_1p()
                }
            }
        }
    }

    /// Over a slice, with the choice made once so that each loop can be vectorised.
    #[inline(always)]
    pub(crate) fn apply_all<T: Float>(self, values: &mut [T]) {
        match self {
            Self::Identity => {}
            Self::Relu => values.iter_mut().for_each(|v| *v = Self::Relu.apply(*v)),
            other => values.iter_mut().for_each(|v| *v = other.apply(*v)),
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => write!(f, "identity"),
            Self::Relu => write!(f, "relu"),
            Self::LeakyRelu(slope) => write!(f, "leaky_relu({slope})"),
            Self::Elu(alpha) => write!(f, "elu({alpha})"),
            Self::Sigmoid => write!(f, "sigmoid"),
            Self::Tanh => write!(f, "tanh"),
            Self::Gelu => write!(f, "gelu"),
            Self::GeluTanh => write!(f, "gelu_tanh"),
            Self::Softplus => write!(f, "softplus"),
        }
    }
}

/// `activation(x · weight + bias)` for `x` of `[…, K]`, `weight` of `[K, N]` and `bias` of `[N]`, all of one float
/// type; the answer is `[…, N]`.
///
/// # Errors
/// Shapes that do not fit and datatypes other than F32 and F64 on the CPU.
pub fn dense(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
    let (k, n) = weight.dims2()?;
    let Some((&last, lead)) = x.dims().split_last() else { bail!("dense: x is a scalar") };
    if last != k || bias.is_some_and(|b| b.dims() != [n]) {
        let bias = bias.map(Tensor::dims);
        bail!("dense: x {:?}, weight {:?} and bias {bias:?} do not fit", x.dims(), weight.dims());
    }
    let m = lead.iter().product::<usize>();
    let flat = if lead.len() == 1 { x.clone() } else { x.reshape((m, k))? };
    let multiplications = m.checked_mul(n).and_then(|mn| mn.checked_mul(k));
    let small = multiplications.is_some_and(|count| count <= SMALL_MULTIPLICATIONS);
    let out = if small && x.device().is_cpu() {
        let op = small::Dense { bias: bias.cloned(), activation };
        flat.contiguous()?.apply_op2_no_bwd(weight, &op)?
    } else {
        let product = flat.matmul(weight)?;
        add_bias_activate(product, bias, activation)?
    };
    if lead.len() == 1 { Ok(out) } else { out.reshape([lead, &[n]].concat()) }
}

/// The activation of every element.
///
/// # Errors
/// Datatypes other than F32 and F64 on the CPU.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    // Candle refuses to write in place to a tensor without elements.
    if x.elem_count() == 0 {
        return Ok(x.clone());
    }
    if passes_in_place(x) {
        // A copy of our own, since the in-place pass would otherwise write through to whoever shares the tensor.
        let out = x.force_contiguous()?;
        out.inplace_op1(&BiasActivation { bias: None, activation })?;
        Ok(out)
    } else {
        activate_by_candle(x, activation)
    }
}

/// Consumes `product`, `[M, N]` and shared by no one else.
fn add_bias_activate(product: Tensor, bias: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
    if !passes_in_place(&product) {
        let sum = match bias {
            Some(bias) => product.broadcast_add(bias)?,
            None => product,
        };
        return activate_by_candle(&sum, activation);
    }
    if product.elem_count() > 0 && (bias.is_some() || activation != Activation::Identity) {
        product.inplace_op1(&BiasActivation { bias: bias.cloned(), activation })?;
    }
    Ok(product)
}

/// Whether the in-place pass knows the device and the datatype. On the CPU it says itself what it does not compute in.
fn passes_in_place(x: &Tensor) -> bool {
    #[cfg(feature = "cuda")]
    if launch::computes(x) {
        return true;
    }
    x.device().is_cpu()
}

fn activate_by_candle(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Identity => Ok(x.clone()),
        // Candle's own takes the larger of x and 0, which turns NaN into 0.
        Activation::Relu => x.lt(0.0)?.where_cond(&x.zeros_like()?, x),
        Activation::LeakyRelu(slope) => x.lt(0.0)?.where_cond(&x.affine(slope, 0.0)?, x),
        Activation::Elu(alpha) => x.elu(alpha),
        Activation::Sigmoid => x.neg()?.exp()?.affine(1.0, 1.0)?.recip(),
        Activation::Tanh => x.tanh(),
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        // max(x, 0) + ln(1 + e^-|x|), which does not overflow.
        Activation::Softplus => {
            activate_by_candle(x, Activation::Relu)?.add(&x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?)
        }
    }
}

struct BiasActivation {
    bias: Option<Tensor>,
    activation: Activation,
}

impl BiasActivation {
    fn pass<T: Float>(&self, values: &mut [T], layout: &Layout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("bias_activation: not contiguous") };
        let Some(values) = values.get_mut(start..end) else { bail!("bias_activation: layout past its storage") };
        let Some(bias) = &self.bias else {
            self.activation.apply_all(values);
            return Ok(());
        };
        let (storage, layout) = bias.storage_and_layout();
        let candle_core::Storage::Cpu(storage) = &*storage else { bail!("bias_activation: bias on another device") };
        let bias = elements::<T>(storage, layout, "bias_activation")?;
        for row in values.chunks_exact_mut(bias.len().max(1)) {
            row.iter_mut().zip(bias).for_each(|(value, bias)| *value += *bias);
            self.activation.apply_all(row);
        }
        Ok(())
    }
}

impl InplaceOp1 for BiasActivation {
    fn name(&self) -> &'static str {
        "bias_activation"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match storage {
            CpuStorage::F32(values) => self.pass(values, layout),
            CpuStorage::F64(values) => self.pass(values, layout),
            _ => bail!("bias_activation computes in F32 and F64"),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &mut candle_core::CudaStorage, layout: &Layout) -> Result<()> {
        launch::pass(self, storage, layout)
    }
}

impl CustomOp2 for small::Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (m, k) = x_layout.shape().dims2()?;
        let (_, n) = w_layout.shape().dims2()?;
        let storage = match (x, w) {
            (CpuStorage::F32(_), CpuStorage::F32(_)) => {
                let (x, w) = (elements::<f32>(x, x_layout, "dense")?, elements::<f32>(w, w_layout, "dense")?);
                CpuStorage::F32(self.forward(x, w, [m, k, n])?)
            }
            (CpuStorage::F64(_), CpuStorage::F64(_)) => {
                let (x, w) = (elements::<f64>(x, x_layout, "dense")?, elements::<f64>(w, w_layout, "dense")?);
                CpuStorage::F64(self.forward(x, w, [m, k, n])?)
            }
            _ => {
                let dtypes: [DType; 2] = [x_dtype(x), x_dtype(w)];
                bail!("dense computes in one of F32 and F64, not {dtypes:?}")
            }
        };
        Ok((storage, Shape::from((m, n))))
    }
}

fn x_dtype(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

#[cfg(test)]
mod tests;
