//! Fixtures of the whole-server tests, used by `benches` too.

pub mod kubelet;
pub mod onnx;
pub mod pki;
pub mod sandbox;
pub mod traffic;
pub mod zoo;
