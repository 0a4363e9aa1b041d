//! What has to hold on every kind of bucket when it fails: one suite, through the clients that are used for real.
//!
//! Every model here has a manifest, because a web server cannot list without one.

use std::collections::HashMap;

use server::store::{FetchError, Manifest, Progress, ProgressPhase};
use tokio::sync::watch;

use super::buckets::Bucket;
use super::proxy::{Fault, Proxy, Seen};
use super::suite::{
    Model, PART_BYTES, content, digest, fetch, fetch_watched, listed, model, open, open_with, put_model, spec,
};

const WEIGHTS: &str = "data/model.onnx";

pub(super) async fn fault_suite(bucket: &dyn Bucket) {
    comes_in_bad_order(bucket).await;
    holds_wrong_bytes(bucket).await;
    changes_under_the_download(bucket).await;
    is_emptied(bucket).await;
    // Requests can fail only where there are requests: a directory on the same machine has none of these.
    if let Some(proxy) = bucket.proxy() {
        answers_503_for_a_while(bucket, proxy).await;
        cuts_bodies_short(bucket, proxy).await;
        answers_503_without_end(bucket, proxy).await;
        answers_403_without_end(bucket, proxy).await;
        proxy.behave();
    }
}

async fn put_manifest(bucket: &dyn Bucket, path: &str, model: &Model) {
    let manifest = Manifest::new(digest(model), listed(model)).to_bytes();
    bucket.put(&format!("{path}/manifest.json"), &manifest).await;
}

async fn publish(bucket: &dyn Bucket, path: &str, model: &Model) {
    put_model(bucket, path, model).await;
    put_manifest(bucket, path, model).await;
}

/// The manifest is there first and the weights come last, as from a tool that copies in any order.
async fn comes_in_bad_order(bucket: &dyn Bucket) {
    let cache = tempfile::tempdir().unwrap();
    let store = open(cache.path(), bucket.environment()).await;
    let whole = model(10);
    let v1 = spec("v1", bucket.uri("order/v1"), None);
    put_manifest(bucket, "order/v1", &whole).await;
    let mut part = whole.clone();
    part.remove(WEIGHTS);
    put_model(bucket, "order/v1", &part).await;
    let error = fetch(&store, &v1).await.unwrap_err();
    assert!(!error.permanent() && error.to_string().contains(WEIGHTS), "{error}");
    put_model(bucket, "order/v1", &whole).await;
    assert_eq!(content(&fetch(&store, &v1).await.unwrap()), whole);
}

/// A byte of the weights is wrong, and their size is right.
async fn holds_wrong_bytes(bucket: &dyn Bucket) {
    let cache = tempfile::tempdir().unwrap();
    let store = open(cache.path(), bucket.environment()).await;
    let whole = model(11);
    let mut wrong = whole.clone();
    wrong.get_mut(WEIGHTS).unwrap()[PART_BYTES] ^= 1;
    put_model(bucket, "wrong/v1", &wrong).await;
    put_manifest(bucket, "wrong/v1", &whole).await;
    let v1 = spec("v1", bucket.uri("wrong/v1"), None);
    let error = fetch(&store, &v1).await.unwrap_err();
    assert!(matches!(error, FetchError::Manifest { .. } | FetchError::Changed { .. }), "{error}");
    assert!(error.to_string().contains("SHA-256"), "{error}");
    // Nothing of it is left over for the right bytes to be mixed with.
    put_model(bucket, "wrong/v1", &whole).await;
    assert_eq!(content(&fetch(&store, &v1).await.unwrap()), whole);
}

/// The weights are replaced while they are read: the artifact is the new one, whole.
async fn changes_under_the_download(bucket: &dyn Bucket) {
    let cache = tempfile::tempdir().unwrap();
    // One part at a time, and none while the fetch is not polled but the one that is under way: so the change comes
    // between two parts.
    let store = open_with(cache.path(), bucket.environment(), |options| options.parallel = 1).await;
    let (old, new) = (model(12), model(13));
    publish(bucket, "change/v1", &old).await;
    let v1 = spec("v1", bucket.uri("change/v1"), None);
    let (progress, mut seen) = watch::channel(Progress::default());
    let fetch = fetch_watched(&store, &v1, &progress);
    tokio::pin!(fetch);
    tokio::select! {
        biased;
        begun = seen.wait_for(|progress| progress.done_bytes > PART_BYTES as u64) => drop(begun.unwrap()),
        _ = &mut fetch => panic!("it ended before the change"),
    }
    publish(bucket, "change/v1", &new).await;
    assert_eq!(content(&fetch.await.unwrap()), new);
}

/// What was verified is served on, and a version that nobody knows is not made up.
async fn is_emptied(bucket: &dyn Bucket) {
    let cache = tempfile::tempdir().unwrap();
    let known = model(14);
    publish(bucket, "empty/v1", &known).await;
    let v1 = spec("v1", bucket.uri("empty/v1"), None);
    fetch(&open(cache.path(), bucket.environment()).await, &v1).await.unwrap();
    // By half first, which looks like another artifact.
    for names in [vec![WEIGHTS], vec!["MLmodel", "data-notes.txt", "empty.txt", "manifest.json"]] {
        for name in names {
            bucket.delete(&format!("empty/v1/{name}")).await;
        }
        let store = open(cache.path(), bucket.environment()).await;
        let artifact = fetch(&store, &v1).await.unwrap();
        assert_eq!(content(&artifact), known);
    }
    let store = open(cache.path(), bucket.environment()).await;
    let error = fetch(&store, &spec("v0", bucket.uri("empty/v0"), None)).await.unwrap_err();
    assert!(!error.permanent(), "{error}");
}

/// Applies `fault` to the first `times` requests of each kind.
fn first(
    times: usize,
    fault: Fault,
    which: impl Fn(&Seen) -> bool + Send + 'static,
) -> impl FnMut(&Seen) -> Fault + Send {
    let mut counts = HashMap::new();
    move |seen: &Seen| {
        if !which(seen) {
            return Fault::None;
        }
        let count = counts.entry((seen.target.clone(), seen.start)).or_insert(0);
        *count += 1;
        if *count <= times { fault } else { Fault::None }
    }
}

async fn answers_503_for_a_while(bucket: &dyn Bucket, proxy: &Proxy) {
    let cache = tempfile::tempdir().unwrap();
    let store = open(cache.path(), bucket.environment()).await;
    let files = model(15);
    publish(bucket, "storm/v1", &files).await;
    proxy.on(first(2, Fault::Status(503), |_| true));
    let artifact = fetch(&store, &spec("v1", bucket.uri("storm/v1"), None)).await.unwrap();
    assert_eq!(content(&artifact), files);
    let listings = proxy.seen().iter().filter(|seen| !seen.reads(WEIGHTS) && !seen.reads("MLmodel")).count();
    let reads = proxy.seen().iter().filter(|seen| seen.reads(WEIGHTS)).count();
    assert!(listings >= 3 && reads >= 18, "six parts and a listing, three times each: {listings} and {reads}");
}

async fn cuts_bodies_short(bucket: &dyn Bucket, proxy: &Proxy) {
    let cache = tempfile::tempdir().unwrap();
    let store = open(cache.path(), bucket.environment()).await;
    let files = model(16);
    publish(bucket, "cut/v1", &files).await;
    proxy.on(first(1, Fault::Cut, |_| true));
    let artifact = fetch(&store, &spec("v1", bucket.uri("cut/v1"), None)).await.unwrap();
    assert_eq!(content(&artifact), files);
    assert!(proxy.seen().iter().filter(|seen| seen.reads(WEIGHTS)).count() >= 12, "six parts, twice each");
}

async fn answers_503_without_end(bucket: &dyn Bucket, proxy: &Proxy) {
    let cache = tempfile::tempdir().unwrap();
    let files = model(17);
    publish(bucket, "endless/v1", &files).await;
    let v1 = spec("v1", bucket.uri("endless/v1"), None);
    let late = 2 * PART_BYTES as u64;
    proxy.on(move |seen| if seen.reads(WEIGHTS) && seen.start >= late { Fault::Status(503) } else { Fault::None });
    let error = fetch(&open(cache.path(), bucket.environment()).await, &v1).await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { attempts: 3, .. }) && !error.permanent(), "{error}");

    // The next process goes on where this one stopped.
    proxy.behave();
    let artifact = fetch(&open(cache.path(), bucket.environment()).await, &v1).await.unwrap();
    assert_eq!(content(&artifact), files);
    drop(artifact);
    let again = |seen: &Seen| seen.reads("MLmodel") || (seen.reads(WEIGHTS) && seen.start < late);
    assert!(!proxy.seen().iter().any(again), "{:?}", proxy.seen());

    // And one that finds only 503 serves what the version was.
    proxy.on(|_| Fault::Status(503));
    let artifact = fetch(&open(cache.path(), bucket.environment()).await, &v1).await.unwrap();
    assert_eq!(content(&artifact), files);
    assert!(artifact.notes()[0].starts_with("serving the remembered bytes"), "{:?}", artifact.notes());
}

async fn answers_403_without_end(bucket: &dyn Bucket, proxy: &Proxy) {
    let cache = tempfile::tempdir().unwrap();
    publish(bucket, "denied/v1", &model(18)).await;
    let v1 = spec("v1", bucket.uri("denied/v1"), None);
    // At the listing, and only at the weights.
    for only_weights in [false, true] {
        proxy.on(move |seen| if only_weights && !seen.reads(WEIGHTS) { Fault::None } else { Fault::Status(403) });
        let error = fetch(&open(cache.path(), bucket.environment()).await, &v1).await.unwrap_err();
        assert!(matches!(error, FetchError::Denied { attempts: 2, .. }) && !error.permanent(), "{error}");
    }
    proxy.behave();
    let (progress, _) = watch::channel(Progress::default());
    let store = open(cache.path(), bucket.environment()).await;
    assert_eq!(content(&fetch_watched(&store, &v1, &progress).await.unwrap()), model(18));
    assert_eq!(progress.borrow().phase, ProgressPhase::Verifying);
}
