//! Bodies as bodies: sizes, encodings, timeouts, ids.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream};
use serde_json::json;

use super::{ask_at, post, request};
use crate::front::{Budget, Limits, testing};

const PATH: &str = "/v2/models/pair/infer";

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn small() -> Limits {
    Limits { body_bytes: 1000, inflated_bytes: 2000, ..Limits::default() }
}

fn valid() -> String {
    r#"{"inputs":[{"name":"a","datatype":"FP32","shape":[1],"data":[1]}]}"#.to_owned()
}

#[tokio::test]
async fn compressed_requests_are_inflated() {
    let valid = valid();
    for (encoding, body) in [
        ("gzip", gzip(valid.as_bytes())),
        ("deflate", deflate(valid.as_bytes())),
        ("zstd", zstd::encode_all(valid.as_bytes(), 1).unwrap()),
    ] {
        let answer = post(PATH, &[("content-encoding", encoding)], body).await;
        assert_eq!(answer.json()["outputs"][0]["data"], json!([1.0]), "{encoding}");
    }
}

#[tokio::test]
async fn bombs_and_garbage_are_refused() {
    let zeros = vec![b' '; 4 << 20];
    let bombs =
        [("gzip", gzip(&zeros)), ("deflate", deflate(&zeros)), ("zstd", zstd::encode_all(&*zeros, 19).unwrap())];
    for (encoding, body) in bombs {
        let limits = Limits { body_bytes: 1 << 20, inflated_bytes: 1 << 20, ..Limits::default() };
        let headers = [("content-encoding", encoding)];
        let answer = ask_at(testing::front_with(limits), request("POST", PATH, &headers, body)).await;
        let error = format!("the body is over the limit of 1048576 bytes when its {encoding} encoding is undone");
        assert_eq!((answer.status.as_u16(), answer.error()), (413, error));
        let answer = post(PATH, &headers, "not compressed").await;
        let error = format!("the body is not {encoding} as its content-encoding says");
        assert_eq!((answer.status.as_u16(), answer.error()), (400, error));
    }
    let answer = post(PATH, &[("content-encoding", "br")], "x").await;
    assert_eq!((answer.status.as_u16(), answer.header("accept-encoding")), (415, "gzip, deflate, zstd"));
    assert_eq!(answer.error(), "content-encoding 'br' is not supported; use gzip, deflate, zstd or none");
}

#[tokio::test]
async fn a_zstd_window_over_the_bound_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
    let answer = post(PATH, &[("content-encoding", "zstd")], encoder.finish().unwrap()).await;
    assert_eq!(answer.error(), "the body is not zstd as its content-encoding says");
}

#[tokio::test]
async fn long_bodies_are_refused_announced_or_not() {
    let body = "x".repeat(1001);
    let headers = [("content-length", "1001")];
    let answer = ask_at(testing::front_with(small()), request("POST", PATH, &headers, body.clone())).await;
    assert_eq!(answer.status.as_u16(), 413);
    assert_eq!(answer.error(), "the body is 1001 bytes, over the limit of 1000 bytes");

    let pieces = stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(Bytes::from("x".repeat(500)))));
    let answer = ask_at(testing::front_with(small()), request("POST", PATH, &[], Body::from_stream(pieces))).await;
    assert_eq!(answer.error(), "the body is longer, over the limit of 1000 bytes");
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let pieces: Vec<_> =
        valid().as_bytes().chunks(7).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    let answer = post(PATH, &[], Body::from_stream(stream::iter(pieces))).await;
    assert_eq!(answer.json()["outputs"][0]["data"], json!([1.0]));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_or_breaks_is_given_up() {
    let start = stream::iter([Ok::<_, std::io::Error>(Bytes::from("{"))]);
    let answer = post(PATH, &[], Body::from_stream(start.chain(stream::pending()))).await;
    assert_eq!((answer.status.as_u16(), &*answer.error()), (408, "the body did not arrive within 60 s"));
    let broken = stream::iter([Ok(Bytes::from("{")), Err(std::io::Error::other("reset"))]);
    let answer = post(PATH, &[], Body::from_stream(broken)).await;
    assert_eq!((answer.status.as_u16(), &*answer.error()), (400, "the body broke off"));
}

#[tokio::test]
async fn responses_are_compressed_only_when_asked_and_worth_it() {
    let inputs = r#"{"inputs":[{"name":"a","datatype":"FP32","shape":[1000],"data":[DATA]}]}"#;
    let body = inputs.replace("DATA", &vec!["1"; 1000].join(","));
    let plain = post(PATH, &[], body.clone()).await;
    assert_eq!(plain.header("content-encoding"), "");
    let gzip = post(PATH, &[("accept-encoding", "gzip")], body.clone()).await;
    assert_eq!((gzip.header("content-encoding"), gzip.header("vary")), ("gzip", "accept-encoding"));
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(&*gzip.body).read_to_end(&mut inflated).unwrap();
    assert_eq!(inflated, plain.body);
    let deflate = post(PATH, &[("accept-encoding", "deflate")], body.clone()).await;
    assert_eq!(deflate.header("content-encoding"), "deflate");
    inflated.clear();
    flate2::read::ZlibDecoder::new(&*deflate.body).read_to_end(&mut inflated).unwrap();
    assert_eq!(inflated, plain.body);
    let zstd = post(PATH, &[("accept-encoding", "zstd")], body).await;
    assert_eq!(zstd.header("content-encoding"), "zstd");
    assert_eq!(zstd::decode_all(&*zstd.body).unwrap(), plain.body);
    assert_eq!(post(PATH, &[("accept-encoding", "gzip")], valid()).await.header("content-encoding"), "");
}

#[tokio::test]
async fn the_shorter_timeout_reaches_the_request_path() {
    let timeout = async |parameter: &str, header: Option<&str>| {
        let headers: Vec<_> = header.map(|value| ("x-sluice-timeout-ms", value)).into_iter().collect();
        let body = format!(r#"{{"id":"timeout","parameters":{{{parameter}}}}}"#);
        post(PATH, &headers, body).await.error()
    };
    let some = |timeout| format!("{:?}", Some(timeout));
    assert_eq!(timeout("", None).await, "None");
    assert_eq!(timeout(r#""timeout":1500"#, None).await, some(Duration::from_micros(1500)));
    assert_eq!(timeout(r#""timeout":0"#, Some("0")).await, "None");
    assert_eq!(timeout(r#""timeout":1500"#, Some("1")).await, some(Duration::from_millis(1)));
    assert_eq!(timeout("", Some("20")).await, some(Duration::from_millis(20)));
    let error = "header x-sluice-timeout-ms is '1.5', not a whole number of milliseconds";
    assert_eq!(timeout("", Some("1.5")).await, error);
}

#[tokio::test]
async fn the_callers_id_is_kept_where_it_is_sane() {
    let id = async |header: &'static str, body: &'static str| {
        post(PATH, &[("x-request-id", header)], body).await.header("x-request-id").to_owned()
    };
    assert_eq!(id("abc-1", r#"{"id":"other"}"#).await, "abc-1");
    assert_eq!(id("a b", r#"{"id":"from-body"}"#).await, "from-body");
    assert_eq!(id("a b", r#"{"id":"c d"}"#).await.len(), 36);
}

#[tokio::test]
async fn the_variant_that_was_asked_for_answers() {
    let body = r#"{"inputs":[]}"#;
    let answer = post("/v2/models/all/infer", &[("x-sluice-variant", "canary")], body).await;
    assert_eq!((answer.header("x-sluice-version"), answer.header("x-sluice-variant")), ("v2", "canary"));
    let answer = post("/v2/models/all/versions/v2/infer", &[], body).await;
    assert_eq!((answer.header("x-sluice-version"), answer.json()["model_version"].as_str()), ("v2", Some("v2")));
}

#[tokio::test]
async fn bodies_share_a_budget_and_give_it_back() {
    let mut front = Arc::into_inner(testing::front()).unwrap();
    front.budget = Budget::of(1 << 20);
    let front = Arc::new(front);
    let arriving = || {
        let start = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 300 << 10]))]);
        request("POST", PATH, &[], Body::from_stream(start.chain(stream::pending())))
    };
    let mut open: Vec<_> = (0..3).map(|_| Box::pin(ask_at(Arc::clone(&front), arriving()))).collect();
    for body in &mut open {
        assert!(body.now_or_never().is_none());
    }
    let answer = ask_at(Arc::clone(&front), arriving()).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "1"));
    let bomb = gzip(&vec![b' '; 1 << 20]);
    let answer = ask_at(Arc::clone(&front), request("POST", PATH, &[("content-encoding", "gzip")], bomb)).await;
    assert_eq!(answer.status.as_u16(), 429, "what is inflated takes room too");
    let small = ask_at(Arc::clone(&front), request("POST", PATH, &[], valid())).await;
    assert_eq!(small.status.as_u16(), 200, "small ones are not counted");
    drop(open.pop());
    assert!(Box::pin(ask_at(front, arriving())).now_or_never().is_none(), "there is room again");
}
