//! `swap`: promotions between two real versions under open-loop load.
//!
//! Every promotion goes through mount, watcher, pull, verification, warm-up and gate: each has a label of its own, so
//! nothing is known of it beforehand. Latency counts from the moment a request should have been sent, so a stall cannot
//! hide by holding the client back. Every answer is compared with what the version it names must answer.
//!
//! The bench itself takes as little as it can of the two cores: artifacts are uploaded by hard links, and the end of a
//! promotion is read from the answers and not asked of the admin port. Stretches without swaps lie between the swaps, so
//! that a drift of the machine is in both figures.

mod large;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use models::{Datatype, ModelFiles, NamedTensor, Tensor};
use parking_lot::Mutex;
use server::front::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use server::front::proto::{ModelInferRequest, model_infer_request::InferInputTensor};
use tests::zoo;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::process::{Process, SERVER};
use crate::stats::{median, micros, quantile};
use crate::world::{Addresses, World};

/// How much to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Promotions of the first row.
    #[arg(long, default_value_t = 1000)]
    promotions: usize,
    /// Promotions of the row with 200 MB of weights.
    #[arg(long, default_value_t = 30)]
    large_promotions: usize,
    /// Megabytes of weights of the second row.
    #[arg(long, default_value_t = 200)]
    large_megabytes: usize,
    /// Share of the measured capacity that is sent.
    #[arg(long, default_value_t = 0.6)]
    load: f64,
    /// 20 promotions and no second row, as CI runs it.
    #[arg(long)]
    short: bool,
}

const MODEL: &str = "fraud-detection";
const CONNECTIONS: usize = 4;
/// Requests that may be under way at once before one is sent late.
const SENDERS: usize = 256;
/// A stretch without swaps: before the first, after the last, and after every [`STEADY_EVERY`].
const STEADY: Duration = Duration::from_secs(5);
const STEADY_EVERY: usize = 100;
/// A swap lasts this much longer than the first answer of the new version: the old one is freed in it.
const AFTERMATH: Duration = Duration::from_millis(50);
/// A promotion takes far less.
const PATIENCE: Duration = Duration::from_secs(120);
/// Promotions after which memory must be flat, and how many of them are one sample of it.
const SETTLED: usize = 100;

/// Measures both rows and prints the closing line; false when a request failed.
pub(crate) async fn run(options: &Options) -> anyhow::Result<bool> {
    let promotions = if options.short { 20 } else { options.promotions };
    let artifacts = [zoo::artifact(MODEL, "v1.0.0"), zoo::artifact(MODEL, "v1.1.0")];
    let small = row("two committed versions", &artifacts, promotions, options.load).await?;
    if !options.short && options.large_promotions > 0 {
        let folder = tempfile::tempdir()?;
        let artifacts = large::artifacts(folder.path(), options.large_megabytes).await?;
        let large = row("200 MB of weights", &artifacts, options.large_promotions, options.load).await?;
        println!("swap-large {}", large.fields());
    }
    println!("swap {}", small.fields());
    Ok(small.failed == 0)
}

struct Figures {
    promotions: usize,
    failed: u64,
    p99_ratio: f64,
    stall_ms: f64,
    rss_growth_pct: f64,
}

impl Figures {
    fn fields(&self) -> String {
        format!(
            "promotions={} failed={} p99_ratio={:.3} stall_ms={:.1} rss_growth_pct={:.2}",
            self.promotions, self.failed, self.p99_ratio, self.stall_ms, self.rss_growth_pct
        )
    }
}

async fn row(name: &str, artifacts: &[PathBuf; 2], promotions: usize, load: f64) -> anyhow::Result<Figures> {
    let mut world = World::new(MODEL)?;
    let shelf = [world.shelf(&artifacts[0], "even")?, world.shelf(&artifacts[1], "odd")?];
    world.link(&shelf[0], &label(0))?;
    world.declare(&label(0))?;
    let mut arguments = vec![SERVER.to_owned()];
    arguments.extend(world.serve_arguments());
    let mut process = Process::start(&arguments, &[], None)?;
    let addresses = world.ready(&mut process).await?;
    let caller = Arc::new(Caller::new(&addresses, artifacts).await?);
    let capacity = caller.capacity(Duration::from_secs(2)).await?;
    println!("{name}: {promotions} promotions at {:.0} requests/s, {:.0} % of capacity", capacity * load, load * 100.0);

    let sender = tokio::spawn(Arc::clone(&caller).send_open_loop(capacity * load));
    tokio::time::sleep(STEADY).await;
    let mut resident = Vec::new();
    for promotion in 1..=promotions {
        world.link(&shelf[promotion % 2], &label(promotion))?;
        caller.swapping.store(true, Ordering::Relaxed);
        world.declare(&label(promotion))?;
        let answered = tokio::time::timeout(PATIENCE, caller.answered_by(promotion)).await;
        if answered.is_err() {
            bail!("{} did not answer within {PATIENCE:?}: {}", label(promotion), addresses.status().await?);
        }
        tokio::time::sleep(AFTERMATH).await;
        caller.swapping.store(false, Ordering::Relaxed);
        world.unpublish(&label(promotion - 1))?;
        resident.push(process.resident_bytes()?);
        report_progress(promotion, promotions, &resident);
        if promotion.is_multiple_of(STEADY_EVERY) || promotion == promotions {
            tokio::time::sleep(STEADY).await;
        }
    }
    caller.stop.store(true, Ordering::Relaxed);
    sender.await?;
    process.kill().await?;
    Ok(caller.figures(promotions, &resident))
}

fn label(promotion: usize) -> String {
    format!("r{promotion}")
}

fn report_progress(promotion: usize, promotions: usize, resident: &[u64]) {
    if promotion.is_multiple_of((promotions / 10).max(1)) {
        println!("  {promotion:>5} promotions, {:>6.1} MB resident", mb(resident.last().copied().unwrap_or(0)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes for people")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// What was seen, split by whether a swap was going on when the request should have been sent.
#[derive(Default)]
struct Seen {
    steady_us: Vec<u32>,
    swap_us: Vec<u32>,
    failures: HashMap<String, u64>,
}

struct Caller {
    clients: Vec<GrpcInferenceServiceClient<Channel>>,
    row: Bytes,
    /// What each artifact answers for `row`, by its parity.
    expected: [Vec<NamedTensor>; 2],
    seen: Mutex<Seen>,
    /// The newest promotion that answered.
    newest: AtomicUsize,
    swapping: AtomicBool,
    stop: AtomicBool,
}

impl Caller {
    async fn new(addresses: &Addresses, artifacts: &[PathBuf; 2]) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = Endpoint::new(format!("http://{}", addresses.grpc))?.tcp_nodelay(true).connect().await?;
            clients.push(GrpcInferenceServiceClient::new(channel));
        }
        let features = zoo::fraud_rows()?.into_iter().next().context("the traffic file has rows")?;
        let row = Bytes::from(features.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        let expected = [answer(&artifacts[0], &row)?, answer(&artifacts[1], &row)?];
        Ok(Self {
            clients,
            row,
            expected,
            seen: Mutex::default(),
            newest: AtomicUsize::new(0),
            swapping: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        })
    }

    /// Waits for the first answer of a promotion.
    async fn answered_by(&self, promotion: usize) {
        while self.newest.load(Ordering::Relaxed) < promotion {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Answers a second in a closed loop of sixteen callers.
    async fn capacity(self: &Arc<Self>, duration: Duration) -> anyhow::Result<f64> {
        let until = Instant::now() + duration;
        let tasks: Vec<_> = (0..16)
            .map(|index| {
                let caller = Arc::clone(self);
                tokio::spawn(async move {
                    let mut answers = 0_u32;
                    while Instant::now() < until {
                        caller.call(index).await?;
                        answers += 1;
                    }
                    anyhow::Ok(answers)
                })
            })
            .collect();
        let mut answers = 0;
        for task in tasks {
            answers += task.await??;
        }
        Ok(f64::from(answers) / duration.as_secs_f64())
    }

    /// Sends at `rate`, whatever the answers do: each slot has its moment, and the next free sender takes the next
    /// slot. Were all senders busy, the slot would be late, and its latency counts from when it should have been sent.
    async fn send_open_loop(self: Arc<Self>, rate: f64) {
        let started = Instant::now();
        let slots = Arc::new(AtomicUsize::new(0));
        let senders = (0..SENDERS).map(|index| {
            let (caller, slots) = (Arc::clone(&self), Arc::clone(&slots));
            tokio::spawn(async move {
                while !caller.stop.load(Ordering::Relaxed) {
                    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
                    let slot = slots.fetch_add(1, Ordering::Relaxed) as f64;
                    caller.timed(index, started + Duration::from_secs_f64(slot / rate)).await;
                }
            })
        });
        futures::future::join_all(senders.collect::<Vec<_>>()).await;
    }

    async fn timed(&self, index: usize, intended: Instant) {
        tokio::time::sleep_until(intended).await;
        let swapping = self.swapping.load(Ordering::Relaxed);
        let result = self.call(index).await;
        let latency = micros(intended.elapsed());
        let mut seen = self.seen.lock();
        match result {
            Ok(()) if swapping => seen.swap_us.push(latency),
            Ok(()) => seen.steady_us.push(latency),
            Err(error) => *seen.failures.entry(error.to_string()).or_default() += 1,
        }
    }

    /// One request, whose answer must be what the version it names computes.
    async fn call(&self, index: usize) -> anyhow::Result<()> {
        let input = InferInputTensor {
            name: "features".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, i64::try_from(self.row.len() / 4)?],
            ..InferInputTensor::default()
        };
        let request = ModelInferRequest {
            model_name: MODEL.to_owned(),
            inputs: vec![input],
            raw_input_contents: vec![self.row.clone()],
            ..ModelInferRequest::default()
        };
        let reply = self.clients[index % self.clients.len()].clone().model_infer(request).await?.into_inner();
        let promotion: usize = reply.model_version.strip_prefix('r').context("a version of ours")?.parse()?;
        for (output, raw) in reply.outputs.iter().zip(&reply.raw_output_contents) {
            let expected = self.expected[promotion % 2]
                .iter()
                .find(|tensor| *tensor.name == *output.name)
                .context("a known output")?;
            if *expected.tensor.data() != *raw {
                bail!("{} answered {} wrongly", reply.model_version, output.name);
            }
        }
        self.newest.fetch_max(promotion, Ordering::Relaxed);
        Ok(())
    }

    fn figures(&self, promotions: usize, resident: &[u64]) -> Figures {
        let mut seen = self.seen.lock();
        for (failure, count) in &seen.failures {
            println!("  {count} requests failed: {failure}");
        }
        let failed = seen.failures.values().sum();
        let (steady, swap) = (percentiles("steady", &mut seen.steady_us), percentiles("swap", &mut seen.swap_us));
        let stall_us = seen.swap_us.iter().copied().max().unwrap_or(0);
        let rss_growth_pct = growth(resident);
        Figures { promotions, failed, p99_ratio: swap / steady, stall_ms: f64::from(stall_us) / 1000.0, rss_growth_pct }
    }
}

/// Prints a row and returns its p99.
fn percentiles(name: &str, latencies_us: &mut [u32]) -> f64 {
    let (p50, p99) = (quantile(latencies_us, 0.5), quantile(latencies_us, 0.99));
    println!("  {name:<7} {:>9} requests  p50 {p50:>7.0} us  p99 {p99:>7.0} us", latencies_us.len());
    p99
}

/// Resident memory at the end over that once settled, in percent: medians of windows, since one sample may have caught
/// two versions at once.
fn growth(resident: &[u64]) -> f64 {
    let settled = SETTLED.min(resident.len() / 3);
    let window = |samples: &[u64]| median(&samples.iter().map(|bytes| mb(*bytes)).collect::<Vec<_>>());
    let start = &resident[settled..(2 * settled).min(resident.len())];
    let end = &resident[resident.len() - settled..];
    if settled == 0 { 0.0 } else { (window(end) / window(start) - 1.0) * 100.0 }
}

/// What the artifact in `folder` answers for one row, computed here.
fn answer(folder: &std::path::Path, row: &Bytes) -> anyhow::Result<Vec<NamedTensor>> {
    let onnx = std::fs::read(folder.join("model.onnx"))?;
    let mut files = ModelFiles::new();
    files.insert("model.onnx", Bytes::from(onnx))?;
    let model = models::load(&files)?;
    let tensor = Tensor::new(Datatype::Fp32, vec![1, row.len() / 4], row.clone())?;
    Ok(model.run(&[NamedTensor { name: "features".into(), tensor }])?)
}
