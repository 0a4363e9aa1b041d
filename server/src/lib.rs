//! The running thing: front ends, the request path, routing, batching, devices, rollout, store, telemetry and the
//! command line.

#![forbid(unsafe_code)]
