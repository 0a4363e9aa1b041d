//! A device with room for one version and not for two: what `serving.memoryPolicy` makes of it, and what callers see.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use tests::sandbox::Sandbox;
use tests::traffic::Traffic;

use super::{bump, ends_well, memory, sandbox, serving};
use crate::child::Process;

/// Of a device that has room for many.
const WIDE_BYTES: u64 = 1 << 30;

fn values(policy: &str) -> String {
    format!(
        "serving: {{maxBatchSize: 2, memoryPolicy: {policy}}}\nstrategy: {{canary: {{steps: [], scaleDownDelaySeconds: 0}}}}\n"
    )
}

async fn up(policy: &str, device_bytes: u64) -> (Sandbox, Process) {
    let sandbox = sandbox("v1.0.0", &values(policy)).unwrap();
    let process = serving(&sandbox, &format!("memory={device_bytes}"));
    process.until(|model| model["phase"] == "Healthy").await;
    (sandbox, process)
}

/// v1.0.0 serves, and v1.1.0 is asked for where half of what it needs is left.
async fn asked_for_too_much(policy: &str) -> (Sandbox, Process, Traffic) {
    let (_sandbox, wide) = up(policy, WIDE_BYTES).await;
    let metrics = wide.ask("/metrics").await;
    let (limit, version) = (memory(&metrics, "limit").unwrap(), memory(&metrics, "reserved").unwrap());
    drop(wide);
    // A sixteenth of what a device has is left to its driver.
    let too_much = (limit - version * 3 / 2) / 15 * 16;
    let (mut sandbox, process) = up(policy, WIDE_BYTES - too_much).await;
    let mut traffic = Traffic::start(&process.http).unwrap();
    traffic.goes_on(10).await.unwrap();
    bump(&mut sandbox, "v1.1.0", &values(policy)).unwrap();
    (sandbox, process, traffic)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuse_sends_the_version_away_and_callers_notice_nothing() {
    let (sandbox, process, mut traffic) = asked_for_too_much("refuse").await;
    let model = process.until(|model| model["rejected"][0]["version"] == "v1.1.0").await;
    assert!(model["rejected"][0]["reason"].as_str().unwrap().contains("are free on the device"), "{model}");
    traffic.goes_on(10).await.unwrap();
    let report = traffic.stop().await.unwrap();
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!(report.answered.keys().collect::<Vec<_>>(), ["v1.0.0"]);
    ends_well(process, &sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn availability_waits_for_room_and_a_revert_ends_the_wait() {
    let (mut sandbox, process, mut traffic) = asked_for_too_much("availability").await;
    let waits = |model: &serde_json::Value| {
        let events = model["history"].as_array().unwrap();
        let tried = events.iter().filter(|it| it["event"] == "stageFailed" && it["version"] == "v1.1.0");
        tried.count() > 0
    };
    let model = process.until(waits).await;
    assert_eq!((&model["phase"], &model["stable"]["version"]), (&"Progressing".into(), &"v1.0.0".into()), "{model}");
    bump(&mut sandbox, "v1.0.0", &values("availability")).unwrap();
    process.until(|model| model["phase"] == "Healthy").await;
    traffic.goes_on(10).await.unwrap();
    assert_eq!(traffic.stop().await.unwrap().failures, Vec::<String>::new());
    ends_well(process, &sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resource_makes_room_and_callers_get_an_answer_or_a_503() {
    let (sandbox, process, mut traffic) = asked_for_too_much("resource").await;
    process.until(|model| model["stable"]["version"] == "v1.1.0" && model["phase"] == "Healthy").await;
    traffic.answered_by("v1.1.0").await.unwrap();
    for failure in traffic.stop().await.unwrap().failures {
        assert!(failure.starts_with("503"), "{failure}");
    }
    ends_well(process, &sandbox);
}
