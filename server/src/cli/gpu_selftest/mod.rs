//! `sluice gpu-selftest`: what every commit is checked with on a stand-in for a GPU, asked of the GPU of this machine.
//!
//! First on a thread that opens the device itself ([`probe`]): our kernels, the bundled models, what it copies and
//! multiplies at most. Then with a whole server on it ([`cycle`]). What was found is a [`report`].

mod cycle;
mod probe;
mod report;

use super::exit::{Exit, Failure};
use super::output::Console;
use crate::device;
use report::{News, Report};

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
    let index = device::gpu_index(args.device, args.allow_simulated_device).map_err(|why| {
        Failure::failed(why)
            .hint("docs/cuda.md tells what the GPU's path needs; `sluice serve --device cpu` needs none of it")
    })?;
    let mut telling = Telling { report: Report::default(), format: args.format, console };
    let mut news = probe::start(index)?;
    while let Some(it) = news.recv().await {
        telling.tell(it)?;
    }
    if telling.report.lost().is_none() {
        cycle::run(args.device, args.allow_simulated_device, &mut telling).await?;
    }
    telling.end()
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
        if self.format == Format::Text { self.console.line(text) } else { Ok(()) }
    }

    fn end(self) -> Result<(), Failure> {
        match self.format {
            Format::Text => self.console.line(self.report.last_line())?,
            Format::Json => self.console.line(format_args!("{:#}", self.report.json()))?,
        }
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
