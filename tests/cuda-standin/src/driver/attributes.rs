//! What a Tesla T4 says of itself, by CUDA's public tables for compute capability 7.5 and the card's data sheet.

/// The name, which says that nothing here is silicon.
pub const NAME: &str = "Tesla T4 (simulated by sluice's stand-in)";

/// The same in every process: there is one card.
pub const UUID: [u8; 16] = *b"sluice-stand-in\0";

/// The driver's version, and the newest that CUDA's own libraries may ask for: CUDA 13.0, which R580 brought.
pub const DRIVER_VERSION: i32 = 13_000;

/// Bytes of the card, as `cuDeviceTotalMem` tells them on a T4 with its error correction on.
pub const TOTAL_MEMORY: u64 = 15_843_721_216;

/// Threads of a warp.
pub const WARP: u32 = 32;
/// Threads of a block.
pub const THREADS_PER_BLOCK: u32 = 1024;
/// The largest block in each direction.
pub const BLOCK_MAX: [u32; 3] = [1024, 1024, 64];
/// The largest grid in each direction.
pub const GRID_MAX: [u32; 3] = [2_147_483_647, 65_535, 65_535];
/// Multiprocessors.
pub const MULTIPROCESSORS: u32 = 40;
/// Threads that a multiprocessor holds.
pub const THREADS_PER_MULTIPROCESSOR: u32 = 1024;
/// Blocks that a multiprocessor holds.
pub const BLOCKS_PER_MULTIPROCESSOR: u32 = 16;
/// Registers of a multiprocessor, and of a block.
pub const REGISTERS: u32 = 65_536;
/// Shared memory that a block has without asking.
pub const SHARED_DEFAULT: u32 = 49_152;
/// Shared memory of a multiprocessor, all of which a block may ask for.
pub const SHARED_MAX: u32 = 65_536;
/// Bytes of all parameters of a kernel, before compute capability 7.0's newer limit, which Turing lacks.
pub const PARAMETER_BYTES: u32 = 4096;

/// Highest attribute that this driver knows.
const LAST: i32 = 147;

/// The value of a `CU_DEVICE_ATTRIBUTE_…`; what no arm names is a feature that came after Turing, and 0.
pub fn attribute(number: i32) -> Option<i32> {
    if !(1..=LAST).contains(&number) {
        return None;
    }
    Some(match number {
        // Blocks and grids.
        1..=3 => 1024,
        4 => 64,
        5 => GRID_MAX[0] as i32,
        6 | 7 => 65_535,
        10 => WARP as i32,
        16 => MULTIPROCESSORS as i32,
        39 => THREADS_PER_MULTIPROCESSOR as i32,
        106 => BLOCKS_PER_MULTIPROCESSOR as i32,
        75 => 7,
        76 => 5,
        // Memory of a block and of a multiprocessor.
        8 => SHARED_DEFAULT as i32,
        81 | 97 => SHARED_MAX as i32,
        9 => 65_536,
        12 | 82 => REGISTERS as i32,
        11 => i32::MAX,
        // The card: kHz, bits, bytes, copy engines, error correction.
        13 => 1_590_000,
        36 => 5_001_000,
        37 => 256,
        38 => 4 << 20,
        40 => 3,
        32 => 1,
        34 => 4,
        87 => 32,
        126 => 1,
        131 => -1,
        139 => 0x1EB8_10DE,
        140 => 0x12A2_10DE,
        // What it can: overlap, mapped memory, concurrent kernels, one address space, priorities, caches, managed memory,
        // preemption, registered memory, cooperative launches, virtual memory, descriptors, sparse arrays, read-only
        // registration, semaphores, pools, streams that wait for memory, DMA-BUF, IPC events.
        15 | 19 | 31 | 41 | 44 | 78 | 79 | 80 | 83 | 89 | 90 | 91 | 95 | 96 | 99 | 102 | 103 | 112 | 113 | 114
        | 115 | 119 | 121 | 122 | 123 | 124 | 125 => 1,
        _ => texture(number).unwrap_or(0),
    })
}

/// Limits of textures and surfaces.
fn texture(number: i32) -> Option<i32> {
    Some(match number {
        14 | 30 => 512,
        51 => 32,
        21 | 22 | 70 => 131_072,
        23 | 57 => 65_536,
        24..=26 | 58..=60 => 16_384,
        27 | 28 | 42 | 45 | 46 | 49 | 52 | 53 | 55 | 61 | 63 | 64 | 66 | 67 | 73 | 74 | 77 => 32_768,
        29 | 43 | 62 | 65 => 2048,
        47 | 48 => 8192,
        54 | 68 => 2046,
        56 => 65_536,
        69 => 268_435_456,
        71 => 65_000,
        72 => 2_097_120,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_checks_of_launches_use_is_what_callers_are_told() {
        let told = |number: i32| attribute(number).unwrap() as u32;
        assert_eq!([told(2), told(3), told(4)], BLOCK_MAX);
        assert_eq!([told(5), told(6), told(7)], GRID_MAX);
        assert_eq!(told(1), THREADS_PER_BLOCK);
        assert_eq!([told(8), told(97), told(12)], [SHARED_DEFAULT, SHARED_MAX, REGISTERS]);
    }

    #[test]
    fn attributes_are_those_that_the_recorded_driver_knows() {
        assert_eq!((attribute(0), attribute(148)), (None, None));
        assert!((1..=LAST).all(|number| attribute(number).is_some()));
    }
}
