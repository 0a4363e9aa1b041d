//! TLS on the ports: who the server is, and who the client is.
//!
//! Owns certificates, and the handshake of a connection. What is read from the files becomes one [`Material`] for all
//! ports; each connection takes the newest, so a new certificate costs no connection that is open. Who may do what with a
//! name that a client showed is the [guard](super::guard)'s business.

mod faults;
mod material;
mod names;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use config::TlsSettings;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::credentials::CredentialFile;
use super::listen::Protocol;
pub use faults::{TlsFault, TlsFaults};
pub use material::Material;
pub use names::PeerNames;

/// How long a handshake may take. It is two round trips and some arithmetic.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How one port does TLS; clones share it.
#[derive(Debug, Clone)]
pub struct Tls {
    material: watch::Receiver<Arc<Material>>,
    protocol: Protocol,
    handshakes: Arc<Handshakes>,
}

/// How handshakes ended.
#[derive(Debug, Default)]
pub struct Handshakes {
    done: AtomicU64,
    failed: AtomicU64,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the handshake took longer than {} s", HANDSHAKE_TIMEOUT.as_secs())]
    TimedOut,
    #[error("{0}")]
    Failed(#[from] io::Error),
}

impl Tls {
    /// TLS for a port that speaks `protocol`, with the newest of `material`.
    #[must_use]
    pub fn new(material: watch::Receiver<Arc<Material>>, protocol: Protocol, handshakes: Arc<Handshakes>) -> Self {
        Self { material, protocol, handshakes }
    }

    /// The encrypted stream, and what the client's certificate says of it, where it has one.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Option<Arc<PeerNames>>), HandshakeError> {
        let config = self.material.borrow().config(self.protocol);
        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream));
        let accepted = match handshake.await {
            Ok(accepted) => accepted.map_err(HandshakeError::from),
            Err(_) => Err(HandshakeError::TimedOut),
        };
        let count = if accepted.is_ok() { &self.handshakes.done } else { &self.handshakes.failed };
        count.fetch_add(1, Ordering::Relaxed);
        let stream = accepted?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let names = certificate.map(|certificate| Arc::new(PeerNames::of(certificate)));
        Ok((stream, names))
    }
}

impl Handshakes {
    /// Those that led to a connection, and those that did not.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 2] {
        [("success", &self.done), ("failure", &self.failed)].map(|(how, count)| (how, count.load(Ordering::Relaxed)))
    }
}

/// The files that `settings` name, in the order in which [`material`] takes them.
#[must_use]
pub fn files(settings: &TlsSettings) -> Vec<CredentialFile> {
    let own = [("--tls-cert", Some(&settings.cert)), ("--tls-key", Some(&settings.key))];
    let all = own.into_iter().chain([("--tls-client-ca", settings.client_ca.as_ref())]);
    all.filter_map(|(flag, path)| Some(CredentialFile { flag, path: path?.clone() })).collect()
}

/// What the content of these files makes of a server, at `now`.
pub fn material(settings: &TlsSettings, contents: &[Vec<u8>], now: SystemTime) -> Result<Material, TlsFaults> {
    let [cert, key, client_ca @ ..] = contents else { return Err(TlsFaults::of(TlsFault::Incomplete)) };
    material::read(settings, cert, key, client_ca.first().map(Vec::as_slice), now)
}
