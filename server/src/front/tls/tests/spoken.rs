//! What a port accepts, asked as `testssl` asks it: one hello for each version of the protocol and each suite, written
//! byte by byte, so that what our own library would never offer is offered too.

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::Router;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::super::testing::{self, Authority, Pair};
use super::*;
use crate::front::listen::{ListenOptions, Listener, Peer, PerPeer};

#[derive(Clone)]
struct Nothing;

impl PerPeer for Nothing {
    type Service = Router;

    fn for_peer(&self, _: Peer) -> Router {
        Router::new()
    }
}

async fn open(pair: &Pair, protocol: Protocol) -> SocketAddr {
    let (_sender, material) = watch::channel(Arc::new(read(pair, None, SystemTime::now()).unwrap()));
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), ListenOptions::new(protocol)).await.unwrap();
    let address = listener.local_addr();
    let tls = Tls::new(material, protocol, Arc::default());
    tokio::spawn(listener.with_tls(Some(tls)).serve(Nothing, CancellationToken::new()));
    address
}

const VERSIONS: [(&str, u16); 5] =
    [("SSL 3.0", 0x0300), ("TLS 1.0", 0x0301), ("TLS 1.1", 0x0302), ("TLS 1.2", 0x0303), ("TLS 1.3", 0x0304)];

/// Suites of each kind that was ever common.
const SUITES: [(&str, u16); 24] = [
    ("NULL_WITH_NULL_NULL", 0x0000),
    ("RSA_WITH_NULL_SHA256", 0x003b),
    ("RSA_EXPORT_WITH_RC4_40_MD5", 0x0003),
    ("RSA_WITH_RC4_128_SHA", 0x0005),
    ("RSA_WITH_3DES_EDE_CBC_SHA", 0x000a),
    ("DH_anon_WITH_AES_128_CBC_SHA", 0x0034),
    ("RSA_WITH_AES_128_CBC_SHA", 0x002f),
    ("RSA_WITH_AES_256_GCM_SHA384", 0x009d),
    ("DHE_RSA_WITH_AES_128_GCM_SHA256", 0x009e),
    ("ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xc009),
    ("ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xc013),
    ("ECDHE_RSA_WITH_AES_256_CBC_SHA384", 0xc028),
    ("ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b),
    ("ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02c),
    ("ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc02f),
    ("ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xc030),
    ("ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca8),
    ("ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9),
    ("DHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xccaa),
    ("AES_128_GCM_SHA256", 0x1301),
    ("AES_256_GCM_SHA384", 0x1302),
    ("CHACHA20_POLY1305_SHA256", 0x1303),
    ("AES_128_CCM_SHA256", 0x1304),
    ("AES_128_CCM_8_SHA256", 0x1305),
];

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized(content)].concat()
}

/// A hello that offers one version, one suite and one protocol above.
fn hello(version: u16, suite: u16, alpn: &[u8]) -> Vec<u8> {
    let alpn = [&[u8::try_from(alpn.len()).unwrap()], alpn].concat();
    // RSA and ECDSA, each with SHA-256 and in the padding of both versions; X25519 and P-256.
    let mut extensions = vec![
        extension(13, &sized(&[0x04, 0x03, 0x08, 0x04, 0x04, 0x01])),
        extension(10, &sized(&[0x00, 0x1d, 0x00, 0x17])),
        extension(11, &[1, 0]),
        extension(23, &[]),
        extension(16, &sized(&alpn)),
    ];
    if version == 0x0304 {
        extensions.push(extension(43, &[2, 3, 4]));
        let share = [&[0x00, 0x1d][..], &sized(&[9; 32])].concat();
        extensions.push(extension(51, &sized(&share)));
    }
    let body = [
        &version.min(0x0303).to_be_bytes()[..],
        &[7; 32],
        &[0],
        &sized(&suite.to_be_bytes()),
        &[1, 0],
        &sized(&extensions.concat()),
    ]
    .concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let handshake = [&[1], &length[1..], &body].concat();
    [&[22, 3, 1][..], &sized(&handshake)].concat()
}

/// Whether the port answers with a hello of its own; anything else must be a fatal alert.
async fn accepts(address: SocketAddr, hello: &[u8]) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(hello).await.unwrap();
    let mut record = [0; 7];
    stream.read_exact(&mut record).await.unwrap();
    match record {
        [22, _, _, _, _, 2, _] => true,
        [21, _, _, _, _, 2, _] => false,
        other => panic!("neither a hello nor a fatal alert: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_accepted() {
    let authority = Authority::new();
    let ecdsa = authority.issue(&["localhost"], "", (2025, 2100));
    let rsa = authority.issue_for(&testing::rsa(), &["localhost"], "", (2025, 2100));
    let mut list = String::new();
    for (port, protocol, alpn) in [("http", Protocol::Http, &b"http/1.1"[..]), ("grpc", Protocol::Grpc, b"h2")] {
        for (key, pair) in [("ECDSA", &ecdsa), ("RSA", &rsa)] {
            let address = open(pair, protocol).await;
            for (version, number) in VERSIONS {
                let mut suites = Vec::new();
                for (suite, code) in SUITES {
                    if accepts(address, &hello(number, code, alpn)).await {
                        suites.push(suite);
                    }
                }
                let suites = if suites.is_empty() { "nothing".to_owned() } else { suites.join(" ") };
                writeln!(list, "{port} {key} {version}: {suites}").unwrap();
            }
        }
    }
    insta::assert_snapshot!("accepted", list);
}

#[tokio::test]
async fn each_port_speaks_its_own_protocol_above_tls() {
    let pair = Authority::new().issue(&["localhost"], "", (2025, 2100));
    let (http, grpc) = (open(&pair, Protocol::Http).await, open(&pair, Protocol::Grpc).await);
    let suite = 0xc02b;
    for (alpn, over_http, over_grpc) in [("h2", true, true), ("http/1.1", true, false), ("spdy/3", false, false)] {
        // With TLS 1.3 the refusal comes encrypted, behind the hello.
        let hello = hello(0x0303, suite, alpn.as_bytes());
        assert_eq!((accepts(http, &hello).await, accepts(grpc, &hello).await), (over_http, over_grpc), "{alpn}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_takes_long_is_cut_and_holds_up_nobody() {
    let pair = Authority::new().issue(&["localhost"], "", (2025, 2100));
    let address = open(&pair, Protocol::Http).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let hello = hello(0x0304, 0x1301, b"h2");
    slow.write_all(&hello[..20]).await.unwrap();
    assert!(accepts(address, &hello).await);
    let began = tokio::time::Instant::now();
    assert!(matches!(slow.read(&mut [0; 16]).await, Ok(0) | Err(_)));
    assert!(began.elapsed() <= HANDSHAKE_TIMEOUT);
}

#[tokio::test]
async fn plain_text_is_not_taken_for_a_handshake() {
    let pair = Authority::new().issue(&["localhost"], "", (2025, 2100));
    let address = open(&pair, Protocol::Http).await;
    assert!(!accepts(address, b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n").await);
}
