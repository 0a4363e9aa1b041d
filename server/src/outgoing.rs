//! HTTP to others, for commands and the registry: what every client of ours has in common, and what its errors say.
//! Knows no service.

use std::error::Error;

use reqwest::{ClientBuilder, Url, redirect};

/// A client for the server at `base`, still without its time limits.
pub(crate) fn client(base: &Url) -> ClientBuilder {
    let builder = reqwest::Client::builder()
        // A token is for this host; and an answer from elsewhere would be somebody else's.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")));
    // A proxy for the outside world has no way to this machine's own ports.
    if is_loopback(base) { builder.no_proxy() } else { builder }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// The innermost cause: a library's own text repeats the URL and stops before the reason.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
