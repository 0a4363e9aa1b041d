use std::collections::BTreeMap;

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use config::{Digest, Values};
use http::StatusCode;
use serde_json::{Value, json};

use super::facts::*;
use super::judge::{judge, unreadable};
use super::report::Report;
use super::verdict::Verdict;
use super::*;
use crate::bringup::Answers;
use crate::cli::tests::{serve, sluice};
use crate::registry::{MetricValue, ModelVersion, Status};

/// A file that asks for every check.
const FILE: &str = "\
schemaVersion: v1alpha1
model:
  name: fraud-detection
  version: \"v2.3.1\"
  registry: {type: mlflow, name: fraud-detection, version: \"17\", runId: ab12}
  storageUri: gs://acme/fraud-detection/{version}
  digest: sha256:0101010101010101010101010101010101010101010101010101010101010101
  signing:
    policy: enforce
    publicKeyRef: {path: /etc/sluice/keys/release.pub}
stable: {version: v2.3.0}
gate:
  offlineTestsTag: offline_tests
  metrics:
    - {name: auc, min: 0.95}
    - {name: calibration_error, max: 0.05}
";

fn values(text: &str) -> Values {
    config::parse("values.yaml", text).unwrap().values
}

fn version() -> ModelVersion {
    let tags = [("version", "v2.3.1"), ("offline_tests", "passed"), ("sluice.digest", &digest(1).to_string())];
    ModelVersion {
        version: 17,
        status: Status::Ready,
        status_message: String::new(),
        run_id: Some("ab12".to_owned()),
        source: "models:/m-1".to_owned(),
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>(),
    }
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn account(of: &str, values: &[(&str, f64)]) -> Measured {
    let values = values.iter().map(|(name, value)| MetricValue { name: (*name).to_owned(), value: *value }).collect();
    Measured { of: of.to_owned(), values }
}

/// Everything as it should be.
fn good() -> Facts {
    Facts {
        registry: Some(RegistryFacts {
            version: Ok(version()),
            place: Some(Ok(place("gs://acme/fraud-detection/v2.3.1"))),
            measured: Some(Ok(vec![
                account("logged model m-1", &[("auc", 0.96)]),
                account("run ab12", &[("auc", 0.1), ("calibration_error", 0.05)]),
            ])),
        }),
        artifact: ArtifactFacts {
            bytes: Ok(digest(1)),
            signature: Some(Ok(Vec::new())),
            stable_signature: Some(Ok(Vec::new())),
            model: Some(Ok(())),
            answers: Some(Ok(Answers::Right { requests: 3 })),
            compatible: Some(Ok(Vec::new())),
        },
        staging: Some(Ok(Staging { stable: Ok("v2.3.1".to_owned()), ready: true })),
        merged: false,
    }
}

fn place(uri: &str) -> Place {
    Place { uri: uri.to_owned(), source: "the registry's download URI" }
}

/// Names and words of the checks that did not pass.
fn others(text: &str, facts: &Facts) -> Vec<(&'static str, &'static str)> {
    let checks = judge(&values(text), facts);
    let others = checks.iter().filter(|check| !matches!(check.verdict, Verdict::Passed(_)));
    others.map(|check| (check.name, check.verdict.word())).collect()
}

/// The registry's version, changed.
fn with_version(change: impl FnOnce(&mut ModelVersion)) -> Facts {
    let mut facts = good();
    change(facts.registry.as_mut().unwrap().version.as_mut().unwrap());
    facts
}

fn with_artifact(change: impl FnOnce(&mut ArtifactFacts)) -> Facts {
    let mut facts = good();
    change(&mut facts.artifact);
    facts
}

fn with_measured(accounts: Vec<Measured>) -> Facts {
    let mut facts = good();
    facts.registry.as_mut().unwrap().measured = Some(Ok(accounts));
    facts
}

fn with_staging(stable: Result<&str, &str>, ready: bool) -> Facts {
    let stable = stable.map(str::to_owned).map_err(str::to_owned);
    Facts { staging: Some(Ok(Staging { stable, ready })), ..good() }
}

fn wrong<T>() -> Found<T> {
    Err(Trouble::Wrong("it is wrong".to_owned()))
}

fn lost<T>() -> Found<T> {
    Err(Trouble::Unreachable("nobody answers".to_owned()))
}

#[test]
fn all_is_well() {
    assert_eq!(others(FILE, &good()), []);
}

#[test]
fn each_fault_fails_its_own_check_and_no_other() {
    let nan = || account("run cd34", &[("calibration_error", f64::NAN)]);
    let auc = |value| account("run ab12", &[("auc", value), ("calibration_error", 0.0)]);
    for (check, facts) in [
        ("registry-version", with_version(|it| it.status = Status::Other("PENDING_REGISTRATION".to_owned()))),
        ("label", with_version(|it| drop(it.tags.insert("version".to_owned(), "v2.3.0".to_owned())))),
        ("label", with_version(|it| drop(it.tags.remove("version")))),
        ("run", with_version(|it| it.run_id = Some("cd34".to_owned()))),
        ("run", with_version(|it| it.run_id = None)),
        ("offline-tests", with_version(|it| drop(it.tags.remove("offline_tests")))),
        ("offline-tests", with_version(|it| drop(it.tags.insert("offline_tests".to_owned(), "failed".to_owned())))),
        ("metrics", with_measured(vec![auc(0.949)])),
        ("metrics", with_measured(vec![auc(f64::NAN)])),
        ("metrics", with_measured(vec![account("run ab12", &[("auc", 0.99)])])),
        ("metrics", with_measured(Vec::new())),
        // MLflow 3 keeps a logged model's NaN as 0.
        ("metrics", with_measured(vec![account("m", &[("calibration_error", 0.0)]), auc(0.99), nan()])),
        // Of the same name on several datasets each counts.
        ("metrics", with_measured(vec![account("m", &[("auc", 0.99), ("auc", 0.5), ("calibration_error", 0.0)])])),
        ("digest", with_version(|it| drop(it.tags.insert("sluice.digest".to_owned(), "sha256:other".to_owned())))),
        ("signature", with_artifact(|it| it.signature = Some(wrong()))),
        ("golden", with_artifact(|it| it.answers = Some(Ok(Answers::Wrong(vec!["golden/a.json: 1".to_owned()]))))),
        ("signature", with_artifact(|it| it.stable_signature = Some(wrong()))),
        ("golden", with_artifact(|it| it.answers = Some(wrong()))),
        ("compatible", with_artifact(|it| it.compatible = Some(Ok(vec!["input 'x' is not accepted".to_owned()])))),
        ("staging", with_staging(Ok("v2.3.0"), true)),
        ("staging", with_staging(Ok("v2.3.1"), false)),
        ("staging", with_staging(Err("no such model"), false)),
    ] {
        assert_eq!(others(FILE, &facts), [(check, "failed")]);
    }
    let elsewhere = FILE.replace("digest: sha256:01", "digest: sha256:02");
    assert_eq!(others(&elsewhere, &good()), [("digest", "failed")]);
    let neither = FILE.replace("policy: enforce", "policy: warn").replace("  digest: ", "  # digest: ");
    assert_eq!(others(&neither, &good()), [("trust", "failed")]);
}

#[test]
fn what_depends_on_a_failure_is_not_run() {
    let mut facts = good();
    facts.registry = Some(RegistryFacts { version: wrong(), place: None, measured: None });
    let of_version = ["label", "run", "offline-tests", "metrics", "storage-uri"].map(|name| (name, "notRun"));
    assert_eq!(others(FILE, &facts), [&[("registry-version", "failed")][..], &of_version].concat());
    facts.registry = Some(RegistryFacts { version: lost(), place: None, measured: None });
    assert_eq!(others(FILE, &facts), [&[("registry-version", "unreachable")][..], &of_version].concat());
    let of_bytes = ["digest", "signature", "model", "golden", "compatible"].map(|name| (name, "notRun"));
    let facts = Facts { artifact: ArtifactFacts::without_bytes(Trouble::Wrong("half".to_owned())), ..good() };
    assert_eq!(others(FILE, &facts), [&[("bytes", "failed")][..], &of_bytes].concat());
    let facts = with_artifact(|it| {
        (it.model, it.answers, it.compatible) = (Some(wrong()), None, None);
    });
    assert_eq!(others(FILE, &facts), [("model", "failed"), ("golden", "notRun"), ("compatible", "notRun")]);
}

#[test]
fn what_is_not_asked_for_is_skipped() {
    let short = "schemaVersion: v1alpha1\nmodel:\n  name: m\n  version: v2.3.1\n  registry: {name: m, version: 17}\n  storageUri: gs://acme/fraud-detection/v2.3.1\n  signing: {policy: disabled}\n";
    let mut facts = with_version(|it| drop(it.tags.remove("sluice.digest")));
    facts.artifact.answers = Some(Ok(Answers::Unknown));
    facts.artifact.compatible = None;
    facts.staging = None;
    let skipped = ["run", "offline-tests", "metrics", "digest", "signature", "golden", "compatible", "staging"];
    let skipped: Vec<_> = skipped.iter().map(|name| (*name, "skipped")).collect();
    assert_eq!(others(short, &facts), [&[("trust", "failed")][..], &skipped].concat());
    let unregistered = short.replace("  registry: {name: m, version: 17}\n", "");
    let checks = judge(&values(&unregistered), &Facts { registry: None, ..facts });
    assert_eq!(checks[2].verdict.word(), "failed");
    assert!(checks[2].verdict.messages()[0].contains("model.registry is missing"), "{:?}", checks[2]);
}

#[test]
fn places_are_compared_and_not_spelt() {
    let verdict = |uri: &str| {
        let mut facts = good();
        facts.registry.as_mut().unwrap().place = Some(Ok(place(uri)));
        let checks = judge(&values(FILE), &facts);
        checks.into_iter().find(|check| check.name == "storage-uri").unwrap().verdict
    };
    for same in ["gs://acme/fraud-detection/v2.3.1/", "gs://acme/old/../fraud-detection/v2.3.1"] {
        assert_eq!(verdict(same).word(), "passed", "{same}");
    }
    assert!(verdict("gs://acme/other").messages()[0].contains("`sluice bump --registry`"));
    let proxied = verdict("mlflow-artifacts:/0/models/m-1/artifacts").messages();
    assert!(proxied[0].contains("--default-artifact-root"), "{proxied:?}");
    let local = FILE.replace("gs://acme/", "file:///srv/");
    let mut facts = good();
    facts.registry.as_mut().unwrap().place = Some(Ok(place("/srv/fraud-detection/v2.3.1")));
    assert_eq!(others(&local, &facts), []);
}

/// One of each verdict, with text that would break a format that did not escape it.
fn report() -> Report {
    let mut facts = with_measured(vec![account("run <ab12>", &[("auc", 0.5), ("a & b", 1.0)])]);
    facts.registry.as_mut().unwrap().place = Some(lost());
    facts.artifact.model = Some(Err(Trouble::Wrong("100 % \"wrong\", really:\u{1b}[2J\nyes".to_owned())));
    (facts.artifact.answers, facts.artifact.compatible) = (None, None);
    facts.staging = None;
    let release = Some(("fraud-detection".to_owned(), "v2.3.1".to_owned()));
    let checks = judge(&values(FILE), &facts);
    Report { file: "models/a,b/values.yaml".to_owned(), text: FILE.to_owned(), release, checks }
}

#[test]
fn a_report_in_every_format() {
    let report = report();
    insta::assert_snapshot!("text", anstream::adapter::strip_str(&report.text()).to_string());
    insta::assert_snapshot!("json", format!("{:#}", machine::json(&report)));
    insta::assert_snapshot!("junit", machine::junit(&report).unwrap());
    insta::assert_snapshot!("github", machine::github(&report));
}

#[test]
fn a_broken_file_is_a_report_too() {
    let text = FILE.replace("policy: enforce", "policy: enforced").replace("version: \"v2.3.1\"", "version: no good");
    let problems = config::parse("values.yaml", &text).unwrap_err();
    let report = Report { file: "values.yaml".to_owned(), text, release: None, checks: unreadable(&problems) };
    insta::assert_snapshot!("broken", machine::github(&report));
    let run = report.checks.iter().filter(|check| check.verdict.word() != "notRun").count();
    assert_eq!((report.exit(), run), (Exit::BadInput, 1));
}

#[test]
fn what_is_wrong_goes_before_what_is_not_known() {
    let exit = |facts: &Facts| {
        let checks = judge(&values(FILE), facts);
        Report { file: String::new(), text: String::new(), release: None, checks }.exit()
    };
    assert_eq!(exit(&good()), Exit::Done);
    assert_eq!(exit(&Facts { staging: Some(lost()), ..good() }), Exit::Failed);
    assert_eq!(exit(&Facts { staging: Some(lost()), ..with_version(|it| it.run_id = None) }), Exit::BadInput);
    assert_eq!(exit(&Facts { staging: None, ..good() }), Exit::Done);
}

const ZOO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/zoo");

/// A registry with version 7, whose bytes are in `place`, and a staging that serves v1.1.0 of it.
fn world(place: &str) -> String {
    let version = json!({ "model_version": {
        "name": "fraud-detection", "version": "7", "status": "READY", "source": place, "run_id": "ab12",
        "tags": [{ "key": "version", "value": "v1.1.0" }],
    } });
    let missing = json!({ "error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Model Version not found" });
    let found = async move |Query(asked): Query<BTreeMap<String, String>>| match asked["version"].as_str() {
        "7" => (StatusCode::OK, Json(version)),
        _ => (StatusCode::NOT_FOUND, Json(missing)),
    };
    let place = json!({ "artifact_uri": place });
    let run = json!({ "run": { "data": { "metrics": [{ "key": "auc", "value": 0.96 }] } } });
    let label = json!({ "model_version_status": [{ "version": "v1.1.0" }] });
    serve(
        Router::new()
            .route("/api/2.0/mlflow/model-versions/get", get(found))
            .route("/api/2.0/mlflow/model-versions/get-download-uri", get(async move || Json(place)))
            .route("/api/2.0/mlflow/runs/get", get(async move || Json(run)))
            .route("/v1/models/fraud-detection/labels/stable", get(async move || Json(label)))
            .route("/v2/models/fraud-detection/ready", get(async || StatusCode::OK)),
    )
}

#[test]
fn a_version_of_the_zoo_goes_through_the_gate() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("values.yaml");
    let place = format!("file://{ZOO}/artifacts/fraud-detection");
    let text = format!(
        "schemaVersion: v1alpha1\nmodel:\n  name: fraud-detection\n  version: v1.1.0\n  registry: {{name: fraud-detection, version: 7, runId: ab12}}\n  storageUri: {place}/{{version}}\n  signing: {{policy: enforce, publicKeyRef: {{path: /nowhere.pub}}}}\nstable: {{version: v1.0.0}}\ngate: {{metrics: [{{name: auc, min: 0.9}}]}}\n"
    );
    let url = world(&format!("{place}/v1.1.0"));
    let key = format!("{ZOO}/keys/zoo.pub");
    let check = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let words = ["check", file.to_str().unwrap(), "--registry", &url, "--staging", &url, "--format=json"];
        let ended = sluice(&[&words, more].concat());
        let json: Value = serde_json::from_str(&ended.out).unwrap();
        let checks = json["checks"].as_array().unwrap().clone();
        let bad = checks.iter().filter(|check| ["failed", "unreachable"].contains(&check["verdict"].as_str().unwrap()));
        let bad = bad.map(|check| check["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert!(ended.err.contains("registry-version"), "people are told too: {}", ended.err);
        (ended.exit, bad)
    };
    let with_key = ["--public-key", &key];
    assert_eq!(check(&text, &with_key), (Exit::Done, vec![]));
    assert_eq!(check(&text, &[]), (Exit::BadInput, vec!["signature".to_owned()]), "the key is not there");
    let unknown = text.replace("version: 7", "version: 8");
    assert_eq!(check(&unknown, &with_key), (Exit::BadInput, vec!["registry-version".to_owned()]));
    let changed = text.replace("v1.1.0", "v1.3.0");
    let expected = ["label", "storage-uri", "bytes", "staging"].map(str::to_owned).to_vec();
    assert_eq!(check(&changed, &with_key), (Exit::BadInput, expected), "its bytes are others than its manifest says");
    let nobody = ["--public-key", &key, "--staging", "http://127.0.0.1:1"];
    std::fs::write(&file, &text).unwrap();
    let words = ["check", file.to_str().unwrap(), "--registry", &url];
    let ended = sluice(&[&words[..], &nobody].concat());
    assert_eq!((ended.exit, ended.err.as_str()), (Exit::Failed, ""), "{}", ended.out);
    assert!(ended.out.contains("UNKNOWN  staging") && ended.out.contains("undecided: "), "{}", ended.out);
    let gone = sluice(&["check", "/no/such/values.yaml", "--registry", &url]);
    assert_eq!(
        (gone.exit, gone.out.contains("cannot read /no/such/values.yaml")),
        (Exit::BadInput, true),
        "{}",
        gone.out
    );
}
