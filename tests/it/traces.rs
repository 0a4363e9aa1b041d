//! Traces reach a collector over OTLP, and a request's span joins its caller's trace.
//!
//! The tracer is one for the whole process, so the server runs in a child process: this test binary again, with one test
//! picked by name.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use std::process::Stdio;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tests::sandbox::{PATIENCE, Sandbox};
use tests::zoo;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

const MODEL: &str = "fraud-detection";
const CHILD: &str = "traces::child";
/// The example of the W3C's Trace Context, section 3.2.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Hands on every span that it is sent.
struct Collector(mpsc::UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        for span in resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans) {
            let _test_is_over = self.0.send(span);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (String, mpsc::UnboundedReceiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, spans) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (url, spans)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_of_its_callers_trace() {
    let (url, mut spans) = collector().await;
    let mut sandbox = Sandbox::new().unwrap();
    sandbox.publish(MODEL, "v1.0.0").unwrap();
    let values = sandbox.values(MODEL, "v1.0.0", "");
    sandbox.kubelet.swap(&[("values.yaml", &values)]).unwrap();
    let mut server = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", CHILD])
        .env("XTASK_VALUES", sandbox.kubelet.mount())
        .env("XTASK_CACHE_DIR", sandbox.cache())
        .env("XTASK_OTLP", url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let http = timeout(PATIENCE, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the server says where it listens");
            if let Some((_, rest)) = line.split_once("listening http=") {
                return rest.split_whitespace().next().unwrap().to_owned();
            }
        }
    });
    let answered = timeout(PATIENCE, predict(http.await.unwrap())).await.unwrap();
    assert_eq!(answered, 200);
    // The end flushes what is left to send.
    let pid = server.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(timeout(PATIENCE, server.wait()).await.unwrap().unwrap().success());

    let infer = std::iter::from_fn(|| spans.try_recv().ok()).find(|span| span.name == "infer");
    let infer = infer.expect("the request was traced");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!((hex(&infer.trace_id), hex(&infer.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    let attribute = |key: &str| {
        let found = infer.attributes.iter().find(|attribute| attribute.key == key)?;
        match found.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text.clone()),
            _ => None,
        }
    };
    assert_eq!(attribute("model").as_deref(), Some(MODEL));
    assert_eq!(attribute("version").as_deref(), Some("v1.0.0"));
    assert_eq!(attribute("variant").as_deref(), Some("stable"));
}

/// Sends one real row as soon as the server is ready; the status of the answer.
async fn predict(http: String) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    while !client.get(format!("http://{http}/v2/health/ready")).send().await.is_ok_and(|r| r.status().is_success()) {
        tokio::task::yield_now().await;
    }
    let row = zoo::fraud_rows().unwrap().remove(0);
    let input = serde_json::json!({"name": "features", "datatype": "FP32", "shape": [1, row.len()], "data": row});
    let answer = client
        .post(format!("http://{http}/v2/models/{MODEL}/infer"))
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .header("content-type", "application/json")
        .body(serde_json::json!({"inputs": [input]}).to_string())
        .send()
        .await
        .unwrap();
    answer.status().as_u16()
}

/// Not a test of its own: the process that the test above starts. It ends by SIGTERM.
#[test]
#[ignore = "the child process of a_request_is_a_span_of_its_callers_trace"]
fn child() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let (values, cache, otlp) = (variable("XTASK_VALUES"), variable("XTASK_CACHE_DIR"), variable("XTASK_OTLP"));
    let flags = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--not-ready-wait", "0s"];
    let given = ["sluice", "serve", "--values", &values, "--cache", &cache, "--otlp-endpoint", &otlp];
    let exit = server::cli::run(given.into_iter().chain(flags), &mut server::cli::Console::standard());
    assert_eq!(exit, server::cli::Exit::Done);
}
