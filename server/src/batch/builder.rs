//! Which waiting requests form the next batch: a pure function of the queue and `now`.
//!
//! There is no timer by default: a batch is cut when the device is free, so it holds whatever came while the device
//! worked. `delay_max` makes the first request of a batch wait that long for company.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The bounds of one queue.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows of one batch, at most.
    pub batch_rows_max: usize,
    /// Rows that may wait.
    pub queue_rows_max: usize,
    /// How long the oldest request may wait for more rows.
    pub delay_max: Duration,
}

/// A request that waits.
#[derive(Debug)]
pub struct Pending<T> {
    /// Its rows on the batch axis.
    pub rows: usize,
    /// Requests with equal keys may be joined: their row shapes agree.
    pub shape_key: u64,
    /// When it was queued.
    pub arrived: Instant,
    /// After this nobody waits for the answer.
    pub deadline: Instant,
    /// What to compute and whom to tell.
    pub work: T,
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Rows that wait already.
    pub rows_waiting: usize,
}

/// When a batch may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// When its oldest request has waited long enough, unless more come first.
    At(Instant),
    /// Nothing waits.
    Never,
}

/// What to do now.
#[derive(Debug)]
pub enum Cut<T> {
    /// Compute these together.
    Batch(Vec<Pending<T>>),
    /// Nothing before this moment, unless more arrives.
    Wait(Instant),
    /// Nothing waits.
    Empty,
}

/// The queue of one version, in arrival order.
#[derive(Debug)]
pub struct Builder<T> {
    limits: Limits,
    waiting: VecDeque<Pending<T>>,
    rows: usize,
}

impl<T> Builder<T> {
    /// An empty queue.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, waiting: VecDeque::new(), rows: 0 }
    }

    /// Rows that wait.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Whether `rows` more find room.
    #[must_use]
    pub const fn fits(&self, rows: usize) -> bool {
        self.rows.saturating_add(rows) <= self.limits.queue_rows_max
    }

    /// Queues a request, unless its rows would pass the limit.
    pub fn push(&mut self, pending: Pending<T>) -> Result<(), Full> {
        if !self.fits(pending.rows) {
            return Err(Full { rows_waiting: self.rows });
        }
        self.rows += pending.rows;
        self.waiting.push_back(pending);
        Ok(())
    }

    /// Forgets requests whose caller has gone (`alive` is false) or whose deadline has passed; returns how many.
    pub fn drop_dead(&mut self, now: Instant, alive: impl Fn(&T) -> bool) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|pending| pending.deadline > now && alive(&pending.work));
        self.rows = self.waiting.iter().map(|pending| pending.rows).sum();
        before - self.waiting.len()
    }

    /// The next batch. The oldest request is always in it; younger ones join while their shape agrees and their rows
    /// fit. One of another shape keeps its place and leads a later batch, so no shape starves.
    pub fn cut(&mut self, now: Instant, alive: impl Fn(&T) -> bool) -> Cut<T> {
        match (self.due(now, alive), self.waiting.front()) {
            (Due::Now, Some(oldest)) => Cut::Batch(self.take(oldest.shape_key)),
            (Due::At(ripe), _) => Cut::Wait(ripe),
            (Due::Now | Due::Never, _) => Cut::Empty,
        }
    }

    /// When the next batch may be cut.
    pub fn due(&mut self, now: Instant, alive: impl Fn(&T) -> bool) -> Due {
        self.drop_dead(now, alive);
        let Some(oldest) = self.waiting.front() else { return Due::Never };
        let ripe = oldest.arrived + self.limits.delay_max;
        if now < ripe && self.rows < self.limits.batch_rows_max { Due::At(ripe) } else { Due::Now }
    }

    fn take(&mut self, shape_key: u64) -> Vec<Pending<T>> {
        let (mut batch, mut rows) = (Vec::new(), 0);
        let mut kept = VecDeque::new();
        while let Some(pending) = self.waiting.pop_front() {
            if pending.shape_key != shape_key {
                kept.push_back(pending);
            } else if batch.is_empty() || rows + pending.rows <= self.limits.batch_rows_max {
                rows += pending.rows;
                batch.push(pending);
            } else {
                // First in, first out within a shape: a small request does not overtake a large one.
                kept.push_back(pending);
                break;
            }
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
        self.rows -= rows;
        batch
    }
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
