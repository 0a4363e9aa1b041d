//! Who may ask for a verb: whoever has the token; without a token, this machine only.
//!
//! A browser is the way in that is easily forgotten: a page from elsewhere can post to a loopback port, and a name from
//! elsewhere can be made to resolve to one. So a verb must be sent as JSON (which a form cannot), with no `Origin` but
//! our own, and without a token to an address or `localhost`, not to a name.

use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, StatusCode};

/// A bearer token. It has no `Debug`: it cannot be logged by accident.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token in `text`, less white space around it; `None` where nothing is left.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Compares in a time that does not tell how much of `given` is right.
    fn is(&self, given: &[u8]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), given).is_ok()
    }
}

/// Why a verb is not even looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error("send Authorization: Bearer <token> with the token of --admin-token-file")]
    TokenMissing,
    #[error("this is not the token of --admin-token-file")]
    TokenWrong,
    #[error("without --admin-token-file, rollouts are steered from this machine only")]
    NotLocal,
    #[error("without --admin-token-file, use an address or localhost as the host")]
    HostName,
    #[error("requests from pages of other origins are refused")]
    Origin,
    #[error("send content-type: application/json")]
    NotJson,
}

impl Denied {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::TokenMissing => StatusCode::UNAUTHORIZED,
            Self::TokenWrong | Self::NotLocal | Self::HostName | Self::Origin => StatusCode::FORBIDDEN,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Whether a verb with these headers from `peer` may be looked at.
pub(super) fn check(token: Option<&Token>, headers: &HeaderMap, peer: Option<SocketAddr>) -> Result<(), Denied> {
    match token {
        Some(token) => bearer(token, headers)?,
        None if !peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) => return Err(Denied::NotLocal),
        None if !host_is_address(headers) => return Err(Denied::HostName),
        None => {}
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(origin) = text(ORIGIN) {
        let ours = origin.split_once("://").map(|(_, host)| host) == text(HOST);
        if !ours {
            return Err(Denied::Origin);
        }
    }
    let media_type = text(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Denied::NotJson) }
}

fn bearer(token: &Token, headers: &HeaderMap) -> Result<(), Denied> {
    let value = headers.get(AUTHORIZATION).ok_or(Denied::TokenMissing)?.as_bytes();
    let (scheme, given) = value.split_at_checked(7).ok_or(Denied::TokenMissing)?;
    match scheme.eq_ignore_ascii_case(b"bearer ") {
        true if token.is(given.trim_ascii()) => Ok(()),
        true => Err(Denied::TokenWrong),
        false => Err(Denied::TokenMissing),
    }
}

fn host_is_address(headers: &HeaderMap) -> bool {
    // HTTP/2 has `:authority` instead, and no browser speaks it without TLS.
    let Some(host) = headers.get(HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    host.parse::<SocketAddr>().is_ok()
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || host.rsplit_once(':').map_or(host, |(name, _)| name).eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(token: Option<&str>, peer: &str, headers: &[(&'static str, &str)]) -> Result<(), Denied> {
        let mut map = HeaderMap::new();
        map.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        check(token.and_then(Token::new).as_ref(), &map, Some(SocketAddr::new(peer.parse().unwrap(), 9)))
    }

    #[test]
    fn without_a_token_only_this_machine_may() {
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(verdict(None, peer, &[("host", "127.0.0.1:8002")]), Ok(()), "{peer}");
        }
        assert_eq!(verdict(None, "10.0.0.7", &[]), Err(Denied::NotLocal));
        assert_eq!(verdict(None, "::ffff:10.0.0.7", &[]), Err(Denied::NotLocal));
        assert_eq!(check(None, &HeaderMap::new(), None), Err(Denied::NotLocal));
    }

    #[test]
    fn a_name_that_resolves_to_loopback_does_not_open_the_door() {
        for good in ["localhost:8002", "LOCALHOST", "127.0.0.1", "[::1]:8002", "[::1]"] {
            assert_eq!(verdict(None, "127.0.0.1", &[("host", good)]), Ok(()), "{good}");
        }
        for bad in ["rebound.example:8002", "localhost.rebound.example", ""] {
            assert_eq!(verdict(None, "127.0.0.1", &[("host", bad)]), Err(Denied::HostName), "{bad}");
        }
    }

    #[test]
    fn other_origins_and_forms_are_refused() {
        let host = ("host", "localhost:8002");
        assert_eq!(verdict(None, "::1", &[host, ("origin", "http://localhost:8002")]), Ok(()));
        for bad in ["http://elsewhere.example", "null", "http://localhost:9000"] {
            assert_eq!(verdict(None, "::1", &[host, ("origin", bad)]), Err(Denied::Origin), "{bad}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"] {
            assert_eq!(verdict(None, "::1", &[host, ("content-type", bad)]), Err(Denied::NotJson), "{bad}");
        }
        assert_eq!(verdict(None, "::1", &[host, ("content-type", "Application/JSON; charset=utf-8")]), Ok(()));
    }

    #[test]
    fn with_a_token_it_alone_decides() {
        let given = |value| verdict(Some(" s3cret\n"), "10.0.0.7", &[("authorization", value)]);
        assert_eq!(given("Bearer s3cret"), Ok(()));
        assert_eq!(given("bearer s3cret"), Ok(()));
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer S3CRET", "Bearer  "] {
            assert!(matches!(given(wrong), Err(Denied::TokenWrong | Denied::TokenMissing)), "{wrong}");
        }
        assert_eq!(given("Basic czNjcmV0"), Err(Denied::TokenMissing));
        assert_eq!(verdict(Some("s3cret"), "127.0.0.1", &[]), Err(Denied::TokenMissing));
        assert!(Token::new(" \n").is_none());
    }
}
