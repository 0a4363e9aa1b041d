//! What a device is.

/// What the driver shows of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Counted from 0, as the driver counts the devices that it shows.
    pub index: usize,
    /// As the driver says it.
    pub name: String,
}

impl Facts {
    /// Whether this is no GPU but a stand-in for one, which its name says.
    #[must_use]
    pub fn simulated(&self) -> bool {
        self.name.to_ascii_lowercase().contains("simulated")
    }
}

/// What an open device tells of itself besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The newest CUDA that the driver can, such as `13.0`.
    pub driver_cuda: String,
    /// Compute capability: 7 and 5 for a T4.
    pub capability: (i32, i32),
    /// Streaming multiprocessors.
    pub multiprocessors: i32,
    /// All its memory.
    pub memory_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_says_so_in_its_name() {
        let named = |name: &str| Facts { index: 0, name: name.to_owned() }.simulated();
        assert!(named("Tesla T4 (simulated by sluice's stand-in)"));
        assert!(named("SIMULATED"));
        assert!(!named("Tesla T4"));
    }
}
