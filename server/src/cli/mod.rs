//! The command line: parses it, runs one command, and ends with a code that scripts can rely on.
//!
//! One file per command; what they share is `client` (HTTP to a running server), `output` (lines, tables, styles)
//! and `exit`. A command reads files, asks a running server over its public ports, or starts [`crate::app`]; it
//! must not know how a request is routed or a trial judged.

mod annotation;
mod bump;
mod check;
mod client;
mod demo;
mod exit;
mod explain;
mod files;
mod gpu_selftest;
mod label;
mod mlflow;
mod output;
mod predict;
mod push;
mod quickstart;
mod report;
mod serve;
mod status;
mod tls;
mod validate;
mod verb;
mod wait;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::{Exit, Failure};
pub use output::Console;

/// Columns of help text.
const HELP_WIDTH: usize = 104;

/// What the help looks like on a terminal.
const STYLES: clap::builder::Styles =
    clap::builder::Styles::styled().header(output::STRONG).usage(output::STRONG).literal(output::TYPED);

const STORY: &str = "\
Deploy = commit, rollback = revert:
  1. sluice push DIR gs://bucket/fraud/v2.3.1       digest, sign and upload a trained model
  2. sluice bump values.yaml v2.3.1 --status URL    change one line of the values file
  3. sluice check values.yaml --registry URL        what the pull request's gate asks, all of it at once
  4. git commit, merge                              the mounted file changes, and the server sees it
  5. sluice status --watch                          verified, warmed up, tried on live traffic, judged
  6. git revert                                     back at once; a bad version goes back without you

New here? `sluice quickstart` does all of it on this machine, in a folder of its own.

Exit codes: 0 done · 1 the input is wrong · 2 usage · 3 could not reach or do it · 4 device lost";

/// Inference server with the canary inside: Git says which version serves, sluice gets there safely
#[derive(Debug, Parser)]
#[command(name = "sluice", version, propagate_version = false, styles = STYLES, after_help = STORY)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Args),
    Serve(serve::Args),
    Validate(validate::Args),
    Check(check::Args),
    Bump(bump::Args),
    Push(push::Args),
    Status(status::Args),
    History(status::HistoryArgs),
    Promote(verb::PromoteArgs),
    Abort(verb::AbortArgs),
    Pause(verb::PauseArgs),
    Retry(verb::RetryArgs),
    Wait(wait::Args),
    Report(report::Args),
    Predict(predict::Args),
    Explain(explain::Args),
    GpuSelftest(gpu_selftest::Args),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> Exit {
    run(std::env::args_os(), &mut Console::standard())
}

/// Runs the command line `args` (the program's name first) and says how it ended.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>, console: &mut Console) -> Exit {
    let ended = match parse(args) {
        Ok(cli) => cli.command.run(console),
        Err(error) => shown(&error, console),
    };
    match ended {
        Ok(()) => Exit::Done,
        Err(failure) => {
            console.failure(&failure);
            failure.exit
        }
    }
}

fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, clap::Error> {
    let matches = grammar().try_get_matches_from(args)?;
    Cli::from_arg_matches(&matches)
}

/// The grammar, at a width that does not depend on the terminal.
fn grammar() -> clap::Command {
    Cli::command().term_width(HELP_WIDTH)
}

/// Help and version are output; everything else that the parser says is a mistake.
fn shown(error: &clap::Error, console: &mut Console) -> Result<(), Failure> {
    let text = error.render().ansi().to_string();
    if error.use_stderr() {
        console.note(text.trim_end());
        return Err(Failure::quiet(Exit::Usage));
    }
    console.print(text)
}

impl Command {
    fn run(self, console: &mut Console) -> Result<(), Failure> {
        match self {
            Self::Validate(args) => validate::run(&args, console),
            Self::Explain(args) => explain::run(&args, console),
            Self::GpuSelftest(args) => on_all_cores(gpu_selftest::run(args, console)),
            // What serves uses every core; what asks needs one thread.
            Self::Quickstart(args) => on_all_cores(quickstart::run(args, console)),
            Self::Serve(args) => {
                let settings = serve::prepare(&args)?;
                on_all_cores(serve::run(settings, console))
            }
            Self::Check(args) => on_all_cores(check::run(&args, console)),
            Self::Push(args) => on_all_cores(push::run(&args, console)),
            Self::Bump(args) => on_one_thread(bump::run(&args, console)),
            Self::Status(args) => on_one_thread(status::run(&args, console)),
            Self::History(args) => on_one_thread(status::history(&args, console)),
            Self::Promote(args) => on_one_thread(verb::promote(&args, console)),
            Self::Abort(args) => on_one_thread(verb::abort(&args, console)),
            Self::Pause(args) => on_one_thread(verb::pause(&args, console)),
            Self::Retry(args) => on_one_thread(verb::retry(&args, console)),
            Self::Wait(args) => on_one_thread(wait::run(&args, console)),
            Self::Predict(args) => on_one_thread(predict::run(&args, console)),
            Self::Report(args) => on_one_thread(report::run(&args, console)),
        }
    }
}

fn on_all_cores(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    on(tokio::runtime::Builder::new_multi_thread(), work)
}

fn on_one_thread(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    on(tokio::runtime::Builder::new_current_thread(), work)
}

fn on(mut builder: tokio::runtime::Builder, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format_args!("cannot start: {error}")))?;
    let ended = runtime.block_on(work);
    // A blocking task that hangs must not keep a command from ending.
    runtime.shutdown_background();
    ended
}

#[cfg(test)]
mod tests;
