//! Reload, canary, abort and drain on the device, with callers all the while.

use tests::traffic::Traffic;
use tests::zoo;

use super::{MODEL, bump, ends_well, held, holds, reported, sandbox, serving};

/// Every promotion loads, warms up and gates, and the old version leaves at once.
const FRESH: &str = "strategy: {canary: {steps: [], scaleDownDelaySeconds: 0, rollbackWindow: {revisions: 0}}}\nserving: {maxBatchSize: 4}\n";
/// Half of the traffic until a verdict on NaN is there, and a canary that was rejected leaves soon.
const JUDGED: &str = "\
strategy: {canary: {steps: [{setWeight: 50}, {analysis: {templates: [{templateName: nan}]}}], abortScaleDownDelaySeconds: 1}}
analysisTemplates: {nan: {metrics: [{name: nan-share, interval: 1s, thresholdRange: {max: 0}, minSamples: 10}]}}
serving: {maxBatchSize: 4}
";
const PROMOTIONS: usize = 200;

fn label(promotion: usize) -> String {
    format!("r{promotion}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_promotions_cost_no_caller_anything_and_the_device_no_byte() {
    let mut sandbox = sandbox("v1.0.0", FRESH).unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    let mut traffic = Traffic::start(&process.http).unwrap();
    traffic.goes_on(20).await.unwrap();
    let before = holds(&process).await;
    assert!(before.1 <= before.0, "what was promised to the version is enough: {before:?}");
    for promotion in 1..=PROMOTIONS {
        let artifact = zoo::artifact(MODEL, if promotion % 2 == 0 { "v1.0.0" } else { "v1.1.0" });
        sandbox.publish_as(&artifact, MODEL, &label(promotion)).unwrap();
        bump(&mut sandbox, &label(promotion), FRESH).unwrap();
        if let Err(error) = traffic.answered_by(&label(promotion)).await {
            let failures = traffic.stop().await.unwrap().failures;
            let (status, said) = process.terminate();
            panic!(
                "promotion {promotion}: {error}; {:?}; {status}: {said}; {:?}",
                failures.first(),
                reported(&sandbox)
            );
        }
    }
    assert_eq!(traffic.stop().await.unwrap().failures, Vec::<String>::new());
    // The last one is of the same bytes as the first; the one before it leaves in the background.
    process.until_metrics(|metrics| held(metrics) == Some(before)).await;
    let loads = process.ask("/metrics").await;
    let loads = loads.lines().find(|line| line.starts_with("sluice_reload_total{") && line.contains("success"));
    assert!(loads.is_some_and(|line| line.ends_with(&format!(" {}", PROMOTIONS + 1))), "{loads:?}");
    ends_well(process, &sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_answers_nan_is_aborted_and_no_caller_sees_it() {
    let mut sandbox = sandbox("v1.0.0", JUDGED).unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    let traffic = Traffic::start(&process.http).unwrap();
    bump(&mut sandbox, "v1.2.0", JUDGED).unwrap();
    let model = process.until(|model| model["phase"] == "Degraded").await;
    assert_eq!(traffic.stop().await.unwrap().failures, Vec::<String>::new());
    assert_eq!(model["stable"]["version"], "v1.0.0");
    assert!(model["rejected"][0]["reason"].as_str().unwrap().contains("nan-share"), "{model}");
    ends_well(process, &sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_answers_whoever_waits_and_leaves_nothing_on_the_device() {
    let sandbox = sandbox("v1.0.0", FRESH).unwrap();
    let process = serving(&sandbox, "");
    process.until(|model| model["phase"] == "Healthy").await;
    let mut traffic = Traffic::start(&process.http).unwrap();
    traffic.goes_on(20).await.unwrap();
    ends_well(process, &sandbox);
    // Whoever asked later found nobody at the port, or was told; nobody was cut off.
    for failure in traffic.stop().await.unwrap().failures {
        let told = failure.contains("503") || failure.contains("error sending request");
        assert!(told, "{failure}");
    }
}
