//! All that our kernels are asked on a device.

use crate::suite::Case;
use crate::{bias_activation, embedding, health};

/// Every question there is, those of one op together.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [bias_activation::CASES, embedding::CASES, health::CASES].into_iter().flatten()
}
