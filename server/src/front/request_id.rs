//! The id a request has in every log: the caller's where it is sane, else one of ours.

use std::cell::RefCell;

use ::http::HeaderValue;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

/// Longest id kept from a caller.
const LENGTH_MAX: usize = 128;

/// The caller's `x-request-id`, where it may be written to a log and sent back as it is.
pub(crate) fn kept(given: &HeaderValue) -> Option<HeaderValue> {
    sane(given.as_bytes()).then(|| given.clone())
}

/// An id from a request's body, under the same rule.
pub(crate) fn adopted(id: &str) -> Option<HeaderValue> {
    if sane(id.as_bytes()) { HeaderValue::from_str(id).ok() } else { None }
}

thread_local! {
    /// Ids have to differ, and nothing depends on their being hard to guess.
    static RNG: RefCell<SmallRng> = RefCell::new(SmallRng::from_os_rng());
}

/// A new id: 128 random bits, as a version 4 UUID.
pub(crate) fn made() -> HeaderValue {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    uuid::Builder::from_random_bytes(RNG.with_borrow_mut(rand::Rng::random::<u128>).to_ne_bytes())
        .into_uuid()
        .hyphenated()
        .encode_lower(&mut text);
    HeaderValue::from_bytes(&text).expect("a UUID is visible ASCII")
}

/// Visible ASCII without quotes and backslashes: no log line or header can be broken out of.
fn sane(id: &[u8]) -> bool {
    (1..=LENGTH_MAX).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\' | b'<' | b'>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sane_ids_are_kept_and_others_are_not() {
        let kept_of = |value: &[u8]| kept(&HeaderValue::from_bytes(value).unwrap()).is_some();
        assert!(kept_of(b"0190-abc:7/x=2"));
        for bad in [&b""[..], b"two words", b"\"quoted\"", b"<b>", "é".as_bytes(), &[b'a'; 129]] {
            assert!(!kept_of(bad), "{bad:?}");
        }
    }

    #[test]
    fn made_ids_are_sane_and_differ() {
        let (a, b) = (made(), made());
        assert!(sane(a.as_bytes()));
        assert_ne!(a, b);
    }
}
