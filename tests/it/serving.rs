//! Requests through a whole server: both protocols, overload, deadlines, drain.

use std::time::Duration;

use serde_json::{Value, json};
use tests::sandbox::{Running, Sandbox};

/// A server with one committed model, serving.
async fn serving(model: &str, version: &str, more: &str) -> anyhow::Result<(Sandbox, Running)> {
    let mut sandbox = Sandbox::new()?;
    sandbox.publish(model, version)?;
    let values = sandbox.values(model, version, more);
    sandbox.kubelet.swap(&[("values.yaml", &values)])?;
    let running = sandbox.start().await?;
    running.promoted(model, version).await?;
    Ok((sandbox, running))
}

async fn post(running: &Running, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
    let request = reqwest::Client::new().post(format!("{}{path}", running.http())).body(serde_json::to_vec(body)?);
    let response = request.header("content-type", "application/json").send().await?;
    let status = response.status().as_u16();
    Ok((status, serde_json::from_slice(&response.bytes().await?)?))
}

fn fraud_request(rows: usize) -> Value {
    let data = vec![vec![1.0; 9]; rows];
    json!({"id": "r1", "inputs": [{"name": "features", "datatype": "FP32", "shape": [rows, 9], "data": data}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_model_answers_over_http() {
    let (_sandbox, running) = serving("fraud-detection", "v1.1.0", "").await.unwrap();
    let (status, body) = post(&running, "/v2/models/fraud-detection/infer", &fraud_request(3)).await.unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["model_version"], &body["id"]), (&json!("v1.1.0"), &json!("r1")));
    let probability =
        body["outputs"].as_array().unwrap().iter().find(|output| output["name"] == "probability").unwrap();
    assert_eq!(probability["shape"], json!([3, 2]));
    for row in probability["data"].as_array().unwrap().chunks(2) {
        let sum: f64 = row.iter().map(|value| value.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "a row of probabilities adds up to 1, not {sum}");
    }
    assert!(running.stop().await, "nothing was left to drain");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_too_many_rows_is_told_the_limit() {
    let (_sandbox, running) = serving("fraud-detection", "v1.0.0", "serving: {maxBatchSize: 4}\n").await.unwrap();
    let (status, body) = post(&running, "/v2/models/fraud-detection/infer", &fraud_request(5)).await.unwrap();
    assert_eq!(status, 400);
    assert_eq!(body["error"], "the request has 5 rows, over the model's maxBatchSize of 4; split it");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_many_callers_are_joined_and_taken_apart_again() {
    let more = "serving: {maxBatchSize: 8, queueDelayMax: 5ms}\n";
    let (_sandbox, running) = serving("identity-fp32", "v1", more).await.unwrap();
    let calls = (0..64).map(|index| {
        let running = &running;
        async move {
            let body =
                json!({"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 2], "data": [index, 0.5]}]});
            let (status, answer) = post(running, "/v2/models/identity-fp32/infer", &body).await.unwrap();
            assert_eq!(status, 200, "{answer}");
            assert_eq!(answer["outputs"][0]["data"][0].as_f64(), Some(f64::from(index)));
        }
    });
    futures::future::join_all(calls).await;
    let statistics = running.app.catalog().version("identity-fp32", None).unwrap().statistics;
    assert_eq!(statistics.inference_count, 64);
    assert!(statistics.execution_count < 64, "some requests shared a batch");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_told_apart_from_bad_input_and_not_ready() {
    let more = "serving: {maxBatchSize: 4, queueDelayMax: 2s, queueRowsMax: 4}\n";
    let (_sandbox, running) = serving("identity-fp32", "v1", more).await.unwrap();
    let body = |rows: usize| json!({"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [rows, 1], "data": vec![0; rows]}]});
    let path = "/v2/models/identity-fp32/infer";
    let (two, three) = (body(2), body(3));
    // Two rows wait for company; three more do not fit beside them.
    let (first, second) = tokio::join!(post(&running, path, &two), async {
        while running.app.catalog().version("identity-fp32", None).unwrap().queue_rows < 2 {
            tokio::task::yield_now().await;
        }
        reqwest::Client::new().post(format!("{}{path}", running.http())).body(three.to_string()).send().await
    });
    let second = second.unwrap();
    assert_eq!(second.status(), 429);
    assert_eq!(second.headers()["retry-after"], "1");
    assert_eq!(first.unwrap().0, 200);
    let (missing, _) = post(&running, "/v2/models/nothing/infer", &two).await.unwrap();
    assert_eq!(missing, 404);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_is_kept_by_a_timer_while_the_queue_waits() {
    let more = "serving: {maxBatchSize: 4, queueDelayMax: 10s}\n";
    let (_sandbox, running) = serving("identity-fp32", "v1", more).await.unwrap();
    let body = json!({"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": [0]}], "parameters": {"timeout": 20_000}});
    let answer =
        tokio::time::timeout(Duration::from_secs(5), post(&running, "/v2/models/identity-fp32/infer", &body)).await;
    let (status, _) = answer.expect("well before the queue delay").unwrap();
    assert_eq!(status, 504);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_inside_finish_while_the_server_drains() {
    let more = "serving: {maxBatchSize: 4, queueDelayMax: 300ms}\n";
    let (_sandbox, running) = serving("identity-fp32", "v1", more).await.unwrap();
    let url = format!("{}/v2/models/identity-fp32/infer", running.http());
    let body = json!({"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": [7]}]});
    let call = tokio::spawn(reqwest::Client::new().post(url).body(body.to_string()).send());
    while running.app.catalog().version("identity-fp32", None).unwrap().queue_rows < 1 {
        tokio::task::yield_now().await;
    }
    assert!(running.stop().await, "drained within the grace period");
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_ports_close_the_server_says_so_and_still_serves() {
    let mut sandbox = Sandbox::new().unwrap().setting("not-ready-wait", "2s");
    sandbox.publish("identity-fp32", "v1").unwrap();
    let values = sandbox.values("identity-fp32", "v1", "");
    sandbox.kubelet.swap(&[("values.yaml", &values)]).unwrap();
    let running = sandbox.start().await.unwrap();
    running.promoted("identity-fp32", "v1").await.unwrap();
    let (http, grpc) = (running.http(), running.grpc());
    let channel = tonic::transport::Channel::from_shared(grpc).unwrap().connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let stop = tokio::spawn(running.stop());
    let ready =
        || async { reqwest::get(format!("{http}/v2/health/ready")).await.map(|answer| answer.status().as_u16()) };
    while ready().await.unwrap() == 200 {
        tokio::task::yield_now().await;
    }
    let check = tonic_health::pb::HealthCheckRequest { service: "identity-fp32".to_owned() };
    let status = health.check(check).await.unwrap().into_inner().status();
    assert_eq!(status, tonic_health::ServingStatus::NotServing.into());
    let body = json!({"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": [7]}]});
    let url = format!("{http}/v2/models/identity-fp32/infer");
    let answer = reqwest::Client::new().post(&url).body(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200, "still serving");
    assert!(stop.await.unwrap(), "drained within the grace period");
    assert!(reqwest::get(&url).await.is_err(), "the port is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_added_and_does_not_come_up_leaves_the_server_ready() {
    let (mut sandbox, running) = serving("identity-fp32", "v1", "").await.unwrap();
    assert!(running.app.catalog().ready());
    let good = sandbox.values("identity-fp32", "v1", "");
    let broken = sandbox.values("recommendation", "v9.9.9", "");
    sandbox.kubelet.swap(&[("values.yaml", &good), ("more.yaml", &broken)]).unwrap();
    running.until("recommendation", |model| model.stable.is_none()).await.unwrap();
    assert!(running.app.catalog().ready(), "the model that serves still does");
    let (status, body) = post(&running, "/v2/models/recommendation/infer", &json!({"inputs": []})).await.unwrap();
    assert_eq!((status, &body["error"]), (503, &json!("model 'recommendation' is not ready")));
    running.stop().await;
}
