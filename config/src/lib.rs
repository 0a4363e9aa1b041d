//! What the operator asked for.
//!
//! Owns the values file (hot, one per model: schema `v1alpha1`), the settings (fixed at start) and the watching of
//! the mounted file. It knows nothing of models, devices, routes or the network: it turns bytes into [`Values`]
//! that cannot be wrong, or into every [`Problem`] of the file at once.

#![forbid(unsafe_code)]

pub mod values;

pub use values::*;
