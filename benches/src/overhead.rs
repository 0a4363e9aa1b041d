//! `overhead`: sluice serving an identity model, against bare services that echo as many bytes.
//!
//! Server and client each have a core of their own. Both servers stay up; rounds alternate between them, so that a
//! drift of the machine hits both, and the median of the rounds' ratios is reported.

use anyhow::Context;
use clap::Args;

use crate::load::{self, Protocol, Report};
use crate::process::{Process, SERVER};
use crate::stats::median;
use crate::world::World;

/// How much to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds of each row.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds of each measurement.
    #[arg(long, default_value_t = 2000)]
    milliseconds: u64,
    /// One short round of 16 callers and 1 KiB, as CI runs it.
    #[arg(long)]
    short: bool,
}

/// The server's core and the client's.
const CORES: (usize, usize) = (0, 1);
const KIB: usize = 1024;

struct Row {
    protocol: Protocol,
    bytes: usize,
    callers: usize,
    throughput: f64,
    cpu: f64,
}

/// One server's process and addresses.
struct Server {
    process: Process,
    grpc: String,
    http: String,
}

/// Measures every row and prints the closing line.
pub(crate) async fn run(options: &Options) -> anyhow::Result<bool> {
    let world = World::with_identity(load::MODEL)?;
    let (sluice, bare) = (start_sluice(&world).await?, start_bare().await?);
    let (callers, sizes): (&[usize], &[usize]) =
        if options.short { (&[16], &[KIB]) } else { (&[1, 4, 16], &[KIB, 256 * KIB]) };
    println!(
        "{:<6} {:>8} {:>8} {:>12} {:>12} {:>8} {:>8}",
        "proto", "bytes", "callers", "sluice/s", "bare/s", "ratio", "cpu"
    );
    let mut rows = Vec::new();
    for protocol in [Protocol::Grpc, Protocol::Http] {
        for &bytes in sizes {
            for &callers in callers {
                rows.push(row(options, &sluice, &bare, protocol, bytes, callers).await?);
            }
        }
    }
    println!("{}", closing_line(&rows));
    sluice.process.kill().await?;
    bare.process.kill().await?;
    Ok(true)
}

async fn row(
    options: &Options,
    sluice: &Server,
    bare: &Server,
    protocol: Protocol,
    bytes: usize,
    callers: usize,
) -> anyhow::Result<Row> {
    let (rounds, milliseconds) = if options.short { (1, 500) } else { (options.rounds, options.milliseconds) };
    let (mut throughput, mut cpu, mut rates) = (Vec::new(), Vec::new(), (Vec::new(), Vec::new()));
    for round in 0..=rounds {
        let ours = measure(sluice, protocol, bytes, callers, milliseconds).await?;
        let reference = measure(bare, protocol, bytes, callers, milliseconds).await?;
        if round == 0 && !options.short {
            continue; // The first round warms both.
        }
        throughput.push(ours.rate / reference.rate);
        cpu.push(ours.cpu_per_request / reference.cpu_per_request);
        rates.0.push(ours.rate);
        rates.1.push(reference.rate);
    }
    let row = Row { protocol, bytes, callers, throughput: median(&throughput), cpu: median(&cpu) };
    let name = format!("{protocol:?}").to_lowercase();
    println!(
        "{name:<6} {bytes:>8} {callers:>8} {:>12.0} {:>12.0} {:>8.3} {:>8.3}",
        median(&rates.0),
        median(&rates.1),
        row.throughput,
        row.cpu
    );
    Ok(row)
}

struct Measured {
    rate: f64,
    cpu_per_request: f64,
}

async fn measure(
    server: &Server,
    protocol: Protocol,
    bytes: usize,
    callers: usize,
    milliseconds: u64,
) -> anyhow::Result<Measured> {
    let address = if protocol == Protocol::Grpc { &server.grpc } else { &server.http };
    let arguments = [
        "load".to_owned(),
        format!("--protocol={}", format!("{protocol:?}").to_lowercase()),
        format!("--address={address}"),
        format!("--callers={callers}"),
        format!("--bytes={bytes}"),
        format!("--milliseconds={milliseconds}"),
    ];
    let before = server.process.cpu_seconds()?;
    let mut client = Process::start(&arguments, &[], Some(CORES.1))?;
    let report: Report = serde_json::from_str(&client.line("{").await?)?;
    let cpu = server.process.cpu_seconds()? - before;
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    let requests = report.requests as f64;
    Ok(Measured { rate: requests / report.seconds, cpu_per_request: cpu / requests })
}

async fn start_sluice(world: &World) -> anyhow::Result<Server> {
    let mut arguments = vec![SERVER.to_owned()];
    arguments.extend(world.serve_arguments());
    let mut process = Process::start(&arguments, &[], Some(CORES.0))?;
    let addresses = world.ready(&mut process).await?;
    Ok(Server { process, grpc: addresses.grpc, http: addresses.http })
}

async fn start_bare() -> anyhow::Result<Server> {
    let mut process = Process::start(&["bare".to_owned()], &[], Some(CORES.0))?;
    let line = process.line("bare ").await?;
    let mut words = line.split_whitespace().skip(1).map(str::to_owned);
    let (grpc, http) = (words.next().context("a gRPC address")?, words.next().context("an HTTP address")?);
    Ok(Server { process, grpc, http })
}

fn closing_line(rows: &[Row]) -> String {
    let small = |protocol, callers| {
        rows.iter().find(move |row| row.protocol == protocol && row.bytes == KIB && row.callers == callers)
    };
    let mut line = "overhead".to_owned();
    for (protocol, name) in [(Protocol::Grpc, "grpc"), (Protocol::Http, "http")] {
        for callers in [1, 4, 16] {
            if let Some(row) = small(protocol, callers) {
                line.push_str(&format!(" {name}_{callers}={:.3}", row.throughput));
            }
        }
    }
    for (protocol, name) in [(Protocol::Grpc, "grpc"), (Protocol::Http, "http")] {
        if let Some(row) = small(protocol, 16) {
            line.push_str(&format!(" cpu_{name}={:.3}", row.cpu));
        }
    }
    line
}
