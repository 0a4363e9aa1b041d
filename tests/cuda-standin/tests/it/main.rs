//! The interpreter as a driver sees it: held against what a real card answered, and against kernels that are broken on
//! purpose.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first thing that is wrong")]

mod broken;
mod device;
mod lanes;
mod launches;
mod loading;
mod opcodes;
mod tables;
