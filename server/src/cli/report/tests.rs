//! Whole reports: servers and Git hosts of our own on loopback, and what each host was sent.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::Parser;
use http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};

use super::*;
use crate::cli::tests::{Page, serve, values, write};

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// A Git host: what it was sent, and what it answers before it takes everything.
struct Host {
    url: String,
    state: Arc<HostState>,
}

#[derive(Default)]
struct HostState {
    sent: Mutex<Vec<Value>>,
    answers: Mutex<VecDeque<(u16, &'static str, &'static str)>>,
    heard: tokio::sync::Notify,
}

impl Host {
    /// Answers with each status, `Retry-After` and body of `answers` once, then with 201.
    fn new(answers: &[(u16, &'static str, &'static str)]) -> Self {
        let state =
            Arc::new(HostState { answers: Mutex::new(answers.iter().copied().collect()), ..HostState::default() });
        let url = serve(Router::new().fallback(take).with_state(Arc::clone(&state)));
        Self { url, state }
    }

    fn sent(&self) -> Vec<Value> {
        self.state.sent.lock().clone()
    }

    /// Returns when it was told `state`.
    async fn until(&self, state: &str) {
        while !self.told().iter().any(|(told, _)| told == state) {
            self.state.heard.notified().await;
        }
    }

    /// State and description of each status.
    fn told(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.sent().iter().map(|sent| (text(&sent["body"]["state"]), text(&sent["body"]["description"]))).collect()
    }
}

async fn take(
    State(state): State<Arc<HostState>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let body: Value = serde_json::from_slice(&body).unwrap();
    state.sent.lock().push(json!({
        "call": format!("{method} {uri}"), "body": body, "authorization": text("authorization"),
        "private-token": text("private-token"), "job-token": text("job-token"), "accept": text("accept"),
        "version": text("x-github-api-version"),
    }));
    state.heard.notify_one();
    let (status, retry_after, body) = state.answers.lock().pop_front().unwrap_or((201, "", "{}"));
    let mut response = Response::builder().status(status);
    if !retry_after.is_empty() {
        response = response.header("retry-after", retry_after);
    }
    response.body(Body::from(body)).unwrap()
}

/// An admin port that says one status after the other, and the last for ever.
fn admin(statuses: Vec<Value>) -> String {
    let statuses = Arc::new(Mutex::new(VecDeque::from(statuses)));
    let next = move || {
        let statuses = Arc::clone(&statuses);
        async move {
            let mut left = statuses.lock();
            let now = if left.len() > 1 { left.pop_front() } else { left.front().cloned() };
            Json(now.unwrap())
        }
    };
    serve(Router::new().route("/status", get(next)))
}

type LabelsLeft = Arc<Mutex<VecDeque<(&'static str, &'static str)>>>;

/// A serving port that says one pair of labels (stable, canary) after the other, and the last for ever.
fn serving(labels: &[(&'static str, &'static str)]) -> String {
    let labels = Arc::new(Mutex::new(labels.iter().copied().collect::<VecDeque<_>>()));
    let label = async |UrlPath(label): UrlPath<String>, State(labels): State<LabelsLeft>| {
        let mut left = labels.lock();
        let (stable, canary) = left.front().copied().unwrap();
        let version = match label.as_str() {
            "stable" => stable,
            _ => {
                if left.len() > 1 {
                    left.pop_front();
                }
                canary
            }
        };
        let found = json!({ "model_version_status": [{ "version": version, "state": "AVAILABLE" }] });
        if version.is_empty() { http::StatusCode::NOT_FOUND.into_response() } else { Json(found).into_response() }
    };
    serve(Router::new().route("/v1/models/m/labels/{label}", get(label)).with_state(labels))
}

fn status(revision: &str, phase: &str, message: &str, stable: &str) -> Value {
    json!({ "revisions": [revision], "models": [{
        "name": "m", "phase": phase, "message": message, "observedRevision": revision, "stable": { "version": stable },
    }] })
}

/// Values of version v2 in a file of production, and their revision.
fn file(folder: &Path) -> (String, String) {
    let text = values("v2", "");
    (write(folder, "values-production.yaml", &text), config::content_digest(text.as_bytes()).to_string())
}

/// Runs a command line in the environment of a CI job; the lines it printed, and how it ended.
async fn sluice(
    line: &[&str],
    variables: &[(&str, &str)],
    ended: impl Future<Output = ()>,
) -> (String, Result<(), Failure>) {
    let page = Page::default();
    let mut console = Console::plain(page.clone(), page.clone());
    let args = Line::try_parse_from([&["report", "--interval", "1ms"], line].concat()).unwrap().args;
    let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let short = Duration::from_millis(20);
    let given = Given { variable: &variable, patience: Patience { stable_for: short, gone_for: short } };
    let end = report(&args, given, ended, &mut console).await;
    drop(console);
    let text = String::from_utf8(page.0.lock().clone()).unwrap();
    (text, end)
}

fn github(host: &Host) -> [(&str, &str); 5] {
    [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_API_URL", &host.url),
        ("GITHUB_REPOSITORY", "acme/models"),
        ("GITHUB_SHA", SHA),
        ("GITHUB_TOKEN", "ghs_secret"),
    ]
}

fn gitlab(host: &Host) -> [(&str, &str); 5] {
    [
        ("GITLAB_CI", "true"),
        ("CI_API_V4_URL", &host.url),
        ("CI_PROJECT_ID", "7"),
        ("CI_COMMIT_SHA", SHA),
        ("GITLAB_TOKEN", "glpat"),
    ]
}

fn never() -> impl Future<Output = ()> {
    std::future::pending()
}

#[tokio::test]
async fn github_is_told_that_a_rollout_began_and_that_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (file, revision) = file(folder.path());
    let at = admin(vec![
        status("sha256:old", "Healthy", "v1 serves", "v1"),
        status(&revision, "Progressing", "v2 is at step 1 of 2", "v1"),
        status(&revision, "Healthy", "v2 serves", "v2"),
    ]);
    let host = Host::new(&[]);
    let job = [&github(&host)[..], &[("GITHUB_SERVER_URL", "https://github.com"), ("GITHUB_RUN_ID", "42")]].concat();
    let (printed, end) = sluice(&[&file, "--status", &at], &job, never()).await;
    assert_eq!(end, Ok(()), "{printed}");
    let sent = |state: &str, description: &str| {
        json!({
            "call": format!("POST /repos/acme/models/statuses/{SHA}"), "authorization": "Bearer ghs_secret",
            "private-token": null, "job-token": null, "accept": "application/vnd.github+json", "version": "2022-11-28",
            "body": {
                "state": state, "context": "sluice/m-production", "description": description,
                "target_url": "https://github.com/acme/models/actions/runs/42",
            },
        })
    };
    let expected = [sent("pending", "waiting for the servers to read this commit"), sent("success", "v2 is stable")];
    assert_eq!(host.sent(), expected);
    assert!(printed.ends_with("sluice/m-production: success: v2 is stable\n"), "{printed}");
    assert!(!printed.contains("ghs_secret"));
}

#[tokio::test]
async fn gitlab_is_told_that_it_was_rejected_and_the_command_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (file, revision) = file(folder.path());
    let at = admin(vec![status(&revision, "Degraded", "nan-share failed\nand is critical", "v1")]);
    let host = Host::new(&[]);
    let (_, end) = sluice(&[&file, "--status", &at], &gitlab(&host), never()).await;
    let failure = end.unwrap_err();
    let told = "sluice/m-production: nan-share failed and is critical";
    assert_eq!((failure.exit, failure.message.as_str()), (Exit::Failed, told));
    let sent = |state: &str, description: &str| {
        json!({
            "call": format!("POST /projects/7/statuses/{SHA}"), "authorization": null, "private-token": "glpat",
            "job-token": null, "accept": "*/*", "version": null,
            "body": { "state": state, "name": "sluice/m-production", "description": description },
        })
    };
    let expected = [
        sent("running", "waiting for the servers to read this commit"),
        sent("failed", "nan-share failed and is critical"),
    ];
    assert_eq!(host.sent(), expected);
}

#[tokio::test]
async fn a_serving_port_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = file(folder.path());
    let (v1, v2) = ("v1", "v2");
    let promoted = serving(&[(v1, ""), (v1, v2), (v1, v2), (v2, "")]);
    let host = Host::new(&[]);
    let (printed, end) = sluice(&[&file, "--status", &promoted], &github(&host), never()).await;
    assert_eq!(end, Ok(()), "{printed}");
    assert_eq!(host.told().last().unwrap(), &("success".to_owned(), "v2 is stable".to_owned()));
    let rejected = serving(&[(v1, ""), (v1, v2), (v1, "")]);
    let host = Host::new(&[]);
    let (_, end) = sluice(&[&file, "--status", &rejected], &github(&host), never()).await;
    assert_eq!(end.unwrap_err().exit, Exit::Failed);
    let last = ("failure".to_owned(), "v2 was sent back from its trial, v1 serves".to_owned());
    assert_eq!(host.told().last().unwrap(), &last);
}

#[tokio::test]
async fn a_busy_host_is_asked_again_and_one_that_refuses_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (file, revision) = file(folder.path());
    let at = admin(vec![status(&revision, "Healthy", "v2 serves", "v2")]);
    let busy = [(503, "0", "<html>"), (429, "0", ""), (403, "0", r#"{"message": "secondary rate limit"}"#)];
    let host = Host::new(&busy);
    let (printed, end) = sluice(&[&file, "--status", &at], &github(&host), never()).await;
    assert_eq!((end, host.sent().len()), (Ok(()), 5), "{printed}");

    let host = Host::new(&[(500, "0", "{}"); 20]);
    let (_, end) = sluice(&[&file, "--status", &at], &github(&host), never()).await;
    let failure = end.unwrap_err();
    assert_eq!((failure.exit, host.sent().len()), (Exit::Failed, 6), "{failure}");
    assert!(failure.message.contains("GitHub did not take the status in 6 tries: GitHub answers 500"), "{failure}");

    let host = Host::new(&[(401, "", r#"{"message": "Bad credentials"}"#)]);
    let (_, end) = sluice(&[&file, "--status", &at], &github(&host), never()).await;
    let failure = end.unwrap_err();
    assert_eq!((failure.exit, host.sent().len()), (Exit::Failed, 1), "{failure}");
    assert_eq!(failure.message, "GitHub answers 401: Bad credentials");
    assert!(failure.hint.unwrap().contains("statuses: write"));
}

#[tokio::test]
async fn gitlab_may_have_heard_it_before() {
    let folder = tempfile::tempdir().unwrap();
    let (file, revision) = file(folder.path());
    let at = admin(vec![status(&revision, "Healthy", "v2 serves", "v2")]);
    let again = r#"{"message": {"name": ["Cannot transition status via :run from :running"]}}"#;
    let host = Host::new(&[(400, "", again)]);
    let (printed, end) = sluice(&[&file, "--status", &at], &gitlab(&host), never()).await;
    assert_eq!(end, Ok(()), "{printed}");
    let host = Host::new(&[(400, "", r#"{"message": "name is too long"}"#)]);
    let job =
        gitlab(&host).map(|(key, value)| if key == "GITLAB_TOKEN" { ("CI_JOB_TOKEN", "job") } else { (key, value) });
    let (_, end) = sluice(&[&file, "--status", &at], &job, never()).await;
    assert_eq!(end.unwrap_err().message, "GitLab answers 400: name is too long");
    assert_eq!((&host.sent()[0]["job-token"], &host.sent()[0]["private-token"]), (&json!("job"), &Value::Null));
}

#[tokio::test]
async fn what_is_not_done_in_time_or_ended_from_outside_does_not_stay_pending() {
    let folder = tempfile::tempdir().unwrap();
    let (file, revision) = file(folder.path());
    let at = admin(vec![status(&revision, "Progressing", "step 1", "v1")]);
    let host = Host::new(&[]);
    let (_, end) = sluice(&[&file, "--status", &at, "--timeout", "0s"], &github(&host), never()).await;
    assert_eq!(end.unwrap_err().exit, Exit::Failed);
    let last = ("error".to_owned(), "not stable after 0s: waiting for the servers to read this commit".to_owned());
    assert_eq!(host.told().last().unwrap(), &last);

    let host = Host::new(&[]);
    let (_, end) = sluice(&[&file, "--status", &at], &github(&host), host.until("pending")).await;
    assert_eq!(end.unwrap_err().exit, Exit::Failed);
    let last = ("error".to_owned(), "not followed any more: the job was ended".to_owned());
    assert_eq!(host.told().last().unwrap(), &last);
}

#[tokio::test]
async fn several_files_have_a_status_each_and_the_worst_is_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (good, _) = file(folder.path());
    let bad = write(folder.path(), "values-staging.yaml", &values("v3", ""));
    // Each environment has servers of its own; this one port stands for both.
    let at = serving(&[("v2", "")]);
    let host = Host::new(&[]);
    let status = format!("{at}/?of={{model}}-{{environment}}");
    let (_, end) = sluice(&[&good, &bad, "--status", &status], &github(&host), host.until("success")).await;
    let failure = end.unwrap_err();
    let told = "sluice/m-staging: not followed any more: the job was ended";
    assert_eq!((failure.exit, failure.message.as_str()), (Exit::Failed, told));
    let of = |context: &str| {
        let sent = host.sent();
        let mine = sent.iter().filter(|sent| sent["body"]["context"] == context);
        mine.map(|sent| sent["body"]["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("sluice/m-production"), of("sluice/m-staging")),
        (vec!["pending".to_owned(), "success".to_owned()], vec!["pending".to_owned(), "error".to_owned()],)
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (good, _) = file(folder.path());
    let broken = write(folder.path(), "broken.yaml", "model: 3\n");
    let plain = write(folder.path(), "values.yaml", &values("v2", ""));
    let host = Host::new(&[]);
    let job = github(&host);
    for (line, told) in [
        (&[&*good, &broken, "--status", "http://h"][..], "broken.yaml:1"),
        (&[&*good, "--status", "h:1"], "no scheme"),
        (&[&*plain, "--status", "http://{environment}"], "values-ENVIRONMENT.yaml"),
        (&[&*good, &plain, "--status", "http://h", "--context", "x"], "several files"),
        (&[&*good, "--status", "http://h", "--sha", "main"], "no whole commit id"),
    ] {
        let (_, end) = sluice(line, &job, never()).await;
        let failure = end.unwrap_err();
        assert_eq!((failure.exit, failure.message.contains(told)), (Exit::BadInput, true), "{line:?}: {failure}");
    }
    assert_eq!(host.sent(), Vec::<Value>::new());
}
