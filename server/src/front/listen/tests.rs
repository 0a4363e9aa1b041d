//! Connections over loopback.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Drained, ListenOptions, Listener, Peer, PerPeer, Protocol};

/// A router that knows its peer.
#[derive(Clone)]
struct Peers(Router);

impl PerPeer for Peers {
    type Service = Router;

    fn for_peer(&self, peer: Peer) -> Router {
        self.0.clone().layer(axum::Extension(ConnectInfo(peer.address)))
    }
}

struct Port {
    address: SocketAddr,
    shutdown: CancellationToken,
    served: JoinHandle<Drained>,
}

async fn open(change: impl FnOnce(&mut ListenOptions)) -> Port {
    let mut options = ListenOptions::new(Protocol::Http);
    change(&mut options);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
    let (address, shutdown) = (listener.local_addr(), CancellationToken::new());
    let router = Router::new()
        .route("/peer", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()))
        .route("/slow", get(async || tokio::time::sleep(Duration::from_secs(10)).await))
        .route("/stuck", get(std::future::pending::<()>));
    Port { address, served: tokio::spawn(listener.serve(Peers(router), shutdown.clone())), shutdown }
}

fn short_lived(options: &mut ListenOptions) {
    options.connection_age_max = Some(Duration::from_secs(5));
    options.connection_age_jitter = Duration::ZERO;
}

async fn send(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
}

/// What comes until the connection pauses or ends.
async fn receive(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4096];
    let length = stream.read(&mut buffer).await.unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

async fn ended(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 16]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn http1_and_http2_are_spoken_and_the_peer_is_known() {
    let port = open(|_| {}).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    send(&mut stream, "/peer").await;
    let answer = receive(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with(&stream.local_addr().unwrap().to_string()),
        "{answer}"
    );

    let stream = hyper_util::rt::TokioIo::new(TcpStream::connect(port.address).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{}/peer", port.address);
    let request = http::Request::get(uri).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_grpc_port_speaks_no_http1() {
    let port = open(|options| options.protocol = Protocol::Grpc).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    send(&mut stream, "/peer").await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_asked_to_end_after_its_answer() {
    let port = open(short_lived).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    send(&mut stream, "/slow").await;
    let answer = receive(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"), "{answer}");
    assert!(ended(&mut stream).await);
}

#[tokio::test(start_paused = true)]
async fn without_an_age_a_connection_is_kept() {
    let port = open(|options| options.connection_age_max = None).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    for _ in 0..3 {
        send(&mut stream, "/slow").await;
        let answer = receive(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && !answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_that_does_not_end_is_cut() {
    let port = open(short_lived).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    send(&mut stream, "/stuck").await;
    assert!(ended(&mut stream).await);
}

#[tokio::test(start_paused = true)]
async fn the_silent_and_the_slow_are_cut() {
    let port = open(|_| {}).await;
    let mut silent = TcpStream::connect(port.address).await.unwrap();
    let mut slow = TcpStream::connect(port.address).await.unwrap();
    slow.write_all(b"GET /peer HTTP/1.1\r\nhost:").await.unwrap();
    assert!(ended(&mut silent).await);
    assert!(ended(&mut slow).await);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_answers_and_takes_nothing_new() {
    let port = open(|_| {}).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    send(&mut stream, "/slow").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    port.shutdown.cancel();
    assert!(receive(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(port.served.await.unwrap(), Drained { cut: 0 });
    assert!(TcpStream::connect(port.address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_drain_cuts_what_is_left_at_its_deadline() {
    let port = open(|options| options.drain_timeout = Duration::from_secs(3)).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    send(&mut stream, "/stuck").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    port.shutdown.cancel();
    assert_eq!(port.served.await.unwrap(), Drained { cut: 1 });
    assert!(ended(&mut stream).await);
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_room() {
    let port = open(|options| options.connections_max = 1).await;
    let mut first = TcpStream::connect(port.address).await.unwrap();
    send(&mut first, "/peer").await;
    assert!(receive(&mut first).await.starts_with("HTTP/1.1 200"));
    let mut second = TcpStream::connect(port.address).await.unwrap();
    send(&mut second, "/peer").await;
    let early = futures::FutureExt::now_or_never(receive(&mut second));
    assert!(early.is_none(), "{early:?}");
    drop(first);
    assert!(receive(&mut second).await.starts_with("HTTP/1.1 200"));
}

async fn answered(stream: &mut TcpStream, path: &str) -> String {
    send(stream, path).await;
    let answer = receive(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    answer
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_is_old_answers_one_more_request() {
    let port = open(short_lived).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    assert!(!answered(&mut stream, "/peer").await.contains("connection: close"));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(answered(&mut stream, "/peer").await.contains("connection: close"));
    assert!(ended(&mut stream).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_late_in_the_grace_of_an_old_connection_is_answered() {
    let port = open(|options| {
        short_lived(options);
        options.connection_age_grace = Duration::from_secs(20);
    })
    .await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    answered(&mut stream, "/peer").await;
    // The grace ends while the answer is made.
    tokio::time::sleep(Duration::from_secs(5 + 15)).await;
    assert!(answered(&mut stream, "/slow").await.contains("connection: close"));
    assert!(ended(&mut stream).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_arrives_in_a_drain_is_answered_and_its_caller_told_to_close() {
    let port = open(|_| {}).await;
    let mut idle = TcpStream::connect(port.address).await.unwrap();
    assert!(!answered(&mut idle, "/peer").await.contains("connection: close"));
    let mut silent = TcpStream::connect(port.address).await.unwrap();
    port.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(500)).await;
    for stream in [&mut idle, &mut silent] {
        assert!(answered(stream, "/peer").await.contains("connection: close"));
        assert!(ended(stream).await);
    }
    assert_eq!(port.served.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn what_has_arrived_when_the_drain_starts_is_answered() {
    let port = open(|_| {}).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    send(&mut stream, "/peer").await;
    port.shutdown.cancel();
    assert!(receive(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(port.served.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_a_second_for_idle_connections_and_no_longer() {
    let port = open(|_| {}).await;
    let mut idle = TcpStream::connect(port.address).await.unwrap();
    answered(&mut idle, "/peer").await;
    let mut silent = TcpStream::connect(port.address).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = tokio::time::Instant::now();
    port.shutdown.cancel();
    assert_eq!(port.served.await.unwrap(), Drained { cut: 0 });
    let took = started.elapsed().as_millis();
    assert!((1000..1100).contains(&took), "{took} ms");
    assert!(ended(&mut idle).await && ended(&mut silent).await);
}
