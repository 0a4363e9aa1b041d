//! What can be wrong with the files of TLS. Each says which setting names the file, and what would be right.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

/// One thing that is wrong with the files of TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// The file is no PEM text.
    #[error("{flag} {path}: this is no PEM text: {why}", path = .path.display())]
    NotPem {
        /// The setting.
        flag: &'static str,
        /// As given.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file holds no certificate.
    #[error("{flag} {path}: it holds no certificate; write one as -----BEGIN CERTIFICATE-----", path = .path.display())]
    NoCertificate {
        /// The setting.
        flag: &'static str,
        /// As given.
        path: PathBuf,
    },
    /// The file holds no private key.
    #[error("--tls-key {path}: it holds no private key; write one as -----BEGIN PRIVATE KEY-----, without a password", path = .path.display())]
    NoKey {
        /// As given.
        path: PathBuf,
    },
    /// A certificate that cannot be read.
    #[error("{flag} {path}: certificate {number} in it is none that can be used", path = .path.display())]
    BadCertificate {
        /// The setting.
        flag: &'static str,
        /// As given.
        path: PathBuf,
        /// From 1.
        number: usize,
    },
    /// The key is not that of the certificate, or none that is known.
    #[error("--tls-key {path}: it does not fit the certificate of --tls-cert: {why}", path = .path.display())]
    BadKey {
        /// As given.
        path: PathBuf,
        /// What rustls says.
        why: rustls::Error,
    },
    /// The certificate is over.
    #[error("--tls-cert {path}: the certificate expired at {at}; renew it", path = .path.display(), at = time(*.at))]
    Expired {
        /// As given.
        path: PathBuf,
        /// When.
        at: SystemTime,
    },
    /// The certificate has not begun.
    #[error("--tls-cert {path}: the certificate is not valid before {from}; is the clock right?", path = .path.display(), from = time(*.from))]
    NotYetValid {
        /// As given.
        path: PathBuf,
        /// When it will be.
        from: SystemTime,
    },
    /// rustls cannot work with what was read.
    #[error("TLS cannot be set up: {0}")]
    Refused(String),
    /// Fewer files were read than the settings name.
    #[error("not every file of TLS was read")]
    Incomplete,
}

/// All that is wrong with the files of TLS.
#[derive(Debug)]
pub struct TlsFaults(Vec<TlsFault>);

impl TlsFaults {
    /// One alone.
    #[must_use]
    pub fn of(fault: TlsFault) -> Self {
        Self(vec![fault])
    }

    /// `Err` where there is any.
    pub(super) fn check(faults: Vec<TlsFault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &TlsFault> {
        self.0.iter()
    }
}

impl fmt::Display for TlsFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for TlsFaults {}

fn time(at: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(at)
}
