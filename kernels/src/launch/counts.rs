//! Counters on a device. Kernels add to them; the host reads them all at once, when the work before has ended.

use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaViewMut};
use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{Result, bail};

/// A row of counters, all zero at first.
#[derive(Debug)]
pub struct Counts {
    device: CudaDevice,
    counters: CudaSlice<u64>,
}

impl Counts {
    /// `len` counters.
    ///
    /// # Errors
    /// What the driver says, when memory is short for one.
    pub fn zeroed(device: &CudaDevice, len: usize) -> Result<Self> {
        // A device gives no memory of no bytes.
        let counters = device.alloc_zeros::<u64>(len.max(1))?;
        Ok(Self { device: device.clone(), counters })
    }

    /// Zero again.
    ///
    /// # Errors
    /// What the driver says.
    pub fn reset(&mut self) -> Result<()> {
        self.device.cuda_stream().memset_zeros(&mut self.counters).w()
    }

    /// All of them; waits for the work that was put on the stream before.
    ///
    /// # Errors
    /// What the driver says, of that work too.
    pub fn read(&self) -> Result<Vec<u64>> {
        self.device.clone_dtoh(&self.counters)
    }

    /// Where they are.
    pub(crate) fn device(&self) -> &CudaDevice {
        &self.device
    }

    /// The counter of one slot.
    pub(crate) fn slot(&mut self, slot: usize) -> Result<CudaViewMut<'_, u64>> {
        let len = self.counters.len();
        match slot.checked_add(1).and_then(|end| self.counters.try_slice_mut(slot..end)) {
            Some(counter) => Ok(counter),
            None => bail!("counter {slot} of {len}"),
        }
    }
}
