//! What the protocols tell of models: metadata, configuration, statistics and the index, from catalog views.
//!
//! Each is built once, as the gRPC message; the JSON that HTTP answers is made from the same facts.

use models::{Datatype, Dim, Signature, TensorSpec};
use serde_json::{Value, json};

use crate::catalog::{Catalog, DurationStat, ModelView, Statistics, VersionView};
use crate::front::proto::model_config::SchedulingChoice;
use crate::front::proto::model_metadata_response::TensorMetadata;
use crate::front::proto::model_version_policy::{All, PolicyChoice};
use crate::front::proto::repository_index_response::ModelIndex;
use crate::front::proto::{
    DataType, InferBatchStatistics, InferStatistics, ModelConfig, ModelDynamicBatching, ModelInput,
    ModelMetadataResponse, ModelOutput, ModelStatistics, ModelTransactionPolicy, ModelVersionPolicy, StatisticDuration,
};
use crate::infer::InferError;

/// The server's name in metadata.
pub const SERVER_NAME: &str = "sluice";
/// The server's version in metadata.
pub const SERVER_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Extensions of the protocol, as metadata announces them.
///
/// The statistics calls always answer, but clients that see the extension announced (perf_analyzer) read versions as
/// numbers and fail on labels such as `v2.3.1`: it is announced where every version is a number.
#[must_use]
pub fn extensions(models: &[ModelView]) -> Vec<&'static str> {
    let numbered =
        |view: &VersionView| view.version.parse().is_ok_and(|number: i64| *number.to_string() == *view.version);
    let mut extensions = vec!["binary_tensor_data", "model_configuration"];
    if models.iter().flat_map(|model| &model.versions).all(numbered) {
        extensions.push("statistics");
    }
    extensions
}

/// Metadata of one version; `versions` are all that the model has.
#[must_use]
pub fn metadata(view: &VersionView, versions: Vec<String>) -> ModelMetadataResponse {
    let tensors = |specs: &[TensorSpec]| specs.iter().map(tensor_metadata).collect();
    ModelMetadataResponse {
        name: view.model.as_ref().to_owned(),
        versions,
        platform: view.platform.to_owned(),
        inputs: tensors(&view.signature.inputs),
        outputs: tensors(&view.signature.outputs),
    }
}

fn tensor_metadata(spec: &TensorSpec) -> TensorMetadata {
    TensorMetadata {
        name: spec.name.as_ref().to_owned(),
        datatype: spec.datatype.name().to_owned(),
        shape: wire_shape(&spec.shape),
    }
}

/// [`metadata`] as JSON.
#[must_use]
pub fn metadata_json(metadata: &ModelMetadataResponse) -> Value {
    let tensors = |tensors: &[TensorMetadata]| -> Vec<Value> {
        tensors.iter().map(|t| json!({"name": t.name, "datatype": t.datatype, "shape": t.shape})).collect()
    };
    json!({
        "name": metadata.name,
        "versions": metadata.versions,
        "platform": metadata.platform,
        "inputs": tensors(&metadata.inputs),
        "outputs": tensors(&metadata.outputs),
    })
}

fn wire_shape(shape: &[Dim]) -> Vec<i64> {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
        Dim::Any => -1,
    };
    shape.iter().map(dim).collect()
}

/// Configuration of one version, as Triton's clients read it: where the model is batched, `dims` leave the batch axis
/// out and `max_batch_size` is over 0.
#[must_use]
pub fn config(view: &VersionView) -> ModelConfig {
    let signature: &Signature = &view.signature;
    let dims = |spec: &TensorSpec| wire_shape(spec.shape.get(usize::from(signature.batched)..).unwrap_or_default());
    let data_type = |spec: &TensorSpec| data_type(spec.datatype).into();
    let input = |spec: &TensorSpec| ModelInput {
        name: spec.name.as_ref().to_owned(),
        data_type: data_type(spec),
        dims: dims(spec),
        optional: false,
    };
    let output = |spec: &TensorSpec| ModelOutput {
        name: spec.name.as_ref().to_owned(),
        data_type: data_type(spec),
        dims: dims(spec),
    };
    let queue_delay_micros = u64::try_from(view.queue_delay_max.as_micros()).unwrap_or(u64::MAX);
    let batching =
        ModelDynamicBatching { max_queue_delay_microseconds: queue_delay_micros, ..ModelDynamicBatching::default() };
    ModelConfig {
        name: view.model.as_ref().to_owned(),
        platform: view.platform.to_owned(),
        backend: SERVER_NAME.to_owned(),
        // Every version that is loaded is served; which of them gets live traffic is the rollout's.
        version_policy: Some(ModelVersionPolicy { policy_choice: Some(PolicyChoice::All(All {})) }),
        max_batch_size: if signature.batched { i32::try_from(view.max_batch_size).unwrap_or(i32::MAX) } else { 0 },
        input: signature.inputs.iter().map(input).collect(),
        output: signature.outputs.iter().map(output).collect(),
        scheduling_choice: signature.batched.then_some(SchedulingChoice::DynamicBatching(batching)),
        model_transaction_policy: Some(ModelTransactionPolicy { decoupled: false }),
        ..ModelConfig::default()
    }
}

const fn data_type(datatype: Datatype) -> DataType {
    match datatype {
        Datatype::Bool => DataType::TypeBool,
        Datatype::Uint8 => DataType::TypeUint8,
        Datatype::Uint16 => DataType::TypeUint16,
        Datatype::Uint32 => DataType::TypeUint32,
        Datatype::Uint64 => DataType::TypeUint64,
        Datatype::Int8 => DataType::TypeInt8,
        Datatype::Int16 => DataType::TypeInt16,
        Datatype::Int32 => DataType::TypeInt32,
        Datatype::Int64 => DataType::TypeInt64,
        Datatype::Fp16 => DataType::TypeFp16,
        Datatype::Bf16 => DataType::TypeBf16,
        Datatype::Fp32 => DataType::TypeFp32,
        Datatype::Fp64 => DataType::TypeFp64,
        Datatype::Bytes => DataType::TypeString,
    }
}

/// [`config()`] as the JSON that Triton's clients expect.
#[must_use]
pub fn config_json(config: &ModelConfig) -> Value {
    let tensor = |name: &str, data_type: DataType, dims: &[i64]| json!({"name": name, "data_type": data_type.as_str_name(), "dims": dims});
    let inputs: Vec<Value> = config.input.iter().map(|t| tensor(&t.name, t.data_type(), &t.dims)).collect();
    let outputs: Vec<Value> = config.output.iter().map(|t| tensor(&t.name, t.data_type(), &t.dims)).collect();
    let mut json = json!({
        "name": config.name,
        "platform": config.platform,
        "backend": config.backend,
        "version_policy": {"all": {}},
        "max_batch_size": config.max_batch_size,
        "input": inputs,
        "output": outputs,
        "model_transaction_policy": {"decoupled": false},
    });
    if let Some(SchedulingChoice::DynamicBatching(batching)) = &config.scheduling_choice {
        json["dynamic_batching"] = json!({"max_queue_delay_microseconds": batching.max_queue_delay_microseconds});
    }
    json
}

/// Statistics of one version. `fail` is every request that got no answer: failed, rejected or cancelled.
#[must_use]
pub fn statistics(view: &VersionView) -> ModelStatistics {
    let s: &Statistics = &view.statistics;
    let fail = [s.fail, s.reject, s.cancel].into_iter().fold(DurationStat::default(), |sum, stat| DurationStat {
        count: sum.count.saturating_add(stat.count),
        ns: sum.ns.saturating_add(stat.ns),
    });
    let none = Some(StatisticDuration::default());
    let batch = |(batch_size, compute): &(u64, DurationStat)| InferBatchStatistics {
        batch_size: *batch_size,
        compute_input: Some(StatisticDuration { count: compute.count, ns: 0 }),
        compute_infer: duration(*compute),
        compute_output: Some(StatisticDuration { count: compute.count, ns: 0 }),
    };
    ModelStatistics {
        name: view.model.as_ref().to_owned(),
        version: view.version.as_ref().to_owned(),
        last_inference: s.last_inference_ms,
        inference_count: s.inference_count,
        execution_count: s.execution_count,
        inference_stats: Some(InferStatistics {
            success: duration(s.success),
            fail: duration(fail),
            queue: duration(s.queue),
            compute_input: duration(s.compute_input),
            compute_infer: duration(s.compute_infer),
            compute_output: duration(s.compute_output),
            cache_hit: none,
            cache_miss: none,
        }),
        batch_stats: s.batches.iter().map(batch).collect(),
    }
}

/// [`statistics`] of every model where `model` is empty, else of its versions, or of one of them.
pub fn model_statistics(
    catalog: &Catalog,
    model: &str,
    version: Option<&str>,
) -> Result<Vec<ModelStatistics>, InferError> {
    let views = match (model, version) {
        ("", _) => catalog.models().into_iter().flat_map(|model| model.versions).collect(),
        (model, Some(version)) => vec![catalog.version(model, Some(version))?],
        (model, None) => catalog.model(model)?.versions,
    };
    Ok(views.iter().map(statistics).collect())
}

const fn duration(stat: DurationStat) -> Option<StatisticDuration> {
    Some(StatisticDuration { count: stat.count, ns: stat.ns })
}

/// [`statistics`] as the JSON that Triton's clients expect.
#[must_use]
pub fn statistics_json(statistics: &[ModelStatistics]) -> Value {
    let duration = |stat: &Option<StatisticDuration>| {
        let StatisticDuration { count, ns } = stat.unwrap_or_default();
        json!({"count": count, "ns": ns})
    };
    let inference = |stats: &InferStatistics| {
        json!({
            "success": duration(&stats.success),
            "fail": duration(&stats.fail),
            "queue": duration(&stats.queue),
            "compute_input": duration(&stats.compute_input),
            "compute_infer": duration(&stats.compute_infer),
            "compute_output": duration(&stats.compute_output),
            "cache_hit": duration(&stats.cache_hit),
            "cache_miss": duration(&stats.cache_miss),
        })
    };
    let batch = |batch: &InferBatchStatistics| {
        json!({
            "batch_size": batch.batch_size,
            "compute_input": duration(&batch.compute_input),
            "compute_infer": duration(&batch.compute_infer),
            "compute_output": duration(&batch.compute_output),
        })
    };
    let one = |model: &ModelStatistics| {
        json!({
            "name": model.name,
            "version": model.version,
            "last_inference": model.last_inference,
            "inference_count": model.inference_count,
            "execution_count": model.execution_count,
            "inference_stats": inference(&model.inference_stats.unwrap_or_default()),
            "batch_stats": model.batch_stats.iter().map(batch).collect::<Vec<_>>(),
        })
    };
    json!({"model_stats": statistics.iter().map(one).collect::<Vec<_>>()})
}

/// The index of every version of every model; `ready_only` leaves out models that do not answer.
#[must_use]
pub fn index(models: &[ModelView], ready_only: bool) -> Vec<ModelIndex> {
    let entry = |model: &ModelView, version: &str| ModelIndex {
        name: model.name.as_ref().to_owned(),
        version: version.to_owned(),
        state: if model.ready { "READY" } else { "UNAVAILABLE" }.to_owned(),
        reason: if model.ready { "" } else { "no version is ready" }.to_owned(),
    };
    let entries = |model: &ModelView| match model.versions.as_slice() {
        // A model of the values that has nothing loaded yet is listed all the same.
        [] => vec![entry(model, "")],
        versions => versions.iter().map(|view| entry(model, &view.version)).collect(),
    };
    models.iter().filter(|model| model.ready || !ready_only).flat_map(entries).collect()
}

/// [`index`] as the JSON that Triton's clients expect.
#[must_use]
pub fn index_json(index: &[ModelIndex]) -> Value {
    index
        .iter()
        .map(|entry| {
            let mut json = json!({"name": entry.name, "version": entry.version, "state": entry.state});
            if !entry.reason.is_empty() {
                json["reason"] = json!(entry.reason);
            }
            json
        })
        .collect()
}

/// The versions of `model`, as metadata lists them.
#[must_use]
pub fn versions(model: &ModelView) -> Vec<String> {
    model.versions.iter().map(|view| view.version.as_ref().to_owned()).collect()
}
