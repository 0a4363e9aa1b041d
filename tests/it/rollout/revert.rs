//! A revert in every state that a new version can be in: at once, and no caller notices.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use server::rollout::{Phase, Verb};
use tests::sandbox::{Running, Sandbox};
use tests::traffic::Traffic;

use super::{MODEL, bump, started};
use crate::child::{How, Process};

/// Where a bring-up is held, and what the status says there. The first version passes each of these once.
const HELD: [(&str, &str); 4] = [
    ("store::pull::listed", "Pulling"),
    ("bringup::before_load", "Loading"),
    ("bringup::before_warm", "Warming"),
    ("bringup::before_gate", "Gating"),
];

const STEPS: &str = "strategy: {canary: {steps: [{setWeight: 10}, {pause: {}}, {setWeight: 50}, {pause: {}}, {setWeight: 90}, {pause: {duration: 1h}}]}}\n";

/// Not a test of its own: the process that the test below starts.
#[test]
#[ignore = "the child process of a_revert_while_a_version_is_brought_up_costs_no_caller_anything"]
fn child() {
    crate::child::serve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revert_while_a_version_is_brought_up_costs_no_caller_anything() {
    for (point, state) in HELD {
        let mut sandbox = Sandbox::new().unwrap();
        for version in ["v1.0.0", "v1.1.0"] {
            sandbox.publish(MODEL, version).unwrap();
        }
        bump(&mut sandbox, "v1.0.0", "").unwrap();
        assert!(fail::has_failpoints(), "fail points are not compiled in: run `cargo xtask test`, which does that");
        let env = [("FAILPOINTS", format!("{point}=1*off->pause"))];
        let process = Process::start(&sandbox, &How { test: "rollout::revert::child", env: &env, ..How::default() });
        process.until(|model| model["phase"] == "Healthy").await;
        let mut traffic = Traffic::start(&process.http).unwrap();
        bump(&mut sandbox, "v1.1.0", "").unwrap();
        process.until(|model| model["canary"]["state"] == state).await;
        traffic.goes_on(20).await.unwrap();
        bump(&mut sandbox, "v1.0.0", "").unwrap();
        let model = process.until(|model| model["phase"] == "Healthy" && model["canary"].is_null()).await;
        assert_eq!(model["stable"]["version"], "v1.0.0", "{state}");
        traffic.goes_on(20).await.unwrap();
        let failures = traffic.stop().await.unwrap().failures;
        assert_eq!(failures, Vec::<String>::new(), "{state}");
    }
}

/// The canary's weight, and how many times it was promoted by hand to get there.
async fn at_weight(running: &Running, promotions: usize, weight: f64) {
    for _ in 0..promotions {
        running.until(MODEL, |model| model.phase == Phase::Paused).await.unwrap();
        running.app.rollout().command(MODEL, Verb::Promote { full: false }).await.unwrap();
    }
    let there = |weight| move |canary: &server::rollout::status::CanaryStatus| canary.weight_percent == weight;
    running.until(MODEL, |model| model.canary.as_ref().is_some_and(there(weight))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revert_at_every_step_of_a_trial_costs_no_caller_anything() {
    let (mut sandbox, running) = started(STEPS).await.unwrap();
    let mut traffic = Traffic::start(&running.http()).unwrap();
    for (promotions, weight, held) in [(0, 10.0, false), (1, 50.0, false), (2, 90.0, false), (2, 90.0, true)] {
        bump(&mut sandbox, "v1.1.0", STEPS).unwrap();
        at_weight(&running, promotions, weight).await;
        if held {
            running.app.rollout().command(MODEL, Verb::Pause).await.unwrap();
            let held = |model: &server::rollout::status::ModelStatus| {
                model.canary.as_ref().is_some_and(|canary| canary.version.state == "Held")
            };
            running.until(MODEL, held).await.unwrap();
        }
        traffic.goes_on(20).await.unwrap();
        bump(&mut sandbox, "v1.0.0", STEPS).unwrap();
        let status = running.until(MODEL, |model| model.phase == Phase::Healthy).await.unwrap();
        let serves = (status.stable.unwrap().version, status.canary);
        assert_eq!(serves, ("v1.0.0".to_owned(), None), "at {weight} %, held: {held}");
        traffic.goes_on(20).await.unwrap();
    }
    let failures = traffic.stop().await.unwrap().failures;
    assert_eq!(failures, Vec::<String>::new());
    running.stop().await;
}
