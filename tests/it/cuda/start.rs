//! Which device a server starts on, and what it says of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use serde_json::Value;

use super::{ON_GPU, planned, sandbox, serving};
use crate::child::{How, Process};

/// What the tests of the CUDA path start.
pub(super) const CHILD: &str = "cuda::start::child";

/// Not a test of its own: the server that the others start.
#[test]
#[ignore = "the child process of the_metrics_name_the_device_and_its_memory"]
fn child() {
    crate::child::serve();
}

/// Starts with these flags and faults, and tells what `/status` says of the device, or how it ended.
async fn device(flags: &[&str], faults: &str) -> Result<Value, (Option<i32>, String)> {
    let sandbox = sandbox("v1.0.0", "").unwrap();
    let how = How { test: CHILD, flags, env: &planned(&sandbox, faults), ..How::default() };
    let process = Process::try_start(&sandbox, &how).map_err(|(status, said)| (status.code(), said))?;
    let status: Value = serde_json::from_str(&process.ask("/status").await).unwrap();
    Ok(status["device"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulated_device_is_taken_only_where_it_is_allowed() {
    let taken = device(&ON_GPU, "").await.unwrap();
    assert_eq!((&taken["name"], &taken["simulated"]), (&"cuda:0".into(), &true.into()), "{taken}");
    let auto = device(&["--device", "auto", "--allow-simulated-device"], "").await.unwrap();
    assert_eq!(auto["name"], "cuda:0");
    let (code, said) = device(&["--device", "cuda"], "").await.unwrap_err();
    assert!(code == Some(1) && said.contains("--allow-simulated-device"), "{code:?}: {said}");
    let auto = device(&["--device", "auto"], "").await.unwrap();
    assert_eq!((&auto["name"], &auto["simulated"]), (&"cpu".into(), &false.into()));
    assert!(auto["reason"].as_str().unwrap().contains("simulated"), "{auto}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_device_auto_serves_on_the_cpu_and_says_why() {
    for (faults, words) in [("devices=0", "no GPU"), ("driver=12080", "CUDA 12.8; sluice needs R580")] {
        let auto = device(&["--device", "auto", "--allow-simulated-device"], faults).await.unwrap();
        assert_eq!(auto["name"], "cpu");
        assert!(auto["reason"].as_str().unwrap().contains(words), "{auto}");
        let (code, said) = device(&ON_GPU, faults).await.unwrap_err();
        assert!(code == Some(1) && said.contains(words) && said.contains("--device cuda:0"), "{code:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_past_the_last_device_is_refused() {
    let (code, said) = device(&["--device", "cuda:7", "--allow-simulated-device"], "").await.unwrap_err();
    assert!(code == Some(1) && said.contains("--device cuda:7") && said.contains("cuda:0 is"), "{code:?}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_name_the_device_and_its_memory() {
    let sandbox = sandbox("v1.0.0", "").unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    let metrics = process.ask("/metrics").await;
    let info = metrics.lines().find(|line| line.starts_with("sluice_device_info{")).unwrap();
    assert!(info.contains("simulated=\"true\"") && info.contains("device=\"cuda:0\""), "{info}");
    for kind in ["reserved", "limit", "used", "free", "pool_held", "pool_used"] {
        assert!(super::memory(&metrics, kind).is_some_and(|bytes| bytes > 0), "{kind}");
    }
}
