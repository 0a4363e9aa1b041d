//! Which version is which: what was asked for, what it turned out to be, and when two of them are the same.

use config::{Digest, Values, VersionSpec};

/// What the values ask for: the version, and the counter that asks for it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The version as written.
    pub spec: VersionSpec,
    /// `retry` as written: another number is another trial.
    pub retry: u64,
}

/// A version whose bytes are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The version as it was asked for; its label is the one callers see.
    pub spec: VersionSpec,
    /// The digest of what was verified.
    pub digest: Digest,
}

// === impl Target ===

impl Target {
    /// The version that `values` want served in the end.
    #[must_use]
    pub fn of(values: &Values) -> Self {
        Self { spec: values.model.target.clone(), retry: values.retry }
    }

    /// Whether both ask for the same trial, so that one goes on when the values change from one to the other.
    ///
    /// `resolved` is what `self` turned out to be, once that is known.
    #[must_use]
    pub fn same_trial(&self, other: &Self, resolved: Option<Digest>) -> bool {
        self.retry == other.retry && same_version(&self.spec, resolved, &other.spec)
    }
}

// === impl Release ===

impl Release {
    /// The same, pinned to its bytes.
    #[must_use]
    pub fn pinned(mut self) -> Self {
        self.spec.digest = Some(self.digest);
        self
    }

    /// Whether `spec` asks for these bytes.
    #[must_use]
    pub fn is(&self, spec: &VersionSpec) -> bool {
        same_version(&self.spec, Some(self.digest), spec)
    }
}

/// Whether `asked` asks for what `spec` asked for. A pin decides where the bytes are known. Without a pin the label and
/// the place do, both: the store refuses other bytes under a label that it has seen, but a place without `{version}` in
/// it is overwritten with every release.
pub(super) fn same_version(spec: &VersionSpec, resolved: Option<Digest>, asked: &VersionSpec) -> bool {
    match (asked.digest, resolved.or(spec.digest)) {
        (Some(pin), Some(known)) => pin == known,
        (Some(_), None) => false,
        (None, _) => asked.version == spec.version && asked.storage_uri == spec.storage_uri,
    }
}
