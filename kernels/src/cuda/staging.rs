//! Pinned host memory that every copy goes through, in pieces. The device reads and writes it without a copy in between,
//! and while the host goes on.
//!
//! There are three buffers and never more. One to the device is filled while the other is read; a copy back is waited
//! for, since whoever asked wants the numbers.

use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::WrapErr;
use cudarc::driver::{CudaSlice, CudaStream, CudaView, CudaViewMut, DeviceRepr, PinnedHostSlice};

use super::memory::PIECE_BYTES;

/// Buffers for copies to the device.
const UP: usize = 2;

/// The buffers of one device.
pub(super) struct Staging {
    stream: Arc<CudaStream>,
    up: [Buffer; UP],
    next: usize,
    down: Buffer,
}

struct Buffer {
    bytes: PinnedHostSlice<u8>,
    /// The device may still be reading it.
    busy: bool,
}

impl Staging {
    pub(super) fn new(stream: Arc<CudaStream>) -> Result<Self> {
        let up = [Buffer::new(&stream)?, Buffer::new(&stream)?];
        let down = Buffer::new(&stream)?;
        Ok(Self { stream, up, next: 0, down })
    }

    /// Copies what `fill` writes to `target`, which is one piece at most. The copy may still be under way.
    pub(super) fn send<T: DeviceRepr + Copy>(
        &mut self,
        target: &mut CudaViewMut<'_, T>,
        fill: impl FnOnce(&mut [T]),
    ) -> Result<()> {
        let at = self.next;
        self.next = (at + 1) % UP;
        if self.up[at].busy {
            self.settle()?;
        }
        let stream = Arc::clone(&self.stream);
        let values = self.up[at].elements::<T>(target.len())?;
        fill(values);
        stream.memcpy_htod(&*values, target).w()?;
        self.up[at].busy = true;
        Ok(())
    }

    /// Waits for `source`, one piece at most, and shows it to `take`.
    pub(super) fn receive<T: DeviceRepr + Copy>(
        &mut self,
        source: &CudaView<'_, T>,
        take: impl FnOnce(&[T]),
    ) -> Result<()> {
        let stream = Arc::clone(&self.stream);
        let values = self.down.elements::<T>(source.len())?;
        stream.memcpy_dtoh(source, values).w()?;
        stream.synchronize().w()?;
        take(values);
        self.up.iter_mut().for_each(|buffer| buffer.busy = false);
        Ok(())
    }

    /// Waits until the device has done everything.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.stream.synchronize().w()?;
        self.up.iter_mut().for_each(|buffer| buffer.busy = false);
        Ok(())
    }
}

impl Buffer {
    fn new(stream: &Arc<CudaStream>) -> Result<Self> {
        // Not write-combined: the host reads one of them, and whole numbers are written element by element.
        // SAFETY: its bytes are set right below, before anybody reads them.
        let mut bytes = unsafe { stream.context().alloc_pinned_with_flags::<u8>(PIECE_BYTES, 0) }.w()?;
        bytes.as_mut_slice().w()?.fill(0);
        Ok(Self { bytes, busy: false })
    }

    /// The first `len` elements.
    fn elements<T: DeviceRepr + Copy>(&mut self, len: usize) -> Result<&mut [T]> {
        let bytes = self.bytes.as_mut_slice().w()?;
        let Some(bytes) = len.checked_mul(size_of::<T>()).and_then(|len| bytes.get_mut(..len)) else {
            candle_core::bail!("{len} elements are more than a piece")
        };
        // SAFETY: the memory is page-aligned, holds `len` elements, was written, and is borrowed for as long as the
        // answer. Only numbers are copied to a device, for which every pattern of bits is a value.
        Ok(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast::<T>(), len) })
    }
}

/// `len` elements of the device's memory, not yet written.
pub(super) fn allocate<T: DeviceRepr>(stream: &Arc<CudaStream>, len: usize) -> Result<CudaSlice<T>> {
    // SAFETY: every caller writes all of it, in the order of the same stream, before it hands it out.
    unsafe { stream.alloc::<T>(len) }.w()
}
