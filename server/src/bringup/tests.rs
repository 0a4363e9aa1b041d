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
    let artifact = folder.path().join("artifact");
    std::fs::create_dir_all(artifact.join("golden")).unwrap();
    std::fs::write(artifact.join("model.onnx"), onnx::model(&["a"], nodes, &["y"])).unwrap();
    if let Some(golden) = golden {
        std::fs::write(artifact.join("golden/first.json"), golden).unwrap();
    }
    let background = Background::start().unwrap();
    let device = Device::cpu(memory_bytes, background.clone()).unwrap();
    let metrics = Arc::new(Metrics::new(&device));
    let store = Store::open(StoreOptions::new(folder.path().join("cache"), 1 << 30)).await.unwrap();
    let request = StageRequest {
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
    };
    let bringup = Bringup::new(store, device, background, metrics);
    bringup.stage(request, watch::Sender::new(StagePhase::Loading)).await.map(|staged| staged.notes)
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
    let beside = OutOfMemory { needed_bytes: 16, free_bytes: 15, limit_bytes: 16 };
    let error = not_admitted(beside);
    assert_eq!((error.permanent, error.no_room), (false, true), "{error}");
}

#[test]
fn a_device_that_is_gone_says_nothing_of_the_version() {
    let permanent = |error| not_computed("warm", "a batch", &error).permanent;
    assert!(!permanent(ExecuteError::DeviceGone));
    assert!(permanent(ExecuteError::Model("no".to_owned())) && permanent(ExecuteError::Input("no".to_owned())));
}
