//! A server in a process of its own, so that a fail point can hold it without holding the other tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tests::sandbox::{PATIENCE, Sandbox};

/// Where the child finds its command line, one argument a line.
const ARGUMENTS: &str = "ROLLOUT_CHILD_ARGUMENTS";

/// Killed on drop.
pub(super) struct Process {
    child: Child,
    pub(super) http: String,
    admin: String,
}

impl Process {
    /// Serves the mount of `sandbox`, with `points` armed.
    pub(super) fn start(sandbox: &Sandbox, points: &str) -> Self {
        assert!(fail::has_failpoints(), "fail points are not compiled in: run `cargo xtask test`, which does that");
        let (mount, cache) = (sandbox.kubelet.mount().display().to_string(), sandbox.cache().display().to_string());
        let free = "127.0.0.1:0";
        let folders = ["sluice", "serve", "--values", &mount, "--cache", &cache, "--log", "error"];
        let line = [&folders[..], &["--http", free, "--grpc", free, "--admin", free]].concat();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "rollout::revert::child"])
            .env(ARGUMENTS, line.join("\n"))
            .env("FAILPOINTS", points)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let listening = lines.find(|line| line.starts_with("listening ")).expect("the child says where it listens");
        let address = |name: &str| {
            let found = listening.split_whitespace().find_map(|word| word.strip_prefix(name));
            format!("http://{}", found.unwrap())
        };
        Self { http: address("http="), admin: address("admin="), child }
    }

    /// Asks until the status of the only model is as `wanted` says.
    pub(super) async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let url = format!("{}/status", self.admin);
        let asks = async {
            loop {
                let status = reqwest::get(&url).await.unwrap().bytes().await.unwrap();
                let mut status: Value = serde_json::from_slice(&status).unwrap();
                let model = status["models"][0].take();
                if wanted(&model) {
                    return model;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asks).await.expect("it gets there")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child does, and its last word.
pub(super) fn serve() {
    let _armed = fail::FailScenario::setup();
    let arguments = std::env::var(ARGUMENTS).unwrap();
    let exit = server::cli::run(arguments.lines().map(str::to_owned), &mut server::cli::Console::standard());
    std::process::exit(exit as i32);
}
