//! New certificates under a running server: callers on old and new connections lose no request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tests::pki::{Authority, Client, EXPIRED, Pair, VALID};
use tests::sandbox::{PATIENCE, Running};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Code;

use super::{World, ask_grpc, ask_http, metric, over_grpc, over_http};

/// Callers over both protocols, each on one connection and each on a new one for each request.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    callers: JoinSet<Vec<String>>,
}

impl Load {
    fn start(client: &Client, running: &Arc<Running>) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut callers = JoinSet::new();
        for (grpc, kept) in [(false, true), (false, false), (true, true), (true, false)] {
            let (client, running) = (client.clone(), Arc::clone(running));
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            callers.spawn(async move {
                let mut failures = Vec::new();
                let http = client.http().unwrap();
                let channel = client.grpc(running.app.addresses().grpc).await.unwrap();
                while !stop.load(Ordering::Relaxed) && failures.len() < 10 {
                    let (ended, good) = match (grpc, kept) {
                        (false, true) => told(ask_http(&http, &running).await, 200),
                        (false, false) => told(over_http(&client, &running).await, 200),
                        (true, true) => told(ask_grpc(channel.clone(), None).await, Code::Ok),
                        (true, false) => told(over_grpc(&client, &running).await, Code::Ok),
                    };
                    if good {
                        answered.fetch_add(1, Ordering::Relaxed);
                    } else {
                        failures.push(ended);
                    }
                }
                failures
            });
        }
        Self { stop, answered, callers }
    }

    /// Waits for this many more answers.
    async fn goes_on(&self, more: u64) {
        let enough = self.answered.load(Ordering::Relaxed) + more;
        let waited = timeout(PATIENCE, async {
            while self.answered.load(Ordering::Relaxed) < enough {
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("callers get answers");
    }

    async fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.callers.join_all().await.concat();
        (self.answered.load(Ordering::Relaxed), failures)
    }
}

fn told<T: PartialEq + std::fmt::Debug>(ended: Option<(T, String)>, good: T) -> (String, bool) {
    (format!("{ended:?}"), ended.is_some_and(|(code, _)| code == good))
}

fn der(pair: &Pair) -> Vec<u8> {
    CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap().to_vec()
}

/// Waits until new connections to both ports are shown `pair`.
async fn shown(client: &Client, running: &Running, pair: &Pair) {
    let addresses = running.app.addresses();
    for address in [addresses.http, addresses.grpc, addresses.admin] {
        let waited = timeout(PATIENCE, async {
            while client.server_certificate(address).await.unwrap() != der(pair) {
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("the new certificate is shown");
    }
}

const FAILURES: &str = "sluice_credentials_reloads_total{file=\"tls\",result=\"failure\"}";
const ERROR: &str = "sluice_credentials_error{file=\"tls\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_rotated_under_load_and_no_request_fails() {
    let mut world = World::new(&[], &[]).unwrap();
    let running = Arc::new(world.start().await.unwrap());
    let client = world.authority.client();
    let load = Load::start(&client, &running);
    load.goes_on(20).await;
    for _ in 0..3 {
        let next = world.authority.server(VALID).unwrap();
        world.secret.swap(&[("tls.crt", &next.cert), ("tls.key", &next.key)]).unwrap();
        shown(&client, &running, &next).await;
        load.goes_on(20).await;
    }
    let (answered, failures) = load.stop().await;
    assert!(failures.is_empty() && answered >= 80, "{answered} answered: {failures:?}");
    assert!((metric(&client, &running, FAILURES).await - 0.0).abs() < 0.5, "no half of an update was read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_good_certificate_stays_whatever_comes_after_it() {
    let mut world = World::new(&[], &[]).unwrap();
    let running = Arc::new(world.start().await.unwrap());
    let client = world.authority.client();
    let good = world.authority.server(VALID).unwrap();
    world.secret.swap(&[("tls.crt", &good.cert), ("tls.key", &good.key)]).unwrap();
    shown(&client, &running, &good).await;
    let expired = world.authority.server(EXPIRED).unwrap();
    let bad = [(&*expired.cert, &*expired.key), (&*expired.cert, &*good.key), ("", ""), ("no PEM", &*good.key)];
    for (round, (cert, key)) in bad.into_iter().enumerate() {
        world.secret.swap(&[("tls.crt", cert), ("tls.key", key)]).unwrap();
        let refused = timeout(PATIENCE, async {
            while metric(&client, &running, FAILURES).await < (round + 1) as f64 {
                tokio::task::yield_now().await;
            }
        });
        refused.await.expect("the refusal is counted");
        assert!(metric(&client, &running, ERROR).await > 0.5);
        assert_eq!(client.server_certificate(running.app.addresses().http).await.unwrap(), der(&good));
        assert_eq!(over_grpc(&client, &running).await, Some((Code::Ok, String::new())));
    }
    let next = world.authority.server(VALID).unwrap();
    world.secret.swap(&[("tls.crt", &next.cert), ("tls.key", &next.key)]).unwrap();
    shown(&client, &running, &next).await;
    assert!(metric(&client, &running, ERROR).await < 0.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_of_clients_is_rotated_too() {
    let (old, new) = (Authority::new().unwrap(), Authority::new().unwrap());
    let mut world = World::new(&[("tls-client-ca", "ca.crt")], &[("ca.crt", &*old.pem())]).unwrap();
    let running = Arc::new(world.start().await.unwrap());
    let client = world.authority.client();
    let (before, after) =
        (client.showing(old.issue(&["a"], VALID).unwrap()), client.showing(new.issue(&["a"], VALID).unwrap()));
    let kept = before.http().unwrap();
    assert_eq!(ask_http(&kept, &running).await, Some((200, String::new())));
    let next = world.authority.server(VALID).unwrap();
    world.secret.swap(&[("tls.crt", &next.cert), ("tls.key", &next.key), ("ca.crt", &new.pem())]).unwrap();
    shown(&after, &running, &next).await;
    assert_eq!(over_http(&after, &running).await, Some((200, String::new())));
    assert_eq!(over_grpc(&after, &running).await, Some((Code::Ok, String::new())));
    assert_eq!((over_http(&before, &running).await, over_grpc(&before, &running).await), (None, None));
    assert_eq!(ask_http(&kept, &running).await, Some((200, String::new())), "no open connection is dropped");
}
