//! The CUDA path as a whole, on the stand-in for the driver: `cargo xtask test-cuda` builds these tests with the feature
//! `cuda` and starts them with `LD_LIBRARY_PATH` at the folder that the stand-in is laid out in.
//!
//! The kernels that run are those that ship. What the stand-in finds wrong with a kernel or a copy goes to the file that
//! `CUDA_STANDIN_REPORT` names, and a test whose server ends well demands that there is nothing.

mod faults;
mod ours;
mod parity;
mod room;
mod slow;
mod start;
mod swaps;
mod transformer;

use std::path::Path;

use models::cuda::Gpu;
use tests::sandbox::Sandbox;

use crate::child::{How, Process};

const MODEL: &str = "fraud-detection";
const ON_GPU: [&str; 3] = ["--device", "cuda", "--allow-simulated-device"];

/// The device of this process, for the thread that asks. Tests of one process take turns.
fn gpu() -> (parking_lot::MutexGuard<'static, ()>, Gpu) {
    static ONE_AT_A_TIME: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
    let turn = ONE_AT_A_TIME.lock();
    let gpu = Gpu::open(0).unwrap_or_else(|error| {
        panic!("{error}: run `cargo xtask test-cuda`, which starts these tests with the stand-in for CUDA's driver")
    });
    assert!(gpu.facts().simulated(), "these tests break devices, so they want none that is real: {:?}", gpu.facts());
    (turn, gpu)
}

/// A bucket with two good versions, of which `version` is asked for.
fn sandbox(version: &str, more: &str) -> anyhow::Result<Sandbox> {
    let mut sandbox = Sandbox::new()?;
    for version in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        sandbox.publish(MODEL, version)?;
    }
    bump(&mut sandbox, version, more)?;
    Ok(sandbox)
}

fn bump(sandbox: &mut Sandbox, version: &str, more: &str) -> anyhow::Result<()> {
    let values = sandbox.values(MODEL, version, more);
    Ok(sandbox.kubelet.swap(&[("values.yaml", &values)])?)
}

/// A server on the stand-in, where `faults` are planned.
fn serving(sandbox: &Sandbox, faults: &str) -> Process {
    Process::start(sandbox, &how(&planned(sandbox, faults)))
}

fn how<'a>(env: &'a [(&'static str, String)]) -> How<'a> {
    How { test: start::CHILD, flags: &ON_GPU, env, ..How::default() }
}

fn planned(sandbox: &Sandbox, faults: &str) -> [(&'static str, String); 3] {
    let file = |name: &str| sandbox.root().join(name).display().to_string();
    [
        ("CUDA_STANDIN_FAULTS", faults.to_owned()),
        ("CUDA_STANDIN_COUNTS", file("counts.json")),
        ("CUDA_STANDIN_REPORT", file("report.json")),
    ]
}

/// What the stand-in found wrong, until its process ended.
fn reported(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(sandbox.root().join("report.json"));
    let report: serde_json::Value =
        serde_json::from_str(&text.expect("the stand-in writes it when it ends")).expect("the report is JSON");
    report["reports"].as_array().cloned().expect("it is a list")
}

/// What the stand-in counted until its process ended.
fn counted(sandbox: &Sandbox) -> anyhow::Result<serde_json::Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(sandbox.root().join("counts.json"))?)?)
}

/// A figure of the device's memory, as the metrics tell it.
fn memory(metrics: &str, kind: &str) -> Option<u64> {
    let series = format!("sluice_device_memory_bytes{{device=\"cuda:0\",kind=\"{kind}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&series))?.parse().ok()
}

/// What models hold of the device, in bytes: what was promised to them, and what they took.
fn held(metrics: &str) -> Option<(u64, u64)> {
    Some((memory(metrics, "reserved")?, memory(metrics, "pool_used")?))
}

/// The same of a server that has answered a request.
async fn holds(process: &Process) -> (u64, u64) {
    // The thread looks at its memory when it is asked, so the first answer is of the moment before.
    process.until_metrics(|metrics| held(metrics).is_some_and(|(_, used)| used > 0)).await;
    held(&process.ask("/metrics").await).expect("a moment ago it was there")
}

/// Has the server drain, which it does well, without a finding, and with nothing left on the device.
fn ends_well(process: Process, sandbox: &Sandbox) {
    let (status, said) = process.terminate();
    assert_eq!((status.code(), reported(sandbox)), (Some(0), vec![]), "{said}");
    // Other threads of the process run still, so that the stand-in says it and does not call it a leak.
    assert!(!said.contains("not freed"), "{said}");
}

/// A request for one row.
fn row() -> String {
    request(1)
}

fn request(rows: usize) -> String {
    let data = vec![0.0; rows * 9];
    let inputs = serde_json::json!([{"name": "features", "datatype": "FP32", "shape": [rows, 9], "data": data}]);
    serde_json::json!({ "inputs": inputs }).to_string()
}

/// One request for one row, and what became of it.
async fn asked(http: &str) -> (u16, String) {
    asked_for(http, 1).await
}

/// One request for these rows, and what became of it.
async fn asked_for(http: &str, rows: usize) -> (u16, String) {
    let request = reqwest::Client::new().post(format!("{http}/v2/models/{MODEL}/infer")).body(request(rows));
    match request.send().await {
        Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
        Err(error) => (0, error.to_string()),
    }
}

/// Every file of an artifact.
fn files(folder: &Path) -> anyhow::Result<models::ModelFiles> {
    let mut files = models::ModelFiles::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?.into())?;
        }
    }
    Ok(files)
}
