//! What survives a restart: which versions were promoted here, and which were rejected.
//!
//! Without it a process that restarts on a bad commit would try the rejected version again, and a process that
//! promoted a version would put it through its trial again. It is a cache of decisions, never the desired state: with
//! an empty directory everything still works, only slower. [`file`](MemoryDir) owns the bytes; this half is pure.

mod file;
mod writer;

use std::time::SystemTime;

use config::{Digest, VersionSpec};

pub use file::MemoryDir;
pub use writer::{Writer, Written};

use super::release::{Release, Target};

/// Promotions remembered, newest first.
pub const PROMOTED_MAX: usize = 16;
/// Rejections remembered, newest first.
pub const REJECTED_MAX: usize = 32;
/// Bytes of a remembered reason.
const REASON_MAX: usize = 512;

/// The decisions made about one model's versions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    promoted: Vec<Release>,
    rejected: Vec<Rejection>,
}

/// A version that must not get traffic until `retry` changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What was asked for.
    pub target: Target,
    /// What it turned out to be, where it came that far.
    pub digest: Option<Digest>,
    /// Why, in one sentence.
    pub reason: String,
    /// When.
    pub at: SystemTime,
}

// === impl Memory ===

impl Memory {
    /// Promoted versions, newest first.
    #[must_use]
    pub fn promoted(&self) -> &[Release] {
        &self.promoted
    }

    /// Rejected versions, newest first.
    #[must_use]
    pub fn rejected(&self) -> &[Rejection] {
        &self.rejected
    }

    /// Remembers a promotion, by its bytes; it overrules older rejections of the same bytes, and of what was asked for
    /// in the same words where the bytes were never seen.
    pub fn promote(&mut self, release: Release) {
        self.absolve(&release);
        self.promoted.retain(|earlier| earlier.digest != release.digest);
        self.promoted.insert(0, release.pinned());
        self.promoted.truncate(PROMOTED_MAX);
    }

    fn absolve(&mut self, release: &Release) {
        self.rejected.retain(|rejection| match rejection.digest {
            Some(digest) => digest != release.digest,
            None => !release.is(&rejection.target.spec),
        });
    }

    /// The promoted bytes are asked for in other words now, and what was rejected in those was something else.
    pub fn relabel(&mut self, release: &Release) {
        self.absolve(release);
        if let Some(promoted) = self.promoted.iter_mut().find(|promoted| promoted.digest == release.digest) {
            *promoted = release.clone().pinned();
        }
    }

    /// Remembers a rejection in place of an older one of the same version.
    pub fn reject(&mut self, mut rejection: Rejection) {
        truncate(&mut rejection.reason);
        self.rejected.retain(|earlier| earlier.target.spec != rejection.target.spec);
        self.rejected.insert(0, rejection);
        self.rejected.truncate(REJECTED_MAX);
    }

    /// Lets a rejected version be tried again; whether there was one.
    pub fn forgive(&mut self, target: &Target) -> bool {
        let (before, resolved) = (self.rejected.len(), self.resolve(&target.spec));
        self.rejected.retain(|rejection| !rejection.covers(target, resolved));
        before != self.rejected.len()
    }

    /// Forgets a promotion whose bytes cannot be served any more.
    pub fn forget(&mut self, digest: Digest) {
        self.promoted.retain(|release| release.digest != digest);
    }

    /// Why `target` must not be tried, if so. `resolved` is what it turned out to be, once that is known.
    #[must_use]
    pub fn rejection(&self, target: &Target, resolved: Option<Digest>) -> Option<&Rejection> {
        self.rejected.iter().find(|rejection| rejection.covers(target, resolved))
    }

    /// What `spec` was when it was promoted, if that is the last promotion or one of the `window` before it: it comes
    /// back without a trial.
    #[must_use]
    pub fn recently_promoted(&self, spec: &VersionSpec, window: u32) -> Option<&Release> {
        let window = usize::try_from(window).unwrap_or(usize::MAX).saturating_add(1);
        self.promoted.iter().take(window).find(|release| release.is(spec))
    }

    /// What `spec` will turn out to be, where that was seen before.
    #[must_use]
    pub fn resolve(&self, spec: &VersionSpec) -> Option<Digest> {
        let promoted = self.promoted.iter().find(|release| release.is(spec)).map(|release| release.digest);
        let rejected = || self.rejected.iter().find(|r| r.target.spec == *spec).and_then(|r| r.digest);
        spec.digest.or(promoted).or_else(rejected)
    }
}

// === impl Rejection ===

impl Rejection {
    fn covers(&self, target: &Target, resolved: Option<Digest>) -> bool {
        let bytes = target.spec.digest.or(resolved);
        let same = self.target.spec == target.spec;
        self.target.retry == target.retry && (same || (bytes.is_some() && bytes == self.digest))
    }
}

fn truncate(text: &mut String) {
    if text.len() > REASON_MAX {
        let end = (0..=REASON_MAX).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests;
