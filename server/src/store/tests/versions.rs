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

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn other_bytes_of_the_same_size_under_a_known_version_are_refused() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    let mut other = WEIGHTS.to_vec();
    other[5] ^= 1;
    rig.bucket.put("m/v1/data/model.onnx", &other).await;
    let rig = rig.restart().await;
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    let now = root(&[file("MLmodel", MLMODEL), file("data/model.onnx", &other)]);
    assert!(error.permanent() && error.to_string().contains(&seeded().to_string()), "{error}");
    assert!(error.to_string().contains(&now.to_string()), "{error}");
    assert_eq!(rig.cache_names("artifacts"), [seeded().hex()], "the refused bytes were not kept");
    assert!(rig.cache_names("staging").is_empty());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn other_files_under_a_known_version_are_refused_without_a_download() {
    let rig = Rig::new().await;
    rig.seed("v1").await;
    rig.fetch(&spec("v1")).await.unwrap();
    rig.bucket.put("m/v1/data/model.onnx", b"short").await;
    rig.bucket.put("m/v1/new.txt", b"x").await;
    rig.bucket.behave();
    let error = rig.fetch(&spec("v1")).await.unwrap_err();
    let text = error.to_string();
    assert!(error.permanent() && text.contains("+new.txt (1 bytes)") && text.contains("+data/model.onnx (5"), "{text}");
    assert_eq!(rig.bucket.gets(), 0);
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
