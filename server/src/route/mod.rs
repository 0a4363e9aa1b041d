//! Who gets a request.
//!
//! Owns the one routing snapshot ([`table`]) and the pure pick between stable and canary ([`split`]). It knows
//! nothing of protocols, batches or why a weight is what it is: the reconciler writes, requests read.

pub mod split;
pub mod table;

pub use split::Variant;
pub use table::{ModelRoutes, RoutePublisher, Routes, routes};
