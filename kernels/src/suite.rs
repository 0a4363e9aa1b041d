//! What our kernels are asked on a device: in tests, on the stand-in and by `sluice gpu-selftest`, so that a card is asked
//! what every commit was.
//!
//! A case answers what is wrong instead of asserting it, since it runs in the program that ships.

use std::fmt::{Debug, Display};

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::cuda::Gpu;

/// One question.
#[derive(Debug)]
pub struct Case {
    /// The folder of the kernels that it asks.
    pub op: &'static str,
    /// What holds where it passes, as a name of Rust.
    pub name: &'static str,
    pub(crate) run: fn(&Device) -> Result<()>,
}

impl Case {
    /// Asks it, on the thread that opened the device.
    ///
    /// # Errors
    /// What was answered instead, or what the device says.
    pub fn run(&self, gpu: &Gpu) -> Result<()> {
        (self.run)(&gpu.candle())
    }
}

/// The cases of an op: functions of this module, of which each is a test too.
macro_rules! of_op {
    ($op:literal: $($name:ident),+ $(,)?) => {
        pub(crate) static CASES: &[$crate::suite::Case] =
            &[$($crate::suite::Case { op: $op, name: stringify!($name), run: $name }),+];

        #[cfg(test)]
        mod tests {
            $(
                #[test]
                fn $name() -> candle_core::Result<()> {
                    super::$name(&$crate::suite::device())
                }
            )+
        }
    };
}
pub(crate) use of_op;

/// The first device, with a stream of its own. A test of this feature without one fails: `cargo xtask test-cuda` brings it.
#[cfg(test)]
pub(crate) fn device() -> Device {
    let device = candle_core::CudaDevice::new_with_stream(0);
    Device::Cuda(device.expect("no CUDA device, real or stood in for: `cargo xtask test-cuda`"))
}

/// Whether both are the same.
pub(crate) fn equal<T: PartialEq<U> + Debug, U: Debug>(actual: T, expected: U, what: impl Display) -> Result<()> {
    if actual == expected { Ok(()) } else { bail!("{what}: {actual:?} for {expected:?}") }
}

/// Whether each of `actual` is near enough to the one of `expected`.
pub(crate) fn near(actual: &[f64], expected: &[f64], tolerance: f64, what: impl Display) -> Result<()> {
    equal(actual.len(), expected.len(), &what)?;
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        // Written so that NaN is far from everything.
        let close = (actual - expected).abs() <= tolerance * (1.0 + expected.abs());
        if !close {
            bail!("{what}, element {index}: {actual} for {expected}");
        }
    }
    Ok(())
}

/// Whether it is so.
pub(crate) fn holds(it: bool, what: impl Display) -> Result<()> {
    if it { Ok(()) } else { bail!("{what}") }
}

/// Whether it is an error that says these words.
pub(crate) fn refused<T>(answer: Result<T>, words: &str, what: impl Display) -> Result<()> {
    match answer {
        Err(error) if error.to_string().contains(words) => Ok(()),
        Err(error) => bail!("{what}: refused, but with {error}"),
        Ok(_) => bail!("{what}: it was not refused"),
    }
}

/// All numbers of a tensor, on the host.
pub(crate) fn back(x: &Tensor) -> Result<Vec<f64>> {
    x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}
