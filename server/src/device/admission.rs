//! Whether a model fits a device: arithmetic, on what its driver says and what was promised to others.

use models::cuda::Memory;

use super::OutOfMemory;

/// The most that is left to the driver, to kernels and to what cuBLAS keeps.
const MARGIN_MAX: u64 = 512 << 20;

/// Bytes that models may take together of a device that is just opened.
pub(super) const fn limit(memory: &Memory) -> u64 {
    let share = memory.total_bytes / 16;
    memory.free_bytes.saturating_sub(if share < MARGIN_MAX { share } else { MARGIN_MAX })
}

/// Whether `needed` bytes fit, where `reserved` are promised to models already and `memory` is what the driver says
/// after it took back what nobody used. A model takes what it was promised little by little, so both have to agree.
pub(super) fn admit(needed: u64, reserved: u64, limit: u64, memory: &Memory) -> Result<(), OutOfMemory> {
    let by_promise = limit.saturating_sub(reserved);
    let not_taken_yet = reserved.saturating_sub(memory.pool_used_bytes);
    let idle_in_pool = memory.pool_held_bytes.saturating_sub(memory.pool_used_bytes);
    let by_driver = memory.free_bytes.saturating_add(idle_in_pool).saturating_sub(not_taken_yet);
    let free_bytes = by_promise.min(by_driver);
    if needed <= free_bytes {
        return Ok(());
    }
    Err(OutOfMemory { needed_bytes: needed, free_bytes, limit_bytes: limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const T4: u64 = 15_843_721_216;

    fn memory(free: u64, held: u64, used: u64) -> Memory {
        Memory { free_bytes: free, total_bytes: T4, pool_held_bytes: held, pool_used_bytes: used }
    }

    #[test]
    fn a_part_is_left_to_the_driver() {
        assert_eq!(limit(&memory(T4 - GIB, 0, 0)), T4 - GIB - MARGIN_MAX);
        let small = Memory { free_bytes: 256 << 20, total_bytes: 256 << 20, ..Memory::default() };
        assert_eq!(limit(&small), (256 << 20) / 16 * 15);
        assert_eq!(limit(&Memory::default()), 0);
    }

    #[test]
    fn promises_and_the_driver_both_have_to_agree() {
        let limit = 10 * GIB;
        let table = [
            // needed, reserved, free, held, used: what is free
            ("an empty device", 10, 0, 10, 0, 0, None),
            ("a byte more than there is", 11, 0, 10, 0, 0, Some(10)),
            ("promised to others, and taken by them", 4, 6, 4, 6, 6, None),
            ("promised to others, and not taken yet", 4, 6, 10, 0, 0, None),
            ("what was promised is not free", 5, 6, 10, 0, 0, Some(4)),
            ("another process has the rest", 4, 0, 3, 0, 0, Some(3)),
            ("the pool holds what a model left", 4, 2, 1, 5, 2, None),
            ("more promised than there is", 1, 12, 10, 0, 0, Some(0)),
        ];
        for (what, needed, reserved, free, held, used, refused) in table {
            let gib = memory(free * GIB, held * GIB, used * GIB);
            let admitted = admit(needed * GIB, reserved * GIB, limit, &gib);
            assert_eq!(admitted.err().map(|error| error.free_bytes), refused.map(|free: u64| free * GIB), "{what}");
        }
        assert!(admit(u64::MAX, u64::MAX, u64::MAX, &memory(u64::MAX, u64::MAX, 0)).is_err());
    }
}
