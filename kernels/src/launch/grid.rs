//! How many blocks of how many threads. Pure: kernels stride over what is left, so a grid only has to be big enough to
//! fill the device, and small enough to be allowed.

use candle_core::cuda_backend::cudarc::driver::LaunchConfig;

/// Threads of a block: whole warps, and four blocks to a multiprocessor of a T4.
const THREADS: u32 = 256;

/// Blocks of a grid: two for each place on a T4 (40 multiprocessors of 4 blocks).
const BLOCKS_MAX: u32 = 320;

/// For `len` elements in a line.
pub(crate) fn line(len: usize) -> LaunchConfig {
    config((blocks(len, THREADS, BLOCKS_MAX), 1), (THREADS, 1))
}

/// For rows of `columns` elements: x goes along a row. Narrow rows share a block.
pub(crate) fn plane(rows: usize, columns: usize) -> LaunchConfig {
    let across = u32::try_from(columns).map_or(THREADS, |columns| columns.clamp(1, THREADS).next_power_of_two());
    let down = THREADS / across;
    let x = blocks(columns, across, BLOCKS_MAX);
    let y = blocks(rows, down, BLOCKS_MAX / x);
    config((x, y), (across, down))
}

/// Enough blocks of `threads` for `len`, at most `limit`, and at least one.
fn blocks(len: usize, threads: u32, limit: u32) -> u32 {
    let enough = len.div_ceil(threads as usize);
    u32::try_from(enough).map_or(limit, |enough| enough.min(limit)).max(1)
}

fn config((grid_x, grid_y): (u32, u32), (block_x, block_y): (u32, u32)) -> LaunchConfig {
    LaunchConfig { grid_dim: (grid_x, grid_y, 1), block_dim: (block_x, block_y, 1), shared_mem_bytes: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(config: LaunchConfig) -> [u32; 4] {
        [config.grid_dim.0, config.grid_dim.1, config.block_dim.0, config.block_dim.1]
    }

    #[test]
    fn a_line_is_filled_and_bounded() {
        for (len, blocks) in [(0, 1), (1, 1), (256, 1), (257, 2), (256 * 320, 320), (usize::MAX, 320)] {
            assert_eq!(dims(line(len)), [blocks, 1, 256, 1], "{len}");
        }
    }

    #[test]
    fn narrow_rows_share_a_block_and_wide_ones_are_split() {
        assert_eq!(dims(plane(1000, 1)), [1, 4, 1, 256]);
        assert_eq!(dims(plane(1000, 3)), [1, 16, 4, 64]);
        assert_eq!(dims(plane(8, 256)), [1, 8, 256, 1]);
        assert_eq!(dims(plane(8, 1000)), [4, 8, 256, 1]);
        assert_eq!(dims(plane(0, 0)), [1, 1, 1, 256]);
    }

    #[test]
    fn every_grid_is_allowed() {
        for rows in [0, 1, 65_536, usize::MAX] {
            for columns in [0, 1, 31, 1 << 20, usize::MAX] {
                let [x, y, across, down] = dims(plane(rows, columns));
                assert_eq!(across * down, THREADS);
                assert!(x >= 1 && y >= 1 && x * y <= BLOCKS_MAX, "{rows} × {columns}: {x} × {y}");
            }
        }
    }
}
