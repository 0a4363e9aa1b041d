//! Starting other programs: said before it happens, bounded in time, and told apart by what went wrong.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::clock::readable;

/// How long a program that was told to stop may take before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The root of this repository, as `cargo xtask` says it.
pub(crate) fn repository() -> Result<PathBuf> {
    // Read when it runs, not when it is compiled: a target folder may serve several clones.
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").context("start it as `cargo xtask COMMAND`")?;
    let root = Path::new(&crate_folder).parent().context("the xtask crate has no parent folder")?;
    Ok(root.to_path_buf())
}

/// Where cargo puts what it builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// `cargo`, in `folder`.
pub(crate) fn cargo(folder: &Path) -> Command {
    program("cargo", folder)
}

/// A program, in `folder`, with this environment less what `cargo run` added to it. Build scripts ask cargo to run
/// them again when such variables change, so leaving them in would rebuild C libraries on every change of caller.
pub(crate) fn program(name: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(folder);
    for (key, _) in std::env::vars_os() {
        if key.to_str().is_some_and(added_by_cargo_run) {
            command.env_remove(key);
        }
    }
    command
}

fn added_by_cargo_run(key: &str) -> bool {
    matches!(key, "CARGO" | "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR")
        || key.starts_with("CARGO_PKG_")
        || key.starts_with("CARGO_BIN_")
}

/// Says what it runs, runs it with output passed through, and fails where it fails or takes longer than `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let line = shown(command);
    println!("$ {line}");
    let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start `{line}`"))?;
    match wait(child, limit)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("`{line}` ended with {status}"),
        None => bail!("`{line}` did not end within {}, and was stopped", readable(limit)),
    }
}

/// As [`run`], but with the standard output read and not passed through. Also answers how it ended: what a program that
/// failed has printed may be what is wanted.
pub(crate) fn read(command: &mut Command, limit: Duration) -> Result<(String, ExitStatus)> {
    println!("$ {}", shown(command));
    let captured = capture(command.stdout(Stdio::piped()), limit, |child| {
        child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>)
    })?;
    match captured {
        (text, Some(status)) => Ok((text, status)),
        (_, None) => bail!("`{}` did not end within {}, and was stopped", shown(command), readable(limit)),
    }
}

/// What a program says on its standard error, where it succeeds within `limit`; says nothing itself.
pub(crate) fn errors(command: &mut Command, limit: Duration) -> Result<String> {
    match said(command, limit)? {
        (said, Some(status)) if status.success() => Ok(said),
        (said, Some(status)) => bail!("`{}` ended with {status}\n{said}", shown(command)),
        (_, None) => bail!("`{}` did not end within {}, and was stopped", shown(command), readable(limit)),
    }
}

/// What a program says on its standard error, and how it ended, `None` where it was stopped; says nothing itself.
pub(crate) fn said(command: &mut Command, limit: Duration) -> Result<(String, Option<ExitStatus>)> {
    capture(command.stdout(Stdio::null()).stderr(Stdio::piped()), limit, |child| {
        child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>)
    })
}

/// Runs a program, and reads one of its streams meanwhile.
fn capture(
    command: &mut Command,
    limit: Duration,
    stream: impl FnOnce(&mut Child) -> Option<Box<dyn Read + Send>>,
) -> Result<(String, Option<ExitStatus>)> {
    let line = shown(command);
    let mut child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start `{line}`"))?;
    let mut stream = stream(&mut child).context("a pipe that was asked for")?;
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        stream.read_to_end(&mut text).map(|_| text)
    });
    let status = wait(child, limit)?;
    let text = reader.join().map_err(|_| anyhow!("the reader of `{line}` panicked"))?;
    Ok((String::from_utf8_lossy(&text.with_context(|| format!("cannot read `{line}`"))?).into_owned(), status))
}

/// The program's standard output, where it succeeds; says nothing.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Waits for a child; after `limit` stops it with everything it started, and answers `None`.
pub(crate) fn wait(mut child: Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let id = child.id();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait()));
    if let Ok(status) = end.recv_timeout(limit) {
        return Ok(Some(status.context("cannot wait for a program")?));
    }
    let family = family(id);
    signal("TERM", &family);
    if end.recv_timeout(STOP_GRACE).is_err() {
        signal("KILL", &family);
    }
    Ok(None)
}

/// Sends a signal to processes by id; one that has ended meanwhile is no error.
pub(crate) fn signal(name: &str, processes: &[u32]) {
    let mut command = Command::new("kill");
    command.arg("-s").arg(name).args(processes.iter().map(u32::to_string));
    // Nothing more can be done where `kill` is missing: the caller reports the program that did not stop.
    drop(command.stderr(Stdio::null()).status());
}

/// A process and all its descendants. A test program outlives the `cargo test` that started it, so stopping only the
/// latter would leave a hung server behind.
fn family(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut next = 0;
    while let Some(parent) = all.get(next) {
        let list = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(list).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        next += 1;
    }
    all
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = run(&mut sh("exit 3"), Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'exit 3'` ended with exit status: 3");
    }

    #[test]
    fn a_command_that_hangs_is_stopped() {
        let error = run(&mut sh("exec sleep 600"), Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'exec sleep 600'` did not end within 0.1 s, and was stopped");
    }

    #[test]
    fn what_a_failed_program_printed_is_kept() {
        let (text, status) = read(&mut sh("echo half; exit 3"), Duration::from_secs(60)).unwrap();
        assert_eq!((text.as_str(), status.code()), ("half\n", Some(3)));
    }

    #[test]
    fn children_belong_to_the_family() {
        let mut parent = sh("sleep 600 & echo started; wait").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "started\n");
        let family = family(parent.id());
        signal("KILL", &family);
        parent.wait().unwrap();
        assert_eq!(family.len(), 2, "{family:?}");
    }

    #[test]
    fn text_tells_what_the_program_complained_about() {
        assert_eq!(text(&mut sh("echo ' hello '")).unwrap(), "hello");
        let error = text(&mut sh("echo why >&2; exit 1")).unwrap_err();
        assert!(error.to_string().ends_with("why"), "{error}");
    }

    #[test]
    fn what_cargo_run_added_is_recognised() {
        for key in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
            assert!(added_by_cargo_run(key), "{key}");
        }
        for key in ["CARGO_TARGET_DIR", "CARGO_HOME", "CARGO_HTTP_CAINFO", "LD_LIBRARY_PATH"] {
            assert!(!added_by_cargo_run(key), "{key}");
        }
    }
}
