//! V1.

use serde_json::{Value, json};

use super::{get, post};

async fn predict(path: &str, body: Value) -> Value {
    let answer = post(path, &[], body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 200, "{:?}", answer.body);
    answer.json()
}

#[tokio::test]
async fn rows_are_answered_as_predictions_and_columns_as_outputs() {
    let one = "/v1/models/one:predict";
    assert_eq!(
        predict(one, json!({"instances": [[1, 2], [3, 4.5]]})).await,
        json!({"predictions": [[1.0, 2.0], [3.0, 4.5]]})
    );
    assert_eq!(
        predict(one, json!({"instances": [{"x": [1]}, {"x": [2]}]})).await,
        json!({"predictions": [[1.0], [2.0]]})
    );
    assert_eq!(predict(one, json!({"instances": [1, 2]})).await, json!({"predictions": [1.0, 2.0]}));
    assert_eq!(predict(one, json!({"instances": []})).await, json!({"predictions": []}));
    assert_eq!(predict(one, json!({"inputs": [[1, 2]]})).await, json!({"outputs": [[1.0, 2.0]]}));
    assert_eq!(
        predict(one, json!({"inputs": {"x": [[1, 2]]}, "signature_name": "serving_default"})).await,
        json!({"outputs": [[1.0, 2.0]]})
    );
    let pair = "/v1/models/pair:predict";
    let rows = json!([{"a": [1.0], "b": [2]}, {"a": [3.0], "b": [4]}]);
    assert_eq!(predict(pair, json!({"instances": rows})).await, json!({"predictions": rows}));
    let columns = json!({"a": [[1.0], [3.0]], "b": [[2], [4]]});
    assert_eq!(predict(pair, json!({"inputs": columns})).await, json!({"outputs": columns}));
}

#[tokio::test]
async fn text_may_be_base64() {
    let text = "/v1/models/text:predict";
    let expected = json!({"predictions": [["hi", "x"], ["é", "y"]]});
    assert_eq!(predict(text, json!({"instances": [[{"b64": "aGk="}, "x"], ["é", "y"]]})).await, expected);
    assert_eq!(predict(text, json!({"instances": [{"b64": "aGk="}]})).await, json!({"predictions": ["hi"]}));
    assert_eq!(predict(text, json!({"inputs": {"x": [{"b64": "aGk="}]}})).await, json!({"outputs": ["hi"]}));
}

#[tokio::test]
async fn bad_predicts() {
    let one = [
        (json!({}), "the body has neither 'instances' (rows) nor 'inputs' (columns)"),
        (json!({"instances": [1], "inputs": [1]}), "the body must have one of 'instances' and 'inputs', once"),
        (
            json!({"instances": [[1, 2], [3]]}),
            "instance 1: input 'x' has lists of unequal length, 2 and 1 items, at depth 1",
        ),
        (json!({"instances": [[1], 2]}), "instance 1: input 'x' has lists and elements at one depth"),
        (json!({"instances": [1, [2]]}), "instance 1: input 'x' has lists and elements at one depth"),
        (json!({"instances": [{"y": 1}]}), "instance 0: 'y' is not an input of the model, which has 'x'"),
        (json!({"instances": [{}]}), "instance 0: input 'x' is missing"),
        (json!({"instances": [null]}), "instance 0: null is not a value"),
        (
            json!({"instances": ["a"]}),
            "instance 0: input 'x' element 0 is a string, but FP32 holds numbers up to 3.4028235e38",
        ),
        (json!({"inputs": {}}), "input 'x' is missing"),
        (json!({"inputs": {"x": [{"y": 1}]}}), "an object stands where an element is due"),
    ];
    for (body, error) in one {
        let answer = post("/v1/models/one:predict", &[], body.to_string()).await;
        assert_eq!((answer.status.as_u16(), &*answer.error()), (400, error), "{body}");
    }
    let pair = [
        (json!({"instances": [[1]]}), "instance 0: the model has 2 inputs; write an object of 'a', 'b'"),
        (json!({"instances": [{"a": 1}]}), "instance 0: input 'b' is missing"),
        (
            json!({"inputs": {"a": [1], "b": [1.5]}}),
            "input 'b' element 0 is 1.5, but INT64 holds -9223372036854775808 to 9223372036854775807",
        ),
    ];
    for (body, error) in pair {
        assert_eq!(post("/v1/models/pair:predict", &[], body.to_string()).await.error(), error, "{body}");
    }
    let twice = r#"{"instances":[{"a":1,"a":2,"b":3}]}"#;
    assert_eq!(post("/v1/models/pair:predict", &[], twice).await.error(), "instance 0: input 'a' is given twice");
    let half = post("/v1/models/half:predict", &[], r#"{"instances":[1]}"#).await;
    assert_eq!(
        half.error(),
        "input 'x' is FP16, which has no JSON form; send and ask for it with the binary tensor extension of V2"
    );
    let bad = post("/v1/models/text:predict", &[], r#"{"instances":[{"b64":"%"}]}"#).await;
    assert_eq!(bad.error(), r#"instance 0: an object is neither {"b64": "<base64>"} nor one of inputs"#);
}

#[tokio::test]
async fn labels_and_versions_choose_who_answers() {
    for (path, version) in [
        ("/v1/models/pair:predict", "v1"),
        ("/v1/models/pair/versions/v1:predict", "v1"),
        ("/v1/models/pair/labels/stable:predict", "v1"),
    ] {
        let answer = post(path, &[], r#"{"inputs":{"a":[1],"b":[1]}}"#).await;
        assert_eq!(answer.header("x-sluice-version"), version, "{path}");
    }
    let answer = get("/v1/models/all/labels/canary").await.json();
    assert_eq!(answer["model_version_status"][0]["version"], "v2");
}

#[tokio::test]
async fn status_lists_the_versions() {
    let status = |version: &str| json!({"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}});
    let model = |name: &str, ready: bool, versions: Value| json!({"name": name, "ready": ready, "model_version_status": versions});
    assert_eq!(get("/v1/models/all").await.json(), model("all", true, json!([status("v1"), status("v2")])));
    assert_eq!(get("/v1/models/all/versions/v2").await.json(), model("all", true, json!([status("v2")])));
    let loading = get("/v1/models/loading").await;
    assert_eq!(loading.status.as_u16(), 503);
    assert_eq!(loading.json(), model("loading", false, json!([])));
    assert_eq!(get("/v1/models/nope").await.error(), "model 'nope' is not served here");
}
