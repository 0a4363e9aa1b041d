//! Real requests at a gentle pace, over HTTP as any caller sends them, so that there is traffic to judge a version by.
//! Counts what callers get.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::content::{MODEL, ROWS};
use crate::cli::exit::Failure;

/// One request in this time: 100 a second.
const PACE: Duration = Duration::from_millis(10);
/// Requests under way at once; a slow server gets fewer, not more.
const IN_FLIGHT: usize = 32;
/// Longer than the server's own deadline.
const TIMEOUT: Duration = Duration::from_secs(40);

/// The caller; stops when asked, or dropped.
pub(in crate::cli) struct Replay {
    counts: Arc<Counts>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What callers got.
#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
}

/// One `[…]` of the recorded rows per request, in the protocol's JSON.
pub(in crate::cli) fn requests() -> Result<Vec<String>, Failure> {
    let rows: Vec<Vec<f64>> =
        serde_json::from_str(ROWS).map_err(|error| Failure::failed(format_args!("the rows: {error}")))?;
    let request = |row: &Vec<f64>| {
        json!({ "inputs": [{ "name": "features", "shape": [1, row.len()], "datatype": "FP32", "data": row }] })
            .to_string()
    };
    Ok(rows.iter().map(request).collect())
}

impl Replay {
    /// Starts to call the server at `http`, with `requests` in turn.
    pub(in crate::cli) fn start(http: SocketAddr, requests: Vec<String>) -> Result<Self, Failure> {
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build();
        let client = client.map_err(|error| Failure::failed(format_args!("no HTTP client: {error}")))?;
        let counts = Arc::new(Counts::default());
        let stop = CancellationToken::new();
        let url = format!("http://{http}/v2/models/{MODEL}/infer");
        let task = tokio::spawn(call(client, url, requests, Arc::clone(&counts), stop.clone()));
        Ok(Self { counts, stop, task })
    }

    /// How many of them failed.
    pub(in crate::cli) fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }

    /// `1234 answered, 0 failed`.
    pub(in crate::cli) fn tally(&self) -> String {
        let [answered, failed] =
            [&self.counts.answered, &self.counts.failed].map(|count| count.load(Ordering::Relaxed));
        format!("{answered} answered, {failed} failed")
    }

    /// Sends no more, and waits for what is under way.
    pub(in crate::cli) async fn stop(&mut self) {
        self.stop.cancel();
        // A panic of the task has been reported; there is nothing to add.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn call(
    client: reqwest::Client,
    url: String,
    requests: Vec<String>,
    counts: Arc<Counts>,
    stop: CancellationToken,
) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut under_way = JoinSet::new();
    for body in requests.iter().cycle() {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = pace.tick() => {}
        }
        while under_way.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
        let request = client.post(&url).header("content-type", "application/json").body(body.clone());
        let counts = Arc::clone(&counts);
        under_way.spawn(async move {
            let count = if succeeds(request).await { &counts.answered } else { &counts.failed };
            count.fetch_add(1, Ordering::Relaxed);
            drop(permit);
        });
    }
    while under_way.join_next().await.is_some() {}
}

/// Whether a caller gets a whole answer.
async fn succeeds(request: reqwest::RequestBuilder) -> bool {
    let answer = async { request.send().await?.error_for_status()?.bytes().await };
    answer.await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::post;

    #[test]
    fn every_recorded_row_becomes_a_request() {
        let requests = requests().unwrap();
        assert!(requests.len() >= 100);
        for request in requests {
            let body: serde_json::Value = serde_json::from_str(&request).unwrap();
            assert_eq!(body["inputs"][0]["data"].as_array().unwrap().len(), 9);
        }
    }

    #[tokio::test]
    async fn counts_what_callers_get() {
        let calls = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&calls);
        let enough = Arc::new(tokio::sync::Notify::new());
        let reached = Arc::clone(&enough);
        let answer = async move || {
            let call = seen.fetch_add(1, Ordering::Relaxed);
            if call == 9 {
                reached.notify_one();
            }
            if call.is_multiple_of(2) { http::StatusCode::OK } else { http::StatusCode::INTERNAL_SERVER_ERROR }
        };
        let app = axum::Router::new().route("/v2/models/{model}/infer", post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, app).await });
        let mut replay = Replay::start(address, requests().unwrap()).unwrap();
        enough.notified().await;
        replay.stop().await;
        let total = calls.load(Ordering::Relaxed);
        assert_eq!(replay.tally(), format!("{} answered, {} failed", total.div_ceil(2), total / 2));
    }
}
