use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// What is answered, by a part of the request's first line or body.
type Answers = &'static [(&'static str, &'static str, &'static str)];

/// Says what it was told to say, as MLflow 3.17 said it.
struct Fake {
    url: Url,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = request(&mut stream).await;
                let found = answers.iter().find(|(part, ..)| request.contains(part));
                let (_, status, body) = found.unwrap_or(&("", "404 Not Found", "not here"));
                told.lock().push(request);
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, heard }
    }

    fn client(&self) -> Mlflow {
        Mlflow::new(&self.url, Credentials::default()).unwrap()
    }
}

async fn request(stream: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "{text}");
    }
}

const VERSION: &str = r#"{"model_version": {"name": "fraud-detection", "version": "17", "creation_timestamp": 1795000000000,
    "current_stage": "None", "source": "models:/m-264e5720b12e4c89b6eec73873c77ad3",
    "run_id": "9d1f0c2e8b5a4f36a7c0d1e2f3a4b5c6", "status": "READY", "run_link": "",
    "tags": [{"key": "version", "value": "v2.3.1"}, {"key": "offline_tests", "value": "passed"}]}}"#;
const MISSING: &str =
    r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Model Version (name=nope, version=1) not found"}"#;

#[tokio::test]
async fn a_version_is_read_as_it_is_written() {
    let fake = Fake::start(&[("model-versions/get?name=fraud-detection&version=17", "200 OK", VERSION)]).await;
    let version = fake.client().version("fraud-detection", 17).await.unwrap();
    assert_eq!((version.version, &version.status, version.label()), (17, &Status::Ready, Some("v2.3.1")));
    assert_eq!(version.run_id.as_deref(), Some("9d1f0c2e8b5a4f36a7c0d1e2f3a4b5c6"));
    assert_eq!(version.logged_model(), Some("m-264e5720b12e4c89b6eec73873c77ad3"));
    assert_eq!(version.named(), "17 (version=v2.3.1)");
}

#[tokio::test]
async fn metrics_that_are_no_numbers_are_read_as_such() {
    let run = r#"{"run": {"info": {"run_id": "r"}, "data": {"metrics": [
        {"key": "auc", "value": 0.9605, "timestamp": 1, "step": 0}, {"key": "zero", "timestamp": 1},
        {"key": "nan", "value": "NaN"}, {"key": "inf", "value": "-Infinity"}, {"key": "odd", "value": "many"}]}}}"#;
    let model =
        r#"{"model": {"info": {"model_id": "m-1"}, "data": {"metrics": [{"key": "auc", "value": 1, "run_id": "r"}]}}}"#;
    let answers: Answers =
        Box::leak(Box::new([("runs/get?run_id=r", "200 OK", run), ("logged-models/m-1 ", "200 OK", model)]));
    let fake = Fake::start(answers).await;
    let metrics = fake.client().metrics_of_run("r").await.unwrap();
    let value = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap().value;
    assert_eq!((value("auc"), value("zero"), value("inf")), (0.9605, 0.0, f64::NEG_INFINITY));
    assert!(value("nan").is_nan() && value("odd").is_nan());
    assert_eq!(fake.client().metrics_of_model("m-1").await.unwrap()[0].value, 1.0);
}

#[tokio::test]
async fn the_last_value_of_a_metric_is_its_result() {
    const LOGGED: &str = r#"{"model": {"data": {"metrics": [
        {"key": "auc", "value": 0.96, "timestamp": "30", "step": "2"}, {"key": "auc", "value": 0.5, "timestamp": "10"},
        {"key": "auc", "value": "NaN", "timestamp": "20", "step": "1"}, {"key": "auc", "value": 0.9, "timestamp": "5",
        "dataset_name": "held-out", "dataset_digest": "ab12"}]}}}"#;
    let fake = Fake::start(&[("logged-models/m-1", "200 OK", LOGGED)]).await;
    let values: Vec<f64> = fake.client().metrics_of_model("m-1").await.unwrap().iter().map(|it| it.value).collect();
    assert_eq!(values, [0.96, 0.9], "one for each data set");
}

#[tokio::test]
async fn each_failure_names_its_call_and_what_to_do() {
    const HOST: &str = "Invalid Host header - possible DNS rebinding attack detected";
    const INTEGER: &str =
        r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"Model version must be an integer, got 'v2.3.1'"}"#;
    for (status, body, answer, told) in [
        ("404 NOT FOUND", MISSING, true, "Model Version (name=nope, version=1) not found (GET http://"),
        ("400 BAD REQUEST", INTEGER, true, "must be an integer"),
        ("403 FORBIDDEN", HOST, false, "--allowed-hosts 127.0.0.1:"),
        ("401 UNAUTHORIZED", "You are not authenticated.", false, "MLFLOW_TRACKING_TOKEN"),
        ("403 FORBIDDEN", r#"{"error_code":"PERMISSION_DENIED"}"#, false, "of somebody who may do this"),
        ("404 NOT FOUND", "<html>", false, "not MLflow's answer: 404 Not Found without an error code"),
        ("302 FOUND", "", false, "not MLflow's answer"),
        ("200 OK", "<html>", false, "not MLflow's answer"),
        ("200 OK", r#"{"model_version": {"version": "v2"}}"#, false, "a version that is no number"),
        ("500 ERROR", r#"{"error_code":"INTERNAL_ERROR","message":"disk"}"#, false, "INTERNAL_ERROR: disk"),
        ("503 BUSY", "later\nplease", false, "later please"),
    ] {
        let answers: Answers = Box::leak(Box::new([("model-versions/get", status, body)]));
        let fake = Fake::start(answers).await;
        let error = fake.client().version("nope", 1).await.unwrap_err();
        assert_eq!(error.is_answer(), answer, "{error}");
        let text = error.to_string();
        assert!(text.contains(told) && text.contains("/api/2.0/mlflow/model-versions/get"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
    let nobody = Mlflow::new(&Url::parse("http://127.0.0.1:1/mlflow/").unwrap(), Credentials::default()).unwrap();
    let error = nobody.version("m", 1).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Unreachable { call, .. } if call.contains("/mlflow/api/2.0/")), "{error}");
}

#[tokio::test]
async fn a_name_with_quotes_is_searched_for_or_refused() {
    let fake = Fake::start(&[("model-versions/search", "200 OK", "{}")]).await;
    assert_eq!(fake.client().labelled("it's", "v1").await.unwrap(), []);
    assert!(fake.heard.lock()[0].contains("filter=name%3D%22it%27s%22+and+tags.%60version%60%3D%27v1%27"));
    let error = fake.client().labelled("a'\"b", "v1").await.unwrap_err();
    assert!(error.to_string().contains("both kinds of quotes"), "{error}");
}

#[tokio::test]
async fn a_release_becomes_a_version_with_its_tags() {
    let fake = Fake::start(&[
        (
            "registered-models/create",
            "400 BAD REQUEST",
            r#"{"error_code":"RESOURCE_ALREADY_EXISTS","message":"there"}"#,
        ),
        ("model-versions/search", "200 OK", "{}"),
        ("model-versions/create", "200 OK", VERSION),
    ])
    .await;
    let release = Release { name: "m", label: "v2", digest: "sha256:aa", storage_uri: "s3://b/m/v2", run: Some("r1") };
    let done = register(&fake.client(), release).await.unwrap();
    assert_eq!(done, Registered { version: 17, how: How::Created });
    let heard = fake.heard.lock();
    let body: serde_json::Value =
        serde_json::from_str(heard.last().unwrap().split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "name": "m", "source": "s3://b/m/v2", "run_id": "r1", "tags": [
                {"key": "version", "value": "v2"}, {"key": "sluice.digest", "value": "sha256:aa"},
                {"key": "sluice.storageUri", "value": "s3://b/m/v2"}],
        })
    );
}

#[test]
fn credentials_are_those_of_mlflows_own_clients() {
    let read = |variables: &'static [(&'static str, &'static str)]| {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let credentials = Credentials::from_lookup(lookup)?;
        Ok::<_, String>(credentials.header().map(|header| header.to_str().unwrap().to_owned()))
    };
    let (user, password, token) =
        (("MLFLOW_TRACKING_USERNAME", "ci"), ("MLFLOW_TRACKING_PASSWORD", "pw"), ("MLFLOW_TRACKING_TOKEN", "t0k\n"));
    for (variables, expected) in [
        (vec![], None),
        (vec![("MLFLOW_TRACKING_TOKEN", "")], None),
        (vec![token], Some("Bearer t0k")),
        (vec![user, password, token], Some("Basic Y2k6cHc=")),
    ] {
        assert_eq!(read(variables.leak()).unwrap().as_deref(), expected);
    }
    assert!(read(vec![user, token].leak()).unwrap_err().contains("MLFLOW_TRACKING_PASSWORD is not"));
    assert!(read(vec![password].leak()).unwrap_err().contains("MLFLOW_TRACKING_USERNAME is not"));
    assert!(read(vec![("MLFLOW_TRACKING_TOKEN", "two\nlines")].leak()).unwrap_err().contains("is no token"));
    let secret = Credentials::from_lookup(|name| (name == token.0).then(|| token.1.to_owned())).unwrap();
    assert_eq!(format!("{secret:?}"), "Credentials(…)");
}
