//! One fetch, read top to bottom: cache, listing, what is remembered, pull, verify, keep.

mod cached;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::{Digest, VersionSpec};
use tokio::sync::watch;

use super::cache::{CacheKey, Entry, Remembered};
use super::digest::{FileDigest, covered};
use super::failpoint::{self, pass};
use super::flight::Flight;
use super::listing::Listing;
use super::pull::download;
use super::source::Source;
use super::staging::{self, Staging};
use super::verify::{Expected, VerifiedArtifact, check};
use super::{Fetch, FetchError, Progress, ProgressPhase, Store, blocking};

/// How often a source that changes under a pull is listed anew.
const LISTINGS_MAX: u32 = 3;
/// Files told in one error that have other hashes than were listed.
const PROBLEMS_TOLD: usize = 10;
/// Wait before that.
const RELIST_DELAY: Duration = Duration::from_secs(2);

/// One fetch that has its flight.
struct Session<'a> {
    store: &'a Arc<Store>,
    request: Fetch<'a>,
    progress: &'a watch::Sender<Progress>,
    flight: Arc<Flight>,
    /// What the version was when it was last pulled.
    remembered: Option<Remembered>,
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
            Err(error) => return session.remembered_instead(error).await,
            done => return done,
        }
    }
    match session.run().await {
        Err(error) => session.remembered_instead(error).await,
        done => done,
    }
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
        if let Some(pinned) = self.request.spec.digest
            && let Some(artifact) = self.pinned(pinned).await?
        {
            return self.settle(artifact, None).await;
        }
        let (source, listing) = self.list().await?;
        pass(failpoint::LISTED)?;
        let fingerprint = listing.fingerprint(source.uri());
        if let Some(key) = self.store.cache.by_listing(&fingerprint) {
            self.refuse_other_pin(key.digest)?;
            refuse_other(self.remembered.as_ref(), key, self.version_changed())?;
            if let Some(artifact) = self.cached(key).await? {
                return self.settle(artifact, Some(fingerprint)).await;
            }
        }
        self.refuse_other_files(&listing)?;
        match self.pull(&source, &listing, &fingerprint).await {
            Ok(artifact) => self.settle(artifact, Some(fingerprint)).await,
            Err(error @ FetchError::Manifest { .. }) => {
                // What was listed may have been replaced before it was read, which a web server's answers do not show.
                let (source, listing) = self.list().await?;
                if listing.fingerprint(source.uri()) == fingerprint {
                    return Err(error);
                }
                Err(FetchError::Changed { object: self.uri(), reason: error.to_string() })
            }
            Err(error) => Err(error),
        }
    }

    /// The artifact with the pinned digest, if it is here: that needs no source.
    async fn pinned(&self, pinned: Digest) -> Result<Option<VerifiedArtifact>, FetchError> {
        let known = self.remembered.as_ref().map(|remembered| remembered.key);
        if let Some(known) = known.filter(|known| known.digest != pinned) {
            return Err(self.version_changed()(known.digest, pinned.to_string()));
        }
        let Some(key) = known.or_else(|| self.store.cache.by_digest(pinned)) else { return Ok(None) };
        match self.cached(key).await {
            // Another version's, with the same contents under other names: the source says which names are signed.
            Err(FetchError::Signature { .. } | FetchError::Unfinished { .. }) if known.is_none() => Ok(None),
            done => done,
        }
    }

    async fn list(&self) -> Result<(Source, Listing), FetchError> {
        let source = (self.store.opener)(&self.request.spec.storage_uri)?;
        let listing = source.list(&self.store.options.limits, &self.store.options.retry).await?;
        Ok((source, listing))
    }

    /// Whatever happened to the source, what the version was before it still is: the bytes are here and were verified.
    ///
    /// Two things are not answered this way. A pin of other bytes, and a version that is asked for at another place than
    /// before which holds something else: there the values changed, and whoever changed them has to hear of it.
    async fn remembered_instead(&self, error: FetchError) -> Result<VerifiedArtifact, FetchError> {
        let Some(Remembered { key, uri }) = &self.remembered else { return Err(error) };
        let other_pin = self.request.spec.digest.is_some_and(|pinned| pinned != key.digest);
        let moved = error.permanent() && *uri != self.uri();
        if other_pin || moved {
            return Err(error);
        }
        match self.cached(*key).await? {
            Some(artifact) => Ok(artifact.noted(format!("serving the remembered bytes: {error}"))),
            None => Err(error),
        }
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
        let artifact = self.verify_and_install(staging, listing.clone(), name).await?;
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
    async fn verify_and_install(
        &self,
        staging: Staging,
        listing: Listing,
        name: String,
    ) -> Result<VerifiedArtifact, FetchError> {
        let (cache, uri) = (Arc::clone(&self.store.cache), self.uri());
        let (pinned, signing) = (self.request.spec.digest, self.request.signing.clone());
        let (remembered, changed) = (self.remembered.clone(), self.version_changed());
        blocking(move || {
            pass(failpoint::BEFORE_VERIFY)?;
            let hashed = staging.hashed()?;
            let expected = Expected { uri: &uri, pinned, signing: &signing };
            let checked = refuse_other_than_listed(&listing, &hashed, &uri)
                .and_then(|()| check(&staging.files(), hashed, expected))
                .and_then(|checked| {
                    refuse_other(remembered.as_ref(), CacheKey::of(&checked.entry.files), changed)?;
                    Ok(checked)
                });
            let checked = match checked {
                Ok(checked) => checked,
                // Bytes that are wrong are no start for the next attempt.
                Err(error) if error.permanent() || matches!(error, FetchError::Changed { .. }) => {
                    cache.drop_staging(&name)?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            staging.finish()?;
            let lease = cache.install(&name, checked.entry.clone(), SystemTime::now())?;
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
        let (cache, model, version) =
            (Arc::clone(&self.store.cache), self.request.model.clone(), self.request.spec.version.clone());
        let is = Remembered { key: artifact.key(), uri: self.uri() };
        // A pinned version that was in the cache says nothing of the place where it should be.
        let new = match &self.remembered {
            Some(was) => fingerprint.is_some() && *was != is,
            None => true,
        };
        let flight = Arc::clone(&self.flight);
        blocking(move || {
            let _flight = flight;
            if let Some(fingerprint) = fingerprint {
                cache.amend(is.key, |entry: &mut Entry| entry.remember(&fingerprint))?;
            }
            if new {
                cache.remember(&model, &version, &is)?;
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

    /// Other names or sizes are other bytes: that needs no download to know.
    fn refuse_other_files(&self, listing: &Listing) -> Result<(), FetchError> {
        let Some(Remembered { key, .. }) = self.remembered else { return Ok(()) };
        let Some(entry) = self.store.cache.entry(key) else { return Ok(()) };
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
        Err(self.version_changed()(key.digest, format!("other files: {}", differences.join(", "))))
    }

    fn version_changed(&self) -> impl FnOnce(Digest, String) -> FetchError + Send + 'static {
        let (model, version) = (self.request.model.clone(), self.request.spec.version.clone());
        move |remembered, now| FetchError::VersionChanged { model, version, remembered, now }
    }

    fn uri(&self) -> String {
        self.request.spec.storage_uri.to_string().trim_end_matches('/').to_owned()
    }

    fn report(&self, phase: ProgressPhase, done_bytes: u64, total_bytes: u64) {
        let progress = Progress { phase, done_bytes, total_bytes };
        self.progress.send_replace(progress);
        self.flight.report(progress);
    }
}

/// Refuses an artifact that is not what the version was; `changed` makes the error.
fn refuse_other(
    remembered: Option<&Remembered>,
    got: CacheKey,
    changed: impl FnOnce(Digest, String) -> FetchError,
) -> Result<(), FetchError> {
    match remembered.map(|remembered| remembered.key) {
        Some(was) if was.digest != got.digest => Err(changed(was.digest, got.digest.to_string())),
        Some(was) if was != got => Err(changed(was.digest, "the same contents under other names".to_owned())),
        _ => Ok(()),
    }
}

/// Where the listing told the hashes, the bytes must have them.
fn refuse_other_than_listed(listing: &Listing, hashed: &[FileDigest], uri: &str) -> Result<(), FetchError> {
    let pairs = listing.files().iter().zip(hashed);
    let other = pairs.filter_map(|(listed, got)| {
        let listed = listed.sha256.filter(|listed| *listed != got.sha256)?;
        Some(format!("{} has SHA-256 {}, expected {listed}", got.name, got.sha256))
    });
    let problems: Vec<String> = other.take(PROBLEMS_TOLD).collect();
    if problems.is_empty() { Ok(()) } else { Err(FetchError::Manifest { uri: uri.to_owned(), problems }) }
}
