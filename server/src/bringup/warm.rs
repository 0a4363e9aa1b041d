//! The warm-up: every batch size that a device would specialise for, so that no caller pays for a first time.

use std::sync::Arc;

use super::not_computed;
use crate::device::{Executable, ExecuteError};
use crate::rollout::StageError;

pub(super) async fn run(executable: &Arc<Executable>, rows_max: usize) -> Result<(), StageError> {
    let batched = executable.model().signature().batched;
    for rows in batch_sizes(if batched { rows_max } else { 1 }) {
        match executable.run_aside(executable.model().sample_inputs(rows)).await {
            // It ran, and has no answer for rows that nobody sent.
            Ok(_) | Err(ExecuteError::NonFinite(_)) => {}
            Err(error) => return Err(not_computed("warm", &format!("a warm-up batch of {rows} rows failed"), &error)),
        }
    }
    Ok(())
}

/// Powers of two and the largest: between them a batch runs the same code.
fn batch_sizes(rows_max: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1_usize), |rows| rows.checked_mul(2))
        .take_while(move |rows| *rows < rows_max)
        .chain([rows_max])
}
