//! Tensors there and back: every datatype, JSON and binary.

use bytes::Bytes;
use models::Datatype;
use models::oip::{self, Limits, json};
use proptest::prelude::*;
use serde_json::json;

use super::post;
use crate::front::testing;

const LENGTH: &str = "inference-header-content-length";

fn has_json(datatype: &Datatype) -> bool {
    !matches!(datatype, Datatype::Fp16 | Datatype::Bf16)
}

#[tokio::test]
async fn every_datatype_survives_in_binary() {
    let data: Vec<Bytes> = Datatype::ALL.into_iter().map(testing::edges).collect();
    let inputs = Datatype::ALL.into_iter().zip(&data).map(|(datatype, data)| {
        json!({"name": datatype.name(), "datatype": datatype.name(), "shape": [1, 4], "parameters": {"binary_data_size": data.len()}})
    });
    let inputs: Vec<_> = inputs.collect();
    let head = json!({"id": "7", "parameters": {"binary_data_output": true}, "inputs": inputs}).to_string();
    let body = [head.as_bytes(), &data.concat()].concat();
    let answer = post("/v2/models/all/infer", &[(LENGTH, &head.len().to_string())], body).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/octet-stream"));
    assert_eq!((answer.header("x-sluice-version"), answer.header("x-sluice-variant")), ("v1", "stable"));
    let (head, tail) = answer.body.split_at(answer.header(LENGTH).parse().unwrap());
    assert_eq!(tail, data.concat());
    let head: serde_json::Value = serde_json::from_slice(head).unwrap();
    assert_eq!((&head["id"], &head["model_version"]), (&json!("7"), &json!("v1")));
    for (index, datatype) in Datatype::ALL.into_iter().enumerate() {
        let expected = json!({"name": datatype.name(), "datatype": datatype.name(), "shape": [1, 4], "parameters": {"binary_data_size": data[index].len()}});
        assert_eq!(head["outputs"][index], expected);
    }
}

/// The JSON form of `testing::edges` for every datatype that has one, flat and nested.
#[test]
fn every_datatype_survives_in_json() {
    for datatype in Datatype::ALL.into_iter().filter(has_json) {
        let tensor = models::Tensor::new(datatype, vec![2, 2], testing::edges(datatype)).unwrap();
        let (mut flat, mut nested) = (Vec::new(), Vec::new());
        json::encode(&tensor, &mut flat).unwrap();
        json::encode_nested(&tensor, &mut nested).unwrap();
        for text in [flat, nested] {
            let text = String::from_utf8(text).unwrap();
            assert_eq!(json::decode(datatype, &[2, 2], &text).unwrap(), tensor.data(), "{datatype}: {text}");
        }
    }
}

#[tokio::test]
async fn a_request_may_mix_json_and_binary_both_ways() {
    let input = |rest| format!(r#"{{"name":"b","datatype":"INT64","shape":[1],{rest}}}"#);
    let head = format!(
        r#"{{"inputs":[{{"name":"a","datatype":"FP32","shape":[2,2],"parameters":{{"binary_data_size":16}}}},{}],
            "outputs":[{{"name":"a"}},{{"name":"b","parameters":{{"binary_data":true}}}}]}}"#,
        input(r#""data":[-5]"#)
    );
    let floats = [1.5_f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
    let body = [head.as_bytes(), &floats].concat();
    let answer = post("/v2/models/pair/infer", &[(LENGTH, &head.len().to_string())], body).await;
    let (head, tail) = answer.body.split_at(answer.header(LENGTH).parse().unwrap());
    assert_eq!(tail, (-5_i64).to_le_bytes());
    let head: serde_json::Value = serde_json::from_slice(head).unwrap();
    assert_eq!(head["outputs"][0]["data"], json!([1.5, 2.0, 3.0, 4.0]));
}

#[test]
fn binary_inputs_are_slices_of_the_body() {
    let head = r#"{"inputs":[{"name":"a","datatype":"UINT8","shape":[3],"parameters":{"binary_data_size":3}}]}"#;
    let body = Bytes::from([head.as_bytes(), b"xyz"].concat());
    let decoded = oip::decode(&body, Some(head.len()), Limits::default()).unwrap();
    assert_eq!(decoded.inputs[0].tensor.data().as_ptr(), body[head.len()..].as_ptr());
}

#[tokio::test]
async fn large_binary_outputs_arrive_whole() {
    let data = vec![7_u8; 100_000];
    let head = r#"{"parameters":{"binary_data_output":true},"inputs":[{"name":"a","datatype":"UINT8","shape":[100000],"parameters":{"binary_data_size":100000}}]}"#;
    let body = [head.as_bytes(), &data].concat();
    let answer = post("/v2/models/pair/infer", &[(LENGTH, &head.len().to_string())], body).await;
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    assert_eq!(&answer.body[answer.header(LENGTH).parse().unwrap()..], data);
}

#[tokio::test]
async fn outputs_without_a_json_form_say_what_to_ask_for() {
    let head = r#"{"inputs":[{"name":"x","datatype":"FP16","shape":[1],"parameters":{"binary_data_size":2}}]}"#;
    let answer = post("/v2/models/half/infer", &[(LENGTH, &head.len().to_string())], format!("{head}ab")).await;
    assert_eq!(answer.status.as_u16(), 400, "the caller's to ask for otherwise");
    let hint = "send and ask for it with the binary tensor extension";
    assert_eq!(answer.error(), format!("output 'x' is FP16, which has no JSON form; {hint}"));
    for (output, status, why) in
        [("nan", 500, "NaN or infinity, which"), ("text", 400, "BYTES that are not UTF-8, which")]
    {
        let body = format!(r#"{{"outputs":[{{"name":"{output}"}}]}}"#);
        let answer = post("/v2/models/odd/infer", &[], body).await;
        let error =
            format!("output '{output}' holds {why} JSON cannot carry; ask for it with the binary tensor extension");
        assert_eq!((answer.status.as_u16(), answer.error()), (status, error));
    }
    let binary = r#"{"outputs":[{"name":"nan","parameters":{"binary_data":true}}]}"#;
    let answer = post("/v2/models/odd/infer", &[], binary).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(answer.body.ends_with(&f32::NAN.to_le_bytes()));
    let answer = post("/v1/models/odd:predict", &[], r#"{"inputs":[1]}"#).await;
    assert_eq!(answer.status.as_u16(), 500, "{}", answer.error());
}

#[tokio::test]
async fn large_json_is_read_and_written_whole() {
    let data = format!("[{}0.5]", "1.25,".repeat(99_999));
    let input = format!(r#"{{"name":"a","datatype":"FP32","shape":[100000],"data":{data}}}"#);
    let answer = post("/v2/models/pair/infer", &[], format!(r#"{{"inputs":[{input}]}}"#)).await;
    let outputs = &answer.json()["outputs"][0]["data"];
    assert_eq!((outputs[0].as_f64(), outputs[99_999].as_f64()), (Some(1.25), Some(0.5)));
    let answer = post("/v1/models/one:predict", &[], format!(r#"{{"inputs":{data}}}"#)).await;
    assert_eq!(answer.json()["outputs"].as_array().unwrap().len(), 100_000);
}

#[test]
fn empty_and_scalar_shapes() {
    let decode = |shape: &[usize], data| json::decode(Datatype::Int8, shape, data);
    assert_eq!(decode(&[], "[5]").unwrap(), &[5_u8][..]);
    assert_eq!(decode(&[0], "[]").unwrap().len(), 0);
    assert_eq!(decode(&[2, 0], "[]").unwrap().len(), 0);
    assert_eq!(decode(&[2, 0], "[[],[]]").unwrap().len(), 0);
    assert_eq!(decode(&[2], "[]").unwrap_err(), "shape [2] needs 2 elements, but 0 were given");
}

proptest! {
    #[test]
    fn no_body_panics(body: Vec<u8>, length: Option<u16>) {
        let body = Bytes::from(body);
        let _ = oip::decode(&body, length.map(usize::from), Limits::default());
    }

    #[test]
    fn nothing_that_looks_like_a_tensor_panics(
        shape in prop::collection::vec(any::<i64>(), 0..5),
        datatype in prop::sample::select(&Datatype::ALL[..]),
        data in "[\\[\\]0-9,.e\"truefalsn{}:-]{0,40}",
        size: Option<u64>,
    ) {
        let parameters = size.map_or(String::new(), |size| format!(r#","parameters":{{"binary_data_size":{size}}}"#));
        let body = format!(r#"{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":{shape:?},"data":{data}{parameters}}}]}}"#);
        let length = body.len();
        let _ = oip::decode(&Bytes::from(body + "tail"), Some(length), Limits::default());
    }

    #[test]
    fn every_f32_survives_json(values in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO, 0..20)) {
        let data: Bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = models::Tensor::new(Datatype::Fp32, vec![values.len()], data.clone()).unwrap();
        let mut text = Vec::new();
        json::encode(&tensor, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        prop_assert_eq!(json::decode(Datatype::Fp32, &[values.len()], &text).unwrap(), data);
    }
}
