//! What a device copies and multiplies, over and over, to see how fast it can. The work alone: who asks has the clock.

use candle_core::cuda_backend::WrapErr;
use candle_core::{DType, Device, Result, Tensor};
use cudarc::driver::PinnedHostSlice;

use super::staging;
use super::{Ceiling, Gpu, Scale};

/// Work that was prepared, to be done as often as one likes.
pub struct Work {
    gpu: Gpu,
    turn: Box<dyn FnMut() -> Result<()>>,
}

impl Gpu {
    /// Takes the memory that the work needs, on the thread that opened the device.
    ///
    /// # Errors
    /// What the device says, when it has no memory for it too.
    pub fn work(&self, ceiling: Ceiling, scale: Scale) -> Result<Work> {
        let turn = match ceiling {
            Ceiling::ToDevice => self.to_device(scale.copy_bytes),
            Ceiling::ToHost => self.to_host(scale.copy_bytes),
            Ceiling::OnDevice => self.on_device(scale.copy_bytes),
            Ceiling::ProductF32 => product(&self.candle(), scale.side, DType::F32),
            Ceiling::ProductF16 => product(&self.candle(), scale.side, DType::F16),
        };
        Ok(Work { gpu: self.clone(), turn: turn? })
    }

    fn to_device(&self, bytes: usize) -> Result<Turn> {
        let (stream, from) = (self.stream(), self.pinned(bytes)?);
        let mut to = staging::allocate::<u8>(&stream, bytes)?;
        Ok(Box::new(move || stream.memcpy_htod(&from, &mut to).w()))
    }

    fn to_host(&self, bytes: usize) -> Result<Turn> {
        let (stream, mut to) = (self.stream(), self.pinned(bytes)?);
        let from = stream.alloc_zeros::<u8>(bytes).w()?;
        Ok(Box::new(move || stream.memcpy_dtoh(&from, &mut to).w()))
    }

    fn on_device(&self, bytes: usize) -> Result<Turn> {
        let stream = self.stream();
        let from = stream.alloc_zeros::<u8>(bytes).w()?;
        let mut to = staging::allocate::<u8>(&stream, bytes)?;
        Ok(Box::new(move || stream.memcpy_dtod(&from, &mut to).w()))
    }

    fn pinned(&self, bytes: usize) -> Result<PinnedHostSlice<u8>> {
        // SAFETY: its bytes are set right below, before anybody reads them.
        let mut pinned = unsafe { self.stream().context().alloc_pinned_with_flags::<u8>(bytes, 0) }.w()?;
        pinned.as_mut_slice().w()?.fill(0);
        Ok(pinned)
    }
}

type Turn = Box<dyn FnMut() -> Result<()>>;

/// A square times a square, as a dense layer does it.
fn product(device: &Device, side: usize, dtype: DType) -> Result<Turn> {
    // All unlike, since a card multiplies the same number over and over with less power, and so faster. Small, so that no sum
    // leaves what halves can hold.
    let number = |at: u32| f32::from((at.wrapping_mul(2_654_435_761) >> 16) as u16) / 65536.0 - 0.5;
    let square = |from: u32| {
        let numbers: Vec<f32> = (from..).take(side * side).map(number).collect();
        Tensor::from_vec(numbers, (side, side), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
    };
    let (x, y) = (square(0)?, square(1 << 30)?);
    Ok(Box::new(move || x.matmul(&y).map(drop)))
}

impl Work {
    /// Does it so many times, and waits until the device is done.
    ///
    /// # Errors
    /// What the device says.
    pub fn run(&mut self, turns: u32) -> Result<()> {
        for _ in 0..turns {
            (self.turn)()?;
        }
        self.gpu.settle()
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}
