//! The store against real bucket servers and the reference signer. `cargo xtask test` provides both.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

mod buckets;
mod faults;
mod process;
mod proxy;
mod signing;
mod suite;
mod workload_identity;

use buckets::{Azure, Files, S3, Web};
use suite::{http_suite, pull_suite};

#[tokio::test]
async fn file() {
    pull_suite(&Files::new()).await;
}

#[tokio::test]
async fn s3_and_its_objects_over_http() {
    let bucket = S3::start().await;
    pull_suite(&bucket).await;
    http_suite(&Web(&bucket)).await;
}

#[tokio::test]
async fn azure() {
    pull_suite(&Azure::start().await).await;
}
