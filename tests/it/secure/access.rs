//! Who may ask, for what, and how much: the same over both protocols.

use futures::{StreamExt as _, stream};
use server::front::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use server::front::proto::{ModelInferRequest, ModelStreamInferResponse};
use tests::pki::{Authority, Client, VALID};
use tests::sandbox::{PATIENCE, Running};
use tokio::time::timeout;
use tonic::Code;

use super::{World, access, ask_http, grpc_request, https, metric, over_grpc, over_http};

const FILE: &str = "access.yaml";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_decide_and_no_error_names_a_client() {
    let file = access(&[("scorer", "may: [predict]"), ("reader", "may: [metadata]"), ("operator", "may: [admin]")]);
    let world = World::new(&[("access-file", FILE)], &[(FILE, &file)]).unwrap();
    let running = world.start().await.unwrap();
    let client = world.authority.client();
    let unknown = "say who you are: send Authorization: Bearer <token>, or a client certificate that is known here";
    let cases = [
        (client.clone(), 401, Code::Unauthenticated, unknown),
        (client.sending("scorer2"), 401, Code::Unauthenticated, "this token is not known here"),
        (client.sending("reader"), 403, Code::PermissionDenied, "this caller may not ask for predictions"),
        (client.sending("scorer"), 200, Code::Ok, ""),
    ];
    for (client, status, code, error) in cases {
        assert_eq!(over_http(&client, &running).await, Some((status, error.to_owned())));
        assert_eq!(over_grpc(&client, &running).await, Some((code, error.to_owned())));
    }
    let anybody = client.http().unwrap();
    let status = async |http: &reqwest::Client, url: String| http.get(url).send().await.unwrap().status().as_u16();
    let (at, admin) = (running.app.addresses().http, running.admin());
    assert_eq!(status(&anybody, https(at, "/v2/health/ready")).await, 200, "health is open");
    assert_eq!(status(&anybody, https(admin, "/healthz")).await, 200, "health is open");
    assert_eq!(status(&anybody, https(admin, "/status")).await, 401, "this machine is no client");
    let reader = client.sending("reader").http().unwrap();
    assert_eq!((status(&reader, https(at, "/v2")).await, status(&reader, https(admin, "/metrics")).await), (200, 200));
    let verb = async |client: &Client| {
        let url = https(admin, "/v1/models/identity-fp32/abort");
        let post = client.http().unwrap().post(url).header("content-type", "application/json").body("{}");
        post.send().await.unwrap().status().as_u16()
    };
    assert_eq!(verb(&client.sending("reader")).await, 403);
    assert_eq!(verb(&client.sending("operator")).await, 409, "let in, and nothing is on trial");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_a_client_need_not_show_says_who_it_is() {
    let clients = Authority::new().unwrap();
    let file = access(&[
        ("scorer", "certificate: scorer.fraud.svc, may: [predict]"),
        ("mesh", "certificate: 'spiffe://x/reader', may: [metadata]"),
    ]);
    let settings = [("access-file", FILE), ("tls-client-ca", "ca.crt"), ("tls-client-auth", "optional")];
    let world = World::new(&settings, &[(FILE, &file), ("ca.crt", &clients.pem())]).unwrap();
    let running = world.start().await.unwrap();
    let client = world.authority.client();
    let showing = |name: &str| client.showing(clients.issue(&[name], VALID).unwrap());
    let cases = [
        (client.clone(), 401, Code::Unauthenticated),
        (showing("other.fraud.svc"), 401, Code::Unauthenticated),
        (showing("scorer.fraud.svc"), 200, Code::Ok),
        (showing("scorer.fraud.svc").sending("mesh"), 403, Code::PermissionDenied),
        (client.sending("scorer"), 200, Code::Ok),
    ];
    for (client, status, code) in cases {
        assert_eq!(over_http(&client, &running).await.unwrap().0, status);
        assert_eq!(over_grpc(&client, &running).await.unwrap().0, code);
    }
    let of_others = client.showing(Authority::new().unwrap().issue(&["scorer.fraud.svc"], VALID).unwrap());
    assert_eq!((over_http(&of_others, &running).await, over_grpc(&of_others, &running).await), (None, None));
    running.stop().await;
}

/// Asks until the answer is `status`, on one connection.
async fn until(http: &reqwest::Client, running: &Running, status: u16) {
    let waited = timeout(PATIENCE, async {
        while ask_http(http, running).await.unwrap().0 != status {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the file is followed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_followed_and_a_broken_one_changes_nothing() {
    let both = access(&[("scorer", "may: [predict]"), ("other", "may: [predict, metadata]")]);
    let mut world = World::new(&[("access-file", FILE)], &[(FILE, &both)]).unwrap();
    let pair = world.authority.server(VALID).unwrap();
    let running = world.start().await.unwrap();
    let client = world.authority.client();
    let (scorer, other) = (client.sending("scorer").http().unwrap(), client.sending("other").http().unwrap());
    until(&scorer, &running, 200).await;
    let mut swap = |text: &str| {
        world.secret.swap(&[("tls.crt", &pair.cert), ("tls.key", &pair.key), (FILE, text)]).unwrap();
    };
    swap(&access(&[("other", "may: [predict, metadata]")]));
    until(&scorer, &running, 401).await;
    swap("clients: broken");
    let refused = timeout(PATIENCE, async {
        while metric(&client.sending("other"), &running, "sluice_credentials_error{file=\"access\"}").await < 0.5 {
            tokio::task::yield_now().await;
        }
    });
    refused.await.expect("the broken file is read");
    assert_eq!(ask_http(&other, &running).await.unwrap().0, 200);
    swap(&access(&[("scorer", "may: [predict]")]));
    until(&other, &running, 401).await;
    assert_eq!(ask_http(&scorer, &running).await.unwrap().0, 200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_its_limit_a_client_is_told_to_come_back_and_others_are_not() {
    let limits = "may: [predict], requestsPerSecond: 0.001, burst: 3";
    let file = access(&[("http", limits), ("grpc", limits), ("stream", limits), ("free", "may: [predict]")]);
    let world = World::new(&[("access-file", FILE)], &[(FILE, &file)]).unwrap();
    let running = world.start().await.unwrap();
    let client = world.authority.client();

    let http = client.sending("http");
    for _ in 0..3 {
        assert_eq!(over_http(&http, &running).await.unwrap().0, 200);
    }
    let url = https(running.app.addresses().http, "/v2/models/identity-fp32/infer");
    let answer = http.http().unwrap().post(url).body("{}").send().await.unwrap();
    let wait: u32 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(answer.status() == 429 && (900..=1000).contains(&wait), "{} {wait}", answer.status());

    let channel = client.grpc(running.app.addresses().grpc).await.unwrap();
    let mut grpc = GrpcInferenceServiceClient::new(channel);
    for _ in 0..3 {
        grpc.model_infer(grpc_request(Some("grpc"))).await.unwrap();
    }
    let refused = grpc.model_infer(grpc_request(Some("grpc"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.metadata().contains_key("grpc-retry-pushback-ms"), "{refused:?}");

    // Each message of a stream is a request, and the stream itself is none.
    let messages: Vec<ModelInferRequest> = (0..5).map(|_| grpc_request(None).into_inner()).collect();
    let mut request = tonic::Request::new(stream::iter(messages));
    request.metadata_mut().insert("authorization", "Bearer stream".parse().unwrap());
    let answers = grpc.model_stream_infer(request).await.unwrap().into_inner();
    let errors: Vec<bool> = answers
        .map(|answer| answer.unwrap())
        .map(|ModelStreamInferResponse { error_message, .. }| error_message.starts_with("this caller asks more often"))
        .collect()
        .await;
    assert_eq!(errors, [false, false, false, true, true]);

    assert_eq!(over_http(&client.sending("free"), &running).await.unwrap().0, 200);
    assert_eq!(over_grpc(&client.sending("free"), &running).await.unwrap().0, Code::Ok);
    running.stop().await;
}
