//! What happens when a part of the running server ends.

use std::path::Path;

use config::SettingsLayer;

use super::*;

fn settings(folder: &Path) -> Settings {
    let mut flags = SettingsLayer::new();
    for (name, path) in [("values", "values"), ("cache", "cache")] {
        flags.set(name, folder.join(path).display().to_string());
    }
    for (name, value) in
        [("http", "127.0.0.1:0"), ("grpc", "127.0.0.1:0"), ("admin", "127.0.0.1:0"), ("not-ready-wait", "0s")]
    {
        flags.set(name, value);
    }
    Settings::resolve(&flags, std::iter::empty(), None).unwrap()
}

#[tokio::test]
async fn a_dead_device_is_told_and_the_server_still_drains() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("values")).unwrap();
    let mut app = App::start(settings(folder.path())).await.unwrap();
    let device = app.device.clone();
    let ((), lost) = tokio::join!(device.kill(), app.lost());
    assert!(matches!(lost, Lost::Device { name, .. } if name == "cpu"));
    assert!(app.shut_down().await);
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::process::Command;

    use crate::cli::{self, Console};

    const FOLDER: &str = "LOST_FOLDER";

    /// Not a test of its own: the process whose reconciler panics, started by the test below with `FAILPOINTS` set.
    #[test]
    #[ignore = "the child process of a_server_without_its_reconciler_ends"]
    fn child() {
        let _armed = fail::FailScenario::setup();
        let folder = std::path::PathBuf::from(std::env::var_os(FOLDER).unwrap());
        let of = |name: &str| folder.join(name).display().to_string();
        let free = "127.0.0.1:0";
        let line =
            ["sluice", "serve", "--values", &of("values"), "--cache", &of("cache"), "--http", free, "--grpc", free]
                .map(str::to_owned)
                .into_iter()
                .chain(["--admin", free, "--not-ready-wait", "0s"].map(str::to_owned));
        std::process::exit(cli::run(line, &mut Console::standard()) as i32);
    }

    #[test]
    fn a_server_without_its_reconciler_ends() {
        let folder = tempfile::tempdir().unwrap();
        let values = folder.path().join("values");
        std::fs::create_dir(&values).unwrap();
        let text = "schemaVersion: v1alpha1\nmodel: {name: m, version: v1, storageUri: \"file:///nowhere\"}\n";
        std::fs::write(values.join("m.yaml"), text).unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "app::tests::armed::child"])
            .env("FAILPOINTS", "rollout::before_stage=panic")
            .env(FOLDER, folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("task `reconcile` panicked"), "{said}");
    }
}
