//! A Kubernetes API server with one ConfigMap, on loopback: reading and merge-patching it as RBAC allows, resource
//! versions and their conflicts, and failures on demand. What was written is remembered.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::serve::Listener;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};
use server::cluster::{MESSAGE, OBSERVED_REVISION, PHASE, Place, REPORTS};
use tests::sandbox::PATIENCE;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(super) const NAME: &str = "fraud-detection-model-serving-values";
const NAMESPACE: &str = "ml-test";

/// What the annotations say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Told {
    pub(super) phase: String,
    pub(super) message: String,
    pub(super) revision: String,
    /// The phase that each server reports.
    pub(super) reports: BTreeMap<String, String>,
}

/// The API server, and the account of the pods.
pub(super) struct Cluster {
    url: String,
    account: tempfile::TempDir,
    object: Arc<Object>,
    told: watch::Receiver<Told>,
    hung_up: Arc<Notify>,
}

struct Object {
    content: Mutex<Content>,
    told: watch::Sender<Told>,
}

struct Content {
    map: Value,
    version: u64,
    token: String,
    /// Answers to the next calls, in place of the right ones.
    failures: VecDeque<u16>,
    /// Readings after which somebody else writes at once.
    rivals: usize,
    /// Everything that the servers wrote.
    written: Vec<Told>,
    /// Calls by method and answer.
    calls: BTreeMap<(String, u16), usize>,
}

// === impl Cluster ===

impl Cluster {
    /// A ConfigMap whose key `values.yaml` is `values`, as Argo CD applied it.
    pub(super) async fn new(values: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::serving(values, url, tempfile::tempdir().unwrap(), listener, Arc::default())
    }

    /// The same over TLS, as every real one: with a certificate of a CA that is the cluster's own.
    pub(super) async fn with_tls(values: &str) -> Self {
        let account = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(account.path().join("ca.crt"), own.cert.pem()).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()).into();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", tcp.local_addr().unwrap());
        let hung_up = Arc::new(Notify::new());
        let tls = Tls { tcp, acceptor: TlsAcceptor::from(Arc::new(config)), hung_up: Arc::clone(&hung_up) };
        Self::serving(values, url, account, tls, hung_up)
    }

    fn serving<L>(values: &str, url: String, account: tempfile::TempDir, listener: L, hung_up: Arc<Notify>) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        std::fs::write(account.path().join("token"), "first").unwrap();
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": NAME, "namespace": NAMESPACE, "annotations": { "argocd.argoproj.io/tracking-id": "fraud" } },
            "data": { "values.yaml": values },
        });
        let content = Content {
            map,
            version: 1,
            token: "first".to_owned(),
            failures: VecDeque::new(),
            rivals: 0,
            written: Vec::new(),
            calls: BTreeMap::new(),
        };
        let (sender, told) = watch::channel(Told::default());
        let object = Arc::new(Object { content: Mutex::new(content), told: sender });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&object));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, account, object, told, hung_up }
    }

    /// The cluster as the pod `name` sees it.
    pub(super) fn seen_by(&self, name: &str) -> Place {
        Place {
            api: self.url.parse().unwrap(),
            account: self.account.path().to_owned(),
            namespace: NAMESPACE.to_owned(),
            reporter: name.to_owned(),
        }
    }

    /// A commit arrives: the content changes, and annotations that Git does not have stay.
    pub(super) fn apply(&self, values: &str) {
        let mut content = self.object.content.lock();
        content.map["data"]["values.yaml"] = json!(values);
        content.version += 1;
    }

    /// Answers the next calls with these.
    pub(super) fn fail(&self, statuses: &[u16]) {
        self.object.content.lock().failures.extend(statuses);
    }

    /// Has somebody else write after each of the next readings.
    pub(super) fn interfere(&self, readings: usize) {
        self.object.content.lock().rivals = readings;
    }

    /// Only this token is let in from now on.
    pub(super) fn rotate(&self, token: &str) {
        token.clone_into(&mut self.object.content.lock().token);
    }

    /// Gives the pods another token.
    pub(super) fn mount(&self, token: &str) {
        std::fs::write(self.account.path().join("token"), token).unwrap();
    }

    /// Everything that was written, in order, less what only renews.
    pub(super) fn written(&self) -> Vec<Told> {
        let mut written = self.object.content.lock().written.clone();
        written.dedup();
        written
    }

    /// Calls of `method` that were answered with `status`.
    pub(super) fn calls(&self, method: &str, status: u16) -> usize {
        self.object.content.lock().calls.get(&(method.to_owned(), status)).copied().unwrap_or_default()
    }

    /// Calls of any kind.
    pub(super) fn asked(&self) -> usize {
        self.object.content.lock().calls.values().sum()
    }

    /// Waits until a client did not trust the certificate.
    pub(super) async fn hung_up(&self) {
        tokio::time::timeout(PATIENCE, self.hung_up.notified()).await.expect("somebody hangs up");
    }

    pub(super) fn annotations(&self) -> Value {
        self.object.content.lock().map["metadata"]["annotations"].clone()
    }

    /// Waits until what stands there is as `wanted` says.
    pub(super) async fn until(&self, wanted: impl Fn(&Told) -> bool) -> Told {
        let mut told = self.told.clone();
        let waited = tokio::time::timeout(PATIENCE, told.wait_for(|told| wanted(told)))
            .await
            .map(|told| told.map(|it| it.clone()));
        match waited {
            Ok(told) => told.unwrap(),
            Err(_) => panic!("the ConfigMap does not say so: {:#?}", self.written()),
        }
    }

    /// Waits until `phase` is told about `revision`.
    pub(super) async fn says(&self, phase: &str, revision: &str) -> Told {
        self.until(|told| told.phase == phase && told.revision == revision).await
    }

    /// Waits until `method` was answered with `status` this often.
    pub(super) async fn answered(&self, method: &str, status: u16, count: usize) {
        let looks = async {
            while self.calls(method, status) < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looks)
            .await
            .unwrap_or_else(|_| panic!("{method} is never answered with {status}"));
    }
}

/// A port whose connections are TLS.
struct Tls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    hung_up: Arc<Notify>,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = self.tcp.accept().await.unwrap();
            // A client that does not trust this hangs up.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
            self.hung_up.notify_one();
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

async fn answer(
    State(object): State<Arc<Object>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut content = object.content.lock();
    let (status, answer) = content.answer(&method, &uri, &headers, &body);
    *content.calls.entry((method.to_string(), status.as_u16())).or_default() += 1;
    if method == Method::PATCH && status.is_success() {
        let told = content.told();
        content.written.push(told.clone());
        object.told.send_replace(told);
    }
    (status, Json(answer)).into_response()
}

// === impl Content ===

impl Content {
    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (StatusCode, Value) {
        let refused = |code: u16, reason: &str| {
            let status = json!({
                "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason,
                "message": format!("configmaps {NAME:?}: {reason}"),
            });
            (StatusCode::from_u16(code).unwrap(), status)
        };
        if let Some(code) = self.failures.pop_front() {
            return refused(code, "on demand");
        }
        if headers.get("authorization").is_none_or(|token| *token != format!("Bearer {}", self.token)) {
            return refused(401, "Unauthorized");
        }
        if uri.path() != format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{NAME}") {
            return refused(403, "Forbidden");
        }
        match *method {
            Method::GET => {
                let read = self.shown();
                if self.rivals > 0 {
                    self.rivals -= 1;
                    self.version += 1;
                }
                (StatusCode::OK, read)
            }
            Method::PATCH if headers["content-type"] == "application/merge-patch+json" => {
                let mut patch: Value = serde_json::from_slice(body).unwrap();
                let expected = patch["metadata"].as_object_mut().unwrap().remove("resourceVersion");
                if expected.is_some_and(|version| version.as_str() != Some(&*self.version.to_string())) {
                    return refused(409, "Conflict");
                }
                merge(&mut self.map, &patch);
                self.version += 1;
                (StatusCode::OK, self.shown())
            }
            _ => refused(403, "Forbidden"),
        }
    }

    fn shown(&self) -> Value {
        let mut map = self.map.clone();
        map["metadata"]["resourceVersion"] = json!(self.version.to_string());
        map
    }

    fn told(&self) -> Told {
        let text = |key: &str| self.map["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned();
        let reports: BTreeMap<String, Value> = serde_json::from_str(&text(REPORTS)).unwrap();
        let phase = |report: &Value| report["phase"].as_str().unwrap().to_owned();
        Told {
            phase: text(PHASE),
            message: text(MESSAGE),
            revision: text(OBSERVED_REVISION),
            reports: reports.iter().map(|(name, report)| (name.clone(), phase(report))).collect(),
        }
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else { return patch.clone_into(target) };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in fields {
        match value {
            Value::Null => drop(target.as_object_mut().unwrap().remove(key)),
            value => merge(&mut target[key], value),
        }
    }
}
