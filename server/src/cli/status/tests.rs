use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::*;
use crate::cli::status::view::ModelView;
use crate::cli::tests::{Page, serve};

fn on_trial() -> Value {
    json!({
        "name": "fraud-detection",
        "phase": "Progressing",
        "message": "v2.4.0 is at step 3 of 6",
        "observedRevision": "sha256:aa",
        "notes": ["v2.4.0: no golden requests: its answers were not checked"],
        "desiredVersion": "v2.4.0",
        "stable": { "version": "v2.3.1", "digest": format!("sha256:{}", "5e0c3a1f6f0f".repeat(6)), "state": "Serving" },
        "canary": {
            "version": "v2.4.0", "digest": format!("sha256:{}", "10d0481a294d".repeat(6)), "state": "Canary",
            "weightPercent": 25.0, "step": 3, "steps": 6, "nextAt": "2026-01-01T00:00:42.500Z",
        },
        "analysis": [
            { "name": "request-success-rate", "value": 100.0, "samples": 412, "verdict": "Successful",
              "reason": "100 % is within 99.. %", "dryRun": false },
            { "name": "request-duration", "value": 3.25, "samples": 412, "verdict": "Running", "reason": "", "dryRun": true },
            { "name": "nan-share", "value": null, "samples": 0, "verdict": "Failed", "reason": "no\u{1b}[2J", "dryRun": false },
        ],
        "rejected": [{ "version": "v2.3.9", "digest": "sha256:bb", "retry": 0, "reason": "nan-share", "at": "2026-01-01T00:00:00Z" }],
        "history": [
            { "at": "2026-01-01T00:00:01.123Z", "event": "staging", "version": "v2.4.0", "reason": "the values ask for it" },
            { "at": "2026-01-01T00:00:02.456Z", "event": "rejected", "version": "v2.3.9", "reason": "nan-share" },
        ],
    })
}

fn model(json: Value) -> ModelView {
    serde_json::from_value(json).unwrap()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn now() -> SystemTime {
    // 2026-01-01T00:00:00Z
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

#[test]
fn a_trial_as_a_page_and_as_a_line() {
    let model = model(on_trial());
    insta::assert_snapshot!(plain(&render::page(&[&model], now())));
    insta::assert_snapshot!(
        render::line(&model),
        @"fraud-detection Progressing stable=v2.3.1 canary=v2.4.0 Canary 25% step=3/6: v2.4.0 is at step 3 of 6"
    );
}

#[test]
fn nothing_yet_and_problems() {
    let empty = StatusView::default();
    assert_eq!(render::whole_page(&empty, now()), "no models: the server has seen no values file yet\n");
    let cold =
        model(json!({ "name": "m", "phase": "Degraded", "message": "no", "valuesError": "values.yaml:1:1: bad" }));
    let problems = vec!["x.yaml:3:1: worse".to_owned(), "z.yaml:1:1: one\nz.yaml:2:1: two".to_owned()];
    let notes = vec!["y.yaml never updates".to_owned()];
    let status = StatusView { models: vec![cold], problems, notes, ..StatusView::default() };
    insta::assert_snapshot!(plain(&render::whole_page(&status, now())), @r"
    values: x.yaml:3:1: worse
    values: 2 problems
        z.yaml:1:1: one
        z.yaml:2:1: two
    values: y.yaml never updates

    m  Degraded  no
      stable  none yet
      values    refused: values.yaml:1:1: bad
    ");
}

#[test]
fn a_device_that_is_simulated_is_told() {
    let gpu = |name: &str, simulated: bool| -> StatusView {
        serde_json::from_value(json!({ "device": { "name": "cuda:0", "model": name, "simulated": simulated } }))
            .unwrap()
    };
    let page = |status: &StatusView| plain(&render::whole_page(status, now()));
    let told = page(&gpu("Tesla T4 (simulated)", true));
    assert!(told.starts_with("device: cuda:0 is Tesla T4 (simulated): for tests only\n"), "{told}");
    assert!(!page(&gpu("Tesla T4", false)).contains("cuda:0"));
}

#[test]
fn several_problems_of_a_file_have_a_line_each() {
    let error = "values.yaml:1:1: bad\nvalues.yaml:2:1: worse";
    let model = model(json!({ "name": "m", "phase": "Degraded", "message": "no", "valuesError": error }));
    insta::assert_snapshot!(plain(&render::page(&[&model], now())), @r"
    m  Degraded  no
      stable  none yet
      values    refused: 2 problems
        values.yaml:1:1: bad
        values.yaml:2:1: worse
    ");
}

#[test]
fn a_history() {
    insta::assert_snapshot!(plain(&render::history(&model(on_trial()))), @r"
    AT                    VERSION  EVENT     REASON
    2026-01-01T00:00:01Z  v2.4.0   staging   the values ask for it
    2026-01-01T00:00:02Z  v2.3.9   rejected  nan-share
    ");
}

#[test]
fn a_server_of_another_version_is_understood() {
    let older: StatusView = serde_json::from_value(json!({})).unwrap();
    assert_eq!(older, StatusView::default());
    let newer = json!({ "models": [{ "name": "m", "canary": { "version": "v", "colour": "red" }, "later": 1 }] });
    let newer: StatusView = serde_json::from_value(newer).unwrap();
    assert_eq!(newer.models[0].canary.as_ref().unwrap().version.version, "v");
}

/// What this program writes as a server, it reads as a client.
#[test]
fn the_servers_own_status_is_read_whole() {
    use crate::rollout::Phase;
    use crate::rollout::status as server;
    let version = server::VersionStatus {
        version: "v2".to_owned(),
        digest: Some("sha256:aa".to_owned()),
        state: "Canary".to_owned(),
    };
    let status = server::Status {
        models: vec![server::ModelStatus {
            name: "m".to_owned(),
            phase: Phase::Progressing,
            message: "why".to_owned(),
            observed_revision: "sha256:bb".to_owned(),
            values_error: None,
            notes: vec!["v2: told".to_owned()],
            desired_version: "v2".to_owned(),
            stable: None,
            canary: Some(server::CanaryStatus {
                version: version.clone(),
                weight_percent: 12.5,
                step: 1,
                steps: 2,
                next_at: Some(now()),
            }),
            analysis: Vec::new(),
            rejected: Vec::new(),
            promoted: vec![version],
            history: vec![server::HistoryEvent {
                at: now(),
                event: "staging",
                version: "v2".to_owned(),
                reason: "why".to_owned(),
            }],
        }],
        problems: vec!["bad".to_owned()],
        revisions: vec!["sha256:bb".to_owned()],
        notes: vec!["stuck".to_owned()],
    };
    let view: StatusView = serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
    let [model] = view.models.as_slice() else { panic!("{view:?}") };
    let canary = model.canary.as_ref().unwrap();
    assert_eq!(
        (model.phase.as_str(), model.observed_revision.as_str(), model.desired_version.as_str()),
        ("Progressing", "sha256:bb", "v2")
    );
    assert_eq!((canary.weight_percent, canary.step, canary.steps), (12.5, 1, 2));
    assert_eq!(canary.next_at.as_deref(), Some("2026-01-01T00:00:00.000Z"));
    assert_eq!((canary.version.state.as_str(), model.history[0].event.as_str()), ("Canary", "staging"));
    assert_eq!((&*view.problems, &*view.notes), (&["bad".to_owned()][..], &["stuck".to_owned()][..]));
    assert_eq!((&*model.notes, &*view.revisions), (&["v2: told".to_owned()][..], &["sha256:bb".to_owned()][..]));
}

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

#[tokio::test]
async fn a_health_check_asks_what_needs_no_token() {
    use axum::{Router, http::StatusCode, routing::get};
    use clap::Parser as _;

    let port = |code: StatusCode| {
        let refused = async || StatusCode::UNAUTHORIZED;
        serve(Router::new().route("/healthz", get(move || async move { code })).route("/status", get(refused)))
    };
    let (good, bad) = (port(StatusCode::OK), port(StatusCode::SERVICE_UNAVAILABLE));
    for (words, printed, exit) in [
        (["--alive", "--admin", &good], "alive\n", None),
        (["--alive", "--admin", &bad], "", Some(Exit::Failed)),
        (["--json", "--admin", &good], "", Some(Exit::Failed)),
    ] {
        let page = Page::default();
        let mut console = Console::plain(page.clone(), page.clone());
        let args = Line::try_parse_from([&["status"], &words[..]].concat()).unwrap().args;
        let end = run(&args, &mut console).await;
        drop(console);
        assert_eq!(String::from_utf8(page.0.lock().clone()).unwrap(), printed, "{words:?}");
        assert_eq!(end.err().map(|failure| failure.exit), exit, "{words:?}");
    }
    assert!(Line::try_parse_from(["status", "--alive", "m"]).is_err());
}
