//! The store as a whole, on an object store in memory that misbehaves on request.

mod caching;
mod crash;
mod faulty;
mod pulls;
mod pushes;
mod trust;
mod versions;

use std::time::Duration;

use config::{SigningPolicy, Version};
use object_store::path::Path as ObjectPath;
use tempfile::TempDir;

use super::cache::CacheKey;
use super::source::Kind;
use super::*;
use faulty::Faulty;

const WEIGHTS: &[u8] = b"weights, long enough to be cut into several parts of a few bytes each";
const MLMODEL: &[u8] = b"flavors:\n  onnx:\n    data: model.onnx\n";

/// A cache directory, a bucket and a store between them.
struct Rig {
    dir: TempDir,
    bucket: Arc<Faulty>,
    kind: Kind,
    options: StoreOptions,
    store: Arc<Store>,
}

impl Rig {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// On a web server, which lists nothing but its `manifest.json`.
    async fn web() -> Self {
        Self::on(Kind::Manifest, |_| {}).await
    }

    async fn with(change: impl FnOnce(&mut StoreOptions)) -> Self {
        Self::on(Kind::Listed, change).await
    }

    async fn on(kind: Kind, change: impl FnOnce(&mut StoreOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = StoreOptions {
            environment: Environment::default(),
            parallel: 3,
            part_bytes: 16,
            retry: RetryPolicy { attempts_max: 5, ..RetryPolicy::default() },
            ..StoreOptions::new(dir.path().join("cache"), 1 << 20)
        };
        change(&mut options);
        let bucket = Faulty::new();
        let store = open(&options, &bucket, kind).await.unwrap();
        Self { dir, bucket, kind, options, store }
    }

    /// Puts a model of two files at `m/<version>`.
    async fn seed(&self, version: &str) {
        self.bucket.put(&format!("m/{version}/MLmodel"), MLMODEL).await;
        self.bucket.put(&format!("m/{version}/data/model.onnx"), WEIGHTS).await;
    }

    /// Ends the process and starts another on the same cache and bucket.
    async fn restart(self) -> Self {
        let Self { dir, bucket, kind, options, store } = self;
        assert_eq!(Arc::strong_count(&store), 1, "nobody else holds the old store");
        drop(store);
        let store = open(&options, &bucket, kind).await.unwrap();
        Self { dir, bucket, kind, options, store }
    }

    async fn fetch(&self, spec: &VersionSpec) -> Result<VerifiedArtifact, FetchError> {
        self.fetch_signed(spec, &signing(SigningPolicy::Disabled)).await
    }

    async fn fetch_signed(&self, spec: &VersionSpec, signing: &Signing) -> Result<VerifiedArtifact, FetchError> {
        let (progress, _) = watch::channel(Progress::default());
        self.store.fetch(Fetch { model: &model(), spec, signing }, &progress).await
    }

    /// Where the cache keeps the weights of what [`Rig::seed`] puts.
    fn cached_weights(&self) -> PathBuf {
        self.options.cache_dir.join("artifacts").join(seeded_folder()).join("files/data/model.onnx")
    }

    /// Names in a folder of the cache.
    fn cache_names(&self, folder: &str) -> Vec<String> {
        let items = std::fs::read_dir(self.options.cache_dir.join(folder)).unwrap();
        let mut names: Vec<String> = items.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

async fn open(options: &StoreOptions, bucket: &Arc<Faulty>, kind: Kind) -> Result<Arc<Store>, StoreError> {
    let bucket = Arc::clone(bucket);
    let opener = move |uri: &StorageUri| {
        let prefix = ObjectPath::from_url_path(uri.url().path()).unwrap();
        Ok(Source::new(uri.to_string(), Arc::clone(&bucket) as Arc<_>, prefix, kind))
    };
    Store::open_with(options.clone(), Box::new(opener)).await
}

fn model() -> ModelName {
    ModelName::new("fraud").unwrap()
}

fn spec(version: &str) -> VersionSpec {
    VersionSpec {
        version: Version::new(version).unwrap(),
        digest: None,
        storage_uri: StorageUri::new(&format!("s3://bucket/m/{version}")).unwrap(),
    }
}

fn pinned(version: &str, digest: Digest) -> VersionSpec {
    VersionSpec { digest: Some(digest), ..spec(version) }
}

fn signing(policy: SigningPolicy) -> Signing {
    Signing { policy, signature_path: SIGNATURE_NAME.to_owned(), public_key_path: None, ignore_unsigned_files: false }
}

fn file(name: &str, content: &[u8]) -> FileDigest {
    FileDigest { name: name.to_owned(), size: content.len() as u64, sha256: Sha256::of(content) }
}

/// The digest of what [`Rig::seed`] puts.
fn seeded() -> Digest {
    root(&[file("MLmodel", MLMODEL), file("data/model.onnx", WEIGHTS)])
}

/// Its folder in the cache.
fn seeded_folder() -> String {
    CacheKey::of(&[file("MLmodel", MLMODEL), file("data/model.onnx", WEIGHTS)]).to_string()
}

/// Asserts that the artifact is what [`Rig::seed`] put.
fn assert_seeded(artifact: &VerifiedArtifact) {
    assert_eq!(artifact.digest(), seeded());
    let files = artifact.files().unwrap();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    assert_eq!(files, [("MLmodel", MLMODEL), ("data/model.onnx", WEIGHTS)]);
}
