//! Callers that never rest, and never accept a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tests::sandbox::PATIENCE;
use tests::zoo;

use super::MODEL;

/// Real rows, sent one after the other by four callers until stopped; every answer must be 200.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    callers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Traffic {
    pub(super) fn start(http: &str) -> Self {
        let rows = Arc::new(zoo::fraud_rows().expect("the zoo has rows"));
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let url = format!("{http}/v2/models/{MODEL}/infer");
        let callers = (0..4)
            .map(|caller| {
                let (rows, stop, answered, url) =
                    (Arc::clone(&rows), Arc::clone(&stop), Arc::clone(&answered), url.clone());
                tokio::spawn(async move {
                    let client = reqwest::Client::new();
                    let mut failures = Vec::new();
                    for row in rows.iter().cycle().skip(caller * 31) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        match ask(&client, &url, row).await {
                            Ok(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                            Err(failure) => failures.push(failure.to_string()),
                        }
                    }
                    failures
                })
            })
            .collect();
        Self { stop, answered, callers }
    }

    /// Returns once callers got this many more answers.
    pub(super) async fn goes_on(&self, more: u64) {
        let enough = self.answered.load(Ordering::Relaxed) + more;
        let waits = async {
            while self.answered.load(Ordering::Relaxed) < enough {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waits).await.expect("callers get answers");
    }

    /// Stops, and returns how many were answered and what failed.
    pub(super) async fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for caller in self.callers {
            failures.extend(caller.await.expect("a caller does not panic"));
        }
        (self.answered.load(Ordering::Relaxed), failures)
    }
}

async fn ask(client: &reqwest::Client, url: &str, row: &[f32]) -> anyhow::Result<Value> {
    let body = json!({"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 9], "data": row}]});
    let response = client.post(url).body(body.to_string()).send().await?;
    anyhow::ensure!(response.status() == 200, "{}: {}", response.status(), response.text().await?);
    let answer: Value = serde_json::from_slice(&response.bytes().await?)?;
    let numbers = answer["outputs"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|output| output["data"].as_array().into_iter().flatten());
    anyhow::ensure!(numbers.clone().count() >= 3 && numbers.clone().all(Value::is_number), "not an answer: {answer}");
    Ok(answer)
}
