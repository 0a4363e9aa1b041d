//! The access file: which clients there are, how each shows who it is, what it may ask for, and how much.
//!
//! Tokens are in it as their SHA-256 only, so that whoever reads the file cannot use them. Knows nothing of requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;

use crate::decode::{Cursor, Report};
use crate::document;
use crate::problem::Problems;
use crate::values::{Refused, label};

/// Clients of one file: every one of them has series in the metrics.
const CLIENTS_MAX: usize = 256;
/// Characters of a certificate's name; a SPIFFE ID may be that long.
const CERTIFICATE_MAX: usize = 2048;
/// Requests at once, in a second, and in a burst.
const REQUESTS_MAX: u32 = 1_000_000;

/// An access file that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessFile {
    /// At least one. No two have the same name, token or certificate.
    pub clients: Vec<AccessClient>,
}

/// One client.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessClient {
    /// What logs and metrics call it.
    pub name: ClientName,
    /// The token that it shows.
    pub token: Option<TokenDigest>,
    /// The certificate that it shows; it has this or a token, or both.
    pub certificate: Option<CertificateName>,
    /// What it may ask for; at least one.
    pub may: BTreeSet<Right>,
    /// How much.
    pub limits: ClientLimits,
}

/// A group of calls that a client may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Inference.
    Predict,
    /// What is served: metadata, statistics, status, metrics.
    Metadata,
    /// Rollout verbs.
    Admin,
}

/// How much a client may ask for; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClientLimits {
    /// Requests at once.
    pub requests_max: Option<NonZeroU32>,
    /// Requests in the long run, and above that at one time.
    pub rate: Option<Rate>,
}

/// Requests in the long run, and how many may come at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Above 0.
    pub per_second: f64,
    /// Requests that may come at one time after a pause.
    pub burst: NonZeroU32,
}

/// `[a-z0-9]([a-z0-9._-]*[a-z0-9])?`, at most 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientName(String);

/// SHA-256 of a bearer token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenDigest([u8; 32]);

/// A DNS name or URI of a certificate, or its common name. DNS and common names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateName(String);

/// Reads `text`; `file` is how problems name it. `certificates` tells whether clients can show one.
///
/// # Errors
/// Every problem of the file, in the order of the text.
pub fn parse(file: &str, text: &str, certificates: bool) -> Result<AccessFile, Problems> {
    let mut report = Report::new(file);
    let (root, faults) = document::read(text.strip_prefix('\u{feff}').unwrap_or(text));
    let broken = root.is_none() && !faults.is_empty();
    faults.into_iter().for_each(|fault| report.fault(fault));
    let root = root.unwrap_or_else(document::Node::null);
    let access = if broken { None } else { access(&Cursor::root(&root), certificates, &mut report) };
    match (Problems::of(report.problems), access) {
        (Some(problems), _) => Err(problems),
        (None, Some(access)) => Ok(access),
        (None, None) => Err(Problems::unexplained(file)),
    }
}

fn access(here: &Cursor<'_>, certificates: bool, report: &mut Report) -> Option<AccessFile> {
    let mut map = here.map(report, "Access")?;
    let list = map.required("clients", "write clients, a list with name, tokenSha256 or certificate, and may", report);
    map.finish(report);
    let list = list?;
    let clients = list.each(report, CLIENTS_MAX, |cursor, report| client(cursor, certificates, report));
    if clients.as_ref().is_some_and(Vec::is_empty) {
        list.wrong(report, "nobody is listed, so nobody could ask; write a client, or leave out --access-file");
    }
    let clients = clients?;
    distinct(&list, &clients, report);
    Some(AccessFile { clients })
}

fn client(here: &Cursor<'_>, certificates: bool, report: &mut Report) -> Option<AccessClient> {
    let mut map = here.map(report, "AccessClient")?;
    let name = map.required("name", "write what logs and metrics call the client", report);
    let name = name.and_then(|cursor| cursor.parsed(report, ClientName::new));
    let token = map.get("tokenSha256").map(|cursor| cursor.secret(report, TokenDigest::parse));
    let certificate = map.get("certificate").map(|cursor| {
        if !certificates {
            cursor.wrong(report, "no client can show a certificate without --tls-client-ca; name that too");
        }
        cursor.parsed(report, CertificateName::new)
    });
    let may = map.required("may", "write some of predict, metadata and admin", report);
    let may = may.and_then(|cursor| rights(&cursor, report));
    let limits = limits(&mut map, report);
    map.refuse("token", "a token is not written here; write tokenSha256, what `sha256sum` says of it", report);
    let told = map.finish_but(&["token"], report);
    if token.is_none() && certificate.is_none() && !told {
        here.wrong(report, "it can show nothing; write tokenSha256 or certificate");
    }
    Some(AccessClient {
        name: name?,
        token: token.map_or(Some(None), |token| token.map(Some))?,
        certificate: certificate.map_or(Some(None), |certificate| certificate.map(Some))?,
        may: may?,
        limits: limits?,
    })
}

fn rights(here: &Cursor<'_>, report: &mut Report) -> Option<BTreeSet<Right>> {
    let rights = here.each(report, Right::ALL.len(), |cursor, report| cursor.choice(report, &Right::ALL))?;
    if rights.is_empty() {
        here.wrong(report, "it may do nothing; write some of predict, metadata and admin");
    }
    Some(rights.into_iter().collect())
}

fn limits(map: &mut crate::decode::Map<'_>, report: &mut Report) -> Option<ClientLimits> {
    let mut count = |key: &'static str, report: &mut Report| {
        map.get(key).map(|cursor| {
            let count = cursor.whole(report, 1..=REQUESTS_MAX.into());
            (count.and_then(|count| u32::try_from(count).ok()).and_then(NonZeroU32::new), cursor)
        })
    };
    let requests_max = count("requestsMax", report);
    let burst = count("burst", report);
    let per_second = map.get("requestsPerSecond");
    if let (Some((_, cursor)), None) = (&burst, &per_second) {
        cursor.wrong(report, "a burst is above a rate; write requestsPerSecond too");
    }
    let least = 1e-3;
    let what = format!("write requests in a second, {least} to {REQUESTS_MAX}");
    let per_second = per_second.map(|cursor| cursor.number(report, least..=f64::from(REQUESTS_MAX), &what));
    let rate = match per_second {
        None => None,
        Some(per_second) => Some(rate(per_second?, burst.map_or(Some(None), |(burst, _)| burst.map(Some))?)),
    };
    Some(ClientLimits { requests_max: requests_max.map_or(Some(None), |(max, _)| max.map(Some))?, rate })
}

/// Without a burst, what a second gives may come at one time.
fn rate(per_second: f64, burst: Option<NonZeroU32>) -> Rate {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above 0, and at most a million")]
    let second = NonZeroU32::new(per_second.ceil() as u32).unwrap_or(NonZeroU32::MIN);
    Rate { per_second, burst: burst.unwrap_or(second) }
}

/// Reports every client that could be taken for one before it.
fn distinct(list: &Cursor<'_>, clients: &[AccessClient], report: &mut Report) {
    let Some(items) = list.list(report, CLIENTS_MAX) else { return };
    let mut seen = BTreeMap::new();
    for (item, client) in items.iter().zip(clients) {
        let token = client.token.map(|token| format!("token {}", hex::encode(token.0)));
        let certificate = client.certificate.as_ref().map(|certificate| format!("certificate {certificate}"));
        for (what, key) in
            [("name", Some(format!("name {}", client.name))), ("tokenSha256", token), ("certificate", certificate)]
        {
            let Some(key) = key else { continue };
            if let Some(before) = seen.insert(key, &item.path) {
                item.wrong(report, format!("its {what} is that of {before} too; each client has its own"));
            }
        }
    }
}

// === impl Right ===

impl Right {
    /// All of them, as they are written.
    pub const ALL: [(&'static str, Self); 3] =
        [("predict", Self::Predict), ("metadata", Self::Metadata), ("admin", Self::Admin)];
}

// === impl names ===

impl ClientName {
    /// Checks and keeps `text`.
    pub fn new(text: &str) -> Result<Self, Refused> {
        label(
            text,
            63,
            |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'),
            "use 1 to 63 lower-case letters, digits, '-', '_' or '.', with a letter or digit at both ends",
        )
        .map(Self)
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TokenDigest {
    /// Parses 64 hex digits, as `sha256sum` prints them.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let mut bytes = [0; 32];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) => Err(Refused("write the 64 hex digits that `printf %s TOKEN | sha256sum` prints".to_owned())),
        }
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}

impl CertificateName {
    /// Checks and keeps `text`: names of hosts and common names in lower case, URIs as they are.
    pub fn new(text: &str) -> Result<Self, Refused> {
        let refused =
            || Refused("write one whole name, such as scorer.fraud.svc or spiffe://domain/ns/fraud; no `*`".to_owned());
        let length = text.chars().count();
        let plain = text.trim() == text && !text.contains('*') && !text.chars().any(char::is_control);
        if length == 0 || length > CERTIFICATE_MAX || !plain {
            return Err(refused());
        }
        Ok(Self(if text.contains("://") { text.to_owned() } else { text.to_lowercase() }))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
