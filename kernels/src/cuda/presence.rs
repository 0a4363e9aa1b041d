//! What the lazily linked driver says of this machine.

use super::{Absent, Facts};

/// The devices that the driver shows; there is at least one.
///
/// # Errors
/// A library is missing, the driver is too old, or it sees no GPU.
pub fn found() -> Result<Vec<Facts>, Absent> {
    let driver = cuda_lazy::presence().map_err(|absent| Absent::Driver(absent.to_string()))?;
    Ok(driver.devices.into_iter().map(|device| Facts { index: device.ordinal, name: device.name }).collect())
}
