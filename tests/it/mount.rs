//! The mounted values file, as a kubelet handles it, through a whole server: every swap is seen, and callers that ask all
//! the while lose nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use std::fs::File;
use std::io::Write as _;

use server::rollout::Phase;
use tests::kubelet::LinkOrder;
use tests::sandbox::{Running, Sandbox};
use tests::traffic::Traffic;

const MODEL: &str = "fraud-detection";
const OTHER: &str = "identity-fp32";
const VERSIONS: [&str; 2] = ["v1.0.0", "v1.1.0"];

/// A bucket with both versions.
fn sandbox(order: LinkOrder) -> Sandbox {
    let sandbox = Sandbox::with_links(order).unwrap();
    for version in VERSIONS {
        sandbox.publish(MODEL, version).unwrap();
    }
    sandbox
}

/// A server on `sandbox`, with the first version serving.
async fn serving(sandbox: &mut Sandbox) -> Running {
    mount(sandbox, "values.yaml", VERSIONS[0]);
    let running = sandbox.start().await.unwrap();
    running.promoted(MODEL, VERSIONS[0]).await.unwrap();
    running
}

/// Swaps the mount to one key that asks for `version`.
fn mount(sandbox: &mut Sandbox, key: &str, version: &str) {
    let values = sandbox.values(MODEL, version, "");
    sandbox.kubelet.swap(&[(key, &values)]).unwrap();
}

/// Forward and back: every second swap is a revert to what served before. Callers ask all the while, and the next swap
/// waits until the new version has answered one of them.
async fn swaps(mut sandbox: Sandbox, count: usize) {
    let running = serving(&mut sandbox).await;
    let mut traffic = Traffic::start(&running.http()).unwrap();
    traffic.answered_by(VERSIONS[0]).await.unwrap();
    for swap in 1..=count {
        let version = VERSIONS[swap % 2];
        mount(&mut sandbox, "values.yaml", version);
        let status = running.promoted(MODEL, version).await.unwrap();
        assert_eq!(status.phase, Phase::Healthy, "swap {swap}: {}", status.message);
        traffic.answered_by(version).await.unwrap();
    }
    let report = traffic.stop().await.unwrap();
    assert_eq!(report.failures, Vec::<String>::new(), "beside {:?}", report.answered);
    assert!(report.answered.keys().eq(&VERSIONS), "{:?}", report.answered);
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_swaps_with_links_made_after_the_rename() {
    swaps(sandbox(LinkOrder::AfterRename), 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_swaps_with_links_made_before_the_rename() {
    swaps(sandbox(LinkOrder::BeforeRename), 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_notifications_the_timed_reading_sees_every_swap() {
    let sandbox = sandbox(LinkOrder::AfterRename).setting("watch-notify", "false").setting("watch-interval", "1s");
    swaps(sandbox, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_changes_nothing_but_the_status() {
    let mut sandbox = sandbox(LinkOrder::AfterRename);
    let running = serving(&mut sandbox).await;
    let good = sandbox.values(MODEL, VERSIONS[0], "");
    let cut_short = &good[..good.find("v1.0.0").unwrap() + 2];
    for broken in ["model: [", cut_short, &good.replace("v1.0.0", "not a version!")] {
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
async fn a_file_that_is_written_in_place_is_taken_once_it_is_whole() {
    let sandbox = sandbox(LinkOrder::AfterRename);
    let path = sandbox.root().join("values.yaml");
    std::fs::write(&path, sandbox.values(MODEL, VERSIONS[0], "")).unwrap();
    let sandbox = sandbox.setting("values", &path.display().to_string());
    let running = sandbox.start().await.unwrap();
    running.promoted(MODEL, VERSIONS[0]).await.unwrap();
    let mut traffic = Traffic::start(&running.http()).unwrap();

    let next = sandbox.values(MODEL, VERSIONS[1], "");
    let (first, rest) = next.split_at(next.find(VERSIONS[1]).unwrap() + 2);
    let mut file = File::create(&path).unwrap();
    file.write_all(first.as_bytes()).unwrap();
    file.sync_all().unwrap();
    let status = running.until(MODEL, |model| model.values_error.is_some()).await.unwrap();
    assert_eq!(status.stable.unwrap().version, VERSIONS[0], "half a file takes nothing away");
    traffic.answered_by(VERSIONS[0]).await.unwrap();
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    let status = running.promoted(MODEL, VERSIONS[1]).await.unwrap();
    assert_eq!((status.phase, status.values_error), (Phase::Healthy, None));
    traffic.answered_by(VERSIONS[1]).await.unwrap();
    assert_eq!(traffic.stop().await.unwrap().failures, Vec::<String>::new());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mount_that_is_removed_and_made_again_is_followed() {
    let mut sandbox = sandbox(LinkOrder::AfterRename);
    let running = serving(&mut sandbox).await;
    sandbox.kubelet.remove().unwrap();
    let status = running.until(MODEL, |model| model.values_error.is_some()).await.unwrap();
    assert_eq!(status.stable.unwrap().version, "v1.0.0", "a mount that is gone unloads nothing");
    std::fs::create_dir(sandbox.kubelet.mount()).unwrap();
    mount(&mut sandbox, "values.yaml", VERSIONS[1]);
    running.promoted(MODEL, VERSIONS[1]).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_renamed_is_followed_under_its_new_name() {
    let mut sandbox = sandbox(LinkOrder::AfterRename);
    let running = serving(&mut sandbox).await;
    let mut traffic = Traffic::start(&running.http()).unwrap();
    // Behind the old name, and before it.
    for (key, version) in [("z.yaml", VERSIONS[1]), ("a.yaml", VERSIONS[0]), ("a.yaml", VERSIONS[1])] {
        mount(&mut sandbox, key, version);
        let status = running.promoted(MODEL, version).await.unwrap();
        assert_eq!((status.phase, status.values_error), (Phase::Healthy, None), "{key}");
        traffic.answered_by(version).await.unwrap();
    }
    assert_eq!(traffic.stop().await.unwrap().failures, Vec::<String>::new());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_goes_with_its_file_and_the_last_one_never() {
    let mut sandbox = sandbox(LinkOrder::AfterRename);
    sandbox.publish(OTHER, "v1").unwrap();
    let (kept, other) = (sandbox.values(MODEL, VERSIONS[0], ""), sandbox.values(OTHER, "v1", ""));
    sandbox.kubelet.swap(&[("fraud.yaml", &kept), ("other.yaml", &other)]).unwrap();
    let running = sandbox.start().await.unwrap();
    running.promoted(MODEL, VERSIONS[0]).await.unwrap();
    running.promoted(OTHER, "v1").await.unwrap();
    let mut traffic = Traffic::start(&running.http()).unwrap();

    sandbox.kubelet.swap(&[("fraud.yaml", &kept)]).unwrap();
    running.removed(OTHER).await.unwrap();
    let url = format!("{}/v2/models/{OTHER}/ready", running.http());
    assert_eq!(reqwest::get(url).await.unwrap().status(), 404, "nobody is sent to it");
    // With no file left it may be the mount that is broken.
    sandbox.kubelet.swap(&[]).unwrap();
    let status = running.until(MODEL, |model| model.values_error.is_some()).await.unwrap();
    assert_eq!(status.stable.unwrap().version, VERSIONS[0]);
    // A file that comes back brings its model back.
    sandbox.kubelet.swap(&[("fraud.yaml", &kept), ("other.yaml", &other)]).unwrap();
    running.promoted(OTHER, "v1").await.unwrap();
    traffic.answered_by(VERSIONS[0]).await.unwrap();
    assert_eq!(traffic.stop().await.unwrap().failures, Vec::<String>::new());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_named_itself_is_never_taken_for_removed() {
    let mut sandbox = sandbox(LinkOrder::AfterRename);
    mount(&mut sandbox, "values.yaml", VERSIONS[0]);
    let path = sandbox.kubelet.mount().join("values.yaml").display().to_string();
    let mut sandbox = sandbox.setting("values", &path);
    let running = sandbox.start().await.unwrap();
    running.promoted(MODEL, VERSIONS[0]).await.unwrap();
    mount(&mut sandbox, "another.yaml", VERSIONS[1]);
    let status = running.until(MODEL, |model| model.values_error.is_some()).await.unwrap();
    assert_eq!(status.stable.unwrap().version, VERSIONS[0]);
    mount(&mut sandbox, "values.yaml", VERSIONS[1]);
    running.promoted(MODEL, VERSIONS[1]).await.unwrap();
    running.stop().await;
}
