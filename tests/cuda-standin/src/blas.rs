//! cuBLAS as far as candle calls it, and what cudarc's tests call: products of matrices and vectors, on the CPU, with the
//! checks of a kernel: bounds, frees, and which bytes were written.
//!
//! Not repeated: which algorithm the library picks, its order of sums, what it keeps in its workspace.

pub(crate) mod abi;
mod kernel;
mod number;
mod product;
#[cfg(test)]
mod tests;
mod vectors;

/// What a handle takes of the device. A figure of the stand-in: a card with compute capability 9.0 took twice the
/// workspace that cuBLAS documents for it, and this is twice what it documents for others.
pub(crate) const WORKSPACE: u64 = 8 << 20;

/// A handle's state.
#[derive(Debug, Default)]
pub(crate) struct Blas {
    pub(crate) stream: u64,
    /// Scalars lie on the device.
    pub(crate) device_scalars: bool,
}

/// A `cublasStatus_t` that is no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) i32);

impl Status {
    pub(crate) const NOT_INITIALIZED: Self = Self(1);
    pub(crate) const ALLOC_FAILED: Self = Self(3);
    pub(crate) const INVALID_VALUE: Self = Self(7);
    pub(crate) const EXECUTION_FAILED: Self = Self(13);
    pub(crate) const INTERNAL_ERROR: Self = Self(14);
    pub(crate) const NOT_SUPPORTED: Self = Self(15);
}
