//! Every server behind one name: a headless Service has an address for each ready pod. The name is resolved again at each
//! look, so that pods that come are waited for and pods that go are not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use reqwest::Url;
use tokio::time::timeout;

use super::{Goal, Look, look};
use crate::cli::client::{self, AdminArgs, Client};
use crate::cli::exit::Failure;
use crate::cli::output::Clean;

/// The admin port, where a name says no other.
const PORT: u16 = 8002;
/// How long a name may take to be resolved.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Servers that are asked at the same time.
const ASKED_AT_ONCE: usize = 16;
/// Servers of one name; more are none that sluice is made for.
const SERVERS_MAX: usize = 1000;

/// What an answer to a look is kept for: the address and what was found there.
type Found = (SocketAddr, Look);

/// The servers of one name, and the connections to them.
pub(super) struct Servers {
    base: Url,
    admin: AdminArgs,
    clients: BTreeMap<SocketAddr, Client>,
}

/// `NAME`, `NAME:PORT`, or a URL of it.
pub(super) fn service(text: &str) -> Result<Url, String> {
    if text.contains("://") {
        return client::base_url(text);
    }
    let url = client::base_url(&format!("http://{text}")).map_err(|error| format!("{error}, or as NAME[:PORT]"))?;
    // `Url` drops the port that is the scheme's own, so the text is looked at.
    let has_port = text.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    if url.path() != "/" || !url.username().is_empty() {
        return Err("write it as NAME or NAME:PORT".to_owned());
    }
    Ok(if has_port { url } else { with_port(url, PORT) })
}

fn with_port(mut url: Url, port: u16) -> Url {
    // An http URL with a host takes any port.
    let _ = url.set_port(Some(port));
    url
}

// === impl Servers ===

impl Servers {
    pub(super) fn new(base: Url, admin: AdminArgs) -> Self {
        Self { base, admin, clients: BTreeMap::new() }
    }

    /// Asks every server that the name has now.
    pub(super) async fn look(&mut self, goal: &Goal) -> Look {
        match self.addresses().await {
            Ok(addresses) => self.ask(&addresses, goal).await,
            Err(why) => Look::NotYet(why),
        }
    }

    async fn ask(&mut self, addresses: &[SocketAddr], goal: &Goal) -> Look {
        if let Err(failure) = self.connect(addresses) {
            return Look::Never(failure);
        }
        let asked = self.clients.iter().map(|(address, client)| async move { (*address, look(client, goal).await) });
        let mut found: Vec<Found> = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE).collect().await;
        found.sort_by_key(|(address, _)| *address);
        together(&found, self.name())
    }

    fn name(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let name = self.name();
        // A literal IPv6 address stands in brackets in a URL, and without in a look-up.
        let host = name.trim_start_matches('[').trim_end_matches(']');
        let port = self.base.port_or_known_default().unwrap_or(PORT);
        let found = match timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((host, port))).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(format!("{name} has no address yet: {error}")),
            Err(_) => return Err(format!("{name} is not resolved in time")),
        };
        let mut addresses: Vec<SocketAddr> = found.take(SERVERS_MAX).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    /// Keeps the connections to those that are still there, and makes those to new ones.
    fn connect(&mut self, addresses: &[SocketAddr]) -> Result<(), Failure> {
        self.clients.retain(|address, _| addresses.contains(address));
        for address in addresses {
            if !self.clients.contains_key(address) {
                self.clients.insert(*address, self.admin.client_at(&self.base, *address)?);
            }
        }
        Ok(())
    }
}

/// What all answers come to: done where each is, and over where one says that it never will be. Pure.
fn together(found: &[Found], name: &str) -> Look {
    let mut done = Vec::new();
    let mut waiting = None;
    for (address, look) in found {
        match look {
            Look::Done(message) => done.push(message),
            Look::NotYet(message) => waiting = waiting.or(Some(format!("{}: {message}", address.ip()))),
            Look::Never(failure) => {
                let message = format!("{}: {}", address.ip(), failure.message);
                return Look::Never(Failure { message, ..failure.clone() });
            }
        }
    }
    let of = found.len();
    match (waiting, done.first()) {
        (Some(waiting), _) => Look::NotYet(format!("{} of {of} servers, {waiting}", done.len())),
        (None, Some(message)) if of == 1 => Look::Done((*message).clone()),
        (None, Some(message)) => Look::Done(format!("{message}, on all {of} servers of {}", Clean(name))),
        (None, None) => Look::NotYet(format!("{} has no address yet", Clean(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;
    use crate::cli::tls::TlsArgs;

    #[test]
    fn a_service_is_a_name_with_the_admin_port_or_another() {
        for (text, url) in [
            ("fraud-headless", "http://fraud-headless:8002/"),
            ("fraud-headless.ml.svc:9002", "http://fraud-headless.ml.svc:9002/"),
            ("127.0.0.1:80", "http://127.0.0.1/"),
            ("[::1]", "http://[::1]:8002/"),
            ("[::1]:9002", "http://[::1]:9002/"),
            ("https://fraud-headless:8443", "https://fraud-headless:8443/"),
        ] {
            assert_eq!(service(text).unwrap().as_str(), url, "{text}");
        }
        for bad in ["", "a b", "name:port", "name/path", "user@name", "ftp://name"] {
            assert!(service(bad).is_err(), "{bad}");
        }
    }

    /// An admin port whose model is at `revision`.
    async fn server(address: SocketAddr, revision: &'static str) -> SocketAddr {
        let status = serde_json::json!({ "models": [{ "name": "m", "observedRevision": revision }] });
        let router = axum::Router::new().route("/status", axum::routing::get(async move || axum::Json(status)));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn servers_that_come_are_waited_for_and_those_that_go_are_not() {
        // Pods have one port, and an address each.
        let ahead = server(SocketAddr::from(([127, 0, 0, 1], 0)), "sha256:new").await;
        let pod = |last| SocketAddr::from(([127, 0, 0, last], ahead.port()));
        let (behind, gone) = (server(pod(2), "sha256:old").await, pod(3));
        let base = service(&format!("fraud-headless:{}", ahead.port())).unwrap();
        let mut servers =
            Servers::new(base.clone(), AdminArgs { admin: base, token_file: None, tls: TlsArgs::default() });
        let wanted = Some(("sha256:new".to_owned(), "v2".to_owned()));
        let goal = Goal { state: super::super::State::Observed, model: Some("m".to_owned()), wanted };
        let mut said = Vec::new();
        for addresses in [&[][..], &[ahead], &[ahead, behind], &[ahead, gone], &[ahead]] {
            said.push(match servers.ask(addresses, &goal).await {
                Look::Done(_) => "done",
                Look::NotYet(_) => "not yet",
                Look::Never(_) => "never",
            });
        }
        assert_eq!(said, ["not yet", "done", "not yet", "not yet", "done"]);
    }

    fn found(looks: &[Look]) -> Vec<Found> {
        let address = |index: usize| SocketAddr::from(([10, 0, 0, u8::try_from(index).unwrap()], PORT));
        looks.iter().enumerate().map(|(index, look)| (address(index), look.clone())).collect()
    }

    #[test]
    fn all_have_to_be_there_and_one_can_end_it() {
        let (done, behind) = (Look::Done("m: observed".to_owned()), Look::NotYet("not read yet".to_owned()));
        let never = Look::Never(Failure::failed("m is Degraded: bad"));
        let both = |looks: &[Look]| together(&found(looks), "fraud-headless");
        assert_eq!(both(&[]), Look::NotYet("fraud-headless has no address yet".to_owned()));
        assert_eq!(both(std::slice::from_ref(&done)), done);
        let all = Look::Done("m: observed, on all 2 servers of fraud-headless".to_owned());
        assert_eq!(both(&[done.clone(), done.clone()]), all);
        let some = Look::NotYet("1 of 3 servers, 10.0.0.1: not read yet".to_owned());
        assert_eq!(both(&[done.clone(), behind.clone(), behind.clone()]), some);
        let Look::Never(failure) = both(&[done, behind, never]) else { panic!("one is Degraded") };
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Failed, "10.0.0.2: m is Degraded: bad"));
    }
}
