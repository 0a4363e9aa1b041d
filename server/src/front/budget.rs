//! Bytes of requests in memory at once, over all connections of a process: each body has its own limit, and all of
//! them together have this one. What finds no room is told to come back, as with any overload.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;
use crate::infer::InferError;

/// The least that all bodies together may take.
const BYTES_MIN: usize = 1 << 30;
/// Requests up to this are not counted, so that the usual ones pay nothing: a connection's buffers are as large, and
/// those are bounded by how many connections there may be.
const UNCOUNTED_BYTES: usize = 64 << 10;
/// Room is counted in these.
const UNIT_BYTES: usize = 1 << 10;
/// What a caller that found no room is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The room that there is; clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

/// Room that one request has taken; given back on drop.
#[derive(Debug, Default)]
pub(crate) struct Held(Option<OwnedSemaphorePermit>);

impl Budget {
    /// A GiB, or more where `limits` let a few bodies take that.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let largest = limits.body_bytes.saturating_add(limits.inflated_bytes).max(limits.message_bytes);
        Self::of(largest.saturating_mul(4).max(BYTES_MIN))
    }

    pub(crate) fn of(bytes: usize) -> Self {
        // A request is counted with 32 bits, which is 4 TiB.
        let units = (bytes / UNIT_BYTES).min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(units)))
    }

    /// Room for `bytes` in all for a request that holds `held`.
    pub(crate) fn grow(&self, held: &mut Held, bytes: usize) -> Result<(), InferError> {
        if bytes <= UNCOUNTED_BYTES {
            return Ok(());
        }
        let had = held.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(UNIT_BYTES).saturating_sub(had);
        if more == 0 {
            return Ok(());
        }
        let full = || InferError::Overloaded { retry_after: RETRY_AFTER };
        let more = u32::try_from(more).map_err(|_| full())?;
        let permit = Arc::clone(&self.0).try_acquire_many_owned(more).map_err(|_| full())?;
        match &mut held.0 {
            Some(held) => held.merge(permit),
            None => held.0 = Some(permit),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_as_a_request_grows_and_given_back_with_it() {
        let budget = Budget::of(1 << 20);
        let (mut one, mut two) = (Held::default(), Held::default());
        budget.grow(&mut one, UNCOUNTED_BYTES).unwrap();
        assert_eq!(budget.0.available_permits(), 1024, "small requests pay nothing");
        for bytes in [100 << 10, 500 << 10, 300 << 10, (700 << 10) - 1] {
            budget.grow(&mut one, bytes).unwrap();
        }
        assert_eq!(budget.0.available_permits(), 324);
        assert!(matches!(budget.grow(&mut two, 400 << 10), Err(InferError::Overloaded { .. })));
        budget.grow(&mut two, 324 << 10).unwrap();
        drop(one);
        assert_eq!(budget.0.available_permits(), 700);
    }

    #[test]
    fn a_few_of_the_largest_bodies_always_fit() {
        let limits = Limits { body_bytes: 1 << 30, inflated_bytes: 3 << 30, ..Limits::default() };
        assert_eq!(Budget::new(&limits).0.available_permits(), 16 << 20);
        assert_eq!(Budget::new(&Limits::default()).0.available_permits(), 1 << 20);
    }
}
