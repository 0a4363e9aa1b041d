//! The `sluice` binary.

#![forbid(unsafe_code)]

/// Requests allocate and free on many threads at once, which mimalloc does with less waiting than the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    server::cli::main().into()
}
