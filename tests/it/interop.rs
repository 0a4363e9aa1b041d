//! Real clients, unmodified, against a server that serves every committed model.
//!
//! The Python environment is set up by `cargo xtask test`; without it these tests fail and say so.

use std::path::PathBuf;
use std::time::Duration;

use tests::sandbox::{Running, Sandbox};
use tests::zoo;
use tokio::process::Command;

/// The longest any client script may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// Versions that must not be promoted are not served here.
const BAD: [&str; 2] = ["v1.2.0", "v1.3.0"];

async fn everything() -> anyhow::Result<(Sandbox, Running)> {
    let mut sandbox = Sandbox::new()?;
    let mut files = Vec::new();
    for (model, versions) in zoo::all()? {
        let good: Vec<&String> = versions.iter().filter(|version| !BAD.contains(&version.as_str())).collect();
        for version in &good {
            sandbox.publish(&model, version)?;
        }
        let newest = good.last().expect("every model has a version");
        files.push((format!("{model}.yaml"), sandbox.values(&model, newest, "")));
    }
    let keys: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    sandbox.kubelet.swap(&keys)?;
    let running = sandbox.start().await?;
    for (model, versions) in zoo::all()? {
        let newest =
            versions.iter().rfind(|version| !BAD.contains(&version.as_str())).expect("every model has a version");
        running.promoted(&model, newest).await?;
    }
    Ok((sandbox, running))
}

async fn script(name: &str, running: &Running) {
    let python =
        std::env::var("XTASK_PYTHON").expect("XTASK_PYTHON is unset: run `cargo xtask test`, which sets it up");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python").join(name);
    let addresses = running.app.addresses();
    let mut command = Command::new(python);
    command
        .arg(script)
        .args(["--http", &addresses.http.to_string(), "--grpc", &addresses.grpc.to_string()])
        .kill_on_drop(true);
    let output =
        tokio::time::timeout(PATIENCE, command.output()).await.expect("the script ends").expect("the script starts");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}:\n{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unmodified_clients_get_right_answers() {
    let (_sandbox, running) = everything().await.unwrap();
    script("clients.py", &running).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unmodified_perf_analyzer_measures_both_protocols() {
    let (_sandbox, running) = everything().await.unwrap();
    script("perf_analyzer.py", &running).await;
    running.stop().await;
}
