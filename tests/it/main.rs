//! Whole-server tests.

mod bad_input;
mod cluster;
mod interop;
mod mount;
mod rollout;
mod secure;
mod serving;
mod store;
mod tidy;
mod traces;
