//! One small world for the tests of every front end. The only file of the tests that says how the parts behind the
//! front are made.
//!
//! Models: `all` echoes one input of each datatype (`v1` stable, `v2` canary); `pair` adds nothing and echoes `a` and
//! `b`; `half` echoes FP16; `odd` answers what JSON cannot carry; `loading` has nothing ready. An id such as
//! `overloaded` makes the request fail in that way; the id `timeout` tells the timeout that arrived.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use models::{Datatype, Dim, NamedTensor, Signature, Tensor, TensorSpec};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{AccessLog, Budget, Front, Guard, Limits, VARIANT_HEADER};
use crate::catalog::{Catalog, DurationStat, ModelView, Statistics, VersionView};
use crate::infer::{InferError, InferReply, InferRequest, Inference};
use crate::rollout::{RolloutHandle, Status, VerbError};
use crate::route::Variant;

/// The front of that world, with these limits.
pub(crate) fn front_with(limits: Limits) -> Arc<Front> {
    guarded(limits, Guard::open())
}

/// The front of that world, with these limits, for whom `guard` lets in.
pub(crate) fn guarded(limits: Limits, guard: Guard) -> Arc<Front> {
    let catalog = catalog();
    let lookup = catalog.clone();
    let inference = Inference::scripted(move |request, headers| {
        let reply = answer(&lookup, request, &headers);
        Box::pin(async move { reply })
    });
    Front {
        inference,
        catalog,
        budget: Budget::new(&limits),
        limits,
        guard,
        access: AccessLog::one_in(1),
        draining: CancellationToken::new(),
        closing: CancellationToken::new(),
    }
    .shared()
}

/// The front of that world.
pub(crate) fn front() -> Arc<Front> {
    front_with(Limits::default())
}

/// What that world may tell of its models.
pub(crate) fn catalog() -> Catalog {
    let all: Vec<TensorSpec> = Datatype::ALL.into_iter().map(|datatype| spec(datatype.name(), datatype)).collect();
    let pair = vec![spec("a", Datatype::Fp32), spec("b", Datatype::Int64)];
    let version = |model, version, variant, specs: &[TensorSpec]| view(model, version, variant, specs);
    let model = |name: &str, versions: Vec<VersionView>| ModelView { name: name.into(), ready: true, versions };
    Catalog::fixed(
        true,
        vec![
            model(
                "all",
                vec![
                    version("all", "v1", Some(Variant::Stable), &all),
                    version("all", "v2", Some(Variant::Canary), &all),
                ],
            ),
            model("half", vec![version("half", "v1", Some(Variant::Stable), &[spec("x", Datatype::Fp16)])]),
            ModelView { ready: false, ..model("loading", vec![]) },
            model("odd", vec![version("odd", "v1", Some(Variant::Stable), &[spec("x", Datatype::Fp32)])]),
            model("one", vec![version("one", "v1", Some(Variant::Stable), &[spec("x", Datatype::Fp32)])]),
            model("pair", vec![version("pair", "v1", Some(Variant::Stable), &pair)]),
            model("text", vec![version("text", "v1", Some(Variant::Stable), &[spec("x", Datatype::Bytes)])]),
        ],
    )
}

fn spec(name: &str, datatype: Datatype) -> TensorSpec {
    TensorSpec { name: name.into(), datatype, shape: vec![Dim::Any, Dim::Fixed(4)] }
}

fn view(model: &str, version: &str, variant: Option<Variant>, specs: &[TensorSpec]) -> VersionView {
    let signature = Signature { inputs: specs.to_vec(), outputs: specs.to_vec(), batched: true };
    let stat = |count, ns| DurationStat { count, ns };
    let statistics = Statistics {
        success: stat(7, 700),
        fail: stat(1, 10),
        cancel: stat(2, 20),
        reject: stat(3, 30),
        inference_count: 14,
        execution_count: 5,
        batches: vec![(2, stat(5, 500))],
        ..Statistics::default()
    };
    VersionView {
        model: model.into(),
        version: version.into(),
        variant,
        digest: config::Digest::from_bytes([7; 32]),
        platform: "onnx_sluice",
        signature: Arc::new(signature),
        max_batch_size: 32,
        queue_delay_max: Duration::from_micros(250),
        queue_rows: 0,
        statistics,
    }
}

fn answer(catalog: &Catalog, request: InferRequest, headers: &http::HeaderMap) -> Result<InferReply, InferError> {
    failure(&request)?;
    let view = match headers.get(VARIANT_HEADER).map(|value| value.as_bytes()) {
        Some(b"canary") => catalog.label(&request.model, Variant::Canary)?,
        _ => catalog.version(&request.model, request.version.as_deref())?,
    };
    let mut outputs = if request.model == "odd" { odd() } else { request.inputs };
    if let Some(names) = request.outputs {
        outputs.retain(|output| names.iter().any(|name| **name == *output.name));
    }
    if let Some(output) = outputs.iter().find(|output| !request.form.carries(output)) {
        return Err(InferError::NotInJson { output: Arc::clone(&output.name) });
    }
    let variant = view.variant.unwrap_or(Variant::Stable);
    let (queued, compute) = (Duration::ZERO, Duration::ZERO);
    let (id, form) = (request.id, request.form);
    Ok(InferReply { model: view.model, version: view.version, variant, id, outputs, form, queued, compute })
}

fn failure(request: &InferRequest) -> Result<(), InferError> {
    let model = || request.model.clone();
    Err(match &*request.id {
        "overloaded" => InferError::Overloaded { retry_after: Duration::from_millis(1500) },
        "late" => InferError::DeadlineExceeded,
        "not-ready" => InferError::NotReady { model: model() },
        "going" => InferError::ShuttingDown,
        "broken" => InferError::Model { reason: "the kernel failed" },
        "nan" => InferError::NonFinite,
        "endless" => InferError::InvalidArgument("é".repeat(1 << 20)),
        "timeout" => InferError::InvalidArgument(format!("{:?}", request.timeout)),
        _ => return Ok(()),
    })
}

fn odd() -> Vec<NamedTensor> {
    let nan = Tensor::new(Datatype::Fp32, vec![1], Bytes::copy_from_slice(&f32::NAN.to_le_bytes()));
    let text = Tensor::from_elements(vec![1], &[b"\xff"]);
    vec![named("nan", nan.unwrap()), named("text", text.unwrap())]
}

/// A tensor and its name.
pub(crate) fn named(name: &str, tensor: Tensor) -> NamedTensor {
    NamedTensor { name: name.into(), tensor }
}

/// The bytes of four elements of `datatype`, edges of its range included.
pub(crate) fn edges(datatype: Datatype) -> Bytes {
    fn bytes<const N: usize>(values: [[u8; N]; 4]) -> Bytes {
        values.concat().into()
    }
    match datatype {
        Datatype::Bool => bytes([[0], [1], [1], [0]]),
        Datatype::Uint8 => bytes([u8::MIN, 1, 127, u8::MAX].map(u8::to_le_bytes)),
        Datatype::Uint16 => bytes([u16::MIN, 1, 2, u16::MAX].map(u16::to_le_bytes)),
        Datatype::Uint32 => bytes([u32::MIN, 1, 2, u32::MAX].map(u32::to_le_bytes)),
        Datatype::Uint64 => bytes([u64::MIN, 1, (1 << 53) + 1, u64::MAX].map(u64::to_le_bytes)),
        Datatype::Int8 => bytes([i8::MIN, -1, 0, i8::MAX].map(i8::to_le_bytes)),
        Datatype::Int16 => bytes([i16::MIN, -1, 0, i16::MAX].map(i16::to_le_bytes)),
        Datatype::Int32 => bytes([i32::MIN, -1, 0, i32::MAX].map(i32::to_le_bytes)),
        Datatype::Int64 => bytes([i64::MIN, -1, (1 << 53) + 1, i64::MAX].map(i64::to_le_bytes)),
        Datatype::Fp16 => {
            bytes([half::f16::MIN, half::f16::MAX, half::f16::EPSILON, half::f16::ONE].map(half::f16::to_le_bytes))
        }
        Datatype::Bf16 => {
            bytes([half::bf16::MIN, half::bf16::MAX, half::bf16::EPSILON, half::bf16::ONE].map(half::bf16::to_le_bytes))
        }
        Datatype::Fp32 => bytes([f32::MIN, f32::MAX, f32::MIN_POSITIVE, 0.1].map(f32::to_le_bytes)),
        Datatype::Fp64 => bytes([f64::MIN, f64::MAX, f64::MIN_POSITIVE, 0.1].map(f64::to_le_bytes)),
        Datatype::Bytes => {
            let tensor = Tensor::from_elements(vec![4], &["", "é", "\"quoted\"\n", "long enough to be text"]);
            tensor.unwrap().data().clone()
        }
    }
}

/// A rollout that tells what it was asked, knows the models of the catalog, and has nothing on trial for `text`.
pub(crate) fn rollout() -> RolloutHandle {
    let (_, status) = watch::channel(Arc::new(Status::default()));
    let catalog = catalog();
    RolloutHandle::scripted(status, move |model, verb| match model {
        "text" => Err(VerbError::NotNow("nothing is on trial".to_owned())),
        model if catalog.model(model).is_err() => Err(VerbError::UnknownModel(model.to_owned())),
        model => Ok(format!("{model}: {verb:?}")),
    })
}
