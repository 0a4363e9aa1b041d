//! `cargo xtask test`: the steps one after the other, each with its heading and time, and a summary at the end.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::clock::{Stopwatch, readable};
use crate::setup::{Need, Tools};
use crate::steps::{Given, Run, STEPS, Step};
use crate::{fresh, shell};

/// What `cargo xtask test` was asked to do.
#[derive(Args)]
pub(crate) struct Options {
    /// Run this step only; give it again for more
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
    /// Name the steps, run none
    #[arg(long, conflicts_with = "only")]
    list: bool,
}

/// How a step ended.
struct Outcome {
    name: &'static str,
    time: Duration,
    result: Result<()>,
}

/// Runs the steps asked for; fails when one of them failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        list(STEPS);
        return Ok(());
    }
    run_steps("test", STEPS, &options.only)
}

/// Names steps and what they hold.
pub(crate) fn list(steps: &[Step]) {
    steps.iter().for_each(|step| println!("{:10}  {}", step.name, step.holds));
}

/// Runs those of `table` that `only` names, or all of them, for `cargo xtask COMMAND`.
pub(crate) fn run_steps(command: &str, table: &'static [Step], only: &[String]) -> Result<()> {
    let root = shell::repository()?;
    let mut tools = Tools::new(&root)?;
    let total = Stopwatch::start();
    let steps: Vec<&Step> = selected(table, only).collect();
    // A step that fails does not keep the next from running: one run tells everything that is wrong.
    let outcomes: Vec<Outcome> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            println!("\n=== {}/{} {}: {}", index + 1, steps.len(), step.name, step.holds);
            let outcome = timed(step, &root, &mut tools);
            println!("=== {}", line(&outcome));
            outcome
        })
        .collect();
    conclude(command, &outcomes, total.elapsed())
}

fn selected<'a>(table: &'static [Step], only: &'a [String]) -> impl Iterator<Item = &'static Step> + use<'a> {
    table.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name))
}

fn timed(step: &'static Step, root: &Path, tools: &mut Tools) -> Outcome {
    let watch = Stopwatch::start();
    let result = perform(step, root, tools);
    Outcome { name: step.name, time: watch.elapsed(), result }
}

fn perform(step: &Step, root: &Path, tools: &mut Tools) -> Result<()> {
    tools.provide(step.needs)?;
    for run in step.runs {
        let mut command = match run {
            // Bounded by its own waits: each thing it plays has one.
            Run::Quickstart => {
                fresh::play_release(root)?;
                continue;
            }
            Run::Own(check) => {
                check(root, tools)?;
                continue;
            }
            Run::Cargo(_)
            | Run::CargoWith(..)
            | Run::Built(..)
            | Run::Python(_)
            | Run::Deploy(..)
            | Run::Mlflow(..) => command(run, root, tools)?,
        };
        tools.export(&mut command);
        shell::run(&mut command, step.limit)?;
    }
    Ok(())
}

/// The program of a run.
fn command(run: &Run, root: &Path, tools: &Tools) -> Result<Command> {
    let mut command = match run {
        Run::Cargo(_) | Run::CargoWith(..) => shell::cargo(root),
        Run::Built(program, _) => shell::program(shell::target(root).join("debug").join(program), root),
        Run::Python(_) => shell::program(tools.place(Need::Python)?, root),
        Run::Deploy(program, given) => deploy_check(Need::Deploy, program, given, root, tools)?,
        Run::Mlflow(program, given) => deploy_check(Need::Mlflow, program, given, root, tools)?,
        Run::Quickstart | Run::Own(_) => bail!("it is more than a program that ends"),
    };
    if let Run::CargoWith((key, value), _) = run {
        command.env(key, value);
    }
    if let Run::Cargo(args) | Run::CargoWith(_, args) | Run::Built(_, args) | Run::Python(args) = run {
        command.args(*args);
    }
    Ok(command)
}

/// A program of `tests/deploy`, with what it is given.
fn deploy_check(python: Need, program: &str, given: &[Given], root: &Path, tools: &Tools) -> Result<Command> {
    let python = tools.place(python)?;
    let mut command = shell::program(python, root);
    command.arg(Path::new("tests/deploy").join(program));
    // The tree has programs of its own, and it is read, not written to.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    for given in given {
        match given {
            Given::Path(flag, path) => command.args([*flag, *path]),
            Given::Tool(flag, name) => command.arg(*flag).arg(Path::new(python).with_file_name(name)),
            Given::Need(flag, need) => command.arg(*flag).arg(tools.place(*need)?),
            // Both are debug builds of one workspace.
            Given::Sluice(flag) => command.arg(*flag).arg(std::env::current_exe()?.with_file_name("sluice")),
        };
    }
    Ok(command)
}

fn line(outcome: &Outcome) -> String {
    let time = readable(outcome.time);
    match &outcome.result {
        Ok(()) => format!("{:10} passed  {time}", outcome.name),
        Err(error) => format!("{:10} FAILED  {time}  {error:#}", outcome.name),
    }
}

/// The summary, in numbers that add up: a step either passed or failed.
fn conclude(command: &str, outcomes: &[Outcome], total: Duration) -> Result<()> {
    println!("\n=== summary");
    outcomes.iter().for_each(|outcome| println!("{}", line(outcome)));
    let failed: Vec<&str> = outcomes.iter().filter(|it| it.result.is_err()).map(|it| it.name).collect();
    println!("in {}", readable(total));
    println!("steps: {} passed, {} failed", outcomes.len() - failed.len(), failed.len());
    if let Some(first) = failed.first() {
        bail!("failed: {}; run one alone with `cargo xtask {command} --only {first}`", failed.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn outcome(name: &'static str, result: Result<()>) -> Outcome {
        Outcome { name, time: Duration::from_secs(2), result }
    }

    #[test]
    fn steps_run_in_the_order_of_the_table() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            selected(STEPS, &only).map(|step| step.name).collect()
        };
        assert_eq!(names(&["clippy", "fmt"]), ["fmt", "clippy"]);
        assert_eq!(names(&[]).len(), STEPS.len());
    }

    #[test]
    fn one_failure_fails_the_whole_and_is_named() {
        let outcomes = [outcome("fmt", Err(anyhow!("not formatted"))), outcome("doc", Ok(()))];
        let error = conclude("test", &outcomes, Duration::from_secs(4)).unwrap_err();
        assert_eq!(error.to_string(), "failed: fmt; run one alone with `cargo xtask test --only fmt`");
        assert!(conclude("test", &outcomes[1..], Duration::from_secs(2)).is_ok());
    }

    #[test]
    fn a_line_tells_why() {
        let failed = outcome("fmt", Err(anyhow!("not formatted").context("cannot check")));
        assert_eq!(line(&failed), "fmt        FAILED  2.0 s  cannot check: not formatted");
    }
}
