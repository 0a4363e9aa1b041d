//! The mounted values file, as a kubelet handles it, through a whole server: nothing is lost and every swap is seen.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use server::rollout::Phase;
use tests::kubelet::LinkOrder;
use tests::sandbox::Sandbox;

const MODEL: &str = "fraud-detection";

async fn ten_swaps(order: LinkOrder, watch_interval: &str) {
    let mut sandbox = Sandbox::with_links(order).unwrap().setting("watch-interval", watch_interval);
    for version in ["v1.0.0", "v1.1.0"] {
        sandbox.publish(MODEL, version).unwrap();
    }
    let values = sandbox.values(MODEL, "v1.0.0", "");
    sandbox.kubelet.swap(&[("values.yaml", &values)]).unwrap();
    let running = sandbox.start().await.unwrap();
    running.promoted(MODEL, "v1.0.0").await.unwrap();
    // Forward and back: every second swap is a revert.
    for swap in 1..=10 {
        let version = ["v1.0.0", "v1.1.0"][swap % 2];
        let values = sandbox.values(MODEL, version, "");
        sandbox.kubelet.swap(&[("values.yaml", &values)]).unwrap();
        let status = running.promoted(MODEL, version).await.unwrap();
        assert_eq!(status.phase, Phase::Healthy, "swap {swap}: {}", status.message);
    }
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_swaps_with_links_made_after_the_rename() {
    ten_swaps(LinkOrder::AfterRename, "15s").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_swaps_with_links_made_before_the_rename() {
    ten_swaps(LinkOrder::BeforeRename, "15s").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_changes_nothing_but_the_status() {
    let mut sandbox = Sandbox::new().unwrap();
    sandbox.publish(MODEL, "v1.0.0").unwrap();
    let good = sandbox.values(MODEL, "v1.0.0", "");
    sandbox.kubelet.swap(&[("values.yaml", &good)]).unwrap();
    let running = sandbox.start().await.unwrap();
    running.promoted(MODEL, "v1.0.0").await.unwrap();
    let half_written = &good[..good.find("v1.0.0").unwrap() + 2];
    for broken in ["model: [", half_written, &good.replace("v1.0.0", "not a version!")] {
        sandbox.kubelet.swap(&[("values.yaml", broken)]).unwrap();
        let status = running.until(MODEL, |model| model.values_error.is_some()).await.unwrap();
        assert_eq!(status.stable.unwrap().version, "v1.0.0");
        assert!(running.app.catalog().ready(), "still ready");
        sandbox.kubelet.swap(&[("values.yaml", &good)]).unwrap();
        running.until(MODEL, |model| model.values_error.is_none()).await.unwrap();
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mount_that_is_removed_and_made_again_is_followed() {
    let mut sandbox = Sandbox::new().unwrap();
    for version in ["v1.0.0", "v1.1.0"] {
        sandbox.publish(MODEL, version).unwrap();
    }
    let values = sandbox.values(MODEL, "v1.0.0", "");
    sandbox.kubelet.swap(&[("values.yaml", &values)]).unwrap();
    let running = sandbox.start().await.unwrap();
    running.promoted(MODEL, "v1.0.0").await.unwrap();
    sandbox.kubelet.remove().unwrap();
    let status = running.until(MODEL, |model| model.values_error.is_some()).await.unwrap();
    assert_eq!(status.stable.unwrap().version, "v1.0.0", "a mount that is gone unloads nothing");
    std::fs::create_dir(sandbox.kubelet.mount()).unwrap();
    let values = sandbox.values(MODEL, "v1.1.0", "");
    sandbox.kubelet.swap(&[("values.yaml", &values)]).unwrap();
    running.promoted(MODEL, "v1.1.0").await.unwrap();
    running.stop().await;
}
