//! A failing canary beside stable, both real versions on the CPU device: who answers, and what is counted.
//!
//! Stable takes `a`, `b` and returns `difference = a - b`. The canary takes the same in another order, and returns
//! another output before it: positions that fit one version do not fit the other.

use std::path::Path;

use config::{Serving, StorageUri, Version, VersionSpec, Weight};
use models::{Datatype, Tensor};
use tempfile::TempDir;

use super::*;
use crate::background::Background;
use crate::bringup::{Bringup, onnx};
use crate::device::Device;
use crate::rollout::Resident as _;
use crate::rollout::analysis::Outcome;
use crate::rollout::{RouteUpdate, Routes as _, StagePhase, StageRequest, Stager, testing};
use crate::route::{self, RoutePublisher};
use crate::store::{Store, StoreOptions};
use crate::version::LiveVersion;

struct Rig {
    _folder: TempDir,
    inference: Inference,
    device: Device,
    _publisher: RoutePublisher,
    stable: Arc<LiveVersion>,
    canary: Arc<LiveVersion>,
}

async fn stage(bringup: &Bringup, folder: &Path, version: &str, model: Vec<u8>, serving: Serving) -> Arc<LiveVersion> {
    std::fs::create_dir(folder.join(version)).unwrap();
    std::fs::write(folder.join(version).join("model.onnx"), model).unwrap();
    let uri = format!("file://{}/{version}", folder.display());
    let request = StageRequest {
        model: testing::model(),
        spec: VersionSpec {
            version: Version::new(version).unwrap(),
            digest: None,
            storage_uri: StorageUri::new(&uri).unwrap(),
        },
        signing: testing::values(1).model.signing,
        serving,
        format: None,
        compatible_with: None,
    };
    let phase = tokio::sync::watch::Sender::new(StagePhase::Loading);
    bringup.stage(request, phase).await.unwrap().live
}

/// `canary_difference` computes the canary's `difference`; all traffic is the canary's.
async fn rig(canary_difference: (&str, [&str; 2], &str), stable: Serving, canary: Serving) -> Rig {
    let nodes = [("Add", ["a", "b"], "sum"), canary_difference];
    let canary = (onnx::model(&["b", "a"], &nodes, &["sum", "difference"]), canary);
    let stable = (onnx::model(&["a", "b"], &[GOOD], &["difference"]), stable);
    rig_of(stable, canary).await
}

async fn rig_of(stable: (Vec<u8>, Serving), canary: (Vec<u8>, Serving)) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let background = Background::start().unwrap();
    let device = Device::cpu(1 << 30, background.clone()).unwrap();
    let metrics = Arc::new(Metrics::new(&device));
    let store = Store::open(StoreOptions::new(folder.path().join("cache"), 1 << 30)).await.unwrap();
    let bringup = Bringup::new(store, device.clone(), background, Arc::clone(&metrics));
    let stable = stage(&bringup, folder.path(), "v1", stable.0, stable.1).await;
    let canary = stage(&bringup, folder.path(), "v2", canary.0, canary.1).await;
    let (routes, publisher) = route::routes();
    publisher.publish(RouteUpdate {
        model: testing::model(),
        stable: Some(Arc::clone(&stable)),
        canary: Some(Arc::clone(&canary)),
        canary_weight: Weight::from_bps(10_000).unwrap(),
        affinity: None,
        on_failure: config::OnFailure::Stable,
        timeout_default: Duration::from_secs(30),
    });
    let inference = Inference::new(routes, 16, Lifecycle::default(), metrics);
    Rig { _folder: folder, inference, device, _publisher: publisher, stable, canary }
}

fn serving() -> Serving {
    testing::values(1).serving
}

fn tensor(name: &str, rows: &[f32]) -> NamedTensor {
    let data: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor = Tensor::new(Datatype::Fp32, vec![rows.len(), 1], data.into()).unwrap();
    NamedTensor { name: name.into(), tensor }
}

fn request(a: &[f32], b: &[f32]) -> InferRequest {
    InferRequest {
        model: testing::model().to_string(),
        version: None,
        id: String::new(),
        inputs: vec![tensor("a", a), tensor("b", b)],
        outputs: Some(vec!["difference".to_owned()]),
        timeout: None,
        form: Form::Raw,
    }
}

/// The version that answered, and its one output.
async fn ask(rig: &Rig, request: InferRequest, headers: &HeaderMap) -> (String, Vec<f64>) {
    let reply = rig.inference.infer(request, headers, "id").await.unwrap();
    let names: Vec<&str> = reply.outputs.iter().map(|output| &*output.name).collect();
    assert_eq!(names, ["difference"]);
    (reply.version.to_string(), reply.outputs[0].tensor.to_f64().unwrap())
}

/// The canary divides by zero.
const INF: (&str, [&str; 2], &str) = ("Div", ["sum", "zero"], "difference");
const GOOD: (&str, [&str; 2], &str) = ("Sub", ["a", "b"], "difference");

#[tokio::test]
async fn stable_answers_in_its_own_terms_where_the_canary_fails() {
    let rig = rig(INF, serving(), serving()).await;
    assert_eq!(ask(&rig, request(&[5.0], &[2.0]), &HeaderMap::new()).await, ("v1".to_owned(), vec![3.0]));
    let (canary, stable) = (rig.canary.evidence().counts(), rig.stable.evidence().counts());
    assert_eq!((canary.of(Outcome::NonFinite), canary.total()), (1, 1));
    assert_eq!(stable.total(), 0, "an answer in the canary's place is not a fair sample of stable");
}

#[tokio::test]
async fn a_fallback_joins_the_batches_of_stable_in_stables_order() {
    // Two rows make a batch, and nothing less does.
    let joined = Serving { max_batch_size: 2, queue_delay_max: Duration::from_secs(3600), ..serving() };
    let rig = rig(INF, joined, serving()).await;
    let mut forced = HeaderMap::new();
    forced.insert(pick::VARIANT_HEADER, "stable".parse().unwrap());
    let split = HeaderMap::new();
    let (first, second) =
        tokio::join!(ask(&rig, request(&[5.0], &[2.0]), &forced), ask(&rig, request(&[1.0], &[9.0]), &split));
    assert_eq!((first.1, second), (vec![3.0], ("v1".to_owned(), vec![-8.0])));
    assert_eq!(rig.stable.metrics().statistics().execution_count, 1, "one batch");
}

#[tokio::test]
async fn a_canary_that_refuses_what_stable_takes_is_blamed_and_the_caller_is_not() {
    let rig = rig(GOOD, serving(), Serving { max_batch_size: 1, ..serving() }).await;
    let answer = ask(&rig, request(&[5.0, 6.0], &[2.0, 2.0]), &HeaderMap::new()).await;
    assert_eq!(answer, ("v1".to_owned(), vec![3.0, 4.0]));
    assert_eq!(rig.canary.evidence().counts().of(Outcome::ModelError), 1);
    let wrong = InferRequest { inputs: vec![tensor("a", &[1.0])], ..request(&[], &[]) };
    let error = rig.inference.infer(wrong, &HeaderMap::new(), "id").await.unwrap_err();
    assert!(matches!(error, InferError::InvalidArgument(_)), "{error}");
    assert_eq!(rig.canary.evidence().counts().total(), 1, "what both refuse is the caller's");
}

#[tokio::test]
async fn nan_that_comes_out_of_stable_too_is_not_held_against_the_canary() {
    let rig = rig(GOOD, serving(), serving()).await;
    let (version, values) = ask(&rig, request(&[f32::NAN], &[2.0]), &HeaderMap::new()).await;
    assert!(version == "v1" && values[0].is_nan());
    let canary = rig.canary.evidence().counts();
    assert_eq!((canary.of(Outcome::Success), canary.total()), (1, 1), "a model that means its NaN can finish a trial");
}

#[tokio::test]
async fn a_canary_that_lost_what_stable_does_with_nan_is_judged_by_it() {
    // NaN means that `a` is missing: stable goes without it.
    let model = |node| (onnx::model(&["a", "b"], &[node], &["difference"]), serving());
    let rig = rig_of(model(("Sub", ["b", "b"], "difference")), model(GOOD)).await;
    let answer = ask(&rig, request(&[f32::NAN], &[2.0]), &HeaderMap::new()).await;
    assert_eq!(answer, ("v1".to_owned(), vec![0.0]));
    assert_eq!(rig.canary.evidence().counts().of(Outcome::NonFinite), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_while_stable_is_asked_still_saw_the_canary_fail() {
    // Stable waits for company, so it has not answered yet.
    let patient = Serving { max_batch_size: 2, queue_delay_max: Duration::from_secs(3600), ..serving() };
    let rig = rig(INF, patient, serving()).await;
    let headers = HeaderMap::new();
    let asked = rig.inference.infer(request(&[5.0], &[2.0]), &headers, "id");
    let gone = futures::FutureExt::now_or_never(asked);
    assert!(gone.is_none());
    assert_eq!(rig.canary.evidence().counts().of(Outcome::Deadline), 1);
}

/// Finite numbers whose difference is not: any version must fail them.
const OVERFLOWING: [f32; 2] = [f32::MAX, f32::MIN];

#[tokio::test]
async fn what_stable_fails_too_is_no_evidence_against_the_canary() {
    let rig = rig(GOOD, serving(), serving()).await;
    let [a, b] = OVERFLOWING;
    let answer = ask(&rig, request(&[a], &[b]), &HeaderMap::new()).await;
    assert_eq!(answer, ("v1".to_owned(), vec![f64::INFINITY]));
    let canary = rig.canary.evidence().counts();
    assert_eq!((canary.of(Outcome::Success), canary.total()), (1, 1), "one caller cannot end a trial");
    assert_eq!(ask(&rig, request(&[5.0], &[2.0]), &HeaderMap::new()).await.0, "v2");
    assert_eq!(rig.canary.evidence().counts().of(Outcome::Success), 2);
}

#[tokio::test]
async fn what_json_cannot_say_is_an_error_of_the_model_and_counted_as_one() {
    let rig = rig(GOOD, serving(), serving()).await;
    let mut forced = HeaderMap::new();
    forced.insert(pick::VARIANT_HEADER, "stable".parse().unwrap());
    let [a, b] = OVERFLOWING;
    let in_json = InferRequest { form: Form::Json(BinaryOutputs::default()), ..request(&[a], &[b]) };
    let error = rig.inference.infer(in_json.clone(), &forced, "id").await.unwrap_err();
    assert_eq!(error, InferError::NotInJson { output: "difference".into() });
    let statistics = rig.stable.metrics().statistics();
    assert_eq!((statistics.fail.count, statistics.success.count), (1, 0));
    let error = rig.inference.infer(in_json, &HeaderMap::new(), "id").await.unwrap_err();
    assert_eq!(error.code(), Code::Internal, "after the canary's failure stable's is told");
    assert_eq!(ask(&rig, request(&[a], &[b]), &forced).await.1, [f64::INFINITY], "bytes carry it");
}

#[tokio::test]
async fn nan_that_no_output_can_carry_is_judged_as_nan() {
    // 0/0 is lost in the canary alone, and a position cannot say so.
    let positions = |quotient| {
        let nodes = [("Sub", ["a", "a"], "none"), quotient, ("ArgMax", ["quotient", ""], "position")];
        (onnx::model(&["a", "b"], &nodes, &["position"]), serving())
    };
    let (good, bad) = (("Sub", ["a", "b"], "quotient"), ("Div", ["b", "a"], "quotient"));
    let rig = rig_of(positions(good), positions(bad)).await;
    let asked = InferRequest { outputs: None, ..request(&[0.0], &[0.0]) };
    let reply = rig.inference.infer(asked.clone(), &HeaderMap::new(), "id").await.unwrap();
    assert_eq!(&*reply.version, "v1");
    assert_eq!(rig.canary.evidence().counts().of(Outcome::NonFinite), 1);
    let mut forced = HeaderMap::new();
    forced.insert(pick::VARIANT_HEADER, "canary".parse().unwrap());
    let error = rig.inference.infer(asked, &forced, "id").await.unwrap_err();
    assert_eq!(error, InferError::NonFinite);
}

#[tokio::test]
async fn one_callers_bad_id_in_a_joined_batch_leaves_the_others_answered() {
    // One entry is all that the table has.
    let model = onnx::model(&["ids"], &[("Gather", ["zero", "ids"], "found")], &["found"]);
    let joined = Serving { max_batch_size: 3, queue_delay_max: Duration::from_secs(3600), ..serving() };
    let rig = rig_of((model.clone(), joined.clone()), (model, joined)).await;
    let mut forced = HeaderMap::new();
    forced.insert(pick::VARIANT_HEADER, "stable".parse().unwrap());
    let ask = async |id: i64| {
        let tensor = Tensor::new(Datatype::Int64, vec![1, 1], id.to_le_bytes().to_vec().into()).unwrap();
        let inputs = vec![NamedTensor { name: "ids".into(), tensor }];
        let request = InferRequest { inputs, outputs: None, ..request(&[], &[]) };
        let answer = rig.inference.infer(request, &forced, "id").await;
        answer.map(|reply| reply.outputs[0].tensor.to_f64().unwrap())
    };
    let (first, bad, last) = tokio::join!(ask(0), ask(7), ask(0));
    assert_eq!((first, last), (Ok(vec![0.0]), Ok(vec![0.0])));
    assert_eq!(bad, Err(InferError::InvalidArgument("input 'ids': index 7 is not within -1..1".to_owned())));
    assert_eq!(rig.stable.evidence().counts().total(), 0);
}

#[tokio::test]
async fn a_batch_is_cut_when_the_device_is_free() {
    let delayed = Serving { max_batch_size: 8, queue_delay_max: Duration::from_millis(1), ..serving() };
    let rig = rig(GOOD, delayed, serving()).await;
    let mut forced = HeaderMap::new();
    forced.insert(pick::VARIANT_HEADER, "stable".parse().unwrap());
    let (release, held) = std::sync::mpsc::channel::<()>();
    let device = rig.device.clone();
    let busy = tokio::spawn(async move { device.run(move || held.recv().is_ok()).await });
    tokio::time::pause();
    let asks = async |a: f32| ask(&rig, request(&[a], &[1.0]), &forced).await.1;
    let late = async || {
        // The first has waited for company long enough, and its version for the device.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let gone = futures::FutureExt::now_or_never(asks(9.0));
        assert!(gone.is_none(), "its caller leaves while it waits");
        let free = async {
            tokio::time::resume();
            release.send(()).unwrap();
        };
        tokio::join!(asks(3.0), free).0
    };
    let (first, second) = tokio::join!(asks(2.0), late());
    assert_eq!((first, second), (vec![1.0], vec![2.0]));
    assert!(busy.await.unwrap().unwrap());
    let statistics = rig.stable.metrics().statistics();
    assert_eq!((statistics.execution_count, statistics.inference_count), (1, 2), "one batch, without whoever left");
}
