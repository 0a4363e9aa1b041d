//! `sluice gpu-selftest`: what every commit is checked with on a stand-in for a GPU, asked of the GPU of this machine.
//!
//! First on a thread that opens the device itself ([`probe`]): our kernels, the bundled models, what it copies and
//! multiplies at most. Then with a whole server on it ([`cycle`]). What was found is a [`report`].

mod cycle;
mod probe;
mod report;

use std::time::Duration;

use tokio::time::timeout;

use super::exit::{Exit, Failure};
use super::output::Console;
use crate::{device, shutdown};
use report::{Check, News, Report};

/// For any one thing: generous, it is there to end a hang.
const PATIENCE: Duration = Duration::from_secs(300);

const HELP: &str = "\
Examples:
  sluice gpu-selftest                          # the first GPU
  sluice gpu-selftest --device cuda:1 --format json > report.json

Asks our kernels and the bundled models on the GPU, compares with the CPU, measures copies and matrix products, and then \
serves real versions from a folder of its own, on free ports of 127.0.0.1: a load, a canary that is promoted and one \
that goes back. Takes about a minute, and nothing of it stays. Attach what it prints to an issue about this GPU.

Beside a server that has taken most of the GPU's memory it may find none: stop that first.

Exit codes: 0 all is as on the CPU · 2 usage · 3 there is no such GPU, or something is not as it should be · 4 device lost";

/// Check this machine's GPU: kernels, models and a canary, against the CPU; prints a report
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Which GPU, as the driver counts them
    #[arg(long, value_name = "cuda[:N]", default_value = "cuda:0", value_parser = cuda)]
    device: u32,

    /// Take a device that only stands in for a GPU; nothing is timed on it
    #[arg(long)]
    allow_simulated_device: bool,

    /// How the report is written to standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines for people, as things are found
    Text,
    /// One JSON document, at the end
    Json,
}

fn cuda(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("cuda") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix(':').and_then(|number| number.parse().ok()),
        None => None,
    };
    number.ok_or_else(|| "a GPU is `cuda` or `cuda:N`".to_owned())
}

pub(crate) async fn run(args: Args, console: &mut Console) -> Result<(), Failure> {
    let stop = shutdown::signal().map_err(Failure::failed)?;
    let index = device::gpu_index(args.device, args.allow_simulated_device).map_err(|why| {
        Failure::failed(why).hint("docs/cuda.md tells what a GPU needs; `sluice serve --device cpu` needs none of it")
    })?;
    let mut telling = Telling { report: Report::default(), format: args.format, console };
    let found = async {
        if probed(index, &mut telling).await? {
            cycle::run(args.device, args.allow_simulated_device, &mut telling).await?;
        }
        Ok(())
    };
    tokio::select! {
        found = found => found?,
        signal = stop => return Err(Failure::failed(format_args!("ended by {signal}, before everything was checked"))),
    }
    telling.end()
}

/// Tells what the device's own thread finds; whether the device is there for more.
async fn probed(index: usize, telling: &mut Telling<'_>) -> Result<bool, Failure> {
    let (mut news, thread) = probe::start(index)?;
    loop {
        match timeout(PATIENCE, news.recv()).await {
            Ok(Some(it)) => telling.tell(it)?,
            Ok(None) => break,
            Err(_) => {
                let silent = format!("it said nothing for {} s", PATIENCE.as_secs());
                telling.tell(News::Check(Check { name: "the device answers".to_owned(), outcome: Err(silent) }))?;
                return Ok(false);
            }
        }
    }
    // It has ended: what it had to say is said.
    if thread.join().is_err() {
        let outcome = Err("they panicked; what is above this is all that was checked".to_owned());
        telling.tell(News::Check(Check { name: "the checks come to their end".to_owned(), outcome }))?;
    }
    Ok(telling.report.has_device() && telling.report.lost().is_none())
}

/// The report as it grows, and who reads it.
struct Telling<'a> {
    report: Report,
    format: Format,
    console: &'a mut Console,
}

impl Telling<'_> {
    fn tell(&mut self, news: News) -> Result<(), Failure> {
        let text = self.report.add(news);
        if self.format == Format::Text { self.line(text) } else { Ok(()) }
    }

    fn line(&mut self, text: String) -> Result<(), Failure> {
        match self.console.line(text) {
            // Nobody reads any more; the exit code is for others.
            Err(failure) if failure.exit == Exit::Done => Ok(()),
            said => said,
        }
    }

    fn end(mut self) -> Result<(), Failure> {
        let last = match self.format {
            Format::Text => self.report.last_line(),
            Format::Json => format!("{:#}", self.report.json()),
        };
        self.line(last)?;
        match (self.report.lost(), self.report.failed()) {
            (Some(fault), _) => Err(Failure { exit: Exit::DeviceLost, ..Failure::failed(fault) }),
            (None, 0) => Ok(()),
            (None, failed) => Err(Failure::failed(format_args!("{failed} checks failed on this device"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_named_as_serve_names_it() {
        assert_eq!(cuda("cuda"), Ok(0));
        assert_eq!(cuda("cuda:3"), Ok(3));
        for wrong in ["", "cpu", "auto", "cuda:", "cuda3", "cuda:-1", "cuda:99999999999"] {
            assert!(cuda(wrong).is_err(), "{wrong}");
        }
    }
}
