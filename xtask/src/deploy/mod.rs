//! `cargo xtask test-deploy`: reads `deploy/` with the programs that will read it in a cluster.
//!
//! Knows which checks there are and what each is given. What a check looks at is in its own program, in `tests/deploy`.

mod steps;

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::test;
use steps::STEPS;

/// What `cargo xtask test-deploy` was asked to do.
#[derive(Args)]
pub(crate) struct Options {
    /// Run this check only; give it again for more
    #[arg(long, value_name = "CHECK", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
    /// Name the checks, run none
    #[arg(long, conflicts_with = "only")]
    list: bool,
}

/// Runs the checks asked for; fails when one of them failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        test::list(STEPS);
        return Ok(());
    }
    test::run_steps("test-deploy", STEPS, &options.only)
}
