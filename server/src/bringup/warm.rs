//! The warm-up: every batch size that a device would specialise for, so that no caller pays for a first time.

use std::sync::Arc;

use super::not_computed;
use crate::device::{Executable, ExecuteError};
use crate::rollout::StageError;

pub(super) async fn run(executable: &Arc<Executable>, rows_max: usize) -> Result<(), StageError> {
    let batched = executable.model().signature().batched;
    let rows_max = if batched { rows_max } else { 1 };
    let sizes = if executable.specialises() { every_size(rows_max) } else { doubled_sizes(rows_max) };
    for rows in sizes {
        match executable.run_aside(executable.model().sample_inputs(rows)).await {
            // It ran, and has no answer for rows that nobody sent.
            Ok(_) | Err(ExecuteError::NonFinite(_)) => {}
            Err(error) => return Err(not_computed("warm", &format!("a warm-up batch of {rows} rows failed"), &error)),
        }
    }
    Ok(())
}

/// Powers of two and the largest: between them a batch runs the same code on a CPU.
fn doubled_sizes(rows_max: usize) -> Vec<usize> {
    let doubled = std::iter::successors(Some(1_usize), |rows| rows.checked_mul(2));
    doubled.take_while(|rows| *rows < rows_max).chain([rows_max]).collect()
}

/// Every batch that can be cut: cuBLAS chooses a kernel for each size, and the driver loads it when it is first used. The
/// largest comes first, for which the pool grows once.
fn every_size(rows_max: usize) -> Vec<usize> {
    (1..=rows_max).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_sees_a_few_sizes_and_a_gpu_all() {
        assert_eq!(doubled_sizes(1), [1]);
        assert_eq!(doubled_sizes(12), [1, 2, 4, 8, 12]);
        assert_eq!(every_size(4), [4, 3, 2, 1]);
    }
}
