//! What callers get wrong, and the sentence that tells them.

use super::{ask_at, post, request};
use crate::front::{Limits, testing};

/// One bad infer request to `pair` (`a` FP32, `b` INT64; shape [1,4]) and what is answered.
async fn check(headers: &[(&str, &str)], body: &str, status: u16, error: &str) {
    let answer = post("/v2/models/pair/infer", headers, body.to_owned()).await;
    assert_eq!((answer.status.as_u16(), answer.error()), (status, error.to_owned()), "{body}");
    assert!(!answer.header("x-request-id").is_empty(), "{body}");
}

fn input(rest: &str) -> String {
    format!(r#"{{"inputs":[{{"name":"a",{rest}}}]}}"#)
}

#[tokio::test]
async fn tensors_in_json() {
    let cases = [
        (
            r#""datatype":"FP32","shape":[1,4],"data":[1,2,3]"#,
            "input 'a': shape [1, 4] needs 4 elements, but 3 were given",
        ),
        (
            r#""datatype":"FP32","shape":[1,4],"data":[1,2,3,4,5]"#,
            "input 'a': shape [1, 4] needs 4 elements, but 5 were given",
        ),
        (
            r#""datatype":"FP32","shape":[2,2],"data":[[1,2],[3]]"#,
            "input 'a': a list at depth 1 has 1 items, but dimension 1 of shape [2, 2] is 2",
        ),
        (
            r#""datatype":"FP32","shape":[2,2],"data":[[1],[2],[3],[4]]"#,
            "input 'a': a list at depth 1 has 1 items, but dimension 1 of shape [2, 2] is 2",
        ),
        (
            r#""datatype":"FP32","shape":[1,1,4],"data":[[1,2,3,4]]"#,
            "input 'a': its data is nested 2 deep; make it flat, or as deep as its shape [1, 1, 4]",
        ),
        (
            r#""datatype":"FP32","shape":[4],"data":[[1,2,3,4]]"#,
            "input 'a': its data is nested deeper than its shape [4]",
        ),
        (
            r#""datatype":"FP32","shape":[2,1],"data":[1,[2]]"#,
            "input 'a': its data is nested 2 deep; make it flat, or as deep as its shape [2, 1]",
        ),
        (r#""datatype":"FP32","shape":[1],"data":1"#, "input 'a': its data is not a list"),
        (r#""datatype":"FP32","shape":[2],"data":[1,null]"#, "input 'a': element 1 is null"),
        (r#""datatype":"FP32","shape":[2],"data":[1,{}]"#, "input 'a': element 1 is an object"),
        (
            r#""datatype":"FP32","shape":[1],"data":[1e39]"#,
            "input 'a': element 0 is 1e39, but FP32 holds numbers up to 3.4028235e38",
        ),
        (
            r#""datatype":"FP32","shape":[1],"data":["1"]"#,
            "input 'a': element 0 is a string, but FP32 holds numbers up to 3.4028235e38",
        ),
        (r#""datatype":"UINT8","shape":[2],"data":[255,256]"#, "input 'a': element 1 is 256, but UINT8 holds 0 to 255"),
        (r#""datatype":"UINT8","shape":[1],"data":[-1]"#, "input 'a': element 0 is -1, but UINT8 holds 0 to 255"),
        (r#""datatype":"INT8","shape":[1],"data":[-129]"#, "input 'a': element 0 is -129, but INT8 holds -128 to 127"),
        (
            r#""datatype":"INT64","shape":[1],"data":[1.5]"#,
            "input 'a': element 0 is 1.5, but INT64 holds -9223372036854775808 to 9223372036854775807",
        ),
        (
            r#""datatype":"INT64","shape":[1],"data":[9223372036854775808]"#,
            "input 'a': element 0 is 9223372036854775808, but INT64 holds -9223372036854775808 to 9223372036854775807",
        ),
        (r#""datatype":"BOOL","shape":[1],"data":[1]"#, "input 'a': element 0 is 1, but BOOL holds true or false"),
        (r#""datatype":"BYTES","shape":[1],"data":[7]"#, "input 'a': element 0 is 7, but BYTES holds strings"),
        (
            r#""datatype":"FP16","shape":[1],"data":[1]"#,
            "input 'a': FP16 has no JSON form; send and ask for it with the binary tensor extension",
        ),
        (
            r#""datatype":"BF16","shape":[1],"data":[1]"#,
            "input 'a': BF16 has no JSON form; send and ask for it with the binary tensor extension",
        ),
        (r#""datatype":"FP32","data":[1]"#, "input 'a' has no shape"),
        (r#""datatype":"FP32","shape":[1]"#, "input 'a' has neither data nor binary_data_size"),
        (r#""datatype":"FP32","shape":[-1],"data":[]"#, "input 'a': dimension 0 of its shape is -1"),
        (
            r#""datatype":"FP32","shape":[9223372036854775807,3],"data":[]"#,
            "input 'a': shape [9223372036854775807, 3] has more elements than can be counted",
        ),
        (
            r#""datatype":"FP32","shape":[9000000000],"data":[1]"#,
            "input 'a': shape [9000000000] needs 9000000000 elements, but 1 were given",
        ),
        (
            r#""datatype":"FP32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data":[1]"#,
            "input 'a': shape has 17 dimensions, over the limit of 16",
        ),
        (
            r#""datatype":"FLOAT","shape":[1],"data":[1]"#,
            "input 'a': datatype 'FLOAT' is not one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES",
        ),
        (
            r#""datatype":"FP32","shape":[1],"parameters":{"shared_memory_region":"r"}"#,
            "input 'a': shared memory is not supported: a client cannot name memory of the server; send the tensor in the request",
        ),
        (
            r#""datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}"#,
            "input 'a' has binary_data_size, but the header inference-header-content-length is missing",
        ),
    ];
    for (rest, error) in cases {
        check(&[], &input(rest), 400, error).await;
    }
}

#[tokio::test]
async fn everything_wrong_is_told_at_once() {
    let body = r#"{"inputs":[{"name":"a","datatype":"FP32","shape":[2],"data":[1]},
                             {"name":"a","datatype":"INT8","shape":[1],"data":[300]}],
                   "outputs":[{"name":"y","parameters":{"classification":2}}]}"#;
    let error = "input 'a' is given twice; input 'a': shape [2] needs 2 elements, but 1 were given; \
                 input 'a': element 0 is 300, but INT8 holds -128 to 127; \
                 output 'y': the classification extension is not supported; ask for the tensor and rank it in the client";
    check(&[], body, 400, error).await;
}

#[tokio::test]
async fn bodies_that_are_no_infer_request() {
    let what = "the body is not the JSON of an infer request";
    check(&[], "", 400, &format!("{what}: EOF while parsing a value at line 1 column 0")).await;
    check(
        &[],
        r#"{"inputs":7}"#,
        400,
        &format!("{what}: invalid type: integer `7`, expected a sequence at line 1 column 11"),
    )
    .await;
    check(&[], r#"{"inputs":[]} x"#, 400, &format!("{what}: trailing characters at line 1 column 15")).await;
    let text = r#"{"parameters":{"timeout":"soon"}}"#;
    check(&[], text, 400, &format!("{what}: invalid type: string \"soon\", expected u64 at line 1 column 31")).await;
}

#[tokio::test]
async fn binary_headers_that_lie() {
    let length = "inference-header-content-length";
    for bad in ["-1", "+5", "abc", "", "1e3", "0x10", "99999999999999999999999"] {
        let error = format!("header {length} is '{bad}', not a number of bytes");
        check(&[(length, bad)], "{}", 400, &error).await;
    }
    check(&[(length, "9")], "{}", 400, &format!("{length} is 9, but the body has only 2 bytes")).await;
    check(
        &[(length, "18446744073709551615")],
        "{}",
        400,
        &format!("{length} is 18446744073709551615, but the body has only 2 bytes"),
    )
    .await;
    check(&[(length, "2")], "{}1234", 400, "4 bytes follow the last binary input").await;

    let with = |size: &str, tail: &str| {
        let json = input(&format!(r#""datatype":"FP32","shape":[1],"parameters":{{"binary_data_size":{size}}}"#));
        (json.len().to_string(), format!("{json}{tail}"))
    };
    let (json, body) = with("8", "1234");
    check(&[(length, &json)], &body, 400, "input 'a': binary_data_size is 8, but only 4 bytes follow the JSON").await;
    let (json, body) = with("18446744073709551615", "1234");
    let error = "input 'a': binary_data_size is 18446744073709551615, but only 4 bytes follow the JSON";
    check(&[(length, &json)], &body, 400, error).await;
    let (json, body) = with("3", "123");
    check(&[(length, &json)], &body, 400, "input 'a': shape [1] of FP32 needs 4 bytes, but 3 were given").await;
    let (json, body) = with("4", "12345");
    check(&[(length, &json)], &body, 400, "1 bytes follow the last binary input").await;
}

#[tokio::test]
async fn length_prefixes_of_bytes_that_lie() {
    let json = input(r#""datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}"#);
    let length = json.len().to_string();
    for tail in [&[255, 255, 255, 255, 0, 0][..], &[3, 0, 0, 0, 1, 2]] {
        let body = [json.as_bytes(), tail].concat();
        let answer = post("/v2/models/pair/infer", &[("inference-header-content-length", &length)], body).await;
        assert_eq!(
            answer.error(),
            "input 'a': element 0 of a BYTES tensor says it is longer than the data that follows"
        );
    }
}

#[tokio::test]
async fn deep_json_is_refused_and_does_not_overflow_the_stack() {
    let deep = "[".repeat(200_000);
    let error = "input 'a': its data is nested deeper than its shape [1, 1]";
    let closed = format!("{deep}{}", "]".repeat(200_000));
    check(&[], &input(&format!(r#""datatype":"FP32","shape":[1,1],"data":{closed}"#)), 400, error).await;
    for body in
        [deep.clone(), format!(r#"{{"inputs":{deep}"#), format!(r#"{{"x":{deep}"#), input(&format!(r#""data":{deep}"#))]
    {
        assert_eq!(post("/v2/models/pair/infer", &[], body.clone()).await.status.as_u16(), 400);
        assert_eq!(post("/v1/models/one:predict", &[], body).await.status.as_u16(), 400);
    }
    let answer = post("/v1/models/one:predict", &[], format!(r#"{{"instances":{closed}}}"#)).await;
    assert_eq!(answer.error(), "instance 0: input 'x' is nested over 16 deep");
}

#[tokio::test]
async fn too_many_tensors() {
    let front = testing::front_with(Limits { tensors: 2, ..Limits::default() });
    let body = r#"{"inputs":[{},{},{}]}"#;
    let answer = ask_at(front.clone(), request("POST", "/v2/models/pair/infer", &[], body)).await;
    assert_eq!(answer.error(), "the request has more inputs than the limit of 2");
    let body = r#"{"outputs":[{},{},{}]}"#;
    let answer = ask_at(front, request("POST", "/v2/models/pair/infer", &[], body)).await;
    assert_eq!(answer.error(), "the request has more outputs than the limit of 2");
}

#[tokio::test]
async fn many_problems_are_counted_not_told() {
    let inputs = vec![r#"{"name":"x","datatype":"FP32"}"#; 20].join(",");
    let answer = post("/v2/models/pair/infer", &[], format!(r#"{{"inputs":[{inputs}]}}"#)).await;
    assert!(answer.error().ends_with("; and 31 more"), "{}", answer.error());
}

#[tokio::test]
async fn errors_repeat_what_was_sent_escaped_and_cut() {
    let long = format!("<script>\\n{}", "y".repeat(100));
    let answer = post("/v2/models/pair/infer", &[], format!(r#"{{"inputs":[{{"name":"{long}"}}]}}"#)).await;
    let error = answer.error();
    assert!(error.starts_with("input '<script>\\nyyy") && error.ends_with("…' has no shape"), "{error}");
    let answer = post(&format!("/v2/models/{}/infer", "m".repeat(300)), &[], "{}").await;
    assert_eq!(answer.error(), "the model's name is 300 bytes long, over the limit of 256");
}

#[tokio::test]
async fn no_error_is_endless() {
    let answer = post("/v2/models/pair/infer", &[], r#"{"id":"endless"}"#).await;
    let error = answer.error();
    assert!(error.starts_with('é') && error.ends_with('…') && error.len() <= 4096, "{}", error.len());
}

#[tokio::test]
async fn failures_of_the_request_path_have_their_codes() {
    let table = [
        ("overloaded", 429, "too many requests are waiting; try again in 1500 ms"),
        ("late", 504, "the deadline passed before the answer was ready"),
        ("not-ready", 503, "model 'pair' is not ready"),
        ("going", 503, "the server is shutting down"),
        ("broken", 500, "the model failed: the kernel failed"),
        ("nan", 500, "the model's outputs held NaN or infinity"),
    ];
    for (id, status, error) in table {
        let answer = post("/v2/models/pair/infer", &[], format!(r#"{{"id":"{id}"}}"#)).await;
        assert_eq!((answer.status.as_u16(), &*answer.error()), (status, error));
        assert_eq!(answer.header("retry-after"), if status == 429 { "2" } else { "" });
        assert_eq!(answer.header("x-request-id"), id);
        assert_eq!(answer.header("x-sluice-version"), "");
    }
}

#[tokio::test]
async fn what_is_not_there() {
    let table = [
        ("POST", "/v2/models/nope/infer", 404, "model 'nope' is not served here"),
        ("POST", "/v2/models/pair/versions/v9/infer", 404, "model 'pair' has no version 'v9'"),
        ("POST", "/v2/models/pair/versions//infer", 400, "the version is empty"),
        ("GET", "/v2/models/pair/infer", 405, "'/v2/models/pair/infer' does not take GET"),
        ("DELETE", "/v2", 405, "'/v2' does not take DELETE"),
        ("GET", "/v2/nope", 404, "there is nothing at '/v2/nope'; see /v2"),
        ("GET", "/status", 404, "there is nothing at '/status'; see /v2"),
        ("GET", "/metrics", 404, "there is nothing at '/metrics'; see /v2"),
        ("POST", "/v2/models/%ff/infer", 400, "the path is not percent-encoded UTF-8"),
        (
            "POST",
            "/v2/repository/models/pair/load",
            501,
            "models are loaded and unloaded by the values file, not by a call: commit the change there",
        ),
        (
            "POST",
            "/v2/repository/models/pair/unload",
            501,
            "models are loaded and unloaded by the values file, not by a call: commit the change there",
        ),
        ("POST", "/v1/models/pair:classify", 404, "there is nothing at '/v1/models/pair:classify'; see /v2"),
        ("POST", "/v1/models/pair", 405, "'/v1/models/pair' does not take POST"),
        ("GET", "/v1/models/pair:predict", 405, "'/v1/models/pair:predict' does not take GET"),
        ("POST", "/v1/models/pair/labels/latest:predict", 400, "label 'latest' is neither stable nor canary"),
        ("POST", "/v1/models/pair/labels/canary:predict", 404, "model 'pair' has no canary version"),
    ];
    for (method, path, status, error) in table {
        let answer = ask_at(testing::front(), request(method, path, &[], "{}")).await;
        assert_eq!((answer.status.as_u16(), &*answer.error()), (status, error), "{method} {path}");
        assert_eq!(status == 405, !answer.header("allow").is_empty(), "{method} {path}");
    }
}
