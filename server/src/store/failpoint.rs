//! Named points of a pull at which a test makes the operation fail or the process die.
//!
//! They exist only with the `failpoints` feature. `FAILPOINTS="store::pull::before_rename=return(abort)"` aborts the
//! process there, as a kill would; plain `return` makes the operation fail.

use super::FetchError;

/// Every fail point of the store, in the order in which a pull passes them.
pub const FAIL_POINTS: &[&str] = &[
    LISTED,
    STAGED,
    PART,
    BEFORE_FSYNC,
    BEFORE_VERIFY,
    BEFORE_SEAL,
    BEFORE_RENAME,
    AFTER_RENAME,
    BEFORE_EVICT,
    AFTER_EVICT_RENAME,
    BEFORE_VERSION,
    AFTER_VERSION,
];

pub(super) const LISTED: &str = "store::pull::listed";
pub(super) const STAGED: &str = "store::pull::staged";
pub(super) const PART: &str = "store::pull::part";
pub(super) const BEFORE_FSYNC: &str = "store::pull::before_fsync";
pub(super) const BEFORE_VERIFY: &str = "store::pull::before_verify";
pub(super) const BEFORE_SEAL: &str = "store::pull::before_seal";
pub(super) const BEFORE_RENAME: &str = "store::pull::before_rename";
pub(super) const AFTER_RENAME: &str = "store::pull::after_rename";
pub(super) const BEFORE_EVICT: &str = "store::evict::before";
pub(super) const AFTER_EVICT_RENAME: &str = "store::evict::after_rename";
pub(super) const BEFORE_VERSION: &str = "store::version::before_record";
pub(super) const AFTER_VERSION: &str = "store::version::after_record";

/// Does nothing, unless a test armed `name`.
#[cfg(feature = "failpoints")]
pub(super) fn pass(name: &'static str) -> Result<(), FetchError> {
    fail::fail_point!(name, |action| {
        if action.as_deref() == Some("abort") {
            std::process::abort();
        }
        Err(FetchError::io(name, &std::io::Error::other("fail point")))
    });
    Ok(())
}

/// Does nothing: this build has no fail points.
#[cfg(not(feature = "failpoints"))]
#[expect(clippy::unnecessary_wraps, reason = "the signature of the build with fail points")]
pub(super) const fn pass(_name: &'static str) -> Result<(), FetchError> {
    Ok(())
}
