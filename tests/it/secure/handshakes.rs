//! Who gets a connection.

use tests::pki::{Authority, EXPIRED, VALID};

use super::{World, ask_http, https, over_grpc, over_http};
use tonic::Code;
use tower::ServiceExt as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_port_speaks_tls_to_whoever_trusts_its_authority() {
    let world = World::new(&[], &[]).unwrap();
    let running = world.start().await.unwrap();
    let client = world.authority.client();
    assert_eq!(over_http(&client, &running).await, Some((200, String::new())));
    assert_eq!(over_grpc(&client, &running).await, Some((Code::Ok, String::new())));
    let http = client.http().unwrap();
    let metrics = http.get(https(running.admin(), "/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("sluice_tls_certificate_expiry_timestamp_seconds 4102444800"), "{metrics}");
    assert!(metrics.contains("sluice_tls_handshakes_total{result=\"success\"}"), "{metrics}");

    let http2 = client.grpc(running.app.addresses().http).await.unwrap();
    let request = http::Request::get("http://localhost/v2/health/live").body(tonic::body::Body::empty()).unwrap();
    let answer = http2.oneshot(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));

    let stranger = Authority::new().unwrap().client();
    assert_eq!(over_http(&stranger, &running).await, None);
    assert_eq!(over_grpc(&stranger, &running).await, None);
    assert!(reqwest::get(format!("{}/v2/health/live", running.http())).await.is_err(), "no plain text");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_that_are_not_named_speak_plain_text() {
    let world = World::new(&[("tls-on", "grpc")], &[]).unwrap();
    let running = world.start().await.unwrap();
    assert_eq!(over_grpc(&world.authority.client(), &running).await, Some((Code::Ok, String::new())));
    for address in [running.app.addresses().http, running.admin()] {
        let path = if address == running.admin() { "healthz" } else { "v2/health/live" };
        assert_eq!(reqwest::get(format!("http://{address}/{path}")).await.unwrap().status(), 200);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_good_certificate_a_client_gets_no_connection() {
    let (clients, others) = (Authority::new().unwrap(), Authority::new().unwrap());
    let files = [("ca.crt", &*clients.pem())];
    let world = World::new(&[("tls-client-ca", "ca.crt")], &files).unwrap();
    let running = world.start().await.unwrap();
    let client = world.authority.client();
    let good = client.showing(clients.issue(&["scorer"], VALID).unwrap());
    let missing = client.clone();
    let wrong = client.showing(others.issue(&["scorer"], VALID).unwrap());
    let expired = client.showing(clients.issue(&["scorer"], EXPIRED).unwrap());
    assert_eq!(over_http(&good, &running).await, Some((200, String::new())));
    assert_eq!(over_grpc(&good, &running).await, Some((Code::Ok, String::new())));
    for (why, client) in [("missing", missing), ("wrong", wrong), ("expired", expired)] {
        assert_eq!(over_http(&client, &running).await, None, "{why}");
        assert_eq!(over_grpc(&client, &running).await, None, "{why}");
    }
    // Nothing else was harmed by it.
    assert_eq!(ask_http(&good.http().unwrap(), &running).await, Some((200, String::new())));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_cannot_be_used_is_one_clear_error_at_the_start() {
    let authority = || Authority::new().unwrap();
    let expired = authority().server(EXPIRED).unwrap();
    let refused = async |pair| {
        let world = World::with(authority(), pair, &[], &[]).unwrap();
        let error = world.sandbox.start().await.err().expect("it does not start").to_string();
        error.replace(&world.path("").display().to_string(), "/secret/")
    };
    assert_eq!(
        refused(&expired).await,
        "--tls-cert /secret/tls.crt: the certificate expired at 2025-01-01T00:00:00Z; renew it"
    );
    let mut pair = authority().server(VALID).unwrap();
    pair.key = authority().server(VALID).unwrap().key;
    assert_eq!(
        refused(&pair).await,
        "--tls-key /secret/tls.key: it does not fit the certificate of --tls-cert: keys may not be consistent: KeyMismatch"
    );
}
