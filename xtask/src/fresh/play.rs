//! The quickstart as a newcomer plays it: each printed command, as printed, and what must come of it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::printed::{Ask, Printed, Tally, version};
use crate::quickstart::{Quickstart, quickstart_drive};
use crate::shell;

/// How long the guide may take once the server is ready.
const GUIDE_LIMIT: Duration = Duration::from_secs(10);
/// How long one printed command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// How long a good version may take: its steps are half a minute, and the analysis needs traffic.
const PROMOTE_LIMIT: Duration = Duration::from_secs(150);
/// How long a bad version may take to be found out.
const REJECT_LIMIT: Duration = Duration::from_secs(90);
/// How long the way back may take: no step and no analysis is in it.
const BACK_LIMIT: Duration = Duration::from_secs(10);
/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of one answer.
const ANSWER_MAX: u64 = 64 << 10;
/// The ports that the README names.
const DEFAULT_PORTS: [u16; 3] = [8000, 8001, 8002];

/// Starts `quickstart` (a command whose arguments may go on) in `folder`, plays it, stops it, and looks at the totals.
pub(super) fn play(quickstart: &mut Command, folder: &Path, ready_limit: Duration) -> Result<()> {
    quickstart.current_dir(folder).args(ports()?);
    let ending = quickstart_drive(quickstart, |quickstart| story(quickstart, folder, ready_limit))?;
    let tally = Tally::parse(&ending)?;
    ensure!(tally.answered > 0, "the quickstart's callers got no answer at all");
    ensure!(
        tally.failed == 0,
        "{} of the quickstart's requests failed, {} were answered",
        tally.failed,
        tally.answered
    );
    println!("  callers: {} answered, none failed", tally.answered);
    Ok(())
}

fn story(quickstart: &mut Quickstart, folder: &Path, ready_limit: Duration) -> Result<()> {
    quickstart.line("that it is ready", ready_limit, |line| line.starts_with("ready in "))?;
    let guide = quickstart.lines("what to try", GUIDE_LIMIT, |line| line.trim_start().starts_with("values file"))?;
    let printed = Printed::parse(&guide)?;
    let (first, better) = (version(&printed.back)?, version(&printed.deploy)?);
    answers(&printed.ask, first)?;

    let mut watch = Quickstart::start(typed(&printed.watch, folder).stderr(std::process::Stdio::null()))?;
    type_in(&printed.deploy, folder)?;
    watch.line(&format!("that {better} is on trial"), COMMAND_LIMIT, |line| line.contains(better))?;
    watch.interrupt()?;
    event(quickstart, better, "promoted", PROMOTE_LIMIT)?;
    answers(&printed.ask, better)?;

    for bad in [&printed.bad, &printed.tampered] {
        type_in(bad, folder)?;
        let line = event(quickstart, version(bad)?, "rejected", REJECT_LIMIT)?;
        let stays = format!("{better} serves all requests");
        ensure!(line.contains(&stays), "`{line}` does not say that {stays}");
        answers(&printed.ask, better)?;
    }

    type_in(&printed.back, folder)?;
    event(quickstart, first, "promoted", BACK_LIMIT)?;
    answers(&printed.ask, first)
}

/// Waits until the quickstart tells this event of this version; fails where it tells the opposite.
fn event(quickstart: &mut Quickstart, version: &str, event: &str, limit: Duration) -> Result<String> {
    let ends = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(version) && matches!(words.next(), Some("promoted" | "rejected"))
    };
    let line = quickstart.line(&format!("that {version} was {event}"), limit, ends)?;
    ensure!(line.split_whitespace().nth(2) == Some(event), "{version} should have been {event}: `{line}`");
    Ok(line)
}

fn type_in(command: &str, folder: &Path) -> Result<()> {
    shell::run(&mut typed(command, folder), COMMAND_LIMIT)
}

/// As a terminal would start it: interrupts reach it, though whatever runs in the background ignores them and hands that
/// on to what it starts.
fn typed(command: &str, folder: &Path) -> Command {
    let mut shell = shell::program("env", folder);
    // `exec`, so that an interrupt reaches the program and not a shell around it.
    shell.args(["--default-signal=INT", "sh", "-c", &format!("exec {command}")]);
    shell
}

/// Sends the printed request and fails unless `version` answers it.
fn answers(ask: &Ask, version: &str) -> Result<()> {
    let answer = post(ask).with_context(|| format!("asking {}{}", ask.authority, ask.path))?;
    let expected = format!("\"model_version\":\"{version}\"");
    if !answer.starts_with("HTTP/1.1 200 ") || !answer.contains(&expected) {
        bail!("{version} should have answered, but the answer was: {answer}");
    }
    Ok(())
}

fn post(ask: &Ask) -> Result<String> {
    let Ask { authority, path, body } = ask;
    let mut stream = TcpStream::connect_timeout(&authority.parse::<SocketAddr>()?, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Nothing where the README's ports are free; else flags that name free ones.
fn ports() -> Result<Vec<String>> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if DEFAULT_PORTS.iter().all(|port| bind(*port).is_ok()) {
        return Ok(Vec::new());
    }
    println!("a default port is taken: playing on others");
    // Held until all three are known, so that they differ.
    let listeners = [bind(0)?, bind(0)?, bind(0)?];
    let mut flags = Vec::new();
    for (flag, listener) in ["--http", "--grpc", "--admin"].into_iter().zip(&listeners) {
        flags.extend([flag.to_owned(), listener.local_addr()?.to_string()]);
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask_of(answer: &'static str) -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 19];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            let mut rest = Vec::new();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            stream.read_to_end(&mut rest).unwrap();
            assert!(rest.ends_with(b"\r\n\r\n{}"));
            request
        });
        let asked = answers(&Ask { authority, path: "/infer".to_owned(), body: "{}".to_owned() }, "v1");
        assert_eq!(&server.join().unwrap(), b"POST /infer HTTP/1.");
        asked
    }

    #[test]
    fn only_an_answer_of_the_version_counts() {
        ask_of("HTTP/1.1 200 OK\r\n\r\n{\"model_version\":\"v1\"}").unwrap();
        assert!(ask_of("HTTP/1.1 200 OK\r\n\r\n{\"model_version\":\"v2\"}").is_err());
        assert!(ask_of("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"model_version\":\"v1\"}").is_err());
    }

    #[test]
    fn the_opposite_end_fails() {
        let told = |line: &str, wanted: &str| {
            let mut sh = typed(&format!("echo '{line}'"), Path::new("/"));
            let mut quickstart = Quickstart::start(&mut sh).unwrap();
            event(&mut quickstart, "v2", wanted, Duration::from_secs(60)).map_err(|error| error.to_string())
        };
        assert!(told("12:00:00  v2  promoted  all steps passed", "promoted").is_ok());
        let error = told("12:00:00  v2  rejected  nan-share", "promoted").unwrap_err();
        assert!(error.starts_with("v2 should have been promoted"), "{error}");
        assert!(told("12:00:00  v1  promoted  all steps passed", "promoted").unwrap_err().contains("ended before"));
    }
}
