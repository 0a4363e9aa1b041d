//! Whether this machine has CUDA, and if not, why. Asks by address, so that asking calls no trampoline.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt;

use thiserror::Error;

use crate::library::{Library, Missing};

/// What is needed of the driver: it must know the PTX that nvcc 13.0 writes.
pub const NEEDED: CudaVersion = CudaVersion(13_000);

/// `CUDA_ERROR_NO_DEVICE`.
const NO_DEVICE: c_int = 100;

/// Devices that are looked at.
const DEVICES_MAX: c_int = 64;

/// The driver of this machine, and what it drives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// The newest CUDA that it supports.
    pub version: CudaVersion,
    /// In the driver's order; there is at least one.
    pub devices: Vec<Device>,
}

/// A device of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// By which `--device cuda:N` means it.
    pub ordinal: usize,
    /// As the driver says it.
    pub name: String,
}

/// Why there is no CUDA here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Absent {
    /// A library, or a function of it, is not there.
    #[error("{0}")]
    Library(Missing),
    /// The driver is there, and no device is, or none may be seen (`CUDA_VISIBLE_DEVICES`).
    #[error("the driver sees no GPU (cuInit answers 100)")]
    NoDevice,
    /// The driver is older than what the kernels are compiled for.
    #[error("driver supports CUDA {0}; sluice needs R580 or newer (CUDA {NEEDED})")]
    TooOld(CudaVersion),
    /// Anything else that the driver answered.
    #[error("{call} answers {code}")]
    Refused {
        /// Which call.
        call: &'static str,
        /// The driver's code.
        code: i32,
    },
}

/// A version of CUDA, as the driver counts them: 13.0 is 13000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CudaVersion(pub i32);

impl fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

impl From<Missing> for Absent {
    fn from(missing: Missing) -> Self {
        Self::Library(missing)
    }
}

/// Looks for the driver, its version and devices, and for the libraries that candle calls.
///
/// # Errors
/// The first thing that is missing, in this order: the driver's library, a device, the version, the other libraries.
pub fn presence() -> Result<Driver, Absent> {
    initialise()?;
    let version = version()?;
    if version < NEEDED {
        return Err(Absent::TooOld(version));
    }
    let devices = (0..count()?).map(device).collect::<Result<Vec<_>, _>>()?;
    if devices.is_empty() {
        return Err(Absent::NoDevice);
    }
    Library::Cublas.open()?;
    Library::Curand.open()?;
    Ok(Driver { version, devices })
}

fn initialise() -> Result<(), Absent> {
    let function = Library::Driver.symbol(c"cuInit")?;
    // SAFETY: `cuInit(unsigned int)`, with the only flags there are.
    let code = unsafe { std::mem::transmute::<*const c_void, extern "C" fn(c_uint) -> c_int>(function)(0) };
    if code == NO_DEVICE { Err(Absent::NoDevice) } else { answered("cuInit", code) }
}

fn version() -> Result<CudaVersion, Absent> {
    Ok(CudaVersion(number(c"cuDriverGetVersion", "cuDriverGetVersion")?))
}

fn count() -> Result<c_int, Absent> {
    Ok(number(c"cuDeviceGetCount", "cuDeviceGetCount")?.min(DEVICES_MAX))
}

/// What a call of the form `(int *)` answers.
fn number(name: &CStr, call: &'static str) -> Result<c_int, Absent> {
    let function = Library::Driver.symbol(name)?;
    let mut number = 0;
    // SAFETY: both callers name a function of this type; it writes one number, to a place that lives through the call.
    let code =
        unsafe { std::mem::transmute::<*const c_void, extern "C" fn(*mut c_int) -> c_int>(function)(&raw mut number) };
    answered(call, code).map(|()| number)
}

fn device(ordinal: c_int) -> Result<Device, Absent> {
    type Name = extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
    let function = Library::Driver.symbol(c"cuDeviceGetName")?;
    let mut text: [c_char; 256] = [0; 256];
    let len = c_int::try_from(text.len() - 1).unwrap_or(c_int::MAX);
    // SAFETY: `cuDeviceGetName(char *, int, CUdevice)` writes at most `len` bytes, and a device is its number in the
    // driver's order. The last byte stays zero.
    let code = unsafe { std::mem::transmute::<*const c_void, Name>(function)(text.as_mut_ptr(), len, ordinal) };
    answered("cuDeviceGetName", code)?;
    let bytes = text.map(|c| c.to_ne_bytes()[0]);
    let name =
        CStr::from_bytes_until_nul(&bytes).map_or_else(|_| String::new(), |it| it.to_string_lossy().into_owned());
    Ok(Device { ordinal: usize::try_from(ordinal).unwrap_or_default(), name })
}

fn answered(call: &'static str, code: c_int) -> Result<(), Absent> {
    if code == 0 { Ok(()) } else { Err(Absent::Refused { call, code }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_as_people_say_them() {
        assert_eq!(
            Absent::TooOld(CudaVersion(12_080)).to_string(),
            "driver supports CUDA 12.8; sluice needs R580 or newer (CUDA 13.0)"
        );
    }

    #[test]
    fn a_code_is_told_with_its_call() {
        assert_eq!(answered("cuInit", 0), Ok(()));
        assert_eq!(answered("cuInit", 999).unwrap_err().to_string(), "cuInit answers 999");
    }
}
