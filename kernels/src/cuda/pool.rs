//! The device's own memory pool, from which everything of this process comes.

use std::ffi::c_void;

use candle_core::cuda_backend::WrapErr;
use candle_core::{Error, Result};
use cudarc::driver::CudaContext;
use cudarc::driver::sys::{self, CUmemPool_attribute as Attribute};

/// A device's default pool, which lives as long as the device.
#[derive(Clone, Copy)]
pub(super) struct Pool(sys::CUmemoryPool);

// SAFETY: it names an object of the driver, which may be named from any thread.
unsafe impl Send for Pool {}
// SAFETY: as above; the driver locks it.
unsafe impl Sync for Pool {}

impl Pool {
    /// The pool, told to keep what is freed until it is asked for it: with the threshold of 0 that it starts with,
    /// every synchronisation would give everything back, and every batch would fetch it again.
    pub(super) fn of(context: &CudaContext) -> Result<Self> {
        if !context.has_async_alloc() {
            return Err(Error::Msg("this device has no memory pools, which sluice needs".to_owned()));
        }
        let mut pool = std::ptr::null_mut();
        // SAFETY: the pointer is to a live variable, and the device is that of a live context.
        unsafe { sys::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device()) }.result().w()?;
        let mut threshold = u64::MAX;
        let value = (&raw mut threshold).cast::<c_void>();
        // SAFETY: the pool is the driver's own, and this attribute is a 64-bit number, as `threshold` is.
        unsafe {
            cudarc::driver::result::mem_pool::set_attribute(pool, Attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, value)
        }
        .w()?;
        Ok(Self(pool))
    }

    /// Gives back what is free in it, but for `kept` bytes.
    pub(super) fn trim(self, kept: u64) -> Result<()> {
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        // SAFETY: a device's default pool is never destroyed.
        unsafe { cudarc::driver::result::mem_pool::trim_to(self.0, kept) }.w()
    }

    /// Bytes that it holds, and how many of them are in use.
    pub(super) fn bytes(self) -> Result<(u64, u64)> {
        let held = self.number(Attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?;
        Ok((held, self.number(Attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?))
    }

    fn number(self, attribute: Attribute) -> Result<u64> {
        let mut number = 0_u64;
        let value = (&raw mut number).cast::<c_void>();
        // SAFETY: a device's default pool is never destroyed, and both attributes asked for are 64-bit numbers.
        unsafe { cudarc::driver::result::mem_pool::get_attribute(self.0, attribute, value) }.w()?;
        Ok(number)
    }
}
