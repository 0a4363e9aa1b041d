//! Rollouts through a whole server: mount, watcher, pull, verification, gate, steps, promotion and rollback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use server::rollout::Phase;
use tests::sandbox::{Running, Sandbox};
use tests::zoo;

const MODEL: &str = "fraud-detection";

/// Half of the traffic until a verdict on real evidence is there.
const JUDGED: &str = "\
strategy:
  canary:
    steps:
      - setWeight: 50
      - analysis: {templates: [{templateName: default}]}
analysisTemplates:
  default:
    metrics:
      - {name: request-success-rate, interval: 1s, thresholdRange: {min: 99}, minSamples: 20}
      - {name: nan-share, interval: 1s, thresholdRange: {max: 0}, minSamples: 20}
";

/// The same, judged on NaN alone.
const JUDGED_ON_NAN: &str = "\
strategy: {canary: {steps: [{setWeight: 50}, {analysis: {templates: [{templateName: nan}]}}]}}
analysisTemplates: {nan: {metrics: [{name: nan-share, interval: 1s, thresholdRange: {max: 0}, minSamples: 20}]}}
";

/// Real rows, sent one after the other by four callers until stopped; every answer must be 200.
struct Traffic {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    callers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Traffic {
    fn start(running: &Running) -> Self {
        let rows = Arc::new(zoo::fraud_rows().expect("the zoo has rows"));
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let url = format!("{}/v2/models/{MODEL}/infer", running.http());
        let callers = (0..4)
            .map(|caller| {
                let (rows, stop, answered, url) =
                    (Arc::clone(&rows), Arc::clone(&stop), Arc::clone(&answered), url.clone());
                tokio::spawn(async move {
                    let client = reqwest::Client::new();
                    let mut failures = Vec::new();
                    for row in rows.iter().cycle().skip(caller * 31) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        match ask(&client, &url, row).await {
                            Ok(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                            Err(failure) => failures.push(failure.to_string()),
                        }
                    }
                    failures
                })
            })
            .collect();
        Self { stop, answered, callers }
    }

    /// Stops, and returns how many were answered and what failed.
    async fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for caller in self.callers {
            failures.extend(caller.await.expect("a caller does not panic"));
        }
        (self.answered.load(Ordering::Relaxed), failures)
    }
}

async fn ask(client: &reqwest::Client, url: &str, row: &[f32]) -> anyhow::Result<Value> {
    let body = json!({"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 9], "data": row}]});
    let response = client.post(url).body(body.to_string()).send().await?;
    anyhow::ensure!(response.status() == 200, "{}: {}", response.status(), response.text().await?);
    let answer: Value = serde_json::from_slice(&response.bytes().await?)?;
    let numbers = answer["outputs"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|output| output["data"].as_array().into_iter().flatten());
    anyhow::ensure!(numbers.clone().count() >= 3 && numbers.clone().all(Value::is_number), "not an answer: {answer}");
    Ok(answer)
}

async fn started(more: &str) -> anyhow::Result<(Sandbox, Running)> {
    let mut sandbox = Sandbox::new()?;
    for version in ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"] {
        sandbox.publish(MODEL, version)?;
    }
    let values = sandbox.values(MODEL, "v1.0.0", more);
    sandbox.kubelet.swap(&[("values.yaml", &values)])?;
    let running = sandbox.start().await?;
    running.promoted(MODEL, "v1.0.0").await?;
    Ok((sandbox, running))
}

fn bump(sandbox: &mut Sandbox, version: &str, more: &str) -> anyhow::Result<()> {
    let values = sandbox.values(MODEL, version, more);
    Ok(sandbox.kubelet.swap(&[("values.yaml", &values)])?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_better_version_is_judged_on_traffic_and_promoted_without_a_lost_request() {
    let (mut sandbox, running) = started(JUDGED).await.unwrap();
    let traffic = Traffic::start(&running);
    bump(&mut sandbox, "v1.1.0", JUDGED).unwrap();
    let status = running.promoted(MODEL, "v1.1.0").await.unwrap();
    let (answered, failures) = traffic.stop().await;
    assert_eq!((status.phase, failures), (Phase::Healthy, vec![]));
    assert!(answered > 40, "{answered} requests were judged");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_answers_nan_is_rolled_back_and_no_caller_sees_it() {
    let (mut sandbox, running) = started(JUDGED_ON_NAN).await.unwrap();
    let traffic = Traffic::start(&running);
    bump(&mut sandbox, "v1.2.0", JUDGED_ON_NAN).unwrap();
    let status = running.until(MODEL, |model| model.phase == Phase::Degraded).await.unwrap();
    let (_, failures) = traffic.stop().await;
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(status.stable.unwrap().version, "v1.0.0");
    assert_eq!(status.rejected[0].version, "v1.2.0");
    assert!(status.rejected[0].reason.contains("nan-share"), "{}", status.rejected[0].reason);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bytes_are_refused_before_anything_is_loaded() {
    let (mut sandbox, running) = started("").await.unwrap();
    bump(&mut sandbox, "v1.3.0", "").unwrap();
    let status = running.until(MODEL, |model| model.phase == Phase::Degraded).await.unwrap();
    assert_eq!(status.stable.unwrap().version, "v1.0.0");
    assert!(status.message.contains("model.onnx"), "it names the file: {}", status.message);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revert_ends_a_trial_at_once() {
    let held = "strategy: {canary: {steps: [{setWeight: 10}, {pause: {}}]}}\n";
    let (mut sandbox, running) = started(held).await.unwrap();
    bump(&mut sandbox, "v1.1.0", held).unwrap();
    let on_trial = running.until(MODEL, |model| model.phase == Phase::Paused).await.unwrap();
    assert_eq!(on_trial.canary.unwrap().weight_percent, 10.0);
    bump(&mut sandbox, "v1.0.0", held).unwrap();
    let status = running.until(MODEL, |model| model.phase == Phase::Healthy).await.unwrap();
    assert_eq!((status.stable.unwrap().version.as_str(), status.canary), ("v1.0.0", None));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_version_is_not_tried_again_after_a_restart_until_retry_changes() {
    let (mut sandbox, running) = started("").await.unwrap();
    bump(&mut sandbox, "v1.3.0", "").unwrap();
    running.until(MODEL, |model| model.phase == Phase::Degraded).await.unwrap();
    running.stop().await;

    let running = sandbox.start().await.unwrap();
    let status = running.until(MODEL, |model| model.stable.is_some() && model.phase == Phase::Degraded).await.unwrap();
    assert_eq!(status.stable.unwrap().version, "v1.0.0", "what was promoted before the restart serves");
    std::fs::remove_dir_all(sandbox.bucket().join(MODEL).join("v1.3.0")).unwrap();
    sandbox.publish_as(&zoo::artifact(MODEL, "v1.1.0"), MODEL, "v1.3.0").unwrap();
    bump(&mut sandbox, "v1.3.0", "retry: 1\n").unwrap();
    running.promoted(MODEL, "v1.3.0").await.unwrap();
    running.stop().await;
}
