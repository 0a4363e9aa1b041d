//! One program for each claim in the README.
//!
//! Each ends with one line `name key=value …` that others can read. The server under test is this same program started
//! again as `sluice` (see [`process`]), so `cargo run --release -p benches -- NAME` builds everything it needs.

#![expect(clippy::print_stdout, reason = "a bench talks to a terminal")]

mod bare;
mod crash;
mod load;
mod overhead;
mod process;
mod stats;
mod swap;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The same allocator as the `sluice` binary has: the server under test is this program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures sluice against named references, in one run, on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "benches",
    after_help = "Run one with: cargo run --release -p benches -- swap\nEvery bench has a --short form, which CI runs."
)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Promotions between two real versions under open-loop load: failures, latency during swaps, memory.
    Swap(swap::Options),
    /// Throughput and CPU per request against a bare tonic and a bare axum service.
    Overhead(overhead::Options),
    /// Aborts the process at every fail point and at random moments, and looks at what serves afterwards.
    Crash(crash::Options),
    /// The bare services that `overhead` compares with.
    #[command(hide = true)]
    Bare,
    /// The load client that `overhead` pins to its own core.
    #[command(hide = true)]
    Load(load::Options),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == process::SERVER) {
        return process::serve(&arguments[2..]);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the runtime starts");
    let bench = Cli::parse().bench;
    // What the others print is read by this program.
    if cfg!(debug_assertions) && !matches!(bench, Bench::Bare | Bench::Load(_)) {
        println!("built without optimisation: this shows that it runs, and no number is a figure");
    }
    let result = runtime.block_on(async {
        match bench {
            Bench::Swap(options) => swap::run(&options).await,
            Bench::Overhead(options) => overhead::run(&options).await,
            Bench::Crash(options) => crash::run(&options).await,
            Bench::Bare => bare::run().await,
            Bench::Load(options) => load::run(&options).await,
        }
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("bench failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
