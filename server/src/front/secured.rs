//! What the settings ask for of TLS and access, put together for the ports.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::{Port, Settings};
use futures::future::join;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::credentials::{CredentialFile, Credentials, ReloadHealth};
use super::guard::{Clients, Common, Guard, Token};
use super::listen::Protocol;
use super::tls::{self, Handshakes, Material, Tls};

/// Certificates and clients, as far as there are any.
pub struct Secured {
    tls: Option<Credentials<Material>>,
    ports: BTreeSet<Port>,
    access: Option<Credentials<Clients>>,
    token: Option<Token>,
    handshakes: Arc<Handshakes>,
    common: Arc<Common>,
}

/// What can be seen of it from outside.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The certificate in force.
    pub material: Option<watch::Receiver<Arc<Material>>>,
    /// The clients in force.
    pub clients: Option<watch::Receiver<Arc<Clients>>>,
    /// How reading files goes, by what is in them.
    pub files: Vec<(&'static str, Arc<ReloadHealth>)>,
    /// How handshakes ended.
    pub handshakes: Arc<Handshakes>,
    /// What the guards count together.
    pub common: Arc<Common>,
}

const TLS: &str = "tls";
const ACCESS: &str = "access";

impl Secured {
    /// Reads the files that `settings` name.
    ///
    /// # Errors
    /// What is wrong with them, for the operator.
    pub fn load(settings: &Settings, token: Option<Token>) -> Result<Self, String> {
        let certificates = settings.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let access = settings.access_file.clone().map(|path| access(path, certificates)).transpose();
        let tls = settings.tls.clone().map(|tls| {
            let make = |tls: config::TlsSettings| {
                move |contents: &[Vec<u8>], _: Option<&Material>, now| {
                    tls::material(&tls, contents, now).map_err(|faults| faults.to_string())
                }
            };
            Credentials::load(TLS, tls::files(&tls), make(tls))
        });
        let (tls, access) = match (tls.transpose(), access) {
            (Ok(tls), Ok(access)) => (tls, access),
            (Err(tls), Err(access)) => return Err(format!("{tls}\n{access}")),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let ports = settings.tls.as_ref().map(|tls| tls.ports.clone()).unwrap_or_default();
        Ok(Self { tls, ports, access, token, handshakes: Arc::default(), common: Arc::default() })
    }

    /// TLS for `port`, where it speaks it.
    #[must_use]
    pub fn tls(&self, port: Port) -> Option<Tls> {
        let tls = self.tls.as_ref().filter(|_| self.ports.contains(&port))?;
        let protocol = if port == Port::Grpc { Protocol::Grpc } else { Protocol::Http };
        Some(Tls::new(tls.subscribe(), protocol, Arc::clone(&self.handshakes)))
    }

    /// Who may ask on the serving ports.
    #[must_use]
    pub fn serving(&self) -> Guard {
        self.access
            .as_ref()
            .map_or_else(Guard::open, |access| Guard::file(access.subscribe(), None, Arc::clone(&self.common)))
    }

    /// Who may ask on the admin port.
    #[must_use]
    pub fn admin(&self) -> Guard {
        let token = self.token.clone();
        match &self.access {
            Some(access) => Guard::file(access.subscribe(), token, Arc::clone(&self.common)),
            None => Guard::local(token),
        }
    }

    /// What metrics are made of.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let tls = self.tls.as_ref().map(|tls| (TLS, tls.health()));
        let access = self.access.as_ref().map(|access| (ACCESS, access.health()));
        Seen {
            material: self.tls.as_ref().map(Credentials::subscribe),
            clients: self.access.as_ref().map(Credentials::subscribe),
            files: tls.into_iter().chain(access).collect(),
            handshakes: Arc::clone(&self.handshakes),
            common: Arc::clone(&self.common),
        }
    }

    /// Follows the files every `interval`, until `stop`.
    pub async fn follow(self, interval: Duration, stop: CancellationToken) {
        let tls = async {
            match self.tls {
                Some(tls) => tls.follow(interval, stop.clone()).await,
                None => stop.cancelled().await,
            }
        };
        let access = async {
            match self.access {
                Some(access) => access.follow(interval, stop.clone()).await,
                None => stop.cancelled().await,
            }
        };
        join(tls, access).await;
    }
}

fn access(path: PathBuf, certificates: bool) -> Result<Credentials<Clients>, String> {
    let name = path.display().to_string();
    let make = move |contents: &[Vec<u8>], before: Option<&Clients>, _| {
        let text = String::from_utf8(contents.concat()).map_err(|_| format!("{name}: the file is not UTF-8 text"))?;
        let file = config::access::parse(&name, &text, certificates).map_err(|problems| problems.to_string())?;
        Ok(Clients::new(file, before))
    };
    Credentials::load(ACCESS, vec![CredentialFile { flag: "--access-file", path }], make)
}
