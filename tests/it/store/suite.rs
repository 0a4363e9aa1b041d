//! What has to hold on every kind of bucket.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{Digest, ModelName, Signing, SigningPolicy, StorageUri, Version, VersionSpec};
use server::store::{
    Environment, Fetch, FetchError, FileDigest, Manifest, Progress, ProgressPhase, PushError, PushOptions, RetryPolicy,
    Sha256, Store, StoreOptions, VerifiedArtifact, push, root,
};
use tokio::sync::watch;

use super::buckets::Bucket;

const PART_BYTES: usize = 64 << 10;

/// Files by name.
type Model = BTreeMap<String, Vec<u8>>;

/// What MLflow would log, with weights of several parts; `salt` makes other bytes of the same size.
fn model(salt: u8) -> Model {
    let weights = (0..5 * PART_BYTES + 77).map(|n| (n % 251) as u8 ^ salt).collect();
    Model::from([
        ("MLmodel".to_owned(), b"flavors:\n  onnx:\n    data: data/model.onnx\n".to_vec()),
        ("data/model.onnx".to_owned(), weights),
        ("data-notes.txt".to_owned(), b"beside data/, to try the order of names".to_vec()),
        ("empty.txt".to_owned(), Vec::new()),
    ])
}

fn listed(model: &Model) -> Vec<FileDigest> {
    let file = |(name, content): (&String, &Vec<u8>)| FileDigest {
        name: name.clone(),
        size: content.len() as u64,
        sha256: Sha256::of(content),
    };
    model.iter().map(file).collect()
}

fn digest(model: &Model) -> Digest {
    root(&listed(model))
}

async fn put_model(bucket: &dyn Bucket, path: &str, model: &Model) {
    for (name, content) in model {
        bucket.put(&format!("{path}/{name}"), content).await;
    }
}

/// A store on `cache`, as impatient as tests are.
async fn open(cache: &Path, environment: Environment) -> Arc<Store> {
    let retry = RetryPolicy { attempts_max: 3, delay_initial: Duration::from_millis(20), ..RetryPolicy::default() };
    let options = StoreOptions {
        retry,
        environment,
        part_bytes: PART_BYTES as u64,
        ..StoreOptions::new(cache.to_path_buf(), 1 << 30)
    };
    Store::open(options).await.unwrap()
}

fn spec(version: &str, uri: StorageUri, digest: Option<Digest>) -> VersionSpec {
    VersionSpec { version: Version::new(version).unwrap(), digest, storage_uri: uri }
}

async fn fetch(store: &Arc<Store>, spec: &VersionSpec) -> Result<VerifiedArtifact, FetchError> {
    fetch_watched(store, spec, &watch::channel(Progress::default()).0).await
}

async fn fetch_watched(
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

fn content(artifact: &VerifiedArtifact) -> Model {
    artifact.files().unwrap().into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect()
}

/// Everything the store promises, against a bucket that speaks a cloud's own protocol.
pub(super) async fn pull_suite(bucket: &dyn Bucket) {
    pulls_and_remembers(bucket).await;
    refuses_bad_artifacts(bucket).await;
    never_mixes_a_change(bucket).await;
    if bucket.takes_pushes() {
        pushes_safely(bucket).await;
    }
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
    let error = fetch(&store, &v1).await.unwrap_err();
    assert!(matches!(error, FetchError::VersionChanged { .. }) && error.permanent(), "{error}");

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

/// The weights are replaced while they are read: the artifact is the old one or the new one, whole.
async fn never_mixes_a_change(bucket: &dyn Bucket) {
    let cache = tempfile::tempdir().unwrap();
    let store = open(cache.path(), bucket.environment()).await;
    let (old, new) = (model(3), model(4));
    put_model(bucket, "change/v1", &old).await;
    let spec = spec("v1", bucket.uri("change/v1"), None);
    let (progress, mut seen) = watch::channel(Progress::default());
    let replace = async {
        let enough = seen.wait_for(|progress| progress.done_bytes > PART_BYTES as u64).await;
        enough.unwrap();
        bucket.put("change/v1/data/model.onnx", &new["data/model.onnx"]).await;
    };
    let (fetched, ()) = tokio::join!(fetch_watched(&store, &spec, &progress), replace);
    let artifact = fetched.unwrap();
    assert!([digest(&old), digest(&new)].contains(&artifact.digest()));
    assert_eq!(digest(&content(&artifact)), artifact.digest());
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
    assert_eq!(push(options()).await.unwrap(), pushed, "the same push again is done already");
    let store = open(&cache, bucket.environment()).await;
    let artifact = fetch(&store, &spec("v1", bucket.uri("push/v1"), Some(pushed.digest))).await.unwrap();
    assert_eq!(content(&artifact), files);

    write("MLmodel", b"flavors: {}\n");
    let error = push(options()).await.unwrap_err();
    assert!(matches!(error, PushError::Occupied { .. }), "{error}");
}

/// A web server cannot list; the manifest is the listing.
pub(super) async fn http_suite(bucket: &dyn Bucket, uri: impl Fn(&str) -> StorageUri) {
    let cache = tempfile::tempdir().unwrap();
    let store = open(cache.path(), Environment::default()).await;
    let files = model(6);
    put_model(bucket, "web/v1", &files).await;
    let v1 = spec("v1", uri("web/v1"), None);
    let error = fetch(&store, &v1).await.unwrap_err();
    assert!(matches!(error, FetchError::Empty { .. }), "without a manifest there is nothing: {error}");
    bucket.put("web/v1/manifest.json", &Manifest::new(digest(&files), listed(&files)).to_bytes()).await;
    let artifact = fetch(&store, &v1).await.unwrap();
    assert_eq!((artifact.digest(), content(&artifact)), (digest(&files), files));

    // A manifest that reaches out of its directory.
    let evil = [FileDigest { name: "../v1/MLmodel".to_owned(), size: 1, sha256: Sha256::of(b"x") }];
    bucket.put("web/evil/manifest.json", &Manifest::new(root(&evil), evil.to_vec()).to_bytes()).await;
    let error = fetch(&store, &spec("evil", uri("web/evil"), None)).await.unwrap_err();
    assert!(error.permanent() && error.to_string().contains("not a plain relative path"), "{error}");
}
