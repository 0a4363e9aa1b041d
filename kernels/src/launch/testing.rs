//! The device that kernels are tested on: a card, or what stands in for one.
#![cfg(test)]

use candle_core::{CudaDevice, Device};

/// The first device, with a stream of its own. A test of this feature without one fails: `cargo xtask test-cuda` brings it.
pub(crate) fn device() -> (Device, CudaDevice) {
    let device = CudaDevice::new_with_stream(0).expect("no CUDA device, real or stood in for: `cargo xtask test-cuda`");
    (Device::Cuda(device.clone()), device)
}
