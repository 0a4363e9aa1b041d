//! Clients of a test: each has its own name as its token.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::watch;

use super::clients::Counts;
use super::{Caller, Clients, Common, Guard};
use crate::front::listen::Peer;
use crate::front::tls::PeerNames;

/// A client for each right.
pub(crate) const ALL: &[(&str, &str)] =
    &[("predict", "may: [predict]"), ("metadata", "may: [metadata]"), ("admin", "may: [admin]")];

/// A guard, and the file that it follows.
pub(crate) struct Door {
    sender: watch::Sender<Arc<Clients>>,
    pub(crate) guard: Guard,
    pub(crate) common: Arc<Common>,
}

/// What a file with these clients says; each has its name, its token and the rest as it is written.
pub(crate) fn clients(all: &[(&str, &str)], before: Option<&Clients>) -> Clients {
    let client = |(name, rest): &(&str, &str)| {
        let digest = config::content_digest(name.as_bytes()).hex();
        format!("- {{name: {name}, tokenSha256: \"{digest}\", {rest}}}\n")
    };
    let text: String = all.iter().map(client).collect();
    let file = config::access::parse("access.yaml", &format!("clients:\n{text}"), true);
    Clients::new(file.unwrap_or_else(|problems| panic!("{problems}")), before)
}

/// The header with `token`.
pub(crate) fn bearer(token: &str) -> HeaderMap {
    let value = format!("Bearer {token}").parse().unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

impl Door {
    pub(crate) fn new(all: &[(&str, &str)]) -> Self {
        let (sender, receiver) = watch::channel(Arc::new(clients(all, None)));
        let common = Arc::default();
        Self { sender, guard: Guard::file(receiver, None, Arc::clone(&common)), common }
    }

    pub(crate) fn change(&self, all: &[(&str, &str)]) {
        let next = clients(all, Some(&self.sender.borrow()));
        self.sender.send_replace(Arc::new(next));
    }

    pub(crate) fn caller(&self, names: Option<Arc<PeerNames>>) -> Caller {
        self.guard.caller(Some(Peer { address: "10.0.0.7:9".parse().unwrap(), names }))
    }

    pub(crate) fn count<T>(&self, name: &str, read: impl FnOnce(&Counts) -> T) -> T {
        let clients = self.sender.borrow();
        read(clients.iter().find(|client| client.name() == name).unwrap().counts())
    }
}
