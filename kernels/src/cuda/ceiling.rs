//! What is asked of a device to see what it copies and multiplies at most.

/// Something that a device does as fast as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// A copy to the device, of pinned memory.
    ToDevice,
    /// A copy back, into pinned memory.
    ToHost,
    /// A copy within the device.
    OnDevice,
    /// A product of matrices in single precision.
    ProductF32,
    /// A product of matrices in half precision.
    ProductF16,
}

/// How much of it is done in one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Of a copy.
    pub copy_bytes: usize,
    /// Rows, and columns, of each matrix.
    pub side: usize,
}

/// What is moved or computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// Read, and written where that is the device's own memory too.
    Bytes(f64),
    /// Multiplications and additions.
    Flops(f64),
}

impl Ceiling {
    /// All of them.
    pub const EACH: [Self; 5] = [Self::ToDevice, Self::ToHost, Self::OnDevice, Self::ProductF32, Self::ProductF16];

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ToDevice => "copy to the device",
            Self::ToHost => "copy from the device",
            Self::OnDevice => "copy within the device",
            Self::ProductF32 => "matrix product in f32",
            Self::ProductF16 => "matrix product in f16",
        }
    }

    /// What one turn does.
    #[must_use]
    pub fn amount(self, scale: Scale) -> Amount {
        let (bytes, side) = (scale.copy_bytes as f64, scale.side as f64);
        match self {
            Self::ToDevice | Self::ToHost => Amount::Bytes(bytes),
            Self::OnDevice => Amount::Bytes(2.0 * bytes),
            Self::ProductF32 | Self::ProductF16 => Amount::Flops(2.0 * side * side * side),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_within_a_device_reads_and_writes_it() {
        let scale = Scale { copy_bytes: 8, side: 10 };
        assert_eq!(Ceiling::ToHost.amount(scale), Amount::Bytes(8.0));
        assert_eq!(Ceiling::OnDevice.amount(scale), Amount::Bytes(16.0));
        assert_eq!(Ceiling::ProductF16.amount(scale), Amount::Flops(2000.0));
    }
}
