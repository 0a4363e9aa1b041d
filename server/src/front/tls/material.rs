//! From the bytes of the files to what rustls serves with. Pure: `now` is an argument.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::{ClientAuth, TlsSettings};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::faults::{TlsFault, TlsFaults};
use crate::front::listen::Protocol;

const CERT: &str = "--tls-cert";
const CLIENT_CA: &str = "--tls-client-ca";

/// Sessions that a port remembers, so that clients that come back need no full handshake.
const SESSIONS_MAX: usize = 4096;

/// The server's certificate and whom it trusts, ready for each port.
#[derive(Debug)]
pub struct Material {
    http: Arc<ServerConfig>,
    grpc: Arc<ServerConfig>,
    expires: SystemTime,
}

impl Material {
    /// What a port that speaks `protocol` does its handshakes with.
    pub(super) fn config(&self, protocol: Protocol) -> Arc<ServerConfig> {
        Arc::clone(match protocol {
            Protocol::Http => &self.http,
            Protocol::Grpc => &self.grpc,
        })
    }

    /// When the server's certificate is over.
    #[must_use]
    pub const fn expires(&self) -> SystemTime {
        self.expires
    }
}

/// Reads the certificate, its key and the authorities of clients; everything wrong is told at once.
pub(super) fn read(
    settings: &TlsSettings,
    cert: &[u8],
    key: &[u8],
    client_ca: Option<&[u8]>,
    now: SystemTime,
) -> Result<Material, TlsFaults> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut faults = Vec::new();
    let own = own(settings, cert, key, now, &provider, &mut faults);
    let verifier = match (&settings.client_ca, client_ca) {
        (Some(path), Some(text)) => verifier(settings, path, text, &provider, &mut faults),
        _ => Some(WebPkiClientVerifier::no_client_auth()),
    };
    TlsFaults::check(faults)?;
    let ((own, expires), verifier) = own.zip(verifier).ok_or_else(|| TlsFaults::of(TlsFault::Incomplete))?;
    let config = |protocols: &[&[u8]]| {
        server_config(Arc::clone(&provider), Arc::clone(&verifier), Arc::clone(&own), protocols)
            .map_err(|error| TlsFaults::of(TlsFault::Refused(error.to_string())))
    };
    Ok(Material { http: config(&[b"h2", b"http/1.1"])?, grpc: config(&[b"h2"])?, expires })
}

fn server_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    own: Arc<CertifiedKey>,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(own));
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS_MAX);
    Ok(Arc::new(config))
}

/// The server's chain with its key, and when its certificate is over.
fn own(
    settings: &TlsSettings,
    cert: &[u8],
    key: &[u8],
    now: SystemTime,
    provider: &CryptoProvider,
    faults: &mut Vec<TlsFault>,
) -> Option<(Arc<CertifiedKey>, SystemTime)> {
    let chain = certificates(CERT, &settings.cert, cert, faults);
    let key = private_key(&settings.key, key, faults);
    let chain = chain?;
    let expires = in_time(&settings.cert, validity(&settings.cert, &chain, faults)?, now, faults);
    match CertifiedKey::from_der(chain, key?, provider) {
        Ok(own) => Some((Arc::new(own), expires?)),
        Err(why) => {
            faults.push(TlsFault::BadKey { path: settings.key.clone(), why });
            None
        }
    }
}

/// When the server's own certificate begins, and when it is over. Those above it are the client's to judge: it may know
/// another way to its root than by one of them that is over.
fn validity(path: &Path, chain: &[CertificateDer<'_>], faults: &mut Vec<TlsFault>) -> Option<(SystemTime, SystemTime)> {
    match X509Certificate::from_der(chain.first()?) {
        Ok((_, certificate)) => {
            let validity = certificate.validity();
            Some((moment(validity.not_before.timestamp()), moment(validity.not_after.timestamp())))
        }
        Err(_) => {
            faults.push(TlsFault::BadCertificate { flag: CERT, path: path.to_owned(), number: 1 });
            None
        }
    }
}

/// When the certificate is over; `None` where that has been, or it has not begun.
fn in_time(
    path: &Path,
    (from, to): (SystemTime, SystemTime),
    now: SystemTime,
    faults: &mut Vec<TlsFault>,
) -> Option<SystemTime> {
    let path = path.to_owned();
    if now >= to {
        faults.push(TlsFault::Expired { path, at: to });
    } else if now < from {
        faults.push(TlsFault::NotYetValid { path, from });
    } else {
        return Some(to);
    }
    None
}

/// Seconds since 1970; dates before that are 1970 to us.
fn moment(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

fn verifier(
    settings: &TlsSettings,
    path: &Path,
    text: &[u8],
    provider: &Arc<CryptoProvider>,
    faults: &mut Vec<TlsFault>,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let before = faults.len();
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(CLIENT_CA, path, text, faults)?.into_iter().enumerate() {
        if roots.add(certificate).is_err() {
            faults.push(TlsFault::BadCertificate { flag: CLIENT_CA, path: path.to_owned(), number: index + 1 });
        }
    }
    if faults.len() > before {
        return None;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match settings.client_auth {
        ClientAuth::Required => builder,
        ClientAuth::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| faults.push(TlsFault::Refused(error.to_string()))).ok()
}

fn certificates(
    flag: &'static str,
    path: &Path,
    text: &[u8],
    faults: &mut Vec<TlsFault>,
) -> Option<Vec<CertificateDer<'static>>> {
    let path = path.to_owned();
    match CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if chain.is_empty() => faults.push(TlsFault::NoCertificate { flag, path }),
        Ok(chain) => return Some(chain),
        Err(why) => faults.push(TlsFault::NotPem { flag, path, why: broken(&why) }),
    }
    None
}

fn private_key(path: &Path, text: &[u8], faults: &mut Vec<TlsFault>) -> Option<PrivateKeyDer<'static>> {
    let path = path.to_owned();
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => return Some(key),
        Err(pem::Error::NoItemsFound) => faults.push(TlsFault::NoKey { path }),
        Err(why) => faults.push(TlsFault::NotPem { flag: "--tls-key", path, why: broken(&why) }),
    }
    None
}

/// What is wrong with a PEM text; the library would show its markers as numbers.
const fn broken(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "an -----END …----- is missing",
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN …----- is not whole",
        pem::Error::Base64Decode(_) => "what stands between BEGIN and END is not base64",
        _ => "it cannot be read",
    }
}
