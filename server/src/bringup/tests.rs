//! What the bring-up refuses by itself, and what it says of what it could not check.

use config::{StorageUri, Version};

use super::*;
use crate::rollout::testing::{model, values};
use crate::store::StoreOptions;

/// `y` of a model with the input `a`.
type Nodes = &'static [(&'static str, [&'static str; 2], &'static str)];

const SUM: Nodes = &[("Add", ["a", "a"], "y")];
/// Nothing but Inf, whatever comes in.
const BROKEN: Nodes = &[("Div", ["a", "zero"], "y")];
/// `a / (a² - a)`: a number for everything but 0 and 1.
const PARTLY: Nodes = &[("Mul", ["a", "a"], "square"), ("Sub", ["square", "a"], "x"), ("Div", ["a", "x"], "y")];

async fn stage(nodes: Nodes, golden: Option<&str>, memory_bytes: u64) -> Result<Vec<String>, StageError> {
    let folder = tempfile::tempdir().unwrap();
    let background = Background::start().unwrap();
    let device = Device::cpu(memory_bytes, background.clone()).unwrap();
    let metrics = Arc::new(Metrics::new(&device));
    let store = Store::open(StoreOptions::new(folder.path().join("cache"), 1 << 30)).await.unwrap();
    let bringup = Bringup::new(store, device, background, metrics);
    let request = request(folder.path(), nodes, golden);
    bringup.stage(request, watch::Sender::new(StagePhase::Loading)).await.map(|staged| staged.notes)
}

/// An artifact below `folder`, to be staged.
fn request(folder: &std::path::Path, nodes: Nodes, golden: Option<&str>) -> StageRequest {
    let artifact = folder.join("artifact");
    std::fs::create_dir_all(artifact.join("golden")).unwrap();
    std::fs::write(artifact.join("model.onnx"), onnx::model(&["a"], nodes, &["y"])).unwrap();
    if let Some(golden) = golden {
        std::fs::write(artifact.join("golden/first.json"), golden).unwrap();
    }
    StageRequest {
        model: model(),
        spec: VersionSpec {
            version: Version::new("v1").unwrap(),
            digest: None,
            storage_uri: StorageUri::new(&format!("file://{}", artifact.display())).unwrap(),
        },
        signing: values(1).model.signing,
        serving: values(1).serving,
        format: None,
        compatible_with: None,
    }
}

/// What `sluice check` finds of the same artifact.
async fn rehearse(nodes: Nodes, golden: Option<&str>) -> Result<Answers, StageError> {
    let folder = tempfile::tempdir().unwrap();
    let StageRequest { model, spec, signing, .. } = request(folder.path(), nodes, golden);
    let store = Store::open(StoreOptions::new(folder.path().join("cache"), 1 << 30)).await.unwrap();
    let fetch = Fetch { model: &model, spec: &spec, signing: &signing };
    let artifact = store.fetch(fetch, &watch::Sender::new(Progress::default())).await.unwrap();
    let rehearsal = Rehearsal::of(&artifact, None, 4).await?;
    assert_eq!(*signature(&artifact).await.unwrap(), *rehearsal.signature());
    rehearsal.answers().await
}

#[tokio::test]
async fn a_rehearsal_finds_what_a_server_would() {
    let golden = |answer: i32| {
        format!(
            r#"{{"request": {{"inputs": [{{"name": "a", "datatype": "FP32", "shape": [1, 1], "data": [2]}}]}},
            "response": {{"outputs": [{{"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [{answer}]}}]}}}}"#
        )
    };
    assert_eq!(rehearse(SUM, Some(&golden(4))).await.unwrap(), Answers::Right { requests: 1 });
    let Answers::Wrong(problems) = rehearse(SUM, Some(&golden(5))).await.unwrap() else { panic!("5 is wrong") };
    assert!(problems[0].starts_with("golden/first.json: output 'y'"), "{problems:?}");
    let refused = stage(SUM, Some(&golden(5)), 1 << 30).await.unwrap_err();
    assert!(refused.reason.contains(&problems[0]), "the same words: {refused}");
    assert_eq!(rehearse(SUM, None).await.unwrap(), Answers::Unknown);
    assert!(rehearse(BROKEN, None).await.unwrap_err().permanent);
}

#[tokio::test]
async fn without_golden_requests_a_version_says_so_and_must_answer_something() {
    const UNCHECKED: &str = "no golden requests: its answers were not checked";
    let golden = r#"{"request": {"inputs": [{"name": "a", "datatype": "FP32", "shape": [1, 1], "data": [2]}]},
        "response": {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [4]}]}}"#;
    assert_eq!(stage(SUM, Some(golden), 1 << 30).await.unwrap(), Vec::<String>::new());
    assert_eq!(stage(SUM, None, 1 << 30).await.unwrap(), [UNCHECKED]);
    assert_eq!(stage(PARTLY, None, 1 << 30).await.unwrap(), [UNCHECKED], "rows of ones are not everything");
    let error = stage(BROKEN, None, 1 << 30).await.unwrap_err();
    assert!((error.phase, error.permanent) == ("gate", true) && error.reason.contains("NaN or Inf"), "{error}");
}

#[tokio::test]
async fn a_version_that_is_larger_than_the_device_waits_for_no_room() {
    let error = stage(SUM, None, 16).await.unwrap_err();
    assert_eq!((error.phase, error.permanent, error.no_room), ("admit", false, false), "{error}");
    let beside = crate::device::OutOfMemory { needed_bytes: 16, free_bytes: 15, limit_bytes: 16 };
    let error = not_admitted(beside.into());
    assert_eq!((error.permanent, error.no_room), (false, true), "{error}");
}

#[test]
fn a_device_that_is_gone_says_nothing_of_the_version() {
    let permanent = |error| not_computed("warm", "a batch", &error).permanent;
    assert!(!permanent(ExecuteError::DeviceGone));
    assert!(permanent(ExecuteError::Model("no".to_owned())) && permanent(ExecuteError::Input("no".to_owned())));
}
