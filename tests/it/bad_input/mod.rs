//! Everything that people get wrong, through a whole server: what they are told, word for word, and that the last good
//! version answers all the same. Each crate has finer tables of its own; this one is what a person sees.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

mod artifacts;
mod mounted;
mod requests;
mod settings;
mod values;

use std::fmt::Write as _;
use std::path::Path;

use server::rollout::status::ModelStatus;
use tests::sandbox::{Running, Sandbox};
use tests::zoo;

/// Fewer than this and somebody has taken cases out.
const CASES_MIN: usize = 60;
/// The model that every case starts from, and its good version.
const MODEL: &str = "fraud-detection";
const GOOD: &str = "v1.0.0";

/// What was told of each case.
#[derive(Default)]
struct Table {
    text: String,
    cases: usize,
}

impl Table {
    fn kind(&mut self, name: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        writeln!(self.text, "{gap}== {name}").unwrap();
    }

    /// One case: every text is one that a person gets to see.
    fn case(&mut self, name: &str, told: &str) {
        assert!(!told.trim().is_empty(), "{name}: nothing was told");
        assert!(!told.contains("panic"), "{name}: {told}");
        self.cases += 1;
        writeln!(self.text, "\n# {name}\n{}", told.trim_end()).unwrap();
    }

    /// The whole table, without the paths of this run.
    fn redacted(&self, root: &Path) -> String {
        self.text.replace(&root.display().to_string(), "[root]")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_input_is_told_what_is_wrong_where_and_what_would_be_right() {
    let mut table = Table::default();
    let mut sandbox = Sandbox::new()
        .unwrap()
        .setting("http-body-bytes-max", "64KiB")
        .setting("grpc-message-bytes-max", "64KiB")
        .setting("inflated-bytes-max", "128KiB");
    let running = mounted::files(&mut sandbox, &mut table).await;
    requests::over_http(&running, &mut table).await;
    requests::over_grpc(&running, &mut table).await;
    settings::start(&sandbox, running.app.addresses().http, &mut table).await;
    assert_eq!(answered_by(&running, "good").await, GOOD);
    assert!(running.stop().await, "nothing hangs after all of that");
    settings::flags(sandbox.root(), &mut table);
    settings::environment(&mut table);
    assert!(table.cases >= CASES_MIN, "only {} cases", table.cases);
    insta::assert_snapshot!("bad_input", table.redacted(sandbox.root()));
}

/// Asks `model` for a real answer over HTTP, and returns which version gave it.
async fn answered_by(running: &Running, model: &str) -> String {
    let row = &zoo::fraud_rows().unwrap()[0];
    let body = serde_json::json!({"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 9], "data": row}]});
    let url = format!("{}/v2/models/{model}/infer", running.http());
    let response = reqwest::Client::new().post(url).body(body.to_string()).send().await.unwrap();
    assert_eq!(response.status(), 200, "{model} still answers");
    response.headers()["x-sluice-version"].to_str().unwrap().to_owned()
}

/// What an operator reads of a model that did not get what its values ask for, however often it was tried by now.
fn complaint(status: &ModelStatus) -> String {
    let message = &status.message;
    let message = match message.split_once("; attempt ") {
        Some((before, after)) => format!("{before}; attempt [n]{}", after.trim_start_matches(char::is_numeric)),
        None => message.clone(),
    };
    format!("{:?}: {message}", status.phase)
}
