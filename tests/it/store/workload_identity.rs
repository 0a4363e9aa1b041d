//! GCS with workload identity: no key anywhere, a token from the metadata server.
//!
//! The client reads the metadata server's address from the process environment, which a test cannot change safely, so
//! the suite runs in a child process: this test binary again, with one test picked by name.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use config::StorageUri;
use futures::future::BoxFuture;
use server::store::Environment;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::buckets::{Bucket, Gcs};
use super::proxy::Proxy;
use super::suite::pull_suite;

const CHILD: &str = "store::workload_identity::child";

/// Serves `computeMetadata/v1/instance/service-accounts/default/token` and counts the requests.
async fn metadata_server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&count)));
        }
    });
    (port, asked)
}

async fn answer(mut stream: TcpStream, asked: Arc<AtomicUsize>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) if request.len() < 8192 => request.push(byte),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let token = request.starts_with("get /computemetadata/v1/instance/service-accounts/default/token");
    // Without this header the real server refuses, so that a confused proxy cannot leak a token.
    let (status, body) = if token && request.contains("metadata-flavor: google") {
        asked.fetch_add(1, Ordering::Relaxed);
        ("200 OK", r#"{"access_token":"from-the-metadata-server","expires_in":3600,"token_type":"Bearer"}"#)
    } else {
        ("403 Forbidden", "{}")
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let _ = stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await;
}

/// A proxy that refuses what does not carry the metadata server's token, since the bucket server asks for none.
async fn guard(upstream: String) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let forward = move |request: axum::extract::Request| {
        let (client, upstream) = (client.clone(), upstream.clone());
        async move {
            let authorized = |value: &axum::http::HeaderValue| value == "Bearer from-the-metadata-server";
            if !request.headers().get("authorization").is_some_and(authorized) {
                return axum::http::Response::builder().status(401).body(axum::body::Body::empty()).unwrap();
            }
            // The bucket server routes by host: the client writes the header for its own address.
            let mut headers = request.headers().clone();
            headers.remove("host");
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let answer = client
                .request(request.method().clone(), format!("{upstream}{path}"))
                .headers(headers)
                .send()
                .await
                .unwrap();
            axum::http::Response::from(answer).map(axum::body::Body::new)
        }
    };
    let router = axum::Router::new().fallback(forward);
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_with_a_token_from_the_metadata_server() {
    let bucket = Gcs::start().await;
    let (metadata, asked) = metadata_server().await;
    let guarded = guard(bucket.url()).await;
    let home = tempfile::tempdir().unwrap();
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", CHILD])
        .env("GCE_METADATA_HOST", format!("127.0.0.1:{metadata}"))
        .env("GCE_METADATA_IP", format!("127.0.0.1:{metadata}"))
        .env("XTASK_GCS_DIRECT", bucket.url())
        .env("XTASK_GCS_GUARDED", format!("http://127.0.0.1:{guarded}"))
        // No key of the developer's own may be found.
        .env("HOME", home.path())
        .env_remove("GOOGLE_APPLICATION_CREDENTIALS")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
    assert!(asked.load(Ordering::Relaxed) >= 1, "the token came from somewhere else");
}

/// Not a test of its own: the process that the test above starts.
#[tokio::test]
#[ignore = "the child process of gcs_with_a_token_from_the_metadata_server"]
async fn child() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let proxy = Proxy::start(variable("XTASK_GCS_GUARDED")).await;
    pull_suite(&Guarded { direct: Gcs::at(variable("XTASK_GCS_DIRECT")), proxy }).await;
}

/// Seeds the bucket directly and reads it through the guard, and through what fails on request.
struct Guarded {
    direct: Gcs,
    proxy: Proxy,
}

impl Bucket for Guarded {
    fn uri(&self, path: &str) -> StorageUri {
        self.direct.uri(path)
    }

    fn environment(&self) -> Environment {
        Environment::from_pairs([("GOOGLE_BASE_URL", self.proxy.url().as_str()), ("GOOGLE_ALLOW_HTTP", "true")])
    }

    fn put<'a>(&'a self, path: &'a str, content: &'a [u8]) -> BoxFuture<'a, ()> {
        self.direct.put(path, content)
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, ()> {
        self.direct.delete(path)
    }

    fn proxy(&self) -> Option<&Proxy> {
        Some(&self.proxy)
    }

    fn takes_pushes(&self) -> bool {
        self.direct.takes_pushes()
    }
}
