//! Whole command lines: what they print, what they end with, and what they ask a server (a fake one, on port 0).

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Path as UrlPath, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

/// A model that is served.
const FRAUD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/zoo/artifacts/fraud-detection/v1.1.0");

/// A writer that the test reads.
#[derive(Clone, Default)]
pub(super) struct Page(pub(super) Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How a command line ended, and what it wrote.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) fn sluice(args: &[&str]) -> Ended {
    let (out, err) = (Page::default(), Page::default());
    let mut console = Console::plain(out.clone(), err.clone());
    let exit = run([&["sluice"], args].concat(), &mut console);
    let text = |page: &Page| String::from_utf8(page.0.lock().clone()).unwrap();
    Ended { exit, out: text(&out), err: text(&err) }
}

/// A server that answers with what it was given, on a thread of its own.
struct Fake {
    url: String,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Fake {
    fn admin(status: Value) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new()
            .route("/status", get(async move || Json(status)))
            .route("/v1/models/{model}/{verb}", post(verb))
            .with_state(Arc::clone(&seen));
        Self { url: serve(router), seen }
    }

    fn http() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let metadata = json!({
            "name": "fraud-detection", "platform": "onnx_sluice",
            "inputs": [{ "name": "features", "datatype": "FP32", "shape": [-1, 3] }], "outputs": [],
        });
        let label = json!({ "model_version_status": [{ "version": "v1", "state": "AVAILABLE" }] });
        let router = Router::new()
            .route("/v2", get(async || Json(json!({ "name": "sluice", "version": "0", "extensions": [] }))))
            .route("/v2/models/fraud-detection", get(async move || Json(metadata)))
            .route("/v2/models/fraud-detection/infer", post(infer))
            .route("/v2/models/{model}", get(async || no("there is no such model")))
            .route("/v1/models/m/labels/stable", get(async move || Json(label)))
            .fallback(async || no("nothing here"))
            .with_state(Arc::clone(&seen));
        Self { url: serve(router), seen }
    }

    fn seen(&self) -> Vec<Value> {
        self.seen.lock().clone()
    }
}

pub(super) fn serve(router: Router) -> String {
    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    format!("http://{}", address.recv().unwrap())
}

fn no(why: &str) -> (StatusCode, Json<Value>) {
    (StatusCode::NOT_FOUND, Json(json!({ "error": why })))
}

async fn verb(
    State(seen): State<Arc<Mutex<Vec<Value>>>>,
    UrlPath((model, verb)): UrlPath<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let token = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    seen.lock().push(json!({ "model": model, "verb": verb, "body": body, "token": token }));
    match verb.as_str() {
        _ if model != "m" => no("there is no model \"x\""),
        "abort" => (StatusCode::CONFLICT, Json(json!({ "error": "no version is on trial" }))),
        "retry" => (StatusCode::UNAUTHORIZED, Json(json!({ "error": "send a token" }))),
        _ => (StatusCode::OK, Json(json!({ "result": "v2 goes on to step 2 of 3" }))),
    }
}

async fn infer(
    State(seen): State<Arc<Mutex<Vec<Value>>>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> ([(&'static str, &'static str); 2], Json<Value>) {
    let variant = headers.get("x-sluice-variant").map(|value| value.to_str().unwrap().to_owned());
    seen.lock().push(json!({ "body": body, "variant": variant }));
    let outputs = json!([{ "name": "label", "datatype": "INT64", "shape": [1], "data": [1] }]);
    let answer = json!({ "model_name": "fraud-detection", "model_version": "v1.1.0", "outputs": outputs });
    ([("x-sluice-version", "v1.1.0"), ("x-sluice-variant", "canary")], Json(answer))
}

pub(super) fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Values of model `m`, at `version`.
pub(super) fn values(version: &str, more: &str) -> String {
    format!(
        "schemaVersion: v1alpha1\nmodel:\n  name: m\n  version: \"{version}\" # the line\n  storageUri: file:///srv/m/{{version}}\n{more}"
    )
}

fn stable(version: &str) -> Value {
    json!({ "models": [{ "name": "m", "phase": "Healthy", "message": "fine", "stable": { "version": version } }] })
}

/// Latency is the only thing of an answer that changes from run to run.
fn without_time(text: &str) -> String {
    let Some((before, after)) = text.split_once(" answered in ") else { return text.to_owned() };
    let rest = after.split_once(" ms").map_or("", |(_, rest)| rest);
    format!("{before} answered in … ms{rest}")
}

#[test]
fn help_teaches() {
    let top = sluice(&["--help"]);
    assert_eq!((top.exit, top.err.as_str()), (Exit::Done, ""));
    insta::assert_snapshot!("help", top.out);
    let commands: Vec<String> = grammar().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for command in commands {
        let help = sluice(&[&command, "--help"]);
        assert_eq!(help.exit, Exit::Done, "{command}");
        for part in ["Examples:", "Exit codes:", &format!("sluice {command}")] {
            assert!(help.out.contains(part), "{command} does not show {part:?}");
        }
        insta::assert_snapshot!(format!("help-{command}"), help.out);
    }
}

#[test]
fn the_grammar_is_sound() {
    grammar().debug_assert();
}

#[test]
fn a_wrong_command_line_is_usage() {
    for line in [
        &["frobnicate"][..],
        &["validate"],
        &["wait"],
        &["wait", "--for=observed"],
        &["bump", "values.yaml"],
        &["bump", "values.yaml", "no good"],
        &["bump", "values.yaml", "v2", "--promoted", "--status", "http://h"],
        &["status", "--admin", "127.0.0.1:8002"],
        &["predict", "m", "--variant", "green"],
        &["push", ".", "ftp://h/x"],
        &["push", ".", "file:///x/v1", "--registry", "http://h"],
        &["check", "values.yaml"],
        &["check", "values.yaml", "--registry", "h:1"],
    ] {
        let ended = sluice(line);
        assert_eq!(ended.exit, Exit::Usage, "{line:?}: {}", ended.err);
        assert_eq!(ended.out, "");
    }
    let bare = sluice(&[]);
    assert_eq!(bare.exit, Exit::Usage);
    assert!(bare.err.contains("quickstart"), "{}", bare.err);
    let version = sluice(&["--version"]);
    assert_eq!((version.exit, version.out), (Exit::Done, format!("sluice {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn durations_are_written_as_in_settings() {
    let server = Fake::admin(stable("v1"));
    for good in ["0", "0.1", "30s", "1m30s", "99999999999999d"] {
        let ended = sluice(&["wait", "--for=healthy", "--model", "x", "--timeout", good, "--admin", &server.url]);
        assert_eq!(ended.exit, Exit::BadInput, "it asked, and there is no such model: {good}: {}", ended.err);
    }
    for (command, flag) in [(&["wait", "--for=healthy"][..], "--timeout"), (&["status", "--watch"], "--interval")] {
        for bad in ["", "soon", "5 minutes", "-1"] {
            let ended = sluice(&[command, &[&*format!("{flag}={bad}")]].concat());
            let told = "not a duration; write a number of seconds, or 250ms, 30s, 5m or 1h";
            assert_eq!(ended.exit, Exit::Usage, "{flag} {bad:?}: {}", ended.err);
            assert!(bad.is_empty() || ended.err.contains(told), "{flag} {bad:?}: {}", ended.err);
        }
    }
}

#[test]
fn validate_tells_everything_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let good = write(dir.path(), "good.yaml", &values("v1", ""));
    let bad = write(
        dir.path(),
        "bad.yaml",
        "schemaVersion: v1alpha1\nmodel:\n  name: M\n  verison: v1\n  storageUri: nowhere\n",
    );
    let none = dir.path().join("none.yaml").to_str().unwrap().to_owned();
    let ended = sluice(&["validate", &good]);
    assert_eq!(ended.exit, Exit::Done, "{}", ended.out);
    let ended = sluice(&["validate", &good, &bad, &none]);
    assert_eq!(ended.exit, Exit::BadInput);
    for part in ["bad.yaml:3:", "bad.yaml:4:", "bad.yaml:5:", "none.yaml: cannot read", "valid: "] {
        assert!(ended.out.contains(part), "no {part:?} in {}", ended.out);
    }
    let second = write(dir.path(), "two.yml", "schemaVersion: v1alpha1\nmodel: {name: M}\n---\nmodel: {}\n");
    let both = sluice(&["validate", &second]);
    for part in ["two.yml:2:", "two.yml:3:1: a second document"] {
        assert!(both.out.contains(part), "no {part:?} in {}", both.out);
    }
    let folder = sluice(&["validate", dir.path().to_str().unwrap()]);
    let judged: Vec<&str> =
        folder.out.lines().filter(|line| line.starts_with("valid:") || line.starts_with("not")).collect();
    assert_eq!((folder.exit, judged.len()), (Exit::BadInput, 3), "{}", folder.out);
    let empty = sluice(&["validate", tempfile::tempdir().unwrap().path().to_str().unwrap()]);
    assert_eq!((empty.exit, empty.out.contains("holds no *.yaml")), (Exit::BadInput, true), "{}", empty.out);
    let json = sluice(&["validate", "--format=json", &good, &bad]);
    assert_eq!(json.exit, Exit::BadInput);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["files"][0]["valid"], &json["files"][1]["valid"]), (&json!(true), &json!(false)));
    assert_eq!(json["files"][0]["version"], "v1");
    assert_eq!(json["files"][1]["problems"][0]["line"], 3);
    let github = sluice(&["validate", "--format=github", &bad]);
    assert!(github.out.lines().all(|line| line.starts_with("::error file=")), "{}", github.out);
    let schema = sluice(&["validate", "--schema"]);
    assert!(serde_json::from_str::<Value>(&schema.out).unwrap()["properties"]["model"].is_object());
}

#[test]
fn bump_moves_stable_only_where_it_was_earned() {
    let dir = tempfile::tempdir().unwrap();
    let server = Fake::admin(stable("v1"));
    let serving = Fake::http();
    for (version, more, flags, expected) in [
        ("v1", "", &["--promoted"][..], Ok(Some("v1"))),
        ("v1", "", &["--status", &server.url], Ok(Some("v1"))),
        ("v1", "", &["--status", &serving.url], Ok(Some("v1"))),
        ("v0", "", &["--status", &server.url], Ok(None)),
        ("v1.5", "stable: {version: v1}\n", &["--status", &server.url], Ok(Some("v1"))),
        ("v1", "stable: {version: v1}\n", &[], Ok(Some("v1"))),
        ("v1", "", &[], Err(Exit::Usage)),
    ] {
        let before = values(version, more);
        let file = write(dir.path(), "values.yaml", &before);
        let ended = sluice(&[&["bump", file.as_str(), "v2"], flags].concat());
        let after = std::fs::read_to_string(&file).unwrap();
        match expected {
            Ok(stable) => {
                assert_eq!(ended.exit, Exit::Done, "{version} {flags:?}: {}", ended.err);
                let values = config::parse("values.yaml", &after).unwrap().values;
                assert_eq!(values.model.target.version.as_str(), "v2");
                assert_eq!(values.stable.as_ref().map(|stable| stable.version.as_str()), stable, "{version} {flags:?}");
                assert!(after.contains("# the line"));
                assert!(ended.out.contains("+   version: \"v2\" # the line"), "{}", ended.out);
            }
            Err(exit) => {
                assert_eq!(ended.exit, exit);
                assert_eq!(after, before);
                assert!(ended.err.contains("is v1 promoted?") && ended.err.contains("--status"), "{}", ended.err);
            }
        }
    }
}

#[test]
fn bump_leaves_a_file_that_it_cannot_change() {
    let dir = tempfile::tempdir().unwrap();
    let same = write(dir.path(), "same.yaml", &values("v2", ""));
    let ended = sluice(&["bump", &same, "v2"]);
    assert_eq!((ended.exit, ended.out.contains("already")), (Exit::Done, true), "{}", ended.err);
    let fixed = values("v1", "").replace("{version}", "v1");
    let place = write(dir.path(), "place.yaml", &fixed);
    let ended = sluice(&["bump", &place, "v2", "--promoted"]);
    assert_eq!((ended.exit, ended.err.contains("--storage-uri")), (Exit::BadInput, true), "{}", ended.err);
    assert_eq!(std::fs::read_to_string(&place).unwrap(), fixed);
    let ended = sluice(&["bump", &place, "v2", "--promoted", "--storage-uri", "file:///srv/m/v2"]);
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    let broken = write(dir.path(), "broken.yaml", "model: 3\n");
    assert_eq!(sluice(&["bump", &broken, "v2", "--promoted"]).exit, Exit::BadInput);
    let gone = write(dir.path(), "gone.yaml", &values("v1", ""));
    assert_eq!(sluice(&["bump", &gone, "v2", "--status", "http://127.0.0.1:1"]).exit, Exit::Failed);
}

#[test]
fn status_and_history_of_one_model_or_all() {
    let server = Fake::admin(stable("v1"));
    let at = ["--admin", &server.url];
    let all = sluice(&[&["status"], &at[..]].concat());
    assert_eq!(all.exit, Exit::Done, "{}", all.err);
    assert!(all.out.starts_with("m  Healthy  fine\n"), "{}", all.out);
    let other = sluice(&[&["status", "x"], &at[..]].concat());
    assert_eq!((other.exit, other.err.contains("models: m")), (Exit::BadInput, true), "{}", other.err);
    let json = sluice(&[&["status", "m", "--json"], &at[..]].concat());
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap()["phase"], "Healthy");
    let history = sluice(&[&["history", "m"], &at[..]].concat());
    assert_eq!(history.out, "m: nothing has happened yet\n");
    assert_eq!(sluice(&[&["history", "x"], &at[..]].concat()).exit, Exit::BadInput);
}

#[test]
fn a_server_that_is_not_there_or_something_else() {
    let ended = sluice(&["status", "--admin", "http://127.0.0.1:1"]);
    assert_eq!(ended.exit, Exit::Failed);
    assert!(ended.err.contains("http://127.0.0.1:1") && ended.err.contains("sluice serve"), "{}", ended.err);
    let serving = Fake::http();
    for line in [&["status"][..], &["history"], &["promote", "m"], &["wait", "--for=healthy"]] {
        let ended = sluice(&[line, &["--admin", &serving.url]].concat());
        let told = "that is a serving port, not an admin port";
        assert_eq!((ended.exit, ended.err.contains(told)), (Exit::BadInput, true), "{line:?}: {}", ended.err);
    }
    let other = serve(Router::new().fallback(async || "hello"));
    let ended = sluice(&["status", "--admin", &other]);
    assert_eq!((ended.exit, ended.err.contains("something else")), (Exit::Failed, true), "{}", ended.err);
}

#[test]
fn verbs_say_what_the_server_answers() {
    let dir = tempfile::tempdir().unwrap();
    let token = write(dir.path(), "token", "s3cret\n");
    let server = Fake::admin(stable("v1"));
    let at = ["--admin", server.url.as_str()];
    let done = sluice(&[&["promote", "m", "--full", "--token-file", &token], &at[..]].concat());
    assert_eq!((done.exit, done.out.as_str()), (Exit::Done, "m: v2 goes on to step 2 of 3\n"), "{}", done.err);
    assert_eq!(sluice(&[&["pause", "m"], &at[..]].concat()).exit, Exit::Done);
    let not_now = sluice(&[&["abort", "m"], &at[..]].concat());
    assert_eq!((not_now.exit, not_now.err.as_str()), (Exit::Failed, "error: no version is on trial\n"));
    let denied = sluice(&[&["retry", "m"], &at[..]].concat());
    assert_eq!((denied.exit, denied.err.contains("--token-file")), (Exit::Failed, true), "{}", denied.err);
    assert_eq!(sluice(&[&["pause", "x"], &at[..]].concat()).exit, Exit::BadInput);
    let seen = server.seen();
    assert_eq!(seen[0], json!({ "model": "m", "verb": "promote", "body": { "full": true }, "token": "Bearer s3cret" }));
    assert_eq!((&seen[1]["token"], &seen[1]["body"]), (&Value::Null, &json!({})));
    let empty = write(dir.path(), "empty", "\n");
    assert_eq!(sluice(&[&["pause", "m", "--token-file", &empty], &at[..]].concat()).exit, Exit::BadInput);
}

#[test]
fn wait_ends_when_it_is_so_or_never_will_be() {
    let dir = tempfile::tempdir().unwrap();
    let text = values("v1", "");
    let file = write(dir.path(), "values.yaml", &text);
    let revision = config::content_digest(text.as_bytes()).to_string();
    let status = |phase: &str| {
        json!({ "models": [{
            "name": "m", "phase": phase, "message": "v1 failed its gate", "observedRevision": revision,
            "desiredVersion": "v1", "stable": { "version": "v1" },
        }] })
    };
    let healthy = Fake::admin(status("Healthy"));
    let wait = |url: &str, args: &[&str]| sluice(&[&["wait", "--timeout", "0s", "--admin", url], args].concat());
    assert_eq!(wait(&healthy.url, &["--for=observed", "--values", &file]).exit, Exit::Done);
    assert_eq!(wait(&healthy.url, &["--for=healthy", "--values", &file]).exit, Exit::Done);
    assert_eq!(wait(&healthy.url, &["--for=healthy"]).exit, Exit::Done);
    assert_eq!(wait(&healthy.url, &["--for=healthy", "--model", "x"]).exit, Exit::BadInput);
    assert_eq!(wait(&healthy.url, &["--for=healthy", "--model", "x", "--values", &file]).exit, Exit::BadInput);
    let newer = write(dir.path(), "newer.yaml", &values("v2", ""));
    let late = wait(&healthy.url, &["--for=observed", "--values", &newer]);
    assert_eq!((late.exit, late.err.contains("not so after")), (Exit::Failed, true), "{}", late.err);
    let degraded = Fake::admin(status("Degraded"));
    let never = wait(&degraded.url, &["--for=healthy", "--values", &file]);
    assert_eq!((never.exit, never.err.contains("v1 failed its gate")), (Exit::Failed, true), "{}", never.err);
    assert_eq!(wait("http://127.0.0.1:1", &["--for=healthy"]).exit, Exit::Failed);
    // Every address of a name.
    let every = |url: &str, file: &str| {
        let service = url.trim_start_matches("http://");
        sluice(&["wait", "--for=observed", "--values", file, "--timeout", "0s", "--service", service])
    };
    assert_eq!(every(&healthy.url, &file).exit, Exit::Done);
    let late = every(&healthy.url, &newer);
    assert_eq!((late.exit, late.err.contains("0 of 1 servers, 127.0.0.1: m: ")), (Exit::Failed, true), "{}", late.err);
}

#[test]
fn predict_sends_one_request_and_names_who_answered() {
    let dir = tempfile::tempdir().unwrap();
    let server = Fake::http();
    let at = ["--url", server.url.as_str()];
    let made_up = sluice(&[&["predict", "fraud-detection"], &at[..]].concat());
    assert_eq!(made_up.exit, Exit::Done, "{}", made_up.err);
    assert!(made_up.err.contains("made-up input: features FP32 [-1, 3]"), "{}", made_up.err);
    insta::assert_snapshot!(without_time(&made_up.out), @r"
    fraud-detection v1.1.0 (canary) answered in … ms
      row  label INT64
      0    1
    ");
    let rows = write(dir.path(), "rows.json", "[[1, 2, 3], [4, 5, 6]]");
    let given = sluice(&[&["predict", "fraud-detection", "--variant", "canary", "--json", &rows], &at[..]].concat());
    assert_eq!((given.exit, given.err.as_str()), (Exit::Done, ""));
    let seen = server.seen();
    assert_eq!(seen[0]["body"]["inputs"][0]["data"], json!([1.0, 1.0, 1.0]));
    assert_eq!((&seen[1]["body"]["inputs"][0]["shape"], &seen[1]["variant"]), (&json!([2, 3]), &json!("canary")));
    let other = sluice(&[&["predict", "other"], &at[..]].concat());
    assert_eq!((other.exit, other.err.as_str()), (Exit::BadInput, "error: there is no such model\n"));
    let broken = write(dir.path(), "broken.json", "{");
    assert_eq!(sluice(&[&["predict", "fraud-detection", "--json", &broken], &at[..]].concat()).exit, Exit::BadInput);
}

#[test]
fn push_prints_the_lines_for_the_values_file() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::copy(format!("{FRAUD}/model.onnx"), model.join("model.onnx")).unwrap();
    let url = reqwest::Url::from_file_path(dir.path().join("bucket/m/v1")).unwrap().to_string();
    let ended = sluice(&["push", model.to_str().unwrap(), &url]);
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert!(dir.path().join("bucket/m/v1/manifest.json").exists());
    assert!(ended.out.contains("  version: \"v1\"\n") && ended.out.contains("/m/{version}\"\n"), "{}", ended.out);
    let again = sluice(&["push", model.to_str().unwrap(), &url]);
    assert!(again.out.starts_with("unchanged 2 files (") && again.out.contains(" already\n"), "{}", again.out);
    std::fs::write(model.join("notes.txt"), "others").unwrap();
    let other = sluice(&["push", model.to_str().unwrap(), &url]);
    assert_eq!(other.exit, Exit::BadInput, "{}", other.err);
    assert_eq!(sluice(&["push", dir.path().join("none").to_str().unwrap(), &url]).exit, Exit::BadInput);
}

#[test]
fn push_refuses_what_could_never_serve_before_anything_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    std::fs::create_dir_all(model.join("golden")).unwrap();
    let (bucket, text) = (dir.path().join("bucket"), model.to_str().unwrap());
    let url = reqwest::Url::from_file_path(bucket.join("m/v1")).unwrap().to_string();
    std::fs::write(model.join("model.onnx"), "weights").unwrap();
    let (explained, refused) = (sluice(&["explain", text]), sluice(&["push", text, &url]));
    assert_eq!((refused.exit, &refused.err), (Exit::BadInput, &explained.err), "the same words");
    std::fs::copy(format!("{FRAUD}/model.onnx"), model.join("model.onnx")).unwrap();
    let golden = std::fs::read_to_string(format!("{FRAUD}/golden/phishing.json")).unwrap();
    for (golden, told) in [
        ("{".to_owned(), "golden/one.json: this is not a golden file"),
        (golden.replace("\"features\"", "\"feature\""), "golden/one.json: input 'feature' is not known"),
    ] {
        std::fs::write(model.join("golden/one.json"), golden).unwrap();
        let refused = sluice(&["push", text, &url]);
        assert_eq!((refused.exit, refused.err.contains(told)), (Exit::BadInput, true), "{}", refused.err);
    }
    assert!(!bucket.exists(), "not even a directory");
    std::fs::write(model.join("golden/one.json"), golden).unwrap();
    assert_eq!(sluice(&["push", text, &url]).exit, Exit::Done);
}

#[test]
fn explain_shows_the_plan_of_a_real_artifact() {
    let ended = sluice(&["explain", "fraud-detection", "--dir", FRAUD]);
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert!(ended.out.contains("features"), "{}", ended.out);
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().to_str().unwrap();
    assert_eq!(sluice(&["explain", empty]).exit, Exit::BadInput);
    assert_eq!(sluice(&["explain", "fraud-detection"]).exit, Exit::BadInput);
}
