//! Whole-server tests.

mod bad_input;
mod child;
mod cluster;
#[cfg(feature = "cuda")]
mod cuda;
mod interop;
mod mount;
mod rollout;
mod secure;
mod serving;
mod store;
mod tidy;
mod traces;
