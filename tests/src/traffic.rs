//! Callers beside a change: real rows, one after the other, and what became of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::sandbox::PATIENCE;
use crate::zoo;

/// Callers at once.
const CALLERS: usize = 4;
/// A caller that failed this often has shown what it can show.
const FAILURES_MAX: usize = 100;

/// Requests to `fraud-detection` until stopped.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    answers: watch::Receiver<Answers>,
    callers: Vec<JoinHandle<Vec<String>>>,
}

/// How many answers came from each version.
type Answers = BTreeMap<String, u64>;

/// What became of all requests.
#[derive(Debug)]
pub struct Report {
    /// How many each version answered, and rightly.
    pub answered: BTreeMap<String, u64>,
    /// What the others got.
    pub failures: Vec<String>,
}

impl Traffic {
    /// Starts the callers of the server whose HTTP front end is at `http`.
    pub fn start(http: &str) -> anyhow::Result<Self> {
        let rows = Arc::new(zoo::fraud_rows()?);
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, answers) = watch::channel(Answers::new());
        let sender = Arc::new(sender);
        let url = format!("{http}/v2/models/fraud-detection/infer");
        let call = |caller: usize| {
            let (rows, stop, sender, url) = (Arc::clone(&rows), Arc::clone(&stop), Arc::clone(&sender), url.clone());
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                let mut failures = Vec::new();
                for row in rows.iter().cycle().skip(caller * 31) {
                    if stop.load(Ordering::Relaxed) || failures.len() == FAILURES_MAX {
                        break;
                    }
                    match ask(&client, &url, row).await {
                        Ok(version) => sender.send_modify(|answers| *answers.entry(version).or_default() += 1),
                        Err(failure) => failures.push(failure.to_string()),
                    }
                }
                failures
            })
        };
        let callers = (0..CALLERS).map(call).collect();
        Ok(Self { stop, answers, callers })
    }

    /// Waits for one more answer of `version`.
    pub async fn answered_by(&mut self, version: &str) -> anyhow::Result<()> {
        let count = |answers: &Answers| answers.get(version).copied().unwrap_or_default();
        let before = count(&self.answers.borrow());
        let more = self.answers.wait_for(|answers| count(answers) > before);
        timeout(PATIENCE, more).await.with_context(|| format!("{version} never answered"))?.map(drop)?;
        Ok(())
    }

    /// Waits for this many more answers, of any version.
    pub async fn goes_on(&mut self, more: u64) -> anyhow::Result<()> {
        let enough = self.answers.borrow().values().sum::<u64>() + more;
        let waited = self.answers.wait_for(|answers| answers.values().sum::<u64>() >= enough);
        timeout(PATIENCE, waited).await.context("callers get no answers")?.map(drop)?;
        Ok(())
    }

    /// Stops the callers; their last requests are waited for, and count.
    pub async fn stop(self) -> anyhow::Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for caller in self.callers {
            failures.extend(caller.await?);
        }
        let answered = self.answers.borrow().clone();
        Ok(Report { answered, failures })
    }
}

/// Asks about one row; the version that answered, with a whole answer.
async fn ask(client: &reqwest::Client, url: &str, row: &[f32]) -> anyhow::Result<String> {
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
    Ok(answer["model_version"].as_str().context("the answer names its version")?.to_owned())
}
