//! One version's queue and the batches cut from it.
//!
//! [`builder`] decides (pure), [`worker`] moves data between the queue and the device. Neither knows of models,
//! protocols or roles.

pub mod builder;
pub mod worker;

pub use builder::{Builder, Cut, Due, Full, Limits, Pending};
pub use worker::{Answer, BatchError, Queue, Work};
