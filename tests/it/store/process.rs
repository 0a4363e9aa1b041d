//! Bucket servers as child processes: found through the environment, started on a free loopback port, killed on drop.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Attempts to start a server; another process may take the free port first.
const STARTS_MAX: usize = 3;
/// Polls of the port, at [`POLL_INTERVAL`]: half a minute on a busy machine.
const POLLS_MAX: usize = 600;
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running server with a folder of its own.
pub(super) struct Process {
    child: Child,
    pub(super) port: u16,
    _dir: TempDir,
}

impl Process {
    /// Starts what `command` describes, given a free port and an empty folder, and waits until the port answers.
    pub(super) async fn start(name: &str, command: impl Fn(u16, &std::path::Path) -> Command) -> Self {
        let mut said = String::new();
        for _ in 0..STARTS_MAX {
            let dir = tempfile::tempdir().unwrap();
            let port = free_port();
            let log = std::fs::File::create(dir.path().join("log")).unwrap();
            let child = command(port, dir.path())
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap_or_else(|error| panic!("{name} does not start: {error}; run `cargo xtask test`"));
            let mut process = Self { child, port, _dir: dir };
            if process.answers().await {
                return process;
            }
            said = std::fs::read_to_string(process._dir.path().join("log")).unwrap_or_default();
        }
        panic!("{name} does not answer; it said:\n{said}");
    }

    async fn answers(&mut self) -> bool {
        for _ in 0..POLLS_MAX {
            if tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        false
    }

    /// `http://127.0.0.1:<port>`.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listener.local_addr().unwrap().port()
}

/// The Python that has the bucket servers and the reference signer.
pub(super) fn python() -> PathBuf {
    from_environment("XTASK_PYTHON")
}

/// The folder that has azurite.
pub(super) fn node_modules() -> PathBuf {
    from_environment("XTASK_NODE_MODULES")
}

fn from_environment(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(path) => path.into(),
        None => panic!("{name} is not set: run `cargo xtask test`, which sets this up"),
    }
}

/// Runs a command to its end and returns what it printed.
pub(super) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{stdout}{stderr}");
    stdout
}
