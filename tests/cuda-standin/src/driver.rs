//! The driver: what a T4's would answer, kept in one state behind one lock, and the C functions that ask it.
//!
//! Work runs at once, in the thread that asks for it, so streams are in order because calls are. What a real driver
//! answers is in `recorded/`; where this one differs, `tests/facts.rs` says why.

pub(crate) mod abi;
pub(crate) mod allocator;
pub mod attributes;
pub(crate) mod code;
mod context;
mod copies;
mod errors;
mod event;
pub(crate) mod handles;
mod launch;
pub(crate) mod libraries;
mod limits;
mod module;
mod occupancy;
mod pinned;
mod settings;
pub(crate) mod state;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
