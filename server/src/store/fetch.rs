//! One fetch, read top to bottom: cache, listing, what is remembered, pull, verify, keep.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::{Digest, VersionSpec};
use tokio::sync::watch;

use super::cache::{Entry, Lease, write_whole};
use super::digest::{FileDigest, Sha256, covered};
use super::failpoint::{self, pass};
use super::flight::Flight;
use super::listing::{Listing, name_problem};
use super::oms::SIGNATURE_BYTES_MAX;
use super::pull::download;
use super::source::Source;
use super::staging::{self, FILES_NAME, Staging};
use super::verify::{Expected, VerifiedArtifact, check, check_cached, intact};
use super::{Fetch, FetchError, Progress, ProgressPhase, Store, blocking};

/// How often a source that changes under a pull is listed anew.
const LISTINGS_MAX: u32 = 3;
/// Wait before that.
const RELIST_DELAY: Duration = Duration::from_secs(2);
/// Wait for a newer signature of an artifact that is already here.
const SIGNATURE_DEADLINE: Duration = Duration::from_secs(10);

/// One fetch that has its flight.
struct Session<'a> {
    store: &'a Arc<Store>,
    request: Fetch<'a>,
    progress: &'a watch::Sender<Progress>,
    flight: Arc<Flight>,
    /// What the version was when it was last pulled.
    remembered: Option<Digest>,
}

pub(super) async fn fetch(
    store: &Arc<Store>,
    request: Fetch<'_>,
    progress: &watch::Sender<Progress>,
) -> Result<VerifiedArtifact, FetchError> {
    let flight = store.flights.join(&flight_keys(&request), progress).await;
    let (cache, model, version) = (Arc::clone(&store.cache), request.model.clone(), request.spec.version.clone());
    let remembered = blocking(move || cache.remembered(&model, &version)).await?;
    let session = Session { store, request, progress, flight, remembered };
    for _ in 1..LISTINGS_MAX {
        match session.run().await {
            Err(error @ FetchError::Changed { .. }) => {
                tracing::info!(%error, "listing the source again");
                tokio::time::sleep(RELIST_DELAY).await;
            }
            done => return done,
        }
    }
    session.run().await
}

/// By kind and always in this order, so that two fetches never wait for each other.
fn flight_keys(request: &Fetch<'_>) -> Vec<String> {
    let VersionSpec { version, digest, storage_uri } = request.spec;
    let digest = digest.map(|digest| format!("digest {digest}"));
    let source = format!("source {}", storage_uri.url().as_str().trim_end_matches('/'));
    digest.into_iter().chain([source, format!("version {} {version}", request.model)]).collect()
}

impl Session<'_> {
    async fn run(&self) -> Result<VerifiedArtifact, FetchError> {
        let spec = self.request.spec;
        if let Some(pinned) = spec.digest {
            self.refuse_other_bytes(pinned)?;
            if let Some(artifact) = self.cached(pinned).await? {
                return self.settle(artifact, None).await;
            }
        }
        let (source, listing) = match self.list().await {
            Ok(listed) => listed,
            Err(error) => return self.remembered_instead(error).await,
        };
        pass(failpoint::LISTED)?;
        let fingerprint = listing.fingerprint(source.uri());
        if let Some(digest) = self.store.cache.by_listing(&fingerprint) {
            self.refuse_other_pin(digest)?;
            self.refuse_other_bytes(digest)?;
            if let Some(artifact) = self.cached(digest).await? {
                return self.settle(artifact, Some(fingerprint)).await;
            }
        }
        self.refuse_other_files(&listing)?;
        let artifact = self.pull(&source, &listing, &fingerprint).await?;
        self.settle(artifact, Some(fingerprint)).await
    }

    async fn list(&self) -> Result<(Source, Listing), FetchError> {
        let source = (self.store.opener)(&self.request.spec.storage_uri)?;
        let listing = source.list(&self.store.options.limits, &self.store.options.retry).await?;
        Ok((source, listing))
    }

    /// A source that cannot be listed or lists nothing says nothing about the version: what the version was before,
    /// it still is.
    async fn remembered_instead(&self, error: FetchError) -> Result<VerifiedArtifact, FetchError> {
        let Some(remembered) = self.remembered.filter(|_| !error.permanent()) else { return Err(error) };
        self.refuse_other_pin(remembered)?;
        match self.cached(remembered).await? {
            Some(artifact) => Ok(artifact.noted(format!("serving the remembered bytes: {error}"))),
            None => Err(error),
        }
    }

    /// The artifact from the cache, if it is there and its bytes are still right.
    async fn cached(&self, digest: Digest) -> Result<Option<VerifiedArtifact>, FetchError> {
        let cache = Arc::clone(&self.store.cache);
        let Some((lease, proven)) = blocking(move || Ok(cache.lease(digest, SystemTime::now()))).await? else {
            return Ok(None);
        };
        let bytes = lease.entry.bytes();
        self.report(ProgressPhase::Verifying, 0, bytes);
        if !proven && !self.still_intact(&lease).await? {
            tracing::warn!(digest = digest.short(), "a cached artifact went bad; it is pulled again");
            return Ok(None);
        }
        let artifact = self.accept(lease).await?;
        self.report(ProgressPhase::Verifying, bytes, bytes);
        Ok(Some(artifact))
    }

    async fn still_intact(&self, lease: &Arc<Lease>) -> Result<bool, FetchError> {
        let (cache, lease, flight) = (Arc::clone(&self.store.cache), Arc::clone(lease), Arc::clone(&self.flight));
        blocking(move || {
            let _flight = flight;
            let intact = intact(&lease);
            if intact {
                cache.prove(lease.digest)
            } else {
                cache.forget(lease.digest)?
            }
            Ok(intact)
        })
        .await
    }

    /// Today's signing policy on a cached artifact. Keys and signatures change while bytes do not, so where the cached
    /// signature does not satisfy, the source is asked for a newer one.
    async fn accept(&self, lease: Arc<Lease>) -> Result<VerifiedArtifact, FetchError> {
        let first = self.check_cached(Arc::clone(&lease), None).await;
        if first.as_ref().is_ok_and(|artifact| artifact.notes().is_empty()) {
            return first;
        }
        let Some(signature) = self.newer_signature().await else { return first };
        match self.check_cached(Arc::clone(&lease), Some(signature.clone())).await {
            Ok(artifact) if artifact.notes().is_empty() => {
                self.keep_signature(lease, signature).await?;
                Ok(artifact)
            }
            _ => first,
        }
    }

    async fn check_cached(
        &self,
        lease: Arc<Lease>,
        signature: Option<bytes::Bytes>,
    ) -> Result<VerifiedArtifact, FetchError> {
        let uri = self.uri();
        let (pinned, signing) = (self.request.spec.digest, self.request.signing.clone());
        blocking(move || check_cached(lease, signature.as_deref(), Expected { uri: &uri, pinned, signing: &signing }))
            .await
    }

    async fn newer_signature(&self) -> Option<bytes::Bytes> {
        let path = &self.request.signing.signature_path;
        if name_problem(path, self.store.options.limits.depth_max).is_some() {
            return None;
        }
        let source = (self.store.opener)(&self.request.spec.storage_uri).ok()?;
        let read = source.get_small(path, SIGNATURE_BYTES_MAX);
        tokio::time::timeout(SIGNATURE_DEADLINE, read).await.ok()?.ok()
    }

    async fn keep_signature(&self, lease: Arc<Lease>, signature: bytes::Bytes) -> Result<(), FetchError> {
        let cache = Arc::clone(&self.store.cache);
        let name = self.request.signing.signature_path.clone();
        blocking(move || {
            if lease.entry.files.iter().any(|file| file.name == name) {
                // Under another policy this file was part of the digest; it stays what it was.
                return Ok(());
            }
            let path = lease.folder.join(FILES_NAME).join(&name);
            let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| write_whole(&path, &signature)).map_err(|error| FetchError::io(&path, &error))?;
            let file = FileDigest { name, size: signature.len() as u64, sha256: Sha256::of(&signature) };
            cache.amend(lease.digest, |entry| {
                entry.loose.retain(|other| other.name != file.name);
                entry.loose.push(file);
                true
            })
        })
        .await
    }

    async fn pull(
        &self,
        source: &Source,
        listing: &Listing,
        fingerprint: &str,
    ) -> Result<VerifiedArtifact, FetchError> {
        let total = listing.total_bytes();
        let name = staging::name(source.uri(), fingerprint);
        let staging = self.stage(source, listing, &name).await?;
        let report = |done| self.report(ProgressPhase::Pulling, done, total);
        let staging = download(source, listing, staging, &self.store.options, report).await?;
        self.report(ProgressPhase::Verifying, 0, total);
        let artifact = self.verify_and_install(staging, name).await?;
        self.report(ProgressPhase::Verifying, total, total);
        Ok(artifact)
    }

    async fn stage(&self, source: &Source, listing: &Listing, name: &str) -> Result<Staging, FetchError> {
        let (cache, flight) = (Arc::clone(&self.store.cache), Arc::clone(&self.flight));
        let (uri, listing, name) = (source.uri().to_owned(), listing.clone(), name.to_owned());
        blocking(move || {
            cache.drop_stale_stagings(&name)?;
            let reservation = cache.reserve(&name, listing.total_bytes(), SystemTime::now())?;
            Staging::open(cache.staging(&name), &uri, &listing, Box::new((flight, reservation)))
        })
        .await
    }

    /// One piece of blocking work, so that a fetch that is dropped here either installs or leaves the staging.
    async fn verify_and_install(&self, staging: Staging, name: String) -> Result<VerifiedArtifact, FetchError> {
        let (cache, uri) = (Arc::clone(&self.store.cache), self.uri());
        let (pinned, signing, remembered) = (self.request.spec.digest, self.request.signing.clone(), self.remembered);
        let changed = self.version_changed();
        blocking(move || {
            pass(failpoint::BEFORE_VERIFY)?;
            let expected = Expected { uri: &uri, pinned, signing: &signing };
            let checked = check(&staging.files(), staging.hashed()?, expected).and_then(|checked| match remembered {
                Some(remembered) if remembered != checked.digest => {
                    Err(changed(remembered, checked.digest.to_string()))
                }
                _ => Ok(checked),
            });
            let checked = match checked {
                Ok(checked) => checked,
                Err(error) if error.permanent() => {
                    cache.drop_staging(&name)?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            staging.finish()?;
            let lease = cache.install(&name, checked.digest, checked.entry.clone(), SystemTime::now())?;
            Ok(checked.into_artifact(lease))
        })
        .await
    }

    /// Writes down what the version is, and which listing it came from.
    async fn settle(
        &self,
        artifact: VerifiedArtifact,
        fingerprint: Option<String>,
    ) -> Result<VerifiedArtifact, FetchError> {
        let (cache, digest, remembered) = (Arc::clone(&self.store.cache), artifact.digest(), self.remembered);
        let (model, version) = (self.request.model.clone(), self.request.spec.version.clone());
        let flight = Arc::clone(&self.flight);
        blocking(move || {
            let _flight = flight;
            if let Some(fingerprint) = fingerprint {
                cache.amend(digest, |entry: &mut Entry| entry.remember(&fingerprint))?;
            }
            if remembered.is_none() {
                cache.remember(&model, &version, digest)?;
            }
            Ok(artifact)
        })
        .await
    }

    fn refuse_other_pin(&self, got: Digest) -> Result<(), FetchError> {
        match self.request.spec.digest {
            Some(expected) if expected != got => Err(FetchError::DigestMismatch { uri: self.uri(), expected, got }),
            _ => Ok(()),
        }
    }

    fn refuse_other_bytes(&self, digest: Digest) -> Result<(), FetchError> {
        match self.remembered {
            Some(remembered) if remembered != digest => Err(self.version_changed()(remembered, digest.to_string())),
            _ => Ok(()),
        }
    }

    /// Other names or sizes are other bytes: that needs no download to know.
    fn refuse_other_files(&self, listing: &Listing) -> Result<(), FetchError> {
        let Some(remembered) = self.remembered else { return Ok(()) };
        let Some(entry) = self.store.cache.entry(remembered) else { return Ok(()) };
        let was: Vec<(&str, u64)> = entry.files.iter().map(|file| (file.name.as_str(), file.size)).collect();
        let path = &self.request.signing.signature_path;
        let counted = listing.files().iter().filter(|file| covered(&file.name, path));
        let is: Vec<(&str, u64)> = counted.map(|file| (file.name.as_str(), file.size)).collect();
        if was == is {
            return Ok(());
        }
        let gone = was.iter().filter(|file| !is.contains(file)).map(|(name, size)| format!("-{name} ({size} bytes)"));
        let new = is.iter().filter(|file| !was.contains(file)).map(|(name, size)| format!("+{name} ({size} bytes)"));
        let differences: Vec<String> = gone.chain(new).take(10).collect();
        Err(self.version_changed()(remembered, format!("other files: {}", differences.join(", "))))
    }

    fn version_changed(&self) -> impl FnOnce(Digest, String) -> FetchError + Send + 'static {
        let (model, version) = (self.request.model.clone(), self.request.spec.version.clone());
        move |remembered, now| FetchError::VersionChanged { model, version, remembered, now }
    }

    fn uri(&self) -> String {
        self.request.spec.storage_uri.to_string()
    }

    fn report(&self, phase: ProgressPhase, done_bytes: u64, total_bytes: u64) {
        let progress = Progress { phase, done_bytes, total_bytes };
        self.progress.send_replace(progress);
        self.flight.report(progress);
    }
}
