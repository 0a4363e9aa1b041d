//! The admin port, asked through its router.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{AdminOptions, Token, router};
use crate::front::testing;

async fn ask(token: Option<&str>, peer: &str, request: Request<Body>) -> (u16, HeaderMap, String) {
    let mut request = request;
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 9)));
    let options = AdminOptions {
        rollout: testing::rollout(),
        catalog: testing::catalog(),
        metrics: Arc::new(|| "# EOF\n".to_owned()),
        token: token.and_then(Token::new),
    };
    let (parts, body) = router(options).oneshot(request).await.unwrap().into_parts();
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
    assert!(serde_json::from_str::<Value>(&body).unwrap()["models"].is_array(), "{body}");
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

/// Every field that the page's script reads of `/status`.
const FIELDS: &str = "name phase message observedRevision valuesError stable canary analysis rejected history version \
                      digest state weightPercent step steps nextAt value samples verdict reason dryRun counts at event";

#[test]
fn the_page_reads_the_fields_that_the_status_has() {
    for field in FIELDS.split_whitespace() {
        assert!(super::PAGE.contains(field), "{field}");
    }
}
