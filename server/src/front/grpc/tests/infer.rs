//! `ModelInfer` and the calls about models.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use bytes::Bytes;
use models::Datatype;
use prost::Message as _;
use tonic::{Code, Request};

use super::{client, input, refusal, request, typed};
use crate::front::proto::infer_parameter::ParameterChoice;
use crate::front::proto::*;
use crate::front::{Limits, testing};

#[tokio::test]
async fn every_datatype_survives_raw_and_typed() {
    let mut client = client(testing::front()).await;
    for datatype in Datatype::ALL {
        let data = testing::edges(datatype);
        let raw = request(vec![input(datatype.name(), &[4])], vec![data.to_vec()]);
        let response = client.model_infer(raw).await.unwrap();
        assert_eq!(response.metadata().get("x-sluice-version").unwrap(), "v1");
        assert_eq!(response.metadata().get("x-sluice-variant").unwrap(), "stable");
        let response = response.into_inner();
        assert_eq!(response.raw_output_contents, std::slice::from_ref(&data), "{datatype}");
        let output = &response.outputs[0];
        assert_eq!((&*output.datatype, &*output.shape), (datatype.name(), &[4][..]));

        let tensor = models::Tensor::new(datatype, vec![4], data).unwrap();
        let Some(contents) = typed_contents(&tensor) else { continue };
        let echoed = client.model_infer(request(vec![typed(datatype.name(), &[4], contents)], vec![])).await;
        let echoed = echoed.unwrap().into_inner();
        assert_eq!(echoed.raw_output_contents, std::slice::from_ref(tensor.data()), "answers are raw: {datatype}");
        assert_eq!(echoed.outputs[0].contents, None);
    }
}

/// The elements of `tensor` in the field of its datatype; FP16 and BF16 have none.
fn typed_contents(tensor: &models::Tensor) -> Option<InferTensorContents> {
    fn each<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        data.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
    }
    let data: &[u8] = tensor.data();
    let mut c = InferTensorContents::default();
    match tensor.datatype() {
        Datatype::Bool => c.bool_contents = data.iter().map(|byte| *byte != 0).collect(),
        Datatype::Int8 => c.int_contents = each(data, |b| i32::from(i8::from_le_bytes(b))),
        Datatype::Int16 => c.int_contents = each(data, |b| i32::from(i16::from_le_bytes(b))),
        Datatype::Int32 => c.int_contents = each(data, i32::from_le_bytes),
        Datatype::Int64 => c.int64_contents = each(data, i64::from_le_bytes),
        Datatype::Uint8 => c.uint_contents = each(data, |b| u32::from(u8::from_le_bytes(b))),
        Datatype::Uint16 => c.uint_contents = each(data, |b| u32::from(u16::from_le_bytes(b))),
        Datatype::Uint32 => c.uint_contents = each(data, u32::from_le_bytes),
        Datatype::Uint64 => c.uint64_contents = each(data, u64::from_le_bytes),
        Datatype::Fp32 => c.fp32_contents = each(data, f32::from_le_bytes),
        Datatype::Fp64 => c.fp64_contents = each(data, f64::from_le_bytes),
        Datatype::Bytes => c.bytes_contents = tensor.byte_elements().map(Bytes::copy_from_slice).collect(),
        Datatype::Fp16 | Datatype::Bf16 => return None,
    }
    Some(c)
}

#[tokio::test]
async fn what_a_message_holds_is_bounded_before_it_is_decoded() {
    let mut client = client(testing::front()).await;
    let many = request(vec![input("INT8", &[1]); 257], vec![]);
    let error = "the request has more inputs than the limit of 256";
    assert_eq!(refusal(&mut client, many).await, (Code::InvalidArgument, error.to_owned()));
    let deep = request(vec![input("INT8", &[1; 65])], vec![]);
    let error = "an input's shape has more dimensions than the limit of 16";
    assert_eq!(refusal(&mut client, deep).await, (Code::InvalidArgument, error.to_owned()), "before it is decoded");
}

#[tokio::test]
async fn bad_requests() {
    let mut client = client(testing::front()).await;
    let ints = |values: &[i32]| InferTensorContents { int_contents: values.to_vec(), ..InferTensorContents::default() };
    let both = typed("INT32", &[1], ints(&[1]));
    let cases = [
        (
            request(vec![input("FP32", &[2])], vec![vec![0; 4]]),
            "input 'a': shape [2] of FP32 needs 8 bytes, but 4 were given",
        ),
        (
            request(vec![input("FP32", &[1])], vec![vec![], vec![]]),
            "raw_input_contents has 2 entries for 1 inputs; give one for each",
        ),
        (request(vec![], vec![vec![0; 4]]), "raw_input_contents has 1 entries for 0 inputs; give one for each"),
        (request(vec![both], vec![vec![0; 4]]), "input 'a' has both contents and raw_input_contents; give one"),
        (
            request(vec![input("FP32", &[1])], vec![]),
            "input 'a': shape [1] needs 1 elements, but contents.fp32_contents has 0",
        ),
        (
            request(vec![typed("FP32", &[1], ints(&[1]))], vec![]),
            "input 'a': FP32 elements belong in contents.fp32_contents, but contents.int_contents is filled",
        ),
        (
            request(vec![typed("INT8", &[2], ints(&[1, 128]))], vec![]),
            "input 'a': element 1 is 128, but INT8 holds -128 to 127",
        ),
        (
            request(vec![typed("INT32", &[3], ints(&[1, 2]))], vec![]),
            "input 'a': shape [3] needs 3 elements, but contents.int_contents has 2",
        ),
        (
            request(vec![typed("INT32", &[i64::MAX, 3], ints(&[1]))], vec![]),
            "input 'a': shape [9223372036854775807, 3] needs more than can be counted elements, but contents.int_contents has 1",
        ),
        (
            request(vec![input("FP16", &[1])], vec![]),
            "input 'a': FP16 has no field in contents; use raw_input_contents",
        ),
        (
            request(vec![input("BF16", &[1])], vec![]),
            "input 'a': BF16 has no field in contents; use raw_input_contents",
        ),
        (
            request(vec![input("fp32", &[1])], vec![vec![0; 4]]),
            "input 'a': datatype 'fp32' is not one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES",
        ),
        (request(vec![input("INT8", &[-1])], vec![vec![0; 4]]), "input 'a': dimension 0 of its shape is -1"),
        (
            request(vec![input("INT8", &[1; 17])], vec![vec![0]]),
            "input 'a': shape has 17 dimensions, over the limit of 16",
        ),
        (
            request(vec![input("BYTES", &[1])], vec![vec![9, 0, 0, 0, 1]]),
            "input 'a': element 0 of a BYTES tensor says it is longer than the data that follows",
        ),
        (
            request(vec![input("BYTES", &[2])], vec![vec![1, 0, 0, 0, 1]]),
            "input 'a': 1 BYTES elements were given, but shape [2] needs 2",
        ),
        (
            request(vec![input("INT8", &[1]), input("INT8", &[2])], vec![vec![0], vec![0]]),
            "input 'a' is given twice; input 'a': shape [2] of INT8 needs 2 bytes, but 1 were given",
        ),
        (ModelInferRequest::default(), "model_name is empty"),
        (
            ModelInferRequest { model_version: "v".repeat(257), ..request(vec![], vec![]) },
            "model_version is 257 bytes long, over the limit of 256",
        ),
        (
            with_parameter("timeout", ParameterChoice::StringParam("1".into())),
            "parameter 'timeout' is not a whole number of microseconds",
        ),
        (
            with_parameter("timeout", ParameterChoice::Int64Param(-1)),
            "parameter 'timeout' is not a whole number of microseconds",
        ),
    ];
    for (request, error) in cases {
        assert_eq!(refusal(&mut client, request).await, (Code::InvalidArgument, error.to_owned()));
    }
}

fn with_parameter(name: &str, choice: ParameterChoice) -> ModelInferRequest {
    let mut request = request(vec![], vec![]);
    request.parameters.insert(name.to_owned(), InferParameter { parameter_choice: Some(choice) });
    request
}

#[tokio::test]
async fn what_is_not_supported_says_so() {
    let mut client = client(testing::front()).await;
    let parameter = || InferParameter { parameter_choice: Some(ParameterChoice::StringParam("r".into())) };
    let mut shared = input("INT8", &[1]);
    shared.parameters.insert("shared_memory_region".to_owned(), parameter());
    let (code, message) = refusal(&mut client, request(vec![shared], vec![vec![0]])).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.starts_with("input 'a': shared memory is not supported"), "{message}");
    let status = client.repository_model_load(RepositoryModelLoadRequest::default()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (
            Code::Unimplemented,
            "models are loaded and unloaded by the values file, not by a call: commit the change there"
        )
    );
    let status = client.cuda_shared_memory_register(CudaSharedMemoryRegisterRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let status = client.trace_setting(TraceSettingRequest {}).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unimplemented, "tracing is set when the server starts, not by a call")
    );
}

#[tokio::test]
async fn failures_of_the_request_path_have_their_codes() {
    let mut client = client(testing::front()).await;
    let table = [
        ("overloaded", Code::ResourceExhausted),
        ("late", Code::DeadlineExceeded),
        ("not-ready", Code::Unavailable),
        ("going", Code::Unavailable),
        ("broken", Code::Internal),
        ("nan", Code::Internal),
    ];
    for (id, code) in table {
        let request = ModelInferRequest { id: id.to_owned(), ..request(vec![], vec![]) };
        assert_eq!(client.model_infer(request).await.unwrap_err().code(), code, "{id}");
    }
    let nope = ModelInferRequest { model_name: "nope".to_owned(), ..ModelInferRequest::default() };
    assert_eq!(refusal(&mut client, nope).await, (Code::NotFound, "model 'nope' is not served here".to_owned()));
}

#[tokio::test]
async fn no_error_is_endless_and_names_are_limited() {
    let mut client = client(testing::front()).await;
    let endless = ModelInferRequest { id: "endless".to_owned(), ..request(vec![], vec![]) };
    let (code, message) = refusal(&mut client, endless).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.ends_with('…') && message.len() <= 4096, "{}", message.len());
    let long = || "m".repeat(300);
    let told = "name is 300 bytes long, over the limit of 256";
    let metadata = ModelMetadataRequest { name: long(), ..ModelMetadataRequest::default() };
    assert_eq!(client.model_metadata(metadata).await.unwrap_err().message(), told);
    let config = ModelConfigRequest { name: long(), ..ModelConfigRequest::default() };
    assert_eq!(client.model_config(config).await.unwrap_err().message(), told);
    let statistics = ModelStatisticsRequest { name: "pair".into(), version: long() };
    let status = client.model_statistics(statistics).await.unwrap_err();
    assert_eq!(status.message(), "version is 300 bytes long, over the limit of 256");
}

#[tokio::test]
async fn the_shorter_deadline_reaches_the_request_path() {
    let mut client = client(testing::front()).await;
    let mut asked = with_parameter("timeout", ParameterChoice::Int64Param(2_000_000));
    asked.id = "timeout".to_owned();
    let told = refusal(&mut client, asked.clone()).await.1;
    assert_eq!(told, format!("{:?}", Some(Duration::from_secs(2))));
    let mut request = Request::new(asked.clone());
    request.metadata_mut().insert("grpc-timeout", "1500m".parse().unwrap());
    assert_eq!(refusal(&mut client, request).await.1, format!("{:?}", Some(Duration::from_millis(1500))));
    let mut request = Request::new(asked);
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    assert_eq!(
        refusal(&mut client, request).await.1,
        "grpc-timeout is 'soon'; write up to 8 digits and one of H, M, S, m, u, n"
    );
}

#[tokio::test]
async fn metadata_chooses_the_variant_and_carries_the_id() {
    let mut client = client(testing::front()).await;
    let mut request =
        Request::new(ModelInferRequest { model_name: "all".into(), id: "7".into(), ..ModelInferRequest::default() });
    request.metadata_mut().insert("x-sluice-variant", "canary".parse().unwrap());
    request.metadata_mut().insert("x-request-id", "abc".parse().unwrap());
    let response = client.model_infer(request).await.unwrap();
    for (key, value) in [("x-sluice-variant", "canary"), ("x-sluice-version", "v2"), ("x-request-id", "abc")] {
        assert_eq!(response.metadata().get(key).unwrap(), value);
    }
    let response = response.into_inner();
    assert_eq!((&*response.model_version, &*response.id), ("v2", "7"));
}

#[tokio::test]
async fn every_answer_and_error_carries_an_id() {
    let mut client = client(testing::front()).await;
    let mut id = async |model: &str, message_id: &str| {
        let request = ModelInferRequest { model_name: model.into(), id: message_id.into(), ..Default::default() };
        let metadata = match client.model_infer(request).await {
            Ok(response) => response.metadata().clone(),
            Err(status) => status.metadata().clone(),
        };
        metadata.get("x-request-id").unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(id("all", "order-66").await, "order-66");
    assert_eq!(id("nope", "order-66").await, "order-66");
    assert_eq!(id("all", "").await.len(), 36);
    assert_eq!(id("nope", "two words").await.len(), 36);
}

#[tokio::test]
async fn messages_are_limited_compressed_or_not() {
    use tonic::codec::CompressionEncoding::{Gzip, Zstd};
    let limits = Limits { message_bytes: 10_000, ..Limits::default() };
    let client = client(testing::front_with(limits)).await;
    let big = || request(vec![input("UINT8", &[20_000])], vec![vec![0; 20_000]]);
    for mut client in [client.clone(), client.clone().send_compressed(Gzip), client.clone().send_compressed(Zstd)] {
        let status = client.model_infer(big()).await.unwrap_err();
        let text = "the message is over the limit of 10000 bytes, as sent or when its encoding is undone";
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, text));
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1", "another try is useless");
        let mut stream = client.model_stream_infer(futures::stream::iter([big()])).await.unwrap().into_inner();
        let status = stream.message().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, text));
        let small = request(vec![input("UINT8", &[9_000])], vec![vec![0; 9_000]]);
        assert_eq!(client.model_infer(small).await.unwrap().into_inner().raw_output_contents[0].len(), 9_000);
    }
}

/// The flag and the bytes of the one message that a request to `pair` is answered with.
async fn framed(encoding: &str, flag: u8, message: &[u8]) -> (u8, Vec<u8>) {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[flag][..], &length, message].concat();
    let request = http::Request::post("/inference.GRPCInferenceService/ModelInfer")
        .header("content-type", "application/grpc")
        .header("grpc-encoding", encoding)
        .header("grpc-accept-encoding", "gzip")
        .body(axum::body::Body::from(body))
        .unwrap();
    let response = tower::ServiceExt::oneshot(super::super::service(testing::front()), request).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    (body[0], body[5..].to_vec())
}

#[tokio::test]
async fn answers_are_compressed_where_the_request_was() {
    let asked = request(vec![input("UINT8", &[9])], vec![vec![0; 9]]).encode_to_vec();
    let (flag, plain) = framed("identity", 0, &asked).await;
    assert_eq!(flag, 0, "gzip is accepted, but the request was plain");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&asked).unwrap();
    let (flag, compressed) = framed("gzip", 1, &encoder.finish().unwrap()).await;
    assert_eq!(flag, 1);
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(&*compressed).read_to_end(&mut inflated).unwrap();
    assert_eq!(inflated, plain);
    let answer = ModelInferResponse::decode(&*plain).unwrap();
    assert_eq!(answer.raw_output_contents, [Bytes::from(vec![0; 9])]);
}

#[tokio::test]
async fn calls_about_models() {
    let mut client = client(testing::front()).await;
    assert!(client.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    assert!(client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    for (name, version, ready) in
        [("pair", "", true), ("pair", "v1", true), ("pair", "v9", false), ("loading", "", false), ("nope", "", false)]
    {
        let request = ModelReadyRequest { name: name.into(), version: version.into() };
        assert_eq!(client.model_ready(request).await.unwrap().into_inner().ready, ready, "{name} {version}");
    }
    let request = ModelMetadataRequest { name: "all".into(), version: "v2".into() };
    let metadata = client.model_metadata(request).await.unwrap().into_inner();
    assert_eq!((metadata.versions.join(" "), metadata.inputs.len()), ("v1 v2".to_owned(), 14));
    assert_eq!(metadata.inputs[0].shape, [-1, 4]);
    let request = ModelConfigRequest { name: "pair".into(), version: String::new() };
    let config = client.model_config(request).await.unwrap().into_inner().config.unwrap();
    assert_eq!((config.max_batch_size, &*config.input[1].dims), (32, &[4][..]));
    let stats = client.model_statistics(ModelStatisticsRequest::default()).await.unwrap().into_inner().model_stats;
    assert_eq!(stats.len(), 7);
    let index = client.repository_index(RepositoryIndexRequest { ready: true, ..Default::default() }).await.unwrap();
    assert!(index.into_inner().models.iter().all(|model| model.state == "READY"));
}
