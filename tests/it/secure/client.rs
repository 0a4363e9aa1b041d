//! `sluice status`, `predict` and the verbs towards a server that speaks TLS and knows its callers.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use server::cli::{self, Console, Exit};
use tests::pki::{Authority, VALID};
use tests::sandbox::Running;

use super::{MODEL, World, access};

/// What a command writes.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How a command towards the server ended, and what it wrote.
async fn sluice(running: &Running, args: &[&str], who: &[&str]) -> (Exit, String) {
    let addresses = running.app.addresses();
    let port = if args[0] == "predict" { ("--url", addresses.http) } else { ("--admin", addresses.admin) };
    let url = format!("https://{}", port.1);
    let line: Vec<String> = [&["sluice"], args, who, &[port.0, &url]].concat().into_iter().map(str::to_owned).collect();
    let page = Page::default();
    let mut console = Console::plain(page.clone(), page.clone());
    let exit = tokio::task::spawn_blocking(move || cli::run(line, &mut console)).await.unwrap();
    let text = String::from_utf8(page.0.lock().clone()).unwrap();
    (exit, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_ask_over_tls_with_a_token_or_a_certificate() {
    let clients = Authority::new().unwrap();
    let file = access(&[("operator", "certificate: operator, may: [predict, metadata, admin]")]);
    let settings = [("access-file", "access.yaml"), ("tls-client-ca", "ca.crt"), ("tls-client-auth", "optional")];
    let world = World::new(&settings, &[("access.yaml", &file), ("ca.crt", &clients.pem())]).unwrap();
    let running = world.start().await.unwrap();
    let folder = world.sandbox.root();
    let pair = clients.issue(&["operator"], VALID).unwrap();
    let files = [
        ("ca.pem", &*world.authority.pem()),
        ("token", "operator\n"),
        ("cert.pem", &pair.cert),
        ("key.pem", &pair.key),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let file = |name: &str| folder.join(name).display().to_string();
    let (ca, token, cert, key) = (file("ca.pem"), file("token"), file("cert.pem"), file("key.pem"));
    let with_token = ["--tls-ca", &ca, "--token-file", &token];
    let with_certificate = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    for who in [&with_token[..], &with_certificate] {
        for command in [&["status"][..], &["predict", MODEL], &["wait", "--for=healthy"]] {
            let (exit, told) = sluice(&running, command, who).await;
            assert_eq!(exit, Exit::Done, "{command:?}: {told}");
        }
        let (exit, told) = sluice(&running, &["abort", MODEL], who).await;
        assert!(exit == Exit::Failed && !told.contains("say who"), "let in, and nothing is on trial: {told}");
    }
    for (why, who, exit, expected) in [
        (
            "nobody",
            &["--tls-ca", &ca][..],
            Exit::Failed,
            "say who you are: --token-file FILE or SLUICE_ADMIN_TOKEN_FILE",
        ),
        ("wrong authority", &["--tls-ca", &cert, "--token-file", &token], Exit::Failed, "--tls-ca FILE whom to trust"),
        ("no authority", &["--tls-ca", &token], Exit::BadInput, "token holds no certificate in PEM"),
    ] {
        let (ended, told) = sluice(&running, &["status"], who).await;
        assert!(ended == exit && told.contains(expected), "{why}: {told}");
    }
    running.stop().await;
}
