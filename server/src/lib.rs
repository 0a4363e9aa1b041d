//! The running thing: front ends, the request path, routing, batching, devices, rollout, store, telemetry and the
//! command line.

#![forbid(unsafe_code)]

pub mod app;
pub mod background;
pub mod batch;
pub mod bringup;
pub mod catalog;
pub mod cli;
pub mod cluster;
pub mod device;
pub mod feed;
pub mod front;
pub mod identity;
pub mod infer;
pub mod keep;
mod outgoing;
pub mod registry;
pub mod rollout;
pub mod route;
pub mod shutdown;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod version;

pub use app::fail_points;
