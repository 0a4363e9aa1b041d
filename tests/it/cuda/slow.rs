//! A kernel or a copy that does not end for a while: the stand-in holds it until a named pipe is closed, so nothing here
//! waits for time to pass but a caller who gives up.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::sandbox::PATIENCE;

use super::faults::{SMALL, brought_up};
use super::{MODEL, asked, bump, ends_well, row, sandbox, serving};

/// The weights of v1.1.0: a matrix and a bias for each of its three layers, each copied as a piece of its own.
const PIECES: u64 = 6;

fn pipe(path: &Path) -> PathBuf {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    path.to_owned()
}

/// Waits until the launch or the copy has come; it goes on when what this answers is dropped.
async fn held(pipe: PathBuf) -> File {
    let place = pipe.clone();
    let opened = tokio::task::spawn_blocking(move || OpenOptions::new().write(true).open(place));
    let _unblocked = Unblocks(pipe);
    tokio::time::timeout(PATIENCE, opened).await.expect("the device never came there").unwrap().unwrap()
}

/// When it is dropped, a thread that waits for a reader of the pipe has one: a test that failed must be able to end.
struct Unblocks(PathBuf);

impl Drop for Unblocks {
    fn drop(&mut self) {
        // Of open(2): do not wait for a writer.
        const O_NONBLOCK: i32 = 0o4000;
        let _reader = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&self.0);
    }
}

/// A request whose caller waits this long.
async fn asked_within(http: &str, milliseconds: u64) -> u16 {
    let request = reqwest::Client::new().post(format!("{http}/v2/models/{MODEL}/infer"));
    let request = request.header("x-sluice-timeout-ms", milliseconds).body(row());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_a_slow_kernel_wait_no_longer_than_they_said_and_nothing_is_lost() {
    let launches = brought_up().await.launches;
    let sandbox = sandbox("v1.0.0", SMALL).unwrap();
    let pipe = pipe(&sandbox.root().join("held"));
    let process = serving(&sandbox, &format!("slow={}:{}", launches + 1, pipe.display()));
    process.until(|model| model["phase"] == "Healthy").await;
    let http = process.http.clone();
    let patient = tokio::spawn(async move { asked(&http).await });
    let held = held(pipe).await;
    assert_eq!(asked_within(&process.http, 50).await, 504, "the device is busy with the one before");
    assert_eq!(process.ask("/healthz").await.trim(), "ok", "the rest of the server is not");
    process.until(|model| model["phase"] == "Healthy").await;
    drop(held);
    let (code, body) = patient.await.unwrap();
    assert!(code == 200 && body.contains("\"v1.0.0\""), "{code} {body}");
    assert_eq!(asked(&process.http).await.0, 200);
    ends_well(process, &sandbox);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_answered_between_two_pieces_of_a_load() {
    let before = brought_up().await;
    let mut sandbox = sandbox("v1.0.0", SMALL).unwrap();
    let pipe = |name: String| pipe(&sandbox.root().join(name));
    let copies: Vec<PathBuf> = (1..=PIECES).map(|copy| pipe(format!("copy-{copy}"))).collect();
    let launch = pipe("launch".to_owned());
    let plan = (1..).zip(&copies).map(|(copy, at)| format!("slow-copy={}:{}", before.copies + copy, at.display()));
    let plan = plan.chain([format!("slow={}:{}", before.launches + 1, launch.display())]).collect::<Vec<_>>();
    let process = serving(&sandbox, &plan.join(";"));
    process.until(|model| model["phase"] == "Healthy").await;
    bump(&mut sandbox, "v1.1.0", SMALL).unwrap();
    let mut copies = copies.into_iter();
    let mut copy = held(copies.next().unwrap()).await;
    let http = process.http.clone();
    let caller = tokio::spawn(async move { asked(&http).await });
    let waits = format!("sluice_queue_depth{{model=\"{MODEL}\",version=\"v1.0.0\"}} 1");
    process.until_metrics(|metrics| metrics.lines().any(|line| line == waits)).await;
    // A load only copies, so the first launch is the caller's. Copy by copy, of which one is of the caller's row.
    let mut launch = Box::pin(held(launch));
    let (launch, next) = loop {
        drop(copy);
        let mut next = Box::pin(held(copies.next().expect("a load of so many pieces lets a caller in between")));
        tokio::select! {
            launch = &mut launch => break (launch, next),
            held = &mut next => copy = held,
        }
    };
    drop(launch);
    let answer = caller.await.unwrap();
    // It is answered, and the load stands at its next piece.
    copy = next.await;
    let model = process.until(|_| true).await;
    let staged = |event: &serde_json::Value| event["event"] == "staged" && event["version"] == "v1.1.0";
    assert!(answer.0 == 200 && answer.1.contains("\"v1.0.0\""), "{answer:?}");
    assert!(!model["history"].as_array().unwrap().iter().any(staged), "{model}");
    drop(copy);
    for pipe in copies {
        drop(held(pipe).await);
    }
    process.until(|model| model["stable"]["version"] == "v1.1.0" && model["phase"] == "Healthy").await;
    ends_well(process, &sandbox);
}
