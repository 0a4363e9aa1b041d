//! The first README command, played as a person would: start it, wait until it says that it is ready, look, stop it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock::{Stopwatch, readable};
use crate::shell;

/// Lines kept for whoever waits for one; while nobody does, more than these are only shown.
const LINES_MAX: usize = 1024;

/// How long it may take to end once it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running `sluice quickstart`, or another program that goes on until it is interrupted.
pub(crate) struct Quickstart {
    child: Child,
    lines: Receiver<String>,
}

/// Starts quickstart, lets `play` use it, stops it with an interrupt as a person does, and fails unless it then ends
/// with success.
///
/// Answers what it said after it was interrupted.
pub(crate) fn quickstart_drive(
    command: &mut Command,
    play: impl FnOnce(&mut Quickstart) -> Result<()>,
) -> Result<Vec<String>> {
    let mut quickstart = Quickstart::start(command)?;
    let played = play(&mut quickstart);
    let stopped = quickstart.stop();
    played.and(stopped)
}

impl Quickstart {
    /// Starts it, with its standard output shown and kept for [`Self::line`].
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start quickstart")?;
        let stdout = child.stdout.take().context("quickstart has no standard output")?;
        let (sender, lines) = mpsc::sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                println!("  | {line}");
                // Reading goes on whether or not somebody waits, so that the program never blocks on its output.
                drop(sender.try_send(line));
            }
        });
        Ok(Self { child, lines })
    }

    /// The next line that `wanted` accepts; lines before it are passed over.
    pub(crate) fn line(&mut self, what: &str, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let mut lines = self.lines(what, limit, wanted)?;
        lines.pop().context("the line that was wanted is the last one")
    }

    /// All lines up to and including the next one that `last` accepts.
    pub(crate) fn lines(&mut self, what: &str, limit: Duration, last: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let watch = Stopwatch::start();
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(watch.left_of(limit)) {
                Ok(line) => {
                    let found = last(&line);
                    lines.push(line);
                    if found {
                        return Ok(lines);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("quickstart did not say {what} within {}", readable(limit))
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => bail!("quickstart ended before it said {what}"),
            }
        }
    }

    /// Interrupts it and waits for its end; what it said until then.
    fn stop(self) -> Result<Vec<String>> {
        let Self { child, lines } = self;
        match interrupt(child)? {
            status if status.success() => Ok(lines.iter().collect()),
            status => bail!("quickstart was interrupted and ended with {status}"),
        }
    }

    /// Interrupts it and waits for its end, however it ends.
    pub(crate) fn interrupt(self) -> Result<()> {
        interrupt(self.child).map(drop)
    }
}

fn interrupt(child: Child) -> Result<ExitStatus> {
    shell::signal("INT", &[child.id()]);
    shell::wait(child, STOP_LIMIT)?
        .with_context(|| format!("quickstart did not end within {} of an interrupt", readable(STOP_LIMIT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// A shell cannot trap what it was started to ignore, and what is started in the background ignores interrupts.
    fn sh(script: &str) -> Command {
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", "sh", "-c", script]);
        command
    }

    fn until_ready(quickstart: &mut Quickstart) -> Result<()> {
        quickstart.line("ready", LIMIT, |line| line.contains("ready")).map(drop)
    }

    #[test]
    fn an_obedient_program_passes() {
        let script = "trap 'kill $!; echo bye; exit 0' INT; sleep 600 & echo starting; echo ready; wait";
        assert_eq!(quickstart_drive(&mut sh(script), until_ready).unwrap(), ["bye"]);
    }

    #[test]
    fn a_program_that_ends_early_fails() {
        let error = quickstart_drive(&mut sh("echo starting"), until_ready).unwrap_err();
        assert_eq!(error.to_string(), "quickstart ended before it said ready");
    }

    #[test]
    fn an_interrupt_must_end_in_success() {
        let script = "trap 'kill $!; exit 3' INT; sleep 600 & echo ready; wait";
        let error = quickstart_drive(&mut sh(script), until_ready).unwrap_err();
        assert_eq!(error.to_string(), "quickstart was interrupted and ended with exit status: 3");
    }
}
