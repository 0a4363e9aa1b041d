//! The same names for a build without CUDA: no [`Gpu`] can be made, so nothing of it can be called.

use std::convert::Infallible;

use candle_core::{Device, Error, Result, Tensor};

use super::{Absent, Ceiling, Details, Element, Facts, Fault, Memory, Scale};

/// An open device, of which there is none in this build.
#[derive(Debug, Clone)]
pub struct Gpu(Infallible);

/// A tensor on its way to a device.
#[derive(Debug)]
pub enum Transfer {}

/// What a device does over and over, to see how fast it can.
#[derive(Debug)]
pub enum Work {}

/// A question to our kernels.
#[derive(Debug)]
pub struct Case {
    /// The folder of the kernels that it asks.
    pub op: &'static str,
    /// What holds where it passes.
    pub name: &'static str,
}

/// Every question there is: none, in this build.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    std::iter::empty()
}

/// The devices that the driver shows.
///
/// # Errors
/// Always: this build has no CUDA.
pub const fn found() -> std::result::Result<Vec<Facts>, Absent> {
    Err(Absent::NotBuilt)
}

/// Whether a device had no memory left: never, for want of a device.
#[must_use]
pub const fn is_out_of_memory(_: &Error) -> bool {
    false
}

#[expect(clippy::missing_errors_doc, reason = "they are described where they can be called")]
#[expect(missing_docs, reason = "they are described where they can be called")]
impl Gpu {
    pub const fn open(_: usize) -> std::result::Result<Self, Absent> {
        Err(Absent::NotBuilt)
    }

    #[must_use]
    pub const fn facts(&self) -> &Facts {
        match self.0 {}
    }

    #[must_use]
    pub const fn candle(&self) -> Device {
        match self.0 {}
    }

    pub const fn details(&self) -> Result<Details> {
        match self.0 {}
    }

    pub const fn work(&self, _: Ceiling, _: Scale) -> Result<Work> {
        match self.0 {}
    }

    pub const fn memory(&self) -> Result<Memory> {
        match self.0 {}
    }

    pub const fn trim(&self, _: u64) -> Result<Memory> {
        match self.0 {}
    }

    #[must_use]
    pub const fn lost(&self) -> Option<&Fault> {
        match self.0 {}
    }

    #[must_use]
    pub const fn ask(&self) -> Option<&Fault> {
        match self.0 {}
    }

    pub const fn non_finite(&self, _: &[&Tensor]) -> Result<Vec<u64>> {
        match self.0 {}
    }

    pub fn upload<T: Element>(&self, _: &[usize], _: impl FnMut(usize, &mut [T])) -> Result<Tensor> {
        match self.0 {}
    }

    pub fn download<T: Element>(&self, _: &Tensor, _: impl FnMut(&[T])) -> Result<()> {
        match self.0 {}
    }
}

#[expect(clippy::missing_errors_doc, reason = "they are described where they can be called")]
#[expect(missing_docs, reason = "they are described where they can be called")]
impl Transfer {
    pub const fn start(_: &Tensor, gpu: &Gpu) -> Result<Self> {
        match gpu.0 {}
    }

    pub const fn step(&mut self, _: &Gpu) -> Result<Option<Tensor>> {
        match *self {}
    }
}

#[expect(clippy::missing_errors_doc, reason = "they are described where they can be called")]
#[expect(missing_docs, reason = "they are described where they can be called")]
impl Work {
    pub const fn run(&mut self, _: u32) -> Result<()> {
        match *self {}
    }
}

#[expect(clippy::missing_errors_doc, reason = "they are described where they can be called")]
#[expect(missing_docs, reason = "they are described where they can be called")]
impl Case {
    pub const fn run(&self, gpu: &Gpu) -> Result<()> {
        match gpu.0 {}
    }
}
