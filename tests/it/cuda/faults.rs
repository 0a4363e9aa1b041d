//! A device that fails, and what callers see of it.
//!
//! Where a fault strikes is found by a run without it: with no callers, what is allocated and launched is the same each
//! time.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use serde_json::Value;

use tests::sandbox::Sandbox;

use super::{asked, bump, counted, ends_well, memory, reported, sandbox, serving};
use crate::child::Process;

pub(super) const SMALL: &str =
    "serving: {maxBatchSize: 2}\nstrategy: {canary: {steps: [], scaleDownDelaySeconds: 0}}\n";

/// Allocations and launches until the first version is up.
pub(super) async fn brought_up() -> (u64, u64) {
    let sandbox = sandbox("v1.0.0", SMALL).unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    let (status, said) = process.terminate();
    assert_eq!((status.code(), reported(&sandbox)), (Some(0), vec![]), "{said}");
    let counts = counted(&sandbox).unwrap();
    let launches = counts["kernels"].as_object().unwrap().values().map(|kernel| kernel["launches"].as_u64().unwrap());
    (counts["allocations"]["times"].as_u64().unwrap(), launches.sum())
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_without_memory_gives_back_what_it_took_and_the_next_try_has_it() {
    let (allocations, _) = brought_up().await;
    let (sandbox, process, before) = failing_load(&format!("allocation={}", allocations + 1)).await;
    let model = process.until(|model| reason(model, "stageFailed").is_some()).await;
    assert!(reason(&model, "stageFailed").unwrap().contains("out of memory"), "{model}");
    process.until(|model| model["stable"]["version"] == "v1.1.0").await;
    process.until_metrics(|metrics| memory(metrics, "reserved") == before).await;
    let (code, body) = asked(&process.http).await;
    assert!(code == 200 && body.contains("\"v1.1.0\""), "{code} {body}");
    ends_well(process, &sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_in_its_warm_up_is_rejected_and_the_live_one_serves() {
    let (_, launches) = brought_up().await;
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
    let (_, launches) = brought_up().await;
    for code in [700, 710, 716, 718, 719] {
        failed_request(&format!("launch={}:{code}", launches + 1)).await;
    }
    failed_request(&format!("lost={}", launches + 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_that_is_refused_fails_its_caller_and_nothing_else() {
    let (_, launches) = brought_up().await;
    let sandbox = sandbox("v1.0.0", SMALL).unwrap();
    let process = serving(&sandbox, &format!("launch={}:701", launches + 1));
    process.until(|model| model["phase"] == "Healthy").await;
    let (code, body) = asked(&process.http).await;
    assert!(code == 500 && body.contains("could not compute"), "{code} {body}");
    assert_eq!(asked(&process.http).await.0, 200);
    let (status, said) = process.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
}
