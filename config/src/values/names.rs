//! The names and numbers a values file is made of, each checked once, where it is made.

use std::fmt;

/// The name of a model: `[a-z0-9]([a-z0-9._-]*[a-z0-9])?`, at most 63 characters (it names Kubernetes objects too).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(String);

/// A release label such as `v2.3.1`: `[A-Za-z0-9]([A-Za-z0-9._+-]*[A-Za-z0-9])?`, at most 128 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(String);

/// An OMS root digest, written `sha256:<64 lowercase hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A directory of files: `file`, `gs`, `s3`, `az`, `http` or `https`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StorageUri(url::Url);

/// A share of live traffic in basis points, `0..=10_000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Weight(u16);

/// Why a name, digest, URI or weight was refused: what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

pub(crate) fn label(text: &str, max: usize, allowed: impl Fn(char) -> bool, what: &str) -> Result<String, Refused> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() && allowed(c));
    let ok = text.len() <= max
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(allowed)
        && !text.contains("..");
    if ok { Ok(text.to_owned()) } else { Err(Refused(what.to_owned())) }
}

impl ModelName {
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

impl Version {
    /// Checks and keeps `text`.
    pub fn new(text: &str) -> Result<Self, Refused> {
        label(
            text,
            128,
            |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'),
            "use 1 to 128 letters, digits, '.', '-', '_' or '+', with a letter or digit at both ends and no '..'",
        )
        .map(Self)
    }

    /// The label as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Digest {
    /// A digest from its raw bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses `sha256:<64 lowercase hex digits>`.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let refused = || Refused("write sha256: and 64 lower-case hex digits".to_owned());
        let digits = text.strip_prefix("sha256:").ok_or_else(refused)?;
        let lower = digits.len() == 64 && !digits.bytes().any(|b| b.is_ascii_uppercase());
        let mut bytes = [0; 32];
        if lower && hex::decode_to_slice(digits, &mut bytes).is_ok() { Ok(Self(bytes)) } else { Err(refused()) }
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hex digits without the `sha256:` prefix: a safe file name.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 hex digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl StorageUri {
    /// Checks scheme and shape.
    pub fn new(text: &str) -> Result<Self, Refused> {
        let refused = |why: &str| {
            Refused(format!(
                "{why}; write file:///dir, gs://bucket/dir, s3://bucket/dir, az://container/dir or https://host/dir"
            ))
        };
        let url = url::Url::parse(text).map_err(|_| refused("this is not a URI"))?;
        match url.scheme() {
            "file" if url.host_str().is_none_or(str::is_empty) && url.path().len() > 1 => {}
            "file" => return Err(refused("a file URI needs an absolute path and no host")),
            "gs" | "s3" | "az" | "http" | "https" if url.host_str().is_some_and(|h| !h.is_empty()) => {}
            "gs" | "s3" | "az" | "http" | "https" => return Err(refused("the bucket or host is missing")),
            _ => return Err(refused("this scheme is not supported")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("credentials do not belong in a values file"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("a query or fragment does not name a directory"));
        }
        Ok(Self(url))
    }

    /// The URI.
    #[must_use]
    pub const fn url(&self) -> &url::Url {
        &self.0
    }
}

impl Weight {
    /// No live traffic.
    pub const ZERO: Self = Self(0);
    /// All live traffic.
    pub const FULL: Self = Self(10_000);

    /// A weight from basis points, `None` over 10 000.
    #[must_use]
    pub const fn from_bps(bps: u16) -> Option<Self> {
        if bps <= 10_000 { Some(Self(bps)) } else { None }
    }

    /// Basis points, `0..=10_000`.
    #[must_use]
    pub const fn bps(self) -> u16 {
        self.0
    }

    /// Percent, for people.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl fmt::Display for StorageUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent())
    }
}
