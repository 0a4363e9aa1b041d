//! Rollouts through a whole server: mount, watcher, pull, verification, gate, steps, promotion and rollback.

mod cold;
mod revert;

use server::rollout::Phase;
use tests::sandbox::{Running, Sandbox};
use tests::traffic::Traffic;
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
    let traffic = Traffic::start(&running.http()).unwrap();
    bump(&mut sandbox, "v1.1.0", JUDGED).unwrap();
    let status = running.promoted(MODEL, "v1.1.0").await.unwrap();
    let report = traffic.stop().await.unwrap();
    assert_eq!((status.phase, report.failures), (Phase::Healthy, vec![]));
    let answered: u64 = report.answered.values().sum();
    assert!(answered > 40, "{answered} requests were judged");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_answers_nan_is_rolled_back_and_no_caller_sees_it() {
    let (mut sandbox, running) = started(JUDGED_ON_NAN).await.unwrap();
    let traffic = Traffic::start(&running.http()).unwrap();
    bump(&mut sandbox, "v1.2.0", JUDGED_ON_NAN).unwrap();
    let status = running.until(MODEL, |model| model.phase == Phase::Degraded).await.unwrap();
    assert_eq!(traffic.stop().await.unwrap().failures, Vec::<String>::new());
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
async fn a_rejected_version_is_not_tried_again_after_a_restart_until_retry_changes() {
    let (mut sandbox, running) = started("").await.unwrap();
    bump(&mut sandbox, "v1.3.0", "").unwrap();
    running.until(MODEL, |model| model.phase == Phase::Degraded).await.unwrap();
    running.stop().await;

    let running = sandbox.start().await.unwrap();
    let status = running.until(MODEL, |model| model.stable.is_some() && model.phase == Phase::Degraded).await.unwrap();
    assert_eq!(status.stable.unwrap().version, "v1.0.0", "what was promoted before the restart serves");
    let staged: Vec<_> = status.history.iter().filter(|event| event.event == "staging").collect();
    assert!(staged.iter().all(|event| event.version == "v1.0.0"), "v1.3.0 was tried again: {staged:?}");
    std::fs::remove_dir_all(sandbox.bucket().join(MODEL).join("v1.3.0")).unwrap();
    sandbox.publish_as(&zoo::artifact(MODEL, "v1.1.0"), MODEL, "v1.3.0").unwrap();
    bump(&mut sandbox, "v1.3.0", "retry: 1\n").unwrap();
    running.promoted(MODEL, "v1.3.0").await.unwrap();
    running.stop().await;
}
