//! A device that fails, and what callers see of it.
//!
//! Where a fault strikes is found by a run without it: with no callers, what is allocated and launched is the same each
//! time.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use serde_json::Value;
use tests::sandbox::{PATIENCE, Sandbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{MODEL, asked, bump, counted, ends_well, held, holds, how, memory, planned, row, sandbox, serving};
use crate::child::{How, Process};

pub(super) const SMALL: &str =
    "serving: {maxBatchSize: 2}\nstrategy: {canary: {steps: [], scaleDownDelaySeconds: 0}}\n";

/// What it takes until the first version is up.
pub(super) struct BroughtUp {
    allocations: u64,
    pub(super) launches: u64,
    /// To the device.
    pub(super) copies: u64,
}

pub(super) async fn brought_up() -> BroughtUp {
    let sandbox = sandbox("v1.0.0", SMALL).unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    ends_well(process, &sandbox);
    let counts = counted(&sandbox).unwrap();
    let launches = counts["kernels"].as_object().unwrap().values().map(|kernel| kernel["launches"].as_u64().unwrap());
    let number = |of: &Value| of.as_u64().unwrap();
    BroughtUp {
        allocations: number(&counts["allocations"]["times"]),
        launches: launches.sum(),
        copies: number(&counts["calls"]["cuMemcpyHtoDAsync_v2"]),
    }
}

/// A server whose device fails as said at the load of a second version, which is under way.
async fn failing_load(faults: &str) -> (Sandbox, Process, Option<u64>) {
    let mut sandbox = sandbox("v1.0.0", SMALL).unwrap();
    let process = serving(&sandbox, faults);
    process.until(|model| model["phase"] == "Healthy").await;
    let before = memory(&process.ask("/metrics").await, "reserved");
    bump(&mut sandbox, "v1.1.0", SMALL).unwrap();
    (sandbox, process, before)
}

/// The reason of the first such event.
fn reason<'a>(model: &'a Value, event: &str) -> Option<&'a str> {
    model["history"].as_array()?.iter().find(|it| it["event"] == event)?["reason"].as_str()
}

/// What v1.1.0 holds where it was the first on the device.
async fn held_alone() -> (u64, u64) {
    let sandbox = sandbox("v1.1.0", SMALL).unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    assert_eq!(asked(&process.http).await.0, 200);
    let held = holds(&process).await;
    ends_well(process, &sandbox);
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_without_memory_gives_back_what_it_took_and_the_next_try_has_it() {
    let (alone, allocations) = (held_alone().await, brought_up().await.allocations);
    // Three tensors of its weights are on the device when the fourth finds no room.
    let (sandbox, process, _) = failing_load(&format!("allocation={}", allocations + 4)).await;
    let model = process.until(|model| reason(model, "stageFailed").is_some()).await;
    assert!(reason(&model, "stageFailed").unwrap().contains("out of memory"), "{model}");
    assert_eq!(asked(&process.http).await.0, 200, "somebody serves in any case");
    process.until(|model| model["stable"]["version"] == "v1.1.0").await;
    let (code, body) = asked(&process.http).await;
    assert!(code == 200 && body.contains("\"v1.1.0\""), "{code} {body}");
    process.until_metrics(|metrics| held(metrics) == Some(alone)).await;
    ends_well(process, &sandbox);
}

/// The first caller meets this fault and is told; the second is answered.
async fn fails_its_caller_alone(fault: &str) -> (Sandbox, Process) {
    let sandbox = sandbox("v1.0.0", SMALL).unwrap();
    let process = serving(&sandbox, fault);
    process.until(|model| model["phase"] == "Healthy").await;
    let (code, body) = asked(&process.http).await;
    assert!(code == 500 && body.contains("could not compute"), "{code} {body}");
    assert_eq!(asked(&process.http).await.0, 200);
    (sandbox, process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_memory_fails_its_caller_and_nothing_else() {
    let allocations = brought_up().await.allocations;
    let (sandbox, process) = fails_its_caller_alone(&format!("allocation={}", allocations + 1)).await;
    ends_well(process, &sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_in_its_warm_up_is_rejected_and_the_live_one_serves() {
    let launches = brought_up().await.launches;
    let (sandbox, process, before) = failing_load(&format!("launch={}:701", launches + 1)).await;
    let model = process.until(|model| reason(model, "rejected").is_some()).await;
    assert!(reason(&model, "rejected").unwrap().contains("warm-up"), "{model}");
    let (code, body) = asked(&process.http).await;
    assert!(code == 200 && body.contains("\"v1.0.0\""), "{code} {body}");
    process.until_metrics(|metrics| memory(metrics, "reserved") == before).await;
    ends_well(process, &sandbox);
}

/// The device fails at the first launch after the first version is up, which is a caller's.
async fn failed_request(fault: &str) {
    let sandbox = sandbox("v1.0.0", SMALL).unwrap();
    let process = serving(&sandbox, fault);
    process.until(|model| model["phase"] == "Healthy").await;
    let (code, body) = asked(&process.http).await;
    assert!(code == 503 && body.contains("lost its device"), "{fault}: {code} {body}");
    let (status, said) = process.ended();
    assert_eq!(status.code(), Some(4), "{fault}: {said}");
    assert!(said.contains("device cuda:0 is lost"), "{fault}: {said}");
    assert!(!said.contains("panicked"), "{fault}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_lost_ends_the_process_and_its_callers_are_told() {
    let launches = brought_up().await.launches;
    for code in [700, 710, 716, 718, 719] {
        failed_request(&format!("launch={}:{code}", launches + 1)).await;
    }
    failed_request(&format!("lost={}", launches + 1)).await;
}

/// Of a base URL.
fn address(http: &str) -> &str {
    http.trim_start_matches("http://")
}

/// A caller who has sent the head of a request, and was told to go on: the server waits for the rest.
async fn half_sent(http: &str) -> TcpStream {
    let mut caller = TcpStream::connect(address(http)).await.unwrap();
    let head = format!(
        "POST /v2/models/{MODEL}/infer HTTP/1.1\r\nhost: sluice\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        row().len()
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    let mut said = [0; 21];
    caller.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue");
    caller
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_its_device_is_not_ready_and_drains_before_it_ends() {
    let launches = brought_up().await.launches;
    let sandbox = sandbox("v1.0.0", SMALL).unwrap();
    let env = planned(&sandbox, &format!("launch={}:719", launches + 1));
    let process = Process::start(&sandbox, &How { not_ready_wait: Some("5s"), ..how(&env) });
    process.until(|model| model["phase"] == "Healthy").await;
    let ready = async || reqwest::get(format!("{}/v2/health/ready", process.http)).await.map(|answer| answer.status());
    assert_eq!(ready().await.unwrap(), 200);
    let mut caller = half_sent(&process.http).await;
    assert_eq!(asked(&process.http).await.0, 503);
    let seen = async {
        while ready().await.expect("it says that it is not ready before it drains") != 503 {}
        // It drains, and the request that is at work keeps it: nobody new is let in.
        while TcpStream::connect(address(&process.http)).await.is_ok() {}
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("it drains");
    caller.write_all(row().as_bytes()).await.unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("HTTP/1.1 503 "), "{answer}");
    let (status, said) = process.ended();
    assert_eq!(status.code(), Some(4), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_that_is_refused_fails_its_caller_and_nothing_else() {
    let launches = brought_up().await.launches;
    let (_sandbox, process) = fails_its_caller_alone(&format!("launch={}:701", launches + 1)).await;
    let (status, said) = process.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
}
