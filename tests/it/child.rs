//! A server in a process of its own: a fail point can hold it without holding the other tests, and what is decided when a
//! process starts (its environment, its libraries) can be decided for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::Value;
use tests::sandbox::{PATIENCE, Sandbox};

/// Where the child finds its command line, one argument a line.
const ARGUMENTS: &str = "CHILD_ARGUMENTS";

/// How a child is started.
#[derive(Default)]
pub(crate) struct How<'a> {
    /// The test, ignored by itself, that calls [`serve`].
    pub(crate) test: &'a str,
    /// More flags of `sluice serve`.
    pub(crate) flags: &'a [&'a str],
    /// How long it is not ready before it drains; else it drains at once.
    pub(crate) not_ready_wait: Option<&'a str>,
    /// Its environment, besides this process's.
    pub(crate) env: &'a [(&'a str, String)],
}

/// Killed on drop.
pub(crate) struct Process {
    child: Child,
    /// Open as long as it runs: what it says later has to go somewhere.
    _said: Option<BufReader<ChildStdout>>,
    pub(crate) http: String,
    admin: String,
}

impl Process {
    /// Serves the mount of `sandbox`; panics with what the child said where it does not start.
    pub(crate) fn start(sandbox: &Sandbox, how: &How<'_>) -> Self {
        match Self::try_start(sandbox, how) {
            Ok(process) => process,
            Err((status, said)) => panic!("the child did not start ({status}): {said}"),
        }
    }

    /// The same, or how the child ended and what it said.
    pub(crate) fn try_start(sandbox: &Sandbox, how: &How<'_>) -> Result<Self, (ExitStatus, String)> {
        let (mount, cache) = (sandbox.kubelet.mount().display().to_string(), sandbox.cache().display().to_string());
        let free = "127.0.0.1:0";
        let folders = ["sluice", "serve", "--values", &mount, "--cache", &cache, "--log", "error"];
        let ports = ["--http", free, "--grpc", free, "--admin", free];
        let wait = ["--not-ready-wait", how.not_ready_wait.unwrap_or("0s")];
        let line = [&folders[..], &ports, &wait, how.flags].concat();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", how.test])
            .env(ARGUMENTS, line.join("\n"))
            .envs(how.env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut lines = said.by_ref().lines().map(Result::unwrap);
        let Some(listening) = lines.find(|line| line.starts_with("listening ")) else {
            return Err(Self { child, _said: None, http: String::new(), admin: String::new() }.ended());
        };
        let address = |name: &str| {
            let found = listening.split_whitespace().find_map(|word| word.strip_prefix(name));
            format!("http://{}", found.unwrap())
        };
        Ok(Self { http: address("http="), admin: address("admin="), child, _said: Some(said) })
    }

    /// What the admin port answers.
    pub(crate) async fn ask(&self, path: &str) -> String {
        reqwest::get(format!("{}{path}", self.admin)).await.unwrap().text().await.unwrap()
    }

    /// Asks until the status of the only model is as `wanted` says.
    pub(crate) async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let asks = async {
            loop {
                let mut status: Value = serde_json::from_str(&self.ask("/status").await).unwrap();
                // None until the values file is read.
                if let Some(model) = status["models"].get_mut(0).map(Value::take).filter(&wanted) {
                    return model;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asks).await.expect("it gets there")
    }

    /// Reads the metrics until they are as `wanted` says.
    #[cfg(feature = "cuda")]
    pub(crate) async fn until_metrics(&self, wanted: impl Fn(&str) -> bool) {
        let asks = async { while !wanted(&self.ask("/metrics").await) {} };
        tokio::time::timeout(PATIENCE, asks).await.expect("the metrics get there");
    }

    /// Has it drain and end, as a kubelet would; how it ended, and what it said.
    #[cfg(feature = "cuda")]
    pub(crate) fn terminate(self) -> (ExitStatus, String) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        self.ended()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        // To the end, which is the child's.
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
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
pub(crate) fn serve() {
    let _armed = fail::FailScenario::setup();
    let arguments = std::env::var(ARGUMENTS).unwrap();
    let exit = server::cli::run(arguments.lines().map(str::to_owned), &mut server::cli::Console::standard());
    std::process::exit(exit as i32);
}
