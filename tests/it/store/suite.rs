//! What has to hold on every kind of bucket.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{Digest, ModelName, Signing, SigningPolicy, StorageUri, Version, VersionSpec};
use server::store::{
    Environment, Fetch, FetchError, FileDigest, Manifest, Progress, ProgressPhase, PushError, PushOptions, Pushed,
    RetryPolicy, Sha256, Store, StoreOptions, VerifiedArtifact, push, root,
};
use tokio::sync::watch;

use super::buckets::Bucket;
use super::faults::fault_suite;
use super::proxy::Fault;

pub(super) const PART_BYTES: usize = 64 << 10;

/// Files by name.
pub(super) type Model = BTreeMap<String, Vec<u8>>;

/// What MLflow would log, with weights of several parts; `salt` makes other bytes of the same size.
pub(super) fn model(salt: u8) -> Model {
    let weights = (0..5 * PART_BYTES + 77).map(|n| (n % 251) as u8 ^ salt).collect();
    Model::from([
        ("MLmodel".to_owned(), b"flavors:\n  onnx:\n    data: data/model.onnx\n".to_vec()),
        ("data/model.onnx".to_owned(), weights),
        ("data-notes.txt".to_owned(), b"beside data/, to try the order of names".to_vec()),
        ("empty.txt".to_owned(), Vec::new()),
    ])
}

pub(super) fn listed(model: &Model) -> Vec<FileDigest> {
    let file = |(name, content): (&String, &Vec<u8>)| FileDigest {
        name: name.clone(),
        size: content.len() as u64,
        sha256: Sha256::of(content),
    };
    model.iter().map(file).collect()
}

pub(super) fn digest(model: &Model) -> Digest {
    root(&listed(model))
}

pub(super) async fn put_model(bucket: &dyn Bucket, path: &str, model: &Model) {
    for (name, content) in model {
        bucket.put(&format!("{path}/{name}"), content).await;
    }
}

/// A store on `cache`, as impatient as tests are.
pub(super) async fn open(cache: &Path, environment: Environment) -> Arc<Store> {
    open_with(cache, environment, |_| {}).await
}

pub(super) async fn open_with(
    cache: &Path,
    environment: Environment,
    change: impl FnOnce(&mut StoreOptions),
) -> Arc<Store> {
    let retry = RetryPolicy { attempts_max: 3, delay_initial: Duration::from_millis(20), ..RetryPolicy::default() };
    let mut options = StoreOptions {
        retry,
        environment,
        part_bytes: PART_BYTES as u64,
        ..StoreOptions::new(cache.to_path_buf(), 1 << 30)
    };
    change(&mut options);
    Store::open(options).await.unwrap()
}

pub(super) fn spec(version: &str, uri: StorageUri, digest: Option<Digest>) -> VersionSpec {
    VersionSpec { version: Version::new(version).unwrap(), digest, storage_uri: uri }
}

pub(super) async fn fetch(store: &Arc<Store>, spec: &VersionSpec) -> Result<VerifiedArtifact, FetchError> {
    fetch_watched(store, spec, &watch::channel(Progress::default()).0).await
}

pub(super) async fn fetch_watched(
    store: &Arc<Store>,
    spec: &VersionSpec,
    progress: &watch::Sender<Progress>,
) -> Result<VerifiedArtifact, FetchError> {
    let signing = Signing {
        policy: SigningPolicy::Disabled,
        signature_path: "model.sig".to_owned(),
        public_key_path: None,
        ignore_unsigned_files: false,
    };
    store.fetch(Fetch { model: &ModelName::new("fraud").unwrap(), spec, signing: &signing }, progress).await
}

pub(super) fn content(artifact: &VerifiedArtifact) -> Model {
    artifact.files().unwrap().into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect()
}

/// Everything the store promises, against a bucket that speaks a cloud's own protocol.
pub(super) async fn pull_suite(bucket: &dyn Bucket) {
    pulls_and_remembers(bucket).await;
    refuses_bad_artifacts(bucket).await;
    if bucket.takes_pushes() {
        pushes_safely(bucket).await;
        overwrites_nothing(bucket).await;
    }
    fault_suite(bucket).await;
}

async fn pulls_and_remembers(bucket: &dyn Bucket) {
    let cache = tempfile::tempdir().unwrap();
    let first = model(0);
    put_model(bucket, "pull/v1", &first).await;
    let v1 = spec("v1", bucket.uri("pull/v1"), None);
    let store = open(cache.path(), bucket.environment()).await;
    let artifact = fetch(&store, &v1).await.unwrap();
    assert_eq!((artifact.digest(), content(&artifact)), (digest(&first), first.clone()));
    drop((artifact, store));

    // The next process believes an unchanged listing, and hashes what it has.
    let store = open(cache.path(), bucket.environment()).await;
    let (progress, mut seen) = watch::channel(Progress::default());
    let first_phase = async { seen.changed().await.map(|()| seen.borrow_and_update().phase) };
    let (fetched, phase) = tokio::join!(fetch_watched(&store, &v1, &progress), first_phase);
    fetched.unwrap();
    assert_eq!(phase.unwrap(), ProgressPhase::Verifying, "nothing was downloaded");

    // Other bytes of the same size under the same version.
    let second = model(1);
    put_model(bucket, "pull/v1", &second).await;
    let artifact = fetch(&store, &v1).await.unwrap();
    assert_eq!(content(&artifact), first, "the other bytes are refused");
    assert!(artifact.notes()[0].contains("a version never changes"), "{:?}", artifact.notes());
    drop(artifact);
    // Nor does anybody get them who has nothing else to serve: an error it is.
    damage(cache.path());
    drop(store);
    let store = open(cache.path(), bucket.environment()).await;
    let error = fetch(&store, &v1).await.unwrap_err();
    assert!(matches!(error, FetchError::VersionChanged { .. }) && error.permanent(), "{error}");
    put_model(bucket, "pull/v1", &first).await;
    assert_eq!(content(&fetch(&store, &v1).await.unwrap()), first);

    // An emptied bucket takes nothing away, and says nothing of a version that nobody knows.
    for name in first.keys() {
        bucket.delete(&format!("pull/v1/{name}")).await;
    }
    let artifact = fetch(&store, &v1).await.unwrap();
    assert_eq!(content(&artifact), first);
    assert!(artifact.notes()[0].starts_with("serving the remembered bytes"), "{:?}", artifact.notes());
    let error = fetch(&store, &spec("v0", bucket.uri("pull/v0"), None)).await.unwrap_err();
    assert!(!error.permanent(), "{error}");
}

/// Makes every cached file a bad one.
fn damage(cache: &Path) {
    for artifact in std::fs::read_dir(cache.join("artifacts")).unwrap() {
        std::fs::write(artifact.unwrap().path().join("files/MLmodel"), b"bad").unwrap();
    }
}

async fn refuses_bad_artifacts(bucket: &dyn Bucket) {
    let cache = tempfile::tempdir().unwrap();
    let store = open(cache.path(), bucket.environment()).await;
    let whole = model(2);

    // Truncated weights beside a manifest that knows better.
    let mut cut = whole.clone();
    cut.get_mut("data/model.onnx").unwrap().truncate(1000);
    put_model(bucket, "bad/cut", &cut).await;
    let manifest = Manifest::new(digest(&whole), listed(&whole)).to_bytes();
    bucket.put("bad/cut/manifest.json", &manifest).await;
    let error = fetch(&store, &spec("cut", bucket.uri("bad/cut"), None)).await.unwrap_err();
    assert!(error.permanent() && error.to_string().contains("data/model.onnx has 1000 bytes"), "{error}");

    // Wrong pin.
    put_model(bucket, "bad/pin", &whole).await;
    let wrong = Digest::from_bytes([9; 32]);
    let error = fetch(&store, &spec("pin", bucket.uri("bad/pin"), Some(wrong))).await.unwrap_err();
    assert!(matches!(error, FetchError::DigestMismatch { .. }) && error.permanent(), "{error}");
    fetch(&store, &spec("pin", bucket.uri("bad/pin"), Some(digest(&whole)))).await.unwrap();

    // A pickle, and names that do not get along.
    bucket.put("bad/pickle/model.pkl", b"cos\nsystem\n").await;
    let error = fetch(&store, &spec("pickle", bucket.uri("bad/pickle"), None)).await.unwrap_err();
    assert!(matches!(error, FetchError::Pickle { .. }) && error.permanent(), "{error}");
    bucket.put("bad/case/Model.onnx", b"a").await;
    bucket.put("bad/case/model.onnx", b"b").await;
    let error = fetch(&store, &spec("case", bucket.uri("bad/case"), None)).await.unwrap_err();
    assert!(error.permanent() && error.to_string().contains("differ only in case"), "{error}");
}

async fn pushes_safely(bucket: &dyn Bucket) {
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = (dir.path().join("model"), dir.path().join("cache"));
    let mut files = model(5);
    // Large enough to be uploaded in parts.
    files.insert("large.bin".to_owned(), (0..9 << 20).map(|n: u32| (n % 253) as u8).collect());
    let write = |name: &str, content: &[u8]| {
        std::fs::create_dir_all(source.join(name).parent().unwrap()).unwrap();
        std::fs::write(source.join(name), content).unwrap();
    };
    files.iter().for_each(|(name, content)| write(name, content));
    let options = || PushOptions {
        dir: source.clone(),
        url: bucket.uri("push/v1"),
        key: None,
        environment: bucket.environment(),
        progress: watch::channel(Progress::default()).0,
    };
    let pushed = push(options()).await.unwrap();
    assert_eq!(pushed.digest, digest(&files));
    let again = push(options()).await.unwrap();
    assert_eq!(again, Pushed { unchanged: true, ..pushed }, "the same push again is done already");
    let store = open(&cache, bucket.environment()).await;
    let artifact = fetch(&store, &spec("v1", bucket.uri("push/v1"), Some(pushed.digest))).await.unwrap();
    assert_eq!(content(&artifact), files);

    write("MLmodel", b"flavors: {}\n");
    let error = push(options()).await.unwrap_err();
    assert!(matches!(error, PushError::Occupied { .. }), "{error}");
}

/// Objects of the same name and size; the second is so large that it goes in parts.
async fn overwrites_nothing(bucket: &dyn Bucket) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("model");
    std::fs::create_dir_all(&source).unwrap();
    let (ours, theirs) = (vec![5; 9 << 20], vec![6; 9 << 20]);
    std::fs::write(source.join("MLmodel"), &ours[..40]).unwrap();
    std::fs::write(source.join("weights.bin"), &ours).unwrap();
    let options = |path: &str| PushOptions {
        dir: source.clone(),
        url: bucket.uri(path),
        key: None,
        environment: bucket.environment(),
        progress: watch::channel(Progress::default()).0,
    };
    for (name, other) in [("MLmodel", &theirs[..40]), ("weights.bin", &theirs)] {
        let (path, cache) = (format!("occupied/{name}"), tempfile::tempdir().unwrap());
        bucket.put(&format!("{path}/{name}"), other).await;
        let error = push(options(&path)).await.unwrap_err();
        assert!(matches!(&error, PushError::Occupied { found, .. } if found.contains("other bytes")), "{error}");
        // What was there is what it was, and nothing came beside it.
        let store = open(cache.path(), bucket.environment()).await;
        let artifact = fetch(&store, &spec("v1", bucket.uri(&path), None)).await.unwrap();
        assert_eq!(content(&artifact), Model::from([(name.to_owned(), other.to_vec())]));
    }
    let Some(proxy) = bucket.proxy() else { return };
    // Cut off before the manifest: it is waited for, and the same push completes it.
    let (cache, v1) = (tempfile::tempdir().unwrap(), spec("v1", bucket.uri("cut-off/v1"), None));
    let store = open(cache.path(), bucket.environment()).await;
    proxy.on(|seen| if seen.writes("manifest.json") { Fault::Status(403) } else { Fault::None });
    assert!(matches!(push(options("cut-off/v1")).await, Err(PushError::Store { .. })));
    let error = fetch(&store, &v1).await.unwrap_err();
    assert!(matches!(error, FetchError::Unfinished { .. }) && !error.permanent(), "{error}");
    proxy.behave();
    let pushed = push(options("cut-off/v1")).await.unwrap();
    assert_eq!(fetch(&store, &v1).await.unwrap().digest(), pushed.digest);
    assert!(!proxy.seen().iter().any(|seen| seen.writes("weights.bin")), "what is there is not sent again");
}

/// A web server cannot list; the manifest is the listing.
pub(super) async fn http_suite(bucket: &dyn Bucket) {
    let cache = tempfile::tempdir().unwrap();
    let store = open(cache.path(), bucket.environment()).await;
    let files = model(6);
    put_model(bucket, "web/v1", &files).await;
    let v1 = spec("v1", bucket.uri("web/v1"), None);
    let error = fetch(&store, &v1).await.unwrap_err();
    assert!(matches!(error, FetchError::Empty { .. }), "without a manifest there is nothing: {error}");
    bucket.put("web/v1/manifest.json", &Manifest::new(digest(&files), listed(&files)).to_bytes()).await;
    let artifact = fetch(&store, &v1).await.unwrap();
    assert_eq!((artifact.digest(), content(&artifact)), (digest(&files), files));

    // A manifest that reaches out of its directory.
    let evil = [FileDigest { name: "../v1/MLmodel".to_owned(), size: 1, sha256: Sha256::of(b"x") }];
    bucket.put("web/evil/manifest.json", &Manifest::new(root(&evil), evil.to_vec()).to_bytes()).await;
    let error = fetch(&store, &spec("evil", bucket.uri("web/evil"), None)).await.unwrap_err();
    assert!(error.permanent() && error.to_string().contains("not a plain relative path"), "{error}");
    fault_suite(bucket).await;
}
