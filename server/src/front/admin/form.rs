//! How a verb must be sent, whoever asks.
//!
//! A browser is the way in that is easily forgotten: a page from elsewhere can post to a port of this machine, and a
//! browser shows the certificate that it has. So a verb must be sent as JSON (which a form cannot), with no `Origin` but
//! our own.

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, StatusCode};

/// Why a verb is not even looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misformed {
    #[error("requests from pages of other origins are refused")]
    Origin,
    #[error("send content-type: application/json")]
    NotJson,
}

impl Misformed {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Origin => StatusCode::FORBIDDEN,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Whether a verb with these headers may be looked at.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Misformed> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(origin) = text(ORIGIN) {
        let ours = origin.split_once("://").map(|(_, host)| host) == text(HOST);
        if !ours {
            return Err(Misformed::Origin);
        }
    }
    let media_type = text(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Misformed::NotJson) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(headers: &[(&'static str, &str)]) -> Result<(), Misformed> {
        let mut map = HeaderMap::new();
        map.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        check(&map)
    }

    #[test]
    fn other_origins_and_forms_are_refused() {
        let host = ("host", "localhost:8002");
        assert_eq!(verdict(&[host, ("origin", "http://localhost:8002")]), Ok(()));
        for bad in ["http://elsewhere.example", "null", "http://localhost:9000"] {
            assert_eq!(verdict(&[host, ("origin", bad)]), Err(Misformed::Origin), "{bad}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"] {
            assert_eq!(verdict(&[host, ("content-type", bad)]), Err(Misformed::NotJson), "{bad}");
        }
        assert_eq!(verdict(&[host, ("content-type", "Application/JSON; charset=utf-8")]), Ok(()));
    }
}
