//! How a command trusts a server over https, and what it shows of itself. Knows files, not what is asked.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity};

use super::exit::Failure;
use super::files;

/// Bytes of one PEM file.
const PEM_MAX: u64 = 1 << 20;

/// Names the authorities that servers' certificates come from.
pub(crate) const CA_ENV: &str = "SLUICE_CLIENT_CA";
/// Names the certificate that is shown.
pub(crate) const CERT_ENV: &str = "SLUICE_CLIENT_CERT";
/// Names the key of that certificate.
pub(crate) const KEY_ENV: &str = "SLUICE_CLIENT_KEY";

/// For a server that speaks TLS.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TlsArgs {
    /// PEM file with the authorities of an https server; without it, those of this system
    #[arg(long, value_name = "FILE", env = CA_ENV, hide_env_values = true)]
    pub(crate) tls_ca: Option<PathBuf>,

    /// PEM file with the client certificate to show
    #[arg(long, value_name = "FILE", env = CERT_ENV, hide_env_values = true, requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// PEM file with the private key of --tls-cert
    #[arg(long, value_name = "FILE", env = KEY_ENV, hide_env_values = true, requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
}

// === impl TlsArgs ===

impl TlsArgs {
    /// `builder` for a server at an `https` URL, or at one in plain text, for which nothing of this is read.
    pub(super) fn apply(&self, builder: ClientBuilder, https: bool) -> Result<ClientBuilder, Failure> {
        if !https {
            // No root is looked for, so a system that has none can ask in plain text.
            return Ok(builder.tls_certs_only([]));
        }
        let builder = match &self.tls_ca {
            Some(path) => builder.tls_certs_only(authorities(path)?),
            None => builder,
        };
        Ok(match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => builder.identity(identity(cert, key)?),
            _ => builder,
        })
    }
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let text = files::read_text(path, PEM_MAX)?;
    let certificates = Certificate::from_pem_bundle(text.as_bytes()).unwrap_or_default();
    if certificates.is_empty() {
        return Err(Failure::input(format_args!("{} holds no certificate in PEM", path.display())));
    }
    Ok(certificates)
}

fn identity(cert: &Path, key: &Path) -> Result<Identity, Failure> {
    let pem = format!("{}\n{}", files::read_text(key, PEM_MAX)?, files::read_text(cert, PEM_MAX)?);
    Identity::from_pem(pem.as_bytes()).map_err(|_| {
        let (cert, key) = (cert.display(), key.display());
        Failure::input(format_args!("{cert} and {key} are no certificate with its key in PEM"))
    })
}
