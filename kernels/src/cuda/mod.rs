//! A CUDA device below the engine: whether there is one, opening it, its memory, copies, and what ends it.
//!
//! Everything that touches a [`Gpu`], the last drop of a tensor on it included, belongs on the one thread that opened
//! it: its stream orders all work, nothing else does. Without the feature `cuda` the same names are here, and no
//! [`Gpu`] can be made.

#[cfg(not(feature = "cuda"))]
mod absent;
mod cache;
mod ceiling;
mod facts;
#[cfg(feature = "cuda")]
mod gpu;
mod memory;
#[cfg(feature = "cuda")]
mod pool;
#[cfg(feature = "cuda")]
mod presence;
mod said;
#[cfg(feature = "cuda")]
mod staging;
#[cfg(feature = "cuda")]
mod transfer;
#[cfg(feature = "cuda")]
mod work;

#[cfg(not(feature = "cuda"))]
pub use absent::{Case, Gpu, Transfer, Work, cases, found, is_out_of_memory};
pub use cache::keep_compiled_in;
pub use ceiling::{Amount, Ceiling, Scale};
pub use facts::{Details, Facts};
#[cfg(feature = "cuda")]
pub use gpu::{Gpu, is_out_of_memory};
pub use memory::{Memory, PIECE_BYTES, pieces};
#[cfg(feature = "cuda")]
pub use presence::found;
pub use said::said;
#[cfg(feature = "cuda")]
pub use transfer::Transfer;
#[cfg(feature = "cuda")]
pub use work::Work;

#[cfg(feature = "cuda")]
pub use crate::cases::cases;
#[cfg(feature = "cuda")]
pub use crate::suite::Case;

/// Whether this build can use a CUDA device at all.
pub const BUILT: bool = cfg!(feature = "cuda");

/// Why there is no device to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// The feature `cuda` is off.
    #[error("this build has no CUDA")]
    NotBuilt,
    /// A library is missing, the driver is too old, or it sees no GPU.
    #[error("{0}")]
    Driver(String),
}

/// What made a device's context useless: every call answers it from now on, and only a new process gets rid of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// An element that is copied to a device and back.
#[cfg(feature = "cuda")]
pub trait Element:
    candle_core::WithDType + candle_core::cuda_backend::CudaDType + candle_core::cuda_backend::cudarc::driver::DeviceRepr
{
}
/// An element that is copied to a device and back.
#[cfg(not(feature = "cuda"))]
pub trait Element: candle_core::WithDType {}

impl Element for u8 {}
impl Element for u32 {}
impl Element for i64 {}
impl Element for half::f16 {}
impl Element for f32 {}
impl Element for f64 {}

#[cfg(test)]
#[cfg(not(feature = "cuda"))]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_cuda_says_so() {
        assert_eq!(found(), Err(Absent::NotBuilt));
        assert!(Gpu::open(0).is_err_and(|error| error.to_string().contains("no CUDA")));
    }
}
