//! The admin port without an access file: whoever has the token may ask for a verb; without a token, this machine only.
//!
//! A name from elsewhere can be made to resolve to a loopback port, and a browser then takes the page that asks for one
//! of ours. So without a token a verb must be sent to an address or `localhost`, not to a name.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::HOST;

use super::bearer;
use super::refusal::Refused;

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
    pub(super) fn is(&self, given: &[u8]) -> bool {
        same(self.0.as_bytes(), given)
    }
}

/// Compares in a time that does not tell how much is right.
pub(super) fn same(known: &[u8], given: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(known, given).is_ok()
}

/// Whether whoever sent these headers from `peer` may ask for a verb.
pub(super) fn check(token: Option<&Token>, headers: &HeaderMap, peer: Option<SocketAddr>) -> Result<(), Refused> {
    match token {
        Some(token) => match bearer(headers) {
            Some((_, given)) if token.is(given) => Ok(()),
            Some(_) => Err(Refused::TokenWrong),
            None => Err(Refused::TokenMissing),
        },
        None if !peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) => Err(Refused::NotLocal),
        None if !host_is_address(headers) => Err(Refused::HostName),
        None => Ok(()),
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

    fn verdict(token: Option<&str>, peer: &str, headers: &[(&'static str, &str)]) -> Result<(), Refused> {
        let mut map = HeaderMap::new();
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
        assert_eq!(verdict(None, "10.0.0.7", &[]), Err(Refused::NotLocal));
        assert_eq!(verdict(None, "::ffff:10.0.0.7", &[]), Err(Refused::NotLocal));
        assert_eq!(check(None, &HeaderMap::new(), None), Err(Refused::NotLocal));
    }

    #[test]
    fn a_name_that_resolves_to_loopback_does_not_open_the_door() {
        for good in ["localhost:8002", "LOCALHOST", "127.0.0.1", "[::1]:8002", "[::1]"] {
            assert_eq!(verdict(None, "127.0.0.1", &[("host", good)]), Ok(()), "{good}");
        }
        for bad in ["rebound.example:8002", "localhost.rebound.example", ""] {
            assert_eq!(verdict(None, "127.0.0.1", &[("host", bad)]), Err(Refused::HostName), "{bad}");
        }
    }

    #[test]
    fn with_a_token_it_alone_decides() {
        let given = |value| verdict(Some(" s3cret\n"), "10.0.0.7", &[("authorization", value)]);
        assert_eq!(given("Bearer s3cret"), Ok(()));
        assert_eq!(given("bearer s3cret"), Ok(()));
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer S3CRET", "Bearer  "] {
            assert!(matches!(given(wrong), Err(Refused::TokenWrong | Refused::TokenMissing)), "{wrong}");
        }
        assert_eq!(given("Basic czNjcmV0"), Err(Refused::TokenMissing));
        assert_eq!(verdict(Some("s3cret"), "127.0.0.1", &[]), Err(Refused::TokenMissing));
        assert!(Token::new(" \n").is_none());
    }
}
