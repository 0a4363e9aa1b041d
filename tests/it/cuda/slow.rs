//! A kernel that does not end for a while: the stand-in holds its launch until a named pipe is closed, so nothing here waits
//! for time to pass but a caller who gives up.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::faults::{SMALL, brought_up};
use tests::sandbox::PATIENCE;

use super::{MODEL, asked, ends_well, row, sandbox, serving};

fn pipe(path: &Path) -> PathBuf {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    path.to_owned()
}

/// Waits until the launch has come; it goes on when what this answers is dropped.
async fn held(pipe: PathBuf) -> File {
    let place = pipe.clone();
    let opened = tokio::task::spawn_blocking(move || OpenOptions::new().write(true).open(place));
    let Ok(opened) = tokio::time::timeout(PATIENCE, opened).await else {
        // Lets the thread that waits for a reader go.
        drop(File::open(pipe));
        panic!("the launch never came")
    };
    opened.unwrap().unwrap()
}

/// A request whose caller waits this long.
async fn asked_within(http: &str, milliseconds: u64) -> u16 {
    let request = reqwest::Client::new().post(format!("{http}/v2/models/{MODEL}/infer"));
    let request = request.header("x-sluice-timeout-ms", milliseconds).body(row());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_a_slow_kernel_wait_no_longer_than_they_said_and_nothing_is_lost() {
    let (_, launches) = brought_up().await;
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
