//! Who may ask for what, and how much: the one check under all front ends.
//!
//! Each connection has a [`Caller`]. A front end asks it before it does anything for a request, with the group of the
//! route; what it gets back is the same caller, which now holds the request's admission. Without an access file the
//! serving ports ask nothing, and the admin port asks for its token or lets in this machine only (`local.rs`).
//!
//! It must not know routes, bodies or models.

mod clients;
mod limits;
mod local;
mod refusal;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::listen::Peer;
use super::routes::Group;
use super::tls::PeerNames;

pub use clients::{Client, Clients};
pub use local::Token;
pub use refusal::Refused;

use clients::Pass;

/// The rules of one port; clones share them.
#[derive(Clone, Default)]
pub struct Guard(Option<Arc<Rules>>);

enum Rules {
    /// Rollout verbs only: whoever has the token, or without one this machine.
    Local(Option<Token>),
    File(File),
}

/// The rules of an access file.
struct File {
    clients: watch::Receiver<Arc<Clients>>,
    /// The admin port's own token, which may do all that is on that port.
    token: Option<Token>,
    common: Arc<Common>,
}

/// What the guards of all ports share.
#[derive(Debug)]
pub struct Common {
    /// Since when limits are counted.
    started: Instant,
    /// How often somebody asked who is no client.
    strangers: AtomicU64,
}

/// Who asks, over one connection. The one that a handler finds among a request's extensions was let in.
#[derive(Clone, Default)]
pub struct Caller {
    address: Option<SocketAddr>,
    /// `None` lets everybody in.
    door: Option<Arc<Door>>,
    pass: Option<Arc<Pass>>,
}

/// What is known of one connection.
struct Door {
    rules: Arc<Rules>,
    names: Option<Arc<PeerNames>>,
    /// What was found out for requests before this one; `None` without an access file.
    known: Option<Mutex<Known>>,
}

/// Clients that this connection showed itself as. It is forgotten when the file changes.
struct Known {
    clients: watch::Receiver<Arc<Clients>>,
    certificate: Option<Option<Arc<Client>>>,
    bearer: Option<(HeaderValue, Arc<Client>)>,
}

// === impl Guard ===

impl Guard {
    /// Lets everybody in.
    #[must_use]
    pub const fn open() -> Self {
        Self(None)
    }

    /// Lets everybody read, and whoever has `token` steer; without one this machine only.
    #[must_use]
    pub fn local(token: Option<Token>) -> Self {
        Self(Some(Arc::new(Rules::Local(token))))
    }

    /// Lets in the clients of an access file, and on the admin port whoever has `token`.
    #[must_use]
    pub fn file(clients: watch::Receiver<Arc<Clients>>, token: Option<Token>, common: Arc<Common>) -> Self {
        Self(Some(Arc::new(Rules::File(File { clients, token, common }))))
    }

    /// Whether nobody is asked anything.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// The caller at the other end of a new connection; `None` is nobody knows who.
    #[must_use]
    pub fn caller(&self, peer: Option<Peer>) -> Caller {
        let (address, names) = peer.map_or((None, None), |peer| (Some(peer.address), peer.names));
        let door = self.0.as_ref().map(|rules| {
            let known = match &**rules {
                Rules::Local(_) => None,
                Rules::File(file) => {
                    let clients = file.clients.clone();
                    Some(Mutex::new(Known { clients, certificate: None, bearer: None }))
                }
            };
            Arc::new(Door { rules: Arc::clone(rules), names, known })
        });
        Caller { address, door, pass: None }
    }
}

// === impl Common ===

impl Default for Common {
    fn default() -> Self {
        Self { started: Instant::now(), strangers: AtomicU64::new(0) }
    }
}

impl Common {
    /// How often somebody asked who is no client.
    #[must_use]
    pub fn strangers(&self) -> u64 {
        self.strangers.load(Ordering::Relaxed)
    }
}

// === impl Caller ===

impl Caller {
    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What logs call it; empty where it was not asked who it is.
    #[must_use]
    pub fn client(&self) -> &str {
        self.pass.as_ref().map_or("", |pass| pass.client())
    }

    /// Lets a request of `group` in: the caller may ask for it, and is within its limits until what is returned is
    /// dropped.
    pub fn admit(&self, group: Group, headers: &HeaderMap) -> Result<Self, Refused> {
        let Some(door) = &self.door else { return Ok(self.clone()) };
        Ok(Self { pass: door.admit(group, headers, self.address)?, ..self.clone() })
    }

    /// Whether the caller may ask for what is in `group`, without counting it as a request.
    pub fn may(&self, group: Group, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(door) = &self.door else { return Ok(()) };
        door.authorise(group, headers, self.address).map(drop)
    }
}

// === impl Door ===

impl Door {
    fn admit(
        &self,
        group: Group,
        headers: &HeaderMap,
        address: Option<SocketAddr>,
    ) -> Result<Option<Arc<Pass>>, Refused> {
        let Some(client) = self.authorise(group, headers, address)? else { return Ok(None) };
        let Rules::File(file) = &*self.rules else { return Ok(None) };
        client.admit(file.common.started.elapsed()).map(|pass| Some(Arc::new(pass)))
    }

    /// The client that may; `None` where it need not be one.
    fn authorise(
        &self,
        group: Group,
        headers: &HeaderMap,
        address: Option<SocketAddr>,
    ) -> Result<Option<Arc<Client>>, Refused> {
        let Some(right) = group.needs() else { return Ok(None) };
        match (&*self.rules, &self.known) {
            (Rules::File(file), Some(known)) => {
                let bearer = bearer(headers);
                if let (Some(token), Some((_, given))) = (&file.token, bearer)
                    && token.is(given)
                {
                    return Ok(None);
                }
                let client = known.lock().client(bearer, self.names.as_deref()).inspect_err(|_| {
                    file.common.strangers.fetch_add(1, Ordering::Relaxed);
                })?;
                client.may(right).map_err(|()| Refused::Forbidden(right))?;
                Ok(Some(client))
            }
            (Rules::Local(token), _) if group == Group::Admin => {
                local::check(token.as_ref(), headers, address).map(|()| None)
            }
            (Rules::Local(_) | Rules::File(_), _) => Ok(None),
        }
    }
}

// === impl Known ===

impl Known {
    /// A bearer token goes before a certificate: who sends one wants to be taken for its owner.
    fn client(
        &mut self,
        bearer: Option<(&HeaderValue, &[u8])>,
        names: Option<&PeerNames>,
    ) -> Result<Arc<Client>, Refused> {
        // Only the end of the process drops the sender, and then the last word stays.
        if self.clients.has_changed().unwrap_or(false) {
            self.clients.mark_unchanged();
            (self.certificate, self.bearer) = (None, None);
        }
        match bearer {
            Some((value, token)) => self.by_token(value, token).ok_or(Refused::TokenUnknown),
            None => self.by_certificate(names).ok_or(Refused::Unknown),
        }
    }

    fn by_token(&mut self, value: &HeaderValue, token: &[u8]) -> Option<Arc<Client>> {
        // Callers behind one proxy may share a connection, so this must not tell how much is right either.
        let same = |known: &HeaderValue| local::same(known.as_bytes(), value.as_bytes());
        if let Some((_, client)) = self.bearer.as_ref().filter(|(known, _)| same(known)) {
            return Some(Arc::clone(client));
        }
        let client = self.clients.borrow().by_token(token)?;
        self.bearer = Some((value.clone(), Arc::clone(&client)));
        Some(client)
    }

    fn by_certificate(&mut self, names: Option<&PeerNames>) -> Option<Arc<Client>> {
        let names = names?;
        self.certificate.get_or_insert_with(|| self.clients.borrow().by_certificate(names)).clone()
    }
}

/// The header with a bearer token, and the token in it. Any other scheme is somebody else's.
fn bearer(headers: &HeaderMap) -> Option<(&HeaderValue, &[u8])> {
    let value = headers.get(AUTHORIZATION)?;
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| (value, token.trim_ascii()))
}
