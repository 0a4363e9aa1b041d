//! Bad flags, files and variables, as the command line and the settings tell them.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};

use config::{Settings, SettingsLayer};
use server::app::App;
use server::cli::{self, Console, Exit};
use tests::sandbox::Sandbox;

use super::Table;

/// Sends what is written to the test.
struct Page(Sender<Vec<u8>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The exit code of a command line and everything that it wrote.
fn sluice(line: &[&str]) -> (Exit, String) {
    let (page, written) = channel();
    let mut console = Console::plain(Page(page.clone()), Page(page));
    let line: Vec<String> = std::iter::once("sluice").chain(line.iter().copied()).map(str::to_owned).collect();
    // A command starts a runtime of its own, which cannot be done on a thread of another.
    let exit = std::thread::spawn(move || cli::run(line, &mut console)).join().unwrap();
    (exit, String::from_utf8(written.iter().flatten().collect()).unwrap())
}

/// Command lines that end before anything is served.
pub(super) fn flags(root: &Path, table: &mut Table) {
    table.kind("command lines");
    let file = |name: &str, text: &str| {
        std::fs::write(root.join(name), text).unwrap();
        root.join(name).display().to_string()
    };
    let bad = file("bad.yaml", "schemaVersion: v1alpha1\nmodel: {name: Fraud, version: 2.10}\n");
    let settings = file("settings.yaml", "http: here\nlogformat: xml\n");
    let root = root.display().to_string();
    let gone = format!("{root}/gone.yaml");
    let empty = format!("{root}/empty");
    std::fs::create_dir(&empty).unwrap();
    let line = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let cases = [
        ("unknown command", line(&["frobnicate"])),
        ("mistyped flag", line(&["serve", "--vales", "x"])),
        ("serve without values", line(&["serve"])),
        ("addresses and devices that are none", line(&["serve", "--values", "x", "--http", "8000", "--device", "gpu"])),
        ("one port twice", line(&["serve", "--values", "x", "--http", "127.0.0.1:9", "--grpc", "127.0.0.1:9"])),
        ("settings file with mistakes", line(&["serve", "--values", "x", "--settings", &settings])),
        ("settings file that is not there", line(&["serve", "--values", "x", "--settings", &gone])),
        ("log filter", line(&["serve", "--values", "x", "--log", "server=loud"])),
        ("values with mistakes", line(&["validate", &bad])),
        ("values that are not there", line(&["validate", &gone])),
        ("version with a blank", line(&["bump", &bad, "v 2", "--promoted"])),
        ("bump of a bad file", line(&["bump", &bad, "v2", "--promoted"])),
        ("explain of nothing", line(&["explain", &empty])),
        ("push to nowhere", line(&["push", &root, "ftp://host/x"])),
        ("a server that is not there", line(&["status", "--admin", "http://127.0.0.1:1"])),
        ("an address without a scheme", line(&["status", "--admin", "127.0.0.1:8002"])),
    ];
    for (name, line) in cases {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let (exit, told) = sluice(&line);
        assert_ne!(exit, Exit::Done, "{name}");
        table.case(name, &format!("{exit:?}\n{told}"));
    }
}

/// Settings that are well formed and with which no server can start.
pub(super) async fn start(sandbox: &Sandbox, taken: SocketAddr, table: &mut Table) {
    table.kind("start");
    let (token, gone) = (sandbox.root().join("token"), sandbox.root().join("gone"));
    std::fs::write(&token, "\n").unwrap();
    let (token, gone) = (token.display().to_string(), gone.display().to_string());
    for (name, setting, value) in [
        ("a port that is taken", "http", taken.to_string()),
        ("a device this build has not", "device", "cuda:0".to_owned()),
        ("a token file that is empty", "admin-token-file", token.clone()),
        ("a token file that is not there", "admin-token-file", gone),
        ("a cache that is a file", "cache", token),
        ("a cache that another process uses", "cache", sandbox.cache().display().to_string()),
    ] {
        let mut flags = SettingsLayer::new();
        let cache = sandbox.root().join(format!("cache-{setting}")).display().to_string();
        for (name, value) in [("values", "x"), ("cache", &cache), ("grpc", FREE), ("admin", FREE), ("http", FREE)] {
            flags.set(name, value.to_owned());
        }
        flags.set(setting, value);
        let settings = Settings::resolve(&flags, std::iter::empty(), None).unwrap();
        let Err(error) = App::start(settings).await else { panic!("{name}: it started") };
        table.case(name, &error.to_string().replace(&taken.to_string(), "[taken]"));
    }
}

/// Any free port.
const FREE: &str = "127.0.0.1:0";

/// Environment variables; a test cannot set its own process's.
pub(super) fn environment(table: &mut Table) {
    table.kind("environment");
    for (name, variable, value) in [
        ("mistyped variable", "SLUICE_GRCP", "127.0.0.1:8001"),
        ("a size without a unit that is one", "SLUICE_CACHE_BYTES_MAX", "10 gigs"),
        ("a size under its minimum", "SLUICE_CACHE_BYTES_MAX", "1KiB"),
        ("a duration in words", "SLUICE_GRACE_PERIOD", "soon"),
        ("a share over one", "SLUICE_ACCESS_LOG_SAMPLE", "5"),
        ("models that cannot be", "SLUICE_READINESS", "fraud,Bad Name"),
        ("no whole number", "SLUICE_REQUESTS_MAX", "1e9"),
        ("a truth in other words", "SLUICE_ALLOW_SIMULATED_DEVICE", "maybe"),
    ] {
        let mut flags = SettingsLayer::new();
        flags.set("values", "x");
        let variables = [(variable.to_owned(), value.to_owned())].into_iter();
        let problems = Settings::resolve(&flags, variables, None).expect_err(name);
        table.case(name, &problems.to_string());
    }
}
