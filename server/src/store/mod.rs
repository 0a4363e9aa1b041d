//! Artifacts: from a storage URI to verified bytes on local disk, and from a directory to a bucket.
//!
//! Owns the bytes on disk and the decision that they are the bytes that were asked for. Knows nothing of models,
//! devices, routes or rollouts: what it hands out is a [`VerifiedArtifact`], a directory of files whose digest, manifest
//! and signature were checked.
//!
//! Reading order: [`Store::fetch`] (`fetch.rs`) lists (`source.rs`, `listing.rs`), downloads (`pull.rs`, `staging.rs`,
//! `retry.rs`), verifies (`verify.rs`, `digest.rs`, `manifest.rs`, `oms/`) and keeps (`cache/`).

mod cache;
mod digest;
mod error;
mod failpoint;
mod fetch;
mod files;
mod flight;
mod listing;
mod manifest;
mod oms;
mod pull;
mod push;
mod retry;
mod source;
mod staging;
mod verify;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use config::{Digest, ModelName, Signing, StorageUri, VersionSpec};
use tokio::sync::watch;

use cache::Cache;
use flight::Flights;
use source::{Repeats, Source};

pub use cache::CacheUsage;
pub use digest::{FileDigest, MANIFEST_NAME, SIGNATURE_NAME, Sha256, root};
pub use error::{FetchError, StoreError};
pub use failpoint::FAIL_POINTS;
pub use listing::Limits;
pub use manifest::Manifest;
pub use oms::SignatureError;
pub use push::{PushError, PushOptions, Pushed, push, push_if};
pub use retry::RetryPolicy;
pub use source::Environment;
pub use verify::VerifiedArtifact;

/// How a [`Store`] works.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The cache directory; one process at a time.
    pub cache_dir: PathBuf,
    /// Bytes of artifacts and stagings together. Live and protected artifacts are never evicted to hold it.
    pub cache_limit_bytes: u64,
    /// Bounds on one artifact.
    pub limits: Limits,
    /// How requests are repeated.
    pub retry: RetryPolicy,
    /// Parts under way at once, of one pull.
    pub parallel: usize,
    /// Bytes of one part.
    pub part_bytes: u64,
    /// The clouds' options.
    pub environment: Environment,
}

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// The model, for the record of which digest a version had.
    pub model: &'a ModelName,
    /// Version, source and pin.
    pub spec: &'a VersionSpec,
    /// What a signature has to say.
    pub signing: &'a Signing,
}

/// How far a fetch or push has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// What is being done.
    pub phase: ProgressPhase,
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes in all; zero while that is unknown.
    pub total_bytes: u64,
}

/// What a fetch is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProgressPhase {
    /// Moving bytes.
    #[default]
    Pulling,
    /// Checking digest, manifest and signature.
    Verifying,
}

/// Makes a source of a URI; tests bring their own.
type Opener = dyn Fn(&StorageUri) -> Result<Source, FetchError> + Send + Sync;

/// The artifacts of this process.
pub struct Store {
    options: StoreOptions,
    cache: Arc<Cache>,
    flights: Flights,
    opener: Box<Opener>,
}

impl StoreOptions {
    /// The defaults for a cache in `cache_dir` of at most `cache_limit_bytes`.
    #[must_use]
    pub fn new(cache_dir: PathBuf, cache_limit_bytes: u64) -> Self {
        Self {
            cache_dir,
            cache_limit_bytes,
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            parallel: 8,
            part_bytes: 8 << 20,
            environment: Environment::from_process(),
        }
    }
}

impl Store {
    /// Opens the cache directory for this process alone: reads what is there, keeps what can be resumed, removes the
    /// rest. Call [`Store::protect`] before the first fetch, so that the last-known-good versions stay.
    pub async fn open(options: StoreOptions) -> Result<Arc<Self>, StoreError> {
        let environment = options.environment.clone();
        let opener = move |uri: &StorageUri| Source::open(uri, &environment, Repeats::Caller);
        Self::open_with(options, Box::new(opener)).await
    }

    async fn open_with(options: StoreOptions, opener: Box<Opener>) -> Result<Arc<Self>, StoreError> {
        let (path, limit_bytes) = (options.cache_dir.clone(), options.cache_limit_bytes);
        let opened = tokio::task::spawn_blocking(move || Cache::open(&path, limit_bytes, SystemTime::now())).await;
        let cache = match opened {
            Ok(cache) => Arc::new(cache?),
            Err(error) => return Err(StoreError::Io { path: options.cache_dir, source: error.into() }),
        };
        Ok(Arc::new(Self { options, cache, flights: Flights::default(), opener }))
    }

    /// Brings a version into the cache, unless it is there, and proves that its bytes are the right ones.
    ///
    /// Dropping the future stops the work; the next fetch resumes it.
    pub async fn fetch(
        self: &Arc<Self>,
        request: Fetch<'_>,
        progress: &watch::Sender<Progress>,
    ) -> Result<VerifiedArtifact, FetchError> {
        fetch::fetch(self, request, progress).await
    }

    /// The last-known-good versions: not evicted though nobody uses them. Replaces the set given before.
    pub fn protect(&self, digests: &HashSet<Digest>) {
        self.cache.protect(digests);
    }

    /// How full the cache is.
    #[must_use]
    pub fn usage(&self) -> CacheUsage {
        self.cache.usage()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Runs blocking work off the runtime's threads. It is not cancelled by dropping the future: whatever must not be
/// released before it ends has to be moved into it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| FetchError::io("blocking task", &error.into()))?
}

#[cfg(test)]
mod tests;
