//! Health, metadata, configuration, statistics and the index.

use serde_json::json;

use super::{ask_at, get, post, request};
use crate::front::testing;

#[tokio::test]
async fn health() {
    assert_eq!(get("/v2/health/live").await.json(), json!({"live": true}));
    assert_eq!(get("/v2/health/ready").await.json(), json!({"ready": true}));
    let front = testing::front();
    front.draining.cancel();
    let answer = ask_at(front, request("GET", "/v2/health/ready", &[], "")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (503, json!({"ready": false})));
}

#[tokio::test]
async fn v1_asks_for_liveness_at_the_root() {
    let answer = get("/").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"status": "alive"})));
}

#[tokio::test]
async fn model_readiness() {
    let status = async |path: &'static str| get(path).await.status.as_u16();
    assert_eq!(status("/v2/models/pair/ready").await, 200);
    assert_eq!(status("/v2/models/pair/versions/v1/ready").await, 200);
    assert_eq!(status("/v2/models/pair/versions/v9/ready").await, 404);
    assert_eq!(status("/v2/models/loading/ready").await, 503);
    assert_eq!(status("/v2/models/nope/ready").await, 404);
}

#[tokio::test]
async fn the_server_tells_of_itself() {
    let expected = json!({
        "name": "sluice",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_configuration"],
    });
    assert_eq!(get("/v2").await.json(), expected);
}

#[test]
fn statistics_are_announced_where_every_version_is_a_number() {
    let announced = |version: &str| {
        let mut models = testing::catalog().models();
        models.retain(|model| &*model.name == "one");
        models[0].versions[0].version = version.into();
        crate::front::convert::metadata::extensions(&models).contains(&"statistics")
    };
    assert_eq!(["1", "20261123", "v1", "1.0", "01", "+1"].map(announced), [true, true, false, false, false, false]);
}

#[tokio::test]
async fn metadata_and_configuration() {
    let tensors = json!([
        {"name": "a", "datatype": "FP32", "shape": [-1, 4]},
        {"name": "b", "datatype": "INT64", "shape": [-1, 4]},
    ]);
    let metadata = get("/v2/models/pair").await.json();
    let expected =
        json!({"name": "pair", "versions": ["v1"], "platform": "onnx_sluice", "inputs": tensors, "outputs": tensors});
    assert_eq!(metadata, expected);
    assert_eq!(get("/v2/models/all/versions/v2").await.json()["versions"], json!(["v1", "v2"]));

    let config = get("/v2/models/pair/config").await.json();
    let tensors = json!([
        {"name": "a", "data_type": "TYPE_FP32", "dims": [4]},
        {"name": "b", "data_type": "TYPE_INT64", "dims": [4]},
    ]);
    assert_eq!((&config["input"], &config["output"]), (&tensors, &tensors));
    assert_eq!(config["max_batch_size"], 32);
    assert_eq!(config["dynamic_batching"], json!({"max_queue_delay_microseconds": 250}));
}

#[tokio::test]
async fn statistics() {
    let stats = get("/v2/models/pair/stats").await.json();
    let model = &stats["model_stats"][0];
    assert_eq!((&model["name"], &model["version"]), (&json!("pair"), &json!("v1")));
    assert_eq!((&model["inference_count"], &model["execution_count"]), (&json!(14), &json!(5)));
    assert_eq!(model["inference_stats"]["success"], json!({"count": 7, "ns": 700}));
    assert_eq!(model["inference_stats"]["fail"], json!({"count": 6, "ns": 60}), "failed, cancelled and rejected");
    assert_eq!(model["batch_stats"][0]["compute_infer"], json!({"count": 5, "ns": 500}));
    let count = async |path: &'static str| get(path).await.json()["model_stats"].as_array().unwrap().len();
    assert_eq!(count("/v2/models/all/stats").await, 2);
    assert_eq!(count("/v2/models/all/versions/v2/stats").await, 1);
    assert_eq!(count("/v2/models/stats").await, 7);
}

#[tokio::test]
async fn the_index() {
    let index = post("/v2/repository/index", &[], "").await.json();
    let loading = json!({"name": "loading", "version": "", "state": "UNAVAILABLE", "reason": "no version is ready"});
    assert!(index.as_array().unwrap().contains(&loading), "{index}");
    assert!(index.as_array().unwrap().contains(&json!({"name": "all", "version": "v2", "state": "READY"})));
    let ready = post("/v2/repository/index", &[], r#"{"ready":true}"#).await.json();
    assert!(!ready.as_array().unwrap().contains(&loading));
    assert_eq!(post("/v2/repository/index", &[], "[").await.status.as_u16(), 400);
}
