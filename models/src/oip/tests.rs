use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::tensor::{Datatype, NamedTensor, Tensor};

fn tensor(text: &str) -> Result<Tensor, String> {
    let body = Bytes::from(format!(r#"{{"inputs": [{text}]}}"#));
    let request = decode(&body, None, Limits::default()).map_err(|error| error.to_string())?;
    let [input] = <[NamedTensor; 1]>::try_from(request.inputs).unwrap();
    Ok(input.tensor)
}

#[test]
fn flat_and_nested_data_in_any_order_of_keys_are_one_tensor() {
    let flat = tensor(r#"{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2.5, -3e2, 0.1]}"#).unwrap();
    let nested = tensor(r#"{"data": [[1, 2.5], [-3e2, 0.1]], "shape": [2, 2], "name": "x", "datatype": "FP32"}"#);
    assert_eq!(flat, nested.unwrap());
    assert_eq!(flat.to_f64().unwrap()[..3], [1.0, 2.5, -300.0]);
    let last =
        tensor(r#"{"shape": [2, 2], "datatype": "FP32", "data": [[1, 2.5], [-300, 0.1]], "name": "x", "y": {}}"#);
    assert_eq!(flat, last.unwrap());
}

#[test]
fn every_datatype_of_json_reads_its_edges() {
    for (datatype, data, bytes) in [
        ("BOOL", "[true, false]", vec![1, 0]),
        ("UINT8", "[0, 255]", vec![0, 255]),
        ("INT8", "[-128, 127]", vec![0x80, 0x7f]),
        ("UINT16", "[65535]", vec![255, 255]),
        ("INT16", "[-32768]", vec![0, 128]),
        ("UINT32", "[4294967295]", vec![255; 4]),
        ("INT32", "[-2147483648]", vec![0, 0, 0, 128]),
        ("UINT64", "[18446744073709551615]", vec![255; 8]),
        ("INT64", "[-9223372036854775808]", vec![0, 0, 0, 0, 0, 0, 0, 128]),
        ("FP64", "[1e308]", 1e308_f64.to_le_bytes().to_vec()),
        ("BYTES", r#"["", "é"]"#, vec![0, 0, 0, 0, 2, 0, 0, 0, 0xc3, 0xa9]),
    ] {
        let count = data.matches(',').count() + 1;
        let text = format!(r#"{{"name": "x", "datatype": "{datatype}", "shape": [{count}], "data": {data}}}"#);
        assert_eq!(tensor(&text).unwrap().data()[..], bytes, "{datatype}");
    }
}

#[test]
fn a_huge_claim_takes_no_memory() {
    let message = tensor(r#"{"name": "x", "datatype": "FP64", "shape": [1000000000000], "data": [1]}"#).unwrap_err();
    assert!(message.contains("needs 1000000000000 elements"), "{message}");
    let deep = format!(r#"{{"name": "x", "datatype": "FP64", "shape": [1], "data": {}"#, "[".repeat(100_000));
    assert!(tensor(&deep).is_err());
}

#[test]
fn lists_are_not_read_past_their_limits() {
    let limits = Limits { tensors: 2, ..Limits::default() };
    let refusal = |text: &'static str| decode(&Bytes::from_static(text.as_bytes()), None, limits).unwrap_err().0;
    for what in ["inputs", "outputs"] {
        let text = format!(r#"{{"{what}":[{{}},{{}},{{}},what follows is not looked at"#);
        let error = decode(&Bytes::from(text), None, limits).unwrap_err().0;
        assert_eq!(error, format!("the request has more {what} than the limit of 2"));
    }
    assert!(refusal(r#"{"inputs":[],"inputs":[]}"#).contains("duplicate field `inputs`"));
    assert!(refusal(r#"[]"#).contains("expected an object with inputs"));
    assert!(refusal(r#"{"inputs":[],"more":{"x":[1]},"id":7}"#).contains("invalid type: integer `7`"));
    let shape: tensor::Shape = serde_json::from_str(&format!("[{}0]", "0,".repeat(99_999))).unwrap();
    assert_eq!((shape.dims.len(), shape.rank), (64, 100_000));
    let long = tensor(&format!(r#"{{"name": "x", "datatype": "FP32", "shape": [{}0]}}"#, "0,".repeat(99_999)));
    assert_eq!(long.unwrap_err(), "input 'x': shape has 100000 dimensions, over the limit of 16");
}

#[test]
fn a_tensor_that_must_be_json_says_so() {
    let file = |rest: &str| {
        let text = format!(r#"{{"name": "y", "datatype": "FP16", "shape": [1]{rest}}}"#);
        let tensor: TensorJson<'_> = serde_json::from_str(&text).unwrap();
        tensor.decode("output", Limits::default()).unwrap_err()
    };
    assert_eq!(file(""), "output 'y' has no data");
    assert_eq!(
        file(r#", "parameters": {"binary_data_size": 2}"#),
        "output 'y' has binary_data_size, but no binary data can follow here; give data"
    );
    assert_eq!(file(r#", "data": [1]"#), format!("output 'y': FP16 {HALF_NEEDS_BINARY}"));
}

fn named(name: &str, datatype: Datatype, shape: &[usize], data: Vec<u8>) -> NamedTensor {
    NamedTensor { name: name.into(), tensor: Tensor::new(datatype, shape.to_vec(), Bytes::from(data)).unwrap() }
}

#[test]
fn an_answer_is_written_as_the_protocol_has_it() {
    let asked = br#"{"inputs": [], "outputs": [{"name": "half", "parameters": {"binary_data": true}}, {"name": "y"}]}"#;
    let asked = decode(&Bytes::from_static(asked), None, Limits::default()).unwrap();
    let label = Tensor::from_elements(vec![1], &["a\"b"]).unwrap();
    let outputs = [
        named("y", Datatype::Fp32, &[1, 2], [0.1_f32, 0.9].map(f32::to_le_bytes).concat()),
        NamedTensor { name: "label".into(), tensor: label },
        named("half", Datatype::Fp16, &[1], vec![0, 60]),
    ];
    let encoded = encode(Reply { model: "m", version: "v1", id: "", outputs: &outputs }, &asked.binary).unwrap();
    assert_eq!(
        String::from_utf8(encoded.json).unwrap(),
        r#"{"model_name":"m","model_version":"v1","outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[0.1,0.9]},{"name":"label","datatype":"BYTES","shape":[1],"data":["a\"b"]},{"name":"half","datatype":"FP16","shape":[1],"parameters":{"binary_data_size":2}}]}"#
    );
    assert_eq!(encoded.binary, [Bytes::from_static(&[0, 60])]);
    let refused = encode(Reply { model: "m", version: "v1", id: "", outputs: &outputs }, &BinaryOutputs::default());
    assert_eq!(refused.unwrap_err().to_string(), format!("output 'half' is FP16, which {HALF_NEEDS_BINARY}"));
}

#[test]
fn what_a_sender_wrote_is_repeated_escaped_and_cut() {
    assert_eq!(shown("a\"\n").to_string(), "a\\\"\\n");
    assert_eq!(shown(&"y".repeat(65)).to_string(), format!("{}…", "y".repeat(64)));
}

proptest! {
    #[test]
    fn numbers_survive_the_round_trip(floats in prop::collection::vec(any::<f32>().prop_filter("finite", |f| f.is_finite()), 1..20)) {
        let data: Vec<u8> = floats.iter().flat_map(|v| v.to_le_bytes()).collect();
        let out = [named("y", Datatype::Fp32, &[floats.len()], data)];
        let reply = Reply { model: "m", version: "v", id: "", outputs: &out };
        let json = encode(reply, &BinaryOutputs::default()).unwrap().json;
        let answer: serde_json::Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(tensor(&answer["outputs"][0].to_string()).unwrap(), out[0].tensor.clone());
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = decode(&Bytes::from(text.clone()), None, Limits::default());
        let _ = tensor(&format!(r#"{{"name": "x", "datatype": "FP32", "shape": [2], "data": {text}}}"#));
    }
}

#[test]
fn names_are_written_as_json_whatever_they_hold() {
    for text in ["plain", "", "ünïcode", "a\"b", "back\\slash", "line\nfeed", "\u{7f}"] {
        let reply = Reply { model: text, version: text, id: text, outputs: &[] };
        let json: serde_json::Value =
            serde_json::from_slice(&encode(reply, &BinaryOutputs::default()).unwrap().json).unwrap();
        assert_eq!(json["model_name"], text);
        assert_eq!(json["model_version"], text);
    }
}
