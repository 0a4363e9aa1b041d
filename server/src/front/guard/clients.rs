//! The clients of an access file, and what each has asked so far. What it asked outlives a change of the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use config::access::{AccessClient, AccessFile, Right};

use super::limits::Bucket;
use super::refusal::Refused;
use crate::front::tls::PeerNames;

/// What a client with all its requests at work is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Every client, as one version of the file has them.
#[derive(Debug, Default)]
pub struct Clients(Vec<Arc<Client>>);

/// One client.
#[derive(Debug)]
pub struct Client {
    asked: AccessClient,
    bucket: Option<Bucket>,
    /// When its bucket is full again. Shared by all versions of the file that give this name the same rate: what was taken
    /// at one rate says nothing at another.
    full_at: Arc<AtomicU64>,
    /// Shared by all versions of the file that have this name.
    counts: Arc<Counts>,
}

/// What a client asked.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests at work.
    pub at_work: AtomicU32,
    /// Requests that were let in.
    pub admitted: AtomicU64,
    /// Requests that were over a limit.
    pub limited: AtomicU64,
    /// Requests for what it may not.
    pub forbidden: AtomicU64,
}

/// The admission of one request, given back on drop.
#[derive(Debug)]
pub(super) struct Pass(Arc<Client>);

// === impl Clients ===

impl Clients {
    /// The clients of `file`; those that were there `before` keep their counts, and at the same rate their bucket.
    #[must_use]
    pub fn new(file: AccessFile, before: Option<&Self>) -> Self {
        let client = |asked: AccessClient| {
            let bucket = asked.limits.rate.map(Bucket::new);
            let known = before.into_iter().flat_map(Self::iter).find(|client| client.name() == asked.name.as_str());
            let full_at = known.filter(|client| client.bucket == bucket).map(|client| Arc::clone(&client.full_at));
            let counts = known.map(|client| Arc::clone(&client.counts));
            Arc::new(Client { bucket, full_at: full_at.unwrap_or_default(), counts: counts.unwrap_or_default(), asked })
        };
        Self(file.clients.into_iter().map(client).collect())
    }

    /// Every client, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.0.iter().map(|client| &**client)
    }

    /// Whose token this is. Every client is looked at, so that the time does not tell which it was.
    pub(super) fn by_token(&self, token: &[u8]) -> Option<Arc<Client>> {
        let digest = config::content_digest(token);
        let is = |client: &&Arc<Client>| {
            let known = client.asked.token.as_ref();
            known.is_some_and(|known| super::local::same(known.as_bytes(), digest.as_bytes()))
        };
        let found = self.0.iter().fold(None, |found, client| if is(&client) { Some(client) } else { found });
        found.cloned()
    }

    /// Whose certificate has one of these names; the first of the file, where several do.
    pub(super) fn by_certificate(&self, names: &PeerNames) -> Option<Arc<Client>> {
        let is = |client: &&Arc<Client>| client.asked.certificate.as_ref().is_some_and(|name| names.has(name));
        self.0.iter().find(is).cloned()
    }
}

// === impl Client ===

impl Client {
    /// What logs and metrics call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.asked.name.as_str()
    }

    /// What it asked so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn may(&self, right: Right) -> Result<(), ()> {
        if self.asked.may.contains(&right) {
            return Ok(());
        }
        self.counts.forbidden.fetch_add(1, Ordering::Relaxed);
        Err(())
    }

    /// Admits one request, at `now` since the process started to serve.
    pub(super) fn admit(self: &Arc<Self>, now: Duration) -> Result<Pass, Refused> {
        let admitted = self.at_once().and_then(|pass| self.in_time(now).map(|()| pass));
        let count = if admitted.is_ok() { &self.counts.admitted } else { &self.counts.limited };
        count.fetch_add(1, Ordering::Relaxed);
        admitted
    }

    fn at_once(self: &Arc<Self>) -> Result<Pass, Refused> {
        let before = self.counts.at_work.fetch_add(1, Ordering::Relaxed);
        let pass = Pass(Arc::clone(self));
        match self.asked.limits.requests_max {
            Some(max) if before >= max.get() => Err(Refused::AtOnce { retry_after: RETRY_AFTER }),
            _ => Ok(pass),
        }
    }

    fn in_time(&self, now: Duration) -> Result<(), Refused> {
        let Some(bucket) = self.bucket else { return Ok(()) };
        let mut wait = Duration::ZERO;
        let taken = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            bucket.take(full_at, now).map_err(|longer| wait = longer).ok()
        });
        taken.map(drop).map_err(|_| Refused::TooOften { retry_after: wait })
    }
}

// === impl Pass ===

impl Pass {
    pub(super) fn client(&self) -> &str {
        self.0.name()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.counts.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}
