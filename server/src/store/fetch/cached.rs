//! An artifact that is in the cache already: hashed once in each process, and judged by today's signing policy.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::cache::{CacheKey, Lease, Leased};
use super::super::digest::{FileDigest, Sha256};
use super::super::files::write_whole;
use super::super::listing::name_problem;
use super::super::oms::SIGNATURE_BYTES_MAX;
use super::super::staging::FILES_NAME;
use super::super::verify::{Expected, VerifiedArtifact, check_cached, intact};
use super::super::{FetchError, ProgressPhase, blocking};
use super::Session;

/// Wait for a newer signature of an artifact that is already here.
const SIGNATURE_DEADLINE: Duration = Duration::from_secs(10);

impl Session<'_> {
    /// The artifact from the cache, if it is there and its bytes are still right.
    pub(super) async fn cached(&self, key: CacheKey) -> Result<Option<VerifiedArtifact>, FetchError> {
        let cache = Arc::clone(&self.store.cache);
        let Some(leased) = blocking(move || Ok(cache.lease(key, SystemTime::now()))).await? else {
            return Ok(None);
        };
        let bytes = leased.lease.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size));
        self.report(ProgressPhase::Verifying, 0, bytes);
        if !leased.proven && !self.still_intact(&leased.lease).await? {
            tracing::warn!(digest = key.short(), "a cached artifact went bad; it is pulled again");
            return Ok(None);
        }
        let artifact = self.accept(leased).await?;
        self.report(ProgressPhase::Verifying, bytes, bytes);
        Ok(Some(artifact))
    }

    async fn still_intact(&self, lease: &Arc<Lease>) -> Result<bool, FetchError> {
        let (cache, lease, flight) = (Arc::clone(&self.store.cache), Arc::clone(lease), Arc::clone(&self.flight));
        blocking(move || {
            let _flight = flight;
            let intact = intact(&lease);
            if intact {
                cache.prove(lease.key);
            } else {
                cache.forget(lease.key)?;
            }
            Ok(intact)
        })
        .await
    }

    /// Today's signing policy on a cached artifact. Keys and signatures change while bytes do not, so where the cached
    /// signature does not satisfy, the source is asked for a newer one.
    async fn accept(&self, leased: Leased) -> Result<VerifiedArtifact, FetchError> {
        let Leased { lease, loose, .. } = leased;
        let first = self.check_cached(Arc::clone(&lease), loose.clone(), None).await;
        if first.as_ref().is_ok_and(|artifact| artifact.notes().is_empty()) {
            return first;
        }
        let Some(signature) = self.newer_signature().await else { return first };
        match self.check_cached(Arc::clone(&lease), loose, Some(signature.clone())).await {
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
        loose: Vec<FileDigest>,
        signature: Option<bytes::Bytes>,
    ) -> Result<VerifiedArtifact, FetchError> {
        let uri = self.uri();
        let (pinned, signing) = (self.request.spec.digest, self.request.signing.clone());
        blocking(move || {
            check_cached(lease, &loose, signature.as_deref(), Expected { uri: &uri, pinned, signing: &signing })
        })
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
            if lease.files.iter().any(|file| file.name == name) {
                // Under another policy this file was part of the digest; it stays what it was.
                return Ok(());
            }
            let path = lease.folder.join(FILES_NAME).join(&name);
            let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| write_whole(&path, &signature)).map_err(|error| FetchError::io(&path, &error))?;
            let file = FileDigest { name, size: signature.len() as u64, sha256: Sha256::of(&signature) };
            cache.amend(lease.key, |entry| {
                entry.loose.retain(|other| other.name != file.name);
                entry.loose.push(file);
                true
            })
        })
        .await
    }
}
