//! Child processes: the server under test, the bare services, the load client.

use std::io;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The first argument that makes this program be `sluice`.
pub(crate) const SERVER: &str = "sluice";

/// Runs as `sluice` with these arguments. A panic aborts here, as a crash would: the crash bench plants panics.
pub(crate) fn serve(arguments: &[String]) -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _points = {
        std::panic::set_hook(Box::new(|_| std::process::abort()));
        fail::FailScenario::setup()
    };
    let arguments = std::iter::once("sluice".to_owned()).chain(arguments.iter().cloned());
    server::cli::run(arguments, &mut server::cli::Console::standard()).into()
}

/// A child of this program, killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts this program with `arguments`, on one core where `core` says so.
    pub(crate) fn start(
        arguments: &[String],
        environment: &[(String, String)],
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = match core {
            None => Command::new(program),
            Some(core) => {
                let mut taskset = Command::new("taskset");
                taskset.arg("-c").arg(core.to_string()).arg(program);
                taskset
            }
        };
        command.args(arguments).envs(environment.iter().cloned()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("the child does not start (pinning needs `taskset` of util-linux)")?;
        let lines = BufReader::new(child.stdout.take().context("the child has a stdout")?).lines();
        Ok(Self { child, lines })
    }

    /// The next line that starts with `prefix`.
    pub(crate) async fn line(&mut self, prefix: &str) -> anyhow::Result<String> {
        while let Some(line) = self.lines.next_line().await? {
            if line.starts_with(prefix) {
                return Ok(line);
            }
        }
        bail!("the child ended before it printed `{prefix}…`: {:?}", self.child.try_wait()?)
    }

    /// Kills at once, as a power cut would.
    pub(crate) async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Waits until it ends by itself; true when a signal ended it.
    pub(crate) async fn aborted(&mut self) -> io::Result<bool> {
        Ok(self.child.wait().await?.code().is_none())
    }

    /// CPU time used so far, user and system, in seconds.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(self.proc("stat")?)?;
        let after_name = stat.rsplit_once(')').context("a process has a name")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        // USER_HZ is 100 on every Linux that user space can see.
        Ok(ticks / 100.0)
    }

    /// Resident memory now, in bytes.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(self.proc("status")?)?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("a process has a size")?;
        let kib: u64 = line.split_whitespace().nth(1).context("VmRSS has a value")?.parse()?;
        Ok(kib * 1024)
    }

    fn proc(&self, file: &str) -> anyhow::Result<PathBuf> {
        let pid = self.child.id().context("the child runs")?;
        Ok(PathBuf::from(format!("/proc/{pid}/{file}")))
    }
}
