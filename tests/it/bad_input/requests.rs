//! Bad requests over both protocols, to a server of real models. After each of them a good one is answered.

use std::io::Write as _;

use server::front::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use server::front::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use server::front::proto::{InferTensorContents, ModelInferRequest, ModelMetadataRequest};
use tests::sandbox::Running;

use super::{GOOD, Table, answered_by};

const INFER: &str = "/v2/models/good/infer";
const PREDICT: &str = "/v1/models/good:predict";
const LENGTH: &str = "inference-header-content-length";
const NINE: &str = "[1,0,0.5,1,0,0.5,0.5,1,0]";

/// A POST that is refused.
struct Post {
    name: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn post(name: &'static str, path: &'static str, body: impl Into<Vec<u8>>) -> Post {
    Post { name, path, headers: Vec::new(), body: body.into() }
}

impl Post {
    fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// A request of one input `features`, but for `rest`.
fn features(rest: &str) -> String {
    format!(r#"{{"inputs":[{{"name":"features",{rest}}}]}}"#)
}

fn right() -> String {
    features(&format!(r#""datatype":"FP32","shape":[1,9],"data":{NINE}"#))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What V2 takes and these are not.
fn inferences() -> Vec<Post> {
    let infer = |name, body: String| post(name, INFER, body);
    let input = |name, rest: &str| post(name, INFER, features(rest));
    let with_outputs = |outputs: &str| right().replacen('{', &format!(r#"{{"outputs":{outputs},"#), 1);
    vec![
        infer("no body", String::new()),
        infer("not json", "hello".to_owned()),
        infer("json of something else", r#"{"inputs":7}"#.to_owned()),
        infer("no inputs", "{}".to_owned()),
        infer("unknown input", right().replace("features", "feature")),
        infer("an input twice", format!(r#"{{"inputs":[{0},{0}]}}"#, &right()[11..right().len() - 2])),
        input("unknown datatype", r#""datatype":"FLOAT","shape":[1,9],"data":[1]"#),
        input("wrong datatype", r#""datatype":"INT64","shape":[1,9],"data":[1,0,1,1,0,1,1,1,0]"#),
        input("wrong shape", r#""datatype":"FP32","shape":[1,8],"data":[1,0,1,1,0,1,1,1]"#),
        input("wrong rank", &format!(r#""datatype":"FP32","shape":[9],"data":{NINE}"#)),
        input("no rows", r#""datatype":"FP32","shape":[0,9],"data":[]"#),
        input("negative dimension", r#""datatype":"FP32","shape":[-1,9],"data":[]"#),
        input("dimensions beyond counting", r#""datatype":"FP32","shape":[9223372036854775807,9],"data":[]"#),
        input("elements beyond the shape", r#""datatype":"FP32","shape":[1,9],"data":[1,2,3,4,5,6,7,8,9,10]"#),
        input("rows of unequal length", r#""datatype":"FP32","shape":[2,2],"data":[[1,2],[3]]"#),
        input("a null", r#""datatype":"FP32","shape":[1,2],"data":[1,null]"#),
        input("a number out of range", r#""datatype":"FP32","shape":[1,1],"data":[1e39]"#),
        input("half precision in json", r#""datatype":"FP16","shape":[1,1],"data":[1]"#),
        input("shared memory", r#""datatype":"FP32","shape":[1,9],"parameters":{"shared_memory_region":"r"}"#),
        input("too many rows", &format!(r#""datatype":"FP32","shape":[1000,9],"data":[{}0]"#, "0,".repeat(8999))),
        infer("unknown output", with_outputs(r#"[{"name":"score"}]"#)),
        infer("an output twice", with_outputs(r#"[{"name":"label"},{"name":"label"}]"#)),
        infer("classification", with_outputs(r#"[{"name":"label","parameters":{"classification":2}}]"#)),
        input("depth bomb", &format!(r#""datatype":"FP32","shape":[1,9],"data":{}"#, "[".repeat(60_000))),
        infer("depth bomb where nothing is read", format!(r#"{{"x":{}"#, "[".repeat(60_000))),
    ]
}

/// What is wrong around the JSON.
fn envelopes() -> Vec<Post> {
    let binary = features(r#""datatype":"FP32","shape":[1,9],"parameters":{"binary_data_size":36}"#);
    let tail = |bytes: usize| [binary.as_bytes(), &vec![0; bytes]].concat();
    vec![
        post("binary length is no number", INFER, right()).header(LENGTH, "-1"),
        post("binary length beyond the body", INFER, "{}").header(LENGTH, 9),
        post("binary data without its length", INFER, tail(36)),
        post("binary size without its header", INFER, binary.clone()),
        post("binary data is short", INFER, tail(20)).header(LENGTH, binary.len()),
        post("binary data goes on", INFER, tail(40)).header(LENGTH, binary.len()),
        post("oversized body", INFER, vec![b' '; 70_000]),
        post("zip bomb", INFER, gzip(&vec![b' '; 10 << 20])).header("content-encoding", "gzip"),
        post("gzip that is none", INFER, right()).header("content-encoding", "gzip"),
        post("unknown encoding", INFER, right()).header("content-encoding", "br"),
        post("unknown variant", INFER, right()).header("x-sluice-variant", "green"),
        post("no canary now", INFER, right()).header("x-sluice-variant", "canary"),
        post("timeout in words", INFER, right()).header("x-sluice-timeout-ms", "soon"),
        post("unknown model", "/v2/models/nope/infer", right()),
        post("unknown version", "/v2/models/good/versions/v9/infer", right()),
        post("no such path", "/v2/model/good/infer", right()),
        post("load by call", "/v2/repository/models/good/load", "{}"),
        post("v1 of neither form", PREDICT, "{}"),
        post("v1 row is short", PREDICT, r#"{"instances":[[1,2]]}"#),
        post("v1 rows of unequal length", PREDICT, r#"{"instances":[[1,2],[3]]}"#),
        post("v1 of another label", "/v1/models/good/labels/latest:predict", "{}"),
    ]
}

pub(super) async fn over_http(running: &Running, table: &mut Table) {
    table.kind("requests over HTTP");
    let client = reqwest::Client::new();
    for case in inferences().into_iter().chain(envelopes()) {
        let mut request = client.post(format!("{}{}", running.http(), case.path)).body(case.body);
        for (name, value) in case.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
        let status = response.status().as_u16();
        let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert!((400..500).contains(&status) || status == 501, "{}: {status} {body}", case.name);
        table.case(case.name, &format!("{status}: {}", body["error"].as_str().unwrap()));
        assert_eq!(answered_by(running, "good").await, GOOD, "{}", case.name);
    }
}

/// A request that would be answered.
fn message() -> ModelInferRequest {
    let contents = InferTensorContents { fp32_contents: vec![0.5; 9], ..InferTensorContents::default() };
    let input = InferInputTensor {
        name: "features".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, 9],
        contents: Some(contents),
        ..InferInputTensor::default()
    };
    ModelInferRequest { model_name: "good".to_owned(), inputs: vec![input], ..ModelInferRequest::default() }
}

/// What is done to [`message`].
type Spoil = fn(&mut ModelInferRequest);

const SPOILT: &[(&str, Spoil)] = &[
    ("no model name", |it| it.model_name.clear()),
    ("unknown model", |it| it.model_name = "nope".to_owned()),
    ("unknown version", |it| it.model_version = "v9".to_owned()),
    ("no inputs", |it| it.inputs.clear()),
    ("unknown input", |it| it.inputs[0].name = "feature".to_owned()),
    ("unknown datatype", |it| it.inputs[0].datatype = "FLOAT".to_owned()),
    ("contents of another datatype", |it| it.inputs[0].datatype = "INT64".to_owned()),
    ("too few contents", |it| it.inputs[0].contents.as_mut().unwrap().fp32_contents.truncate(3)),
    ("negative dimension", |it| it.inputs[0].shape = vec![-1, 9]),
    ("wrong shape", |it| it.inputs[0].shape = vec![3, 3]),
    ("contents twice", |it| it.raw_input_contents = vec![vec![0; 36].into()]),
    ("raw contents of another length", |it| {
        it.inputs[0].contents = None;
        it.raw_input_contents = vec![vec![0; 35].into()];
    }),
    ("raw contents for more inputs than there are", |it| {
        it.inputs[0].contents = None;
        it.raw_input_contents = vec![vec![0; 36].into(), vec![0; 36].into()];
    }),
    ("half precision in contents", |it| it.inputs[0].datatype = "FP16".to_owned()),
    ("unknown output", |it| {
        it.outputs =
            vec![InferRequestedOutputTensor { name: "score".to_owned(), ..InferRequestedOutputTensor::default() }];
    }),
    ("oversized message", |it| it.raw_input_contents = vec![vec![0; 100_000].into()]),
];

pub(super) async fn over_grpc(running: &Running, table: &mut Table) {
    table.kind("requests over gRPC");
    let mut client = GrpcInferenceServiceClient::connect(running.grpc()).await.unwrap();
    for (name, spoil) in SPOILT {
        let mut request = message();
        spoil(&mut request);
        let status = client.model_infer(request).await.expect_err(name);
        table.case(name, &format!("{:?}: {}", status.code(), status.message()));
        let answer = client.model_infer(message()).await.unwrap().into_inner();
        assert_eq!(answer.model_version, GOOD, "{name}");
    }
    let mut request = tonic::Request::new(message());
    request.metadata_mut().insert("x-sluice-variant", "green".parse().unwrap());
    let status = client.model_infer(request).await.expect_err("there is no such variant");
    table.case("unknown variant", &format!("{:?}: {}", status.code(), status.message()));
    let request = ModelMetadataRequest { name: "nope".to_owned(), ..ModelMetadataRequest::default() };
    let status = client.model_metadata(request).await.expect_err("there is no such model");
    table.case("metadata of an unknown model", &format!("{:?}: {}", status.code(), status.message()));
}
