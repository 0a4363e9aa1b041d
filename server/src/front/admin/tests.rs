//! The admin port, asked through its router.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{AdminOptions, service};
use crate::device::About;
use crate::front::guard::{Guard, Token};
use crate::front::listen::{Peer, PerPeer as _};
use crate::front::testing;
use crate::rollout::analysis::{Conclusion, Finding, Tally};
use crate::rollout::status::{CanaryStatus, HistoryEvent, MetricStatus, ModelStatus, RejectedStatus, VersionStatus};
use crate::rollout::{Phase, Status};

async fn ask(token: Option<&str>, peer: &str, request: Request<Body>) -> (u16, HeaderMap, String) {
    let peer = Peer { address: SocketAddr::new(peer.parse().unwrap(), 9), names: None };
    let options = AdminOptions {
        rollout: testing::rollout(),
        catalog: testing::catalog(),
        metrics: Arc::new(|| "# EOF\n".to_owned()),
        device: About::cpu(Some("no GPU".to_owned())),
        guard: Guard::local(token.and_then(Token::new)),
    };
    let (parts, body) = service(options).for_peer(peer).oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn verb(path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let mut request = Request::post(path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, _, body) = ask(None, "127.0.0.1", request.body(body.to_owned().into()).unwrap()).await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn get(path: &str) -> (u16, HeaderMap, String) {
    ask(None, "10.0.0.7", Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn verbs_reach_the_rollout() {
    let result = |text: &str| (200, json!({"result": text}));
    assert_eq!(verb("/v1/models/pair/promote", &[], r#"{"full":true}"#).await, result("pair: Promote { full: true }"));
    assert_eq!(verb("/v1/models/pair/promote", &[], "").await, result("pair: Promote { full: false }"));
    assert_eq!(verb("/v1/models/pair/abort", &[], "{}").await, result("pair: Abort"));
    assert_eq!(verb("/v1/models/pair/pause", &[], "{}").await, result("pair: Pause"));
    assert_eq!(verb("/v1/models/pair/retry", &[], "{}").await, result("pair: Retry"));
}

#[tokio::test]
async fn a_verb_is_readable_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let file = Arc::new(std::fs::File::create(&path).unwrap());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(file).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    verb("/v1/models/pair/promote", &[], r#"{"full":true}"#).await;
    verb("/v1/models/pair/abort", &[], "").await;
    drop(guard);
    let log = std::fs::read_to_string(path).unwrap();
    for told in ["model=pair verb=promote full=true", "model=pair verb=abort full=false"] {
        assert!(log.contains(told), "{log}");
    }
}

#[tokio::test]
async fn verbs_that_are_wrong_say_why() {
    let (status, body) = verb("/v1/models/nope/abort", &[], "{}").await;
    assert_eq!(status, 404, "{body}");
    let (status, body) = verb("/v1/models/text/abort", &[], "{}").await;
    assert_eq!((status, body), (409, json!({"error": "nothing is on trial"})));
    let (status, body) = verb("/v1/models/pair/destroy", &[], "{}").await;
    assert_eq!((status, body), (404, json!({"error": "'destroy' is not one of promote, abort, pause and retry"})));
    let (status, body) = verb("/v1/models/pair/abort", &[], r#"{"full":true}"#).await;
    assert_eq!((status, body), (400, json!({"error": "only promote takes full"})));
    assert_eq!(verb("/v1/models/pair/promote", &[], r#"{"ful":true}"#).await.0, 400);
    assert_eq!(verb("/v1/models/pair/promote", &[], &" ".repeat(5000)).await.0, 413);
}

#[tokio::test]
async fn verbs_from_elsewhere_need_the_token() {
    let request = |token: Option<&str>| {
        let mut request = Request::post("/v1/models/pair/abort").header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(Body::from("{}")).unwrap()
    };
    let (status, _, body) = ask(None, "10.0.0.7", request(None)).await;
    assert_eq!(
        (status, &*body),
        (403, r#"{"error":"without --admin-token-file, rollouts are steered from this machine only"}"#)
    );
    let (status, headers, _) = ask(Some("s3cret"), "10.0.0.7", request(None)).await;
    assert_eq!((status, headers["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    assert_eq!(ask(Some("s3cret"), "10.0.0.7", request(Some("guess"))).await.0, 403);
    assert_eq!(ask(Some("s3cret"), "10.0.0.7", request(Some("s3cret"))).await.0, 200);
}

#[tokio::test]
async fn a_form_cannot_steer() {
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let (status, body) = verb_as(content_type).await;
        assert_eq!((status, &*body), (415, r#"{"error":"send content-type: application/json"}"#));
    }
    let (status, body) = verb("/v1/models/pair/abort", &[("origin", "http://elsewhere.example")], "{}").await;
    assert_eq!((status, body), (403, json!({"error": "requests from pages of other origins are refused"})));
    let (status, _) = verb("/v1/models/pair/abort", &[("host", "rebound.example:8002")], "{}").await;
    assert_eq!(status, 403);
}

async fn verb_as(content_type: &str) -> (u16, String) {
    let request = Request::post("/v1/models/pair/abort").header("content-type", content_type);
    let (status, _, body) = ask(None, "127.0.0.1", request.body("{}".into()).unwrap()).await;
    (status, body)
}

#[tokio::test]
async fn what_may_be_read_from_anywhere() {
    let (status, headers, body) = get("/metrics").await;
    assert_eq!((status, &*body), (200, "# EOF\n"));
    assert_eq!(headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let (status, headers, body) = get("/status").await;
    assert_eq!((status, headers["cache-control"].to_str().unwrap()), (200, "no-store"));
    let told: Value = serde_json::from_str(&body).unwrap();
    assert!(told["models"].is_array(), "{body}");
    assert_eq!(told["device"], json!({"name": "cpu", "simulated": false, "reason": "no GPU"}));
    assert_eq!(get("/healthz").await.0, 200);
    assert_eq!(get("/nope").await.0, 404);
    assert_eq!(get("/v1/models/pair/abort").await.0, 405);
    assert_eq!(get("/v2").await.0, 404, "inference is not served here");
}

#[tokio::test]
async fn the_page_is_whole_and_asks_nobody_else() {
    let (status, headers, page) = get("/").await;
    assert_eq!((status, &headers["content-type"]), (200, &"text/html; charset=utf-8".parse().unwrap()));
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    // Nothing is loaded from elsewhere, and nothing from /status is written as markup.
    for absent in [
        "http://",
        "https://",
        "//cdn",
        " src=",
        "@import",
        "url(",
        "innerHTML",
        "insertAdjacentHTML",
        "document.write",
    ] {
        assert!(!page.contains(absent), "{absent}");
    }
}

/// A status in which nothing is absent.
fn full_status() -> Status {
    let (version, at) = (|| "v2".to_owned(), SystemTime::UNIX_EPOCH);
    let on_trial = || VersionStatus { version: version(), digest: Some("sha256:00".into()), state: "serving".into() };
    let metric = MetricStatus {
        name: "success-rate".into(),
        value: Some(99.0),
        samples: 7,
        measurement: Some(Finding::Successful),
        verdict: Conclusion::Running,
        reason: "few samples".into(),
        dry_run: true,
        counts: Tally::default(),
    };
    let rejected =
        RejectedStatus { version: version(), digest: Some("sha256:00".into()), retry: 1, reason: "NaN".into(), at };
    let model = ModelStatus {
        name: "fraud".into(),
        phase: Phase::Progressing,
        message: "a trial".into(),
        observed_revision: "00".into(),
        values_error: Some("line 1".into()),
        desired_version: version(),
        stable: Some(on_trial()),
        canary: Some(CanaryStatus { version: on_trial(), weight_percent: 5.0, step: 1, steps: 2, next_at: Some(at) }),
        analysis: vec![metric],
        rejected: vec![rejected],
        notes: vec!["v2: not checked".into()],
        promoted: vec![on_trial()],
        history: vec![HistoryEvent { at, event: "promoted", version: version(), reason: "all steps".into() }],
    };
    let (problems, notes) = (vec!["a file".into()], vec!["a mount".into()]);
    Status { models: vec![model], problems, revisions: vec!["sha256:00".into()], notes }
}

/// Whether `json` has `field` in any object of it.
fn has(json: &Value, field: &str) -> bool {
    match json {
        Value::Object(object) => object.contains_key(field) || object.values().any(|value| has(value, field)),
        Value::Array(items) => items.iter().any(|item| has(item, field)),
        _ => false,
    }
}

/// What the page's script reads of `objects`, such as `model.canary`, each name once for each use.
fn reads<'p>(page: &'p str, object: &str) -> Vec<&'p str> {
    let word = |text: &'p str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
        &text[..end]
    };
    let starts =
        page.match_indices(object).filter(|(at, _)| !page[..*at].ends_with(|c: char| c.is_ascii_alphanumeric()));
    starts.map(|(at, _)| word(&page[at + object.len()..])).filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_page_reads_the_fields_that_the_status_has() {
    let told = super::Told { rollout: &full_status(), device: &About::cpu(None) };
    let status = serde_json::to_value(told).unwrap();
    // Of lists and documents, not of the status.
    let built_in = ["length", "map", "filter", "find", "append", "toFixed", "toPrecision", "ok", "text"];
    let mut read = Vec::new();
    for object in ["status.", "model.", "model.canary?.", "canary.", "metric.", "metric.value.", "counts.", "version."]
    {
        read.extend(reads(super::PAGE, object).into_iter().filter(|name| !built_in.contains(name)));
    }
    // What events take apart.
    read.extend(["at", "event", "version", "reason"]);
    assert!(read.len() > 25, "the page's script is read otherwise now: {read:?}");
    for field in read {
        assert!(has(&status, field), "the page reads '{field}', which /status does not have");
    }
}
