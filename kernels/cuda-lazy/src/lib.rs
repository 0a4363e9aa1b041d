//! CUDA's libraries, looked for when one of their functions is called for the first time.
//!
//! candle asks cudarc to link CUDA by name, and a program that is linked so does not start where CUDA is not installed. This
//! crate defines the same names as trampolines: a program that is linked with it starts anywhere, and [`presence`] says
//! what it found. Neither candle nor cudarc is changed.
//!
//! It knows names and libraries, and nothing of what the functions do. A function whose library is missing answers the
//! error code by which that library says "not initialised".

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("sluice's CUDA path is for Linux on x86_64: leave the feature `cuda` out, and it serves on the CPU");

mod library;
mod presence;
mod trampoline;

pub use library::{Library, Missing};
pub use presence::{Absent, CudaVersion, Device, Driver, NEEDED, presence};
