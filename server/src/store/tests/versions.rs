//! What is remembered of a version, and what an unreachable or emptied source means.

use super::faulty::{Fault, Request};
use super::*;

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_pinned_digest_in_the_cache_needs_no_request() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    let rig = rig.restart().await;
    rig.bucket.on(|_| Fault::Unavailable);
    assert_seeded(&rig.fetch(&pinned("v1", seeded())).await.unwrap());
    assert_seeded(&rig.fetch(&pinned("v2", seeded())).await.unwrap());
    assert!(rig.bucket.requests().is_empty());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn without_a_pin_an_unchanged_listing_needs_no_download() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    let rig = rig.restart().await;
    rig.bucket.behave();
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
    assert_eq!(rig.bucket.requests(), [Request::List]);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn the_same_bytes_uploaded_again_are_the_same_version() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    rig.seed("v1").await; // New entity tags.
    rig.bucket.behave();
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
    assert!(rig.bucket.gets() > 0);
    rig.bucket.behave();
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
    assert_eq!(rig.bucket.gets(), 0, "the new listing is known now");
}

/// Loses the seeded artifact, and remembers what the version was.
fn lose(rig: &Rig) {
    let weights = rig.cached_weights();
    std::fs::write(&weights, [0; WEIGHTS.len()]).unwrap();
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn other_bytes_of_the_same_size_under_a_known_version_are_refused() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    let mut other = WEIGHTS.to_vec();
    other[5] ^= 1;
    rig.bucket.put("m/v1/data/model.onnx", &other).await;
    let now = root(&[file("MLmodel", MLMODEL), file("data/model.onnx", &other)]);
    // The process serves what the version was, and says why.
    let rig = rig.restart().await;
    let artifact = rig.fetch(&spec("v1")).await.unwrap();
    assert_seeded(&artifact);
    let note = &artifact.notes()[0];
    assert!(note.contains("a version never changes") && note.contains(&now.to_string()), "{note}");
    drop(artifact);
    assert_eq!(rig.cache_names("artifacts"), [seeded_folder()], "the refused bytes were not kept");
    assert!(rig.cache_names("staging").is_empty());
    // With nothing to serve instead it is an error.
    lose(&rig);
    let rig = rig.restart().await;
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    assert!(error.permanent() && error.to_string().contains(&seeded().to_string()), "{error}");
    assert!(error.to_string().contains(&now.to_string()), "{error}");
    assert!(rig.cache_names("artifacts").is_empty() && rig.cache_names("staging").is_empty());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn other_files_under_a_known_version_are_refused_without_a_download() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    rig.bucket.put("m/v1/data/model.onnx", b"short").await;
    rig.bucket.put("m/v1/new.txt", b"x").await;
    rig.bucket.behave();
    let artifact = rig.fetch(&spec("v1")).await.unwrap();
    assert_seeded(&artifact);
    let note = &artifact.notes()[0];
    assert!(note.contains("+new.txt (1 bytes)") && note.contains("+data/model.onnx (5"), "{note}");
    assert_eq!(rig.bucket.gets(), 0);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn whatever_a_bucket_turns_into_a_known_version_stays_what_it_was() {
    for (name, bytes) in [
        ("model.pkl", &b"cos"[..]),
        ("a:b", b"x"),
        ("manifest.json", b"{}"),
        (".push-unfinished", b"sha256:somebody's"),
        ("data/model.onnx", b"half"),
    ] {
        let rig = Rig::new().await;
        rig.seed("v1").await;
        rig.fetch(&spec("v1")).await.unwrap();
        rig.bucket.put(&format!("m/v1/{name}"), bytes).await;
        let rig = rig.restart().await;
        let artifact = rig.fetch(&spec("v1")).await.unwrap();
        assert_seeded(&artifact);
        assert!(artifact.notes()[0].starts_with("serving the remembered bytes: "), "{name}: {:?}", artifact.notes());
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_known_version_asked_for_at_another_place_with_other_bytes_is_refused() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    rig.bucket.put("m/v2/MLmodel", b"other").await;
    let elsewhere = VersionSpec { version: Version::new("v1").unwrap(), ..spec("v2") };
    let error = rig.fetch(&elsewhere).await.unwrap_err();
    assert!(matches!(error, FetchError::VersionChanged { .. }) && error.permanent(), "{error}");
    // The same bytes may move, and then that is the place.
    rig.bucket.delete("m/v2/MLmodel").await;
    rig.seed("v2").await;
    assert!(rig.fetch(&elsewhere).await.unwrap().notes().is_empty());
    rig.bucket.put("m/v2/MLmodel", b"other").await;
    assert_seeded(&rig.fetch(&elsewhere).await.unwrap());
    assert!(rig.fetch(&spec("v1")).await.is_ok(), "and the old place still holds it");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_push_under_way_is_waited_for_and_a_mark_beside_a_manifest_means_nothing() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.bucket.put("m/v1/.push-unfinished", b"sha256:whose").await;
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    assert!(matches!(&error, FetchError::Unfinished { .. }) && !error.permanent(), "{error}");
    assert!(error.to_string().contains("the same push again completes it"), "{error}");
    assert!(rig.cache_names("versions").is_empty(), "half an upload is not remembered");
    let manifest = Manifest::new(seeded(), vec![file("MLmodel", MLMODEL), file("data/model.onnx", WEIGHTS)]);
    rig.bucket.put("m/v1/manifest.json", &manifest.to_bytes()).await;
    assert_seeded(&rig.fetch(&spec("v1")).await.unwrap());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_new_pin_on_a_known_version_is_refused() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    let error = rig.fetch(&pinned("v1", Digest::from_bytes([7; 32]))).await.unwrap_err();
    assert!(matches!(error, FetchError::VersionChanged { .. }) && error.permanent(), "{error}");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_wrong_pin_is_refused_with_both_digests_and_leaves_nothing() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    let wanted = Digest::from_bytes([7; 32]);
    let error = rig.fetch(&pinned("v1", wanted)).await.unwrap_err();
    assert!(error.permanent() && error.to_string().contains(&wanted.to_string()), "{error}");
    assert!(error.to_string().contains(&seeded().to_string()), "{error}");
    assert!(rig.cache_names("artifacts").is_empty() && rig.cache_names("staging").is_empty());
    assert!(rig.cache_names("versions").is_empty(), "a refused version is not remembered");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_unreachable_or_emptied_source_takes_nothing_away() {
    for fault in [|| Fault::Unavailable, || Fault::Denied, || Fault::Empty, || Fault::Stall] {
        let rig = Rig::new().await;
        rig.seed("v1").await;
        rig.fetch(&spec("v1")).await.unwrap();
        rig.bucket.on(move |_| fault());
        let rig = rig.restart().await;
        let artifact = rig.fetch(&spec("v1")).await.unwrap();
        assert_seeded(&artifact);
        assert!(artifact.notes()[0].starts_with("serving the remembered bytes: "), "{:?}", artifact.notes());
        // A version that nobody remembers cannot be made up.
        let error = rig.fetch(&spec("v2")).await.unwrap_err();
        assert!(!error.permanent(), "{error}");
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_empty_listing_is_not_an_empty_model() {
    let rig = Rig::new().await;
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    assert!(matches!(&error, FetchError::Empty { .. }) && !error.permanent());
    assert_eq!(error.to_string(), "s3://bucket/m/v1 lists no files; what is live stays live");
    // Only the manifest, or only Git's files: no model either.
    rig.bucket.put("m/v1/.gitattributes", b"*").await;
    assert!(matches!(rig.fetch(&spec("v1")).await, Err(FetchError::Empty { .. })));
    rig.bucket.delete("m/v1/.gitattributes").await;
    rig.bucket.put("m/v1/model.sig", b"{}").await;
    assert!(matches!(rig.fetch(&spec("v1")).await, Err(FetchError::Empty { .. })));
}
