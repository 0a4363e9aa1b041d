//! A proxy in front of a bucket server that fails on request, so that real clients meet the failures of real servers.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{Method, Response};
use futures::stream;
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// Largest body that passes: more than a part of an upload.
const BODY_BYTES_MAX: usize = 64 << 20;

/// A request that reached the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) method: Method,
    /// With the query; slashes, dots and dashes as they are, whatever the client made of them.
    pub(super) target: String,
    /// First byte of the range that is asked for.
    pub(super) start: u64,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    None,
    /// This status, and nothing reaches the server.
    Status(u16),
    /// The connection breaks in the middle of the body.
    Cut,
}

type Plan = Box<dyn FnMut(&Seen) -> Fault + Send>;

pub(super) struct Proxy {
    port: u16,
    state: Arc<State>,
}

struct State {
    upstream: String,
    client: reqwest::Client,
    plan: Mutex<Plan>,
    seen: Mutex<Vec<Seen>>,
}

impl Seen {
    /// A write of the object whose path ends with `name`, or of a part of it.
    pub(super) fn writes(&self, name: &str) -> bool {
        let path = self.target.split('?').next().unwrap_or_default();
        self.method == Method::PUT && path.ends_with(name)
    }

    /// A read of the object whose path ends with `name`.
    pub(super) fn reads(&self, name: &str) -> bool {
        let path = self.target.split('?').next().unwrap_or_default();
        self.method == Method::GET && path.ends_with(name)
    }
}

impl Proxy {
    /// Forwards to `upstream` from a port of its own.
    pub(super) async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let plan: Plan = Box::new(|_| Fault::None);
        let state = Arc::new(State { upstream, client, plan: Mutex::new(plan), seen: Mutex::default() });
        let shared = Arc::clone(&state);
        let router = axum::Router::new().fallback(move |request| {
            let state = Arc::clone(&shared);
            async move { state.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, state }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks `plan` about each request from now on, and forgets the requests so far.
    pub(super) fn on(&self, plan: impl FnMut(&Seen) -> Fault + Send + 'static) {
        *self.state.plan.lock() = Box::new(plan);
        self.state.seen.lock().clear();
    }

    /// Behaves from now on, and forgets the requests so far.
    pub(super) fn behave(&self) {
        self.on(|_| Fault::None);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().clone()
    }
}

impl State {
    async fn answer(&self, request: axum::extract::Request) -> Response<Body> {
        let seen = seen(&request);
        let fault = (self.plan.lock())(&seen);
        self.seen.lock().push(seen);
        match fault {
            Fault::None => self.forward(request).await.map(Body::from),
            Fault::Status(status) => Response::builder().status(status).body(Body::empty()).unwrap(),
            Fault::Cut => self.forward(request).await.map(|bytes| {
                let half = bytes.slice(..bytes.len() / 2);
                Body::from_stream(stream::iter([Ok(half), Err(std::io::Error::other("the line was cut"))]))
            }),
        }
    }

    async fn forward(&self, request: axum::extract::Request) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers;
        // Bucket servers route by host, and none of these checks that it was signed: the client writes the header for
        // the server's own address.
        headers.remove("host");
        let mut forward = self.client.request(parts.method, format!("{}{target}", self.upstream)).headers(headers);
        let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.unwrap();
        if !body.is_empty() {
            forward = forward.body(body);
        }
        let answer = forward.send().await.unwrap();
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        response.headers_mut().remove("transfer-encoding");
        *response.body_mut() = answer.bytes().await.unwrap();
        response
    }
}

fn seen(request: &axum::extract::Request) -> Seen {
    // Azure has a header of its own.
    let range = ["range", "x-ms-range"].into_iter().find_map(|name| request.headers().get(name)?.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
    let mut target = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    for (encoded, plain) in [("%2F", "/"), ("%2E", "."), ("%2D", "-")] {
        target = target.replace(encoded, plain);
    }
    Seen { method: request.method().clone(), target, start: start.unwrap_or(0) }
}
