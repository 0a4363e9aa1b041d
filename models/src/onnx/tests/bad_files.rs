//! What is said about files that are wrong, and that no bytes make the parser panic.

use proptest::prelude::*;

use crate::model::load;
use crate::onnx::proto::StringStringEntryProto;
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::testing::{Attr, TestGraph, f32s, files, float_tensor};

#[track_caller]
fn refused(graph: &TestGraph, expected: &[&str]) {
    let error = load(&graph.files()).unwrap_err().to_string();
    assert_eq!(error.split("; ").collect::<Vec<_>>(), expected);
}

fn xy(opset: i64) -> TestGraph {
    TestGraph::new(opset).input("x", DataType::Float, &[-1, 2]).output("y", DataType::Float, &[-1, 2])
}

#[test]
fn every_unsupported_op_is_named_at_once() {
    let graph = xy(17)
        .node("Foo", &["x"], &["a"], vec![])
        .node("Relu", &["a"], &["b"], vec![])
        .node("ai.onnx.ml:ZipMap", &["b"], &["c"], vec![])
        .node("com.example:Relu", &["c"], &["y"], vec![]);
    refused(
        &graph,
        &[
            "op `Foo` (node `n0`, ai.onnx opset 17) is not supported: export the model without it",
            "op `ZipMap` (node `n2`, ai.onnx.ml opset 3) is not supported: convert the model with zipmap=False, so that it returns tensors",
            "op `Relu` (node `n3`, com.example opset 0) is not supported: export the model without it",
        ],
    );
}

#[test]
fn names_must_be_produced_once_and_before_they_are_read() {
    let cycle = xy(17).node("Add", &["x", "b"], &["a"], vec![]).node("Relu", &["a"], &["b"], vec![]);
    refused(
        &cycle.node("Relu", &["gone"], &["y"], vec![]),
        &[
            "node `n0` reads `b`, which is produced by a later node or by itself",
            "node `n2` reads `gone`, which nothing produces",
        ],
    );
    let twice = xy(17).node("Relu", &["x"], &["y"], vec![]).node("Relu", &["x"], &["y"], vec![]);
    refused(&twice, &["value `y` is defined twice"]);
    refused(&xy(17), &["output `y`: nothing produces it"]);
    refused(&TestGraph::new(17), &["the graph has no outputs"]);
}

#[test]
fn what_is_wrong_with_a_node_is_said_with_its_name() {
    let clip = xy(17).input("min", DataType::Float, &[]).node("Clip", &["x", "min"], &["y"], vec![]);
    refused(&clip, &["op `Clip` (node `n0`): min must be constant"]);
    let attribute = xy(17).node("Softmax", &["x"], &["y"], vec![("axis", Attr::F(1.0))]);
    refused(&attribute, &["op `Softmax` (node `n0`): attribute `axis` is not a whole number"]);
    let missing = xy(17).node("Add", &["x"], &["y"], vec![]);
    refused(&missing, &["op `Add` (node `n0`): operand 1 is missing"]);
    refused(
        &xy(3).node("Relu", &["x"], &["y"], vec![]),
        &["ai.onnx opset 3 is not supported", "supported are 7 to 25"],
    );
    let weights = xy(17).node("Relu", &["x"], &["y"], vec![]).floats("w", &[2, 3], &[1.0]);
    refused(&weights, &["tensor `w`: shape [2, 3] of FP32 needs 24 bytes, but 4 were given"]);
    let unfit = xy(17).floats("w", &[3, 2], &[0.0; 6]).node("MatMul", &["x", "w"], &["y"], vec![]);
    refused(&unfit, &["a trial run of 1 row failed: step `n0` (dense): [1, 2] cannot be multiplied with [3, 2]"]);
    let wide = xy(17).ints("s", &[2], &[1 << 20, 1 << 20]).node("Expand", &["x", "s"], &["y"], vec![]);
    refused(
        &wide,
        &["a trial run of 1 row failed: step `n0` (expand): shapes [1, 2] and [1048576, 1048576] do not broadcast"],
    );
    let bomb = xy(17).ints("s", &[2], &[1 << 40, 2]).node("Expand", &["x", "s"], &["y"], vec![]);
    refused(
        &bomb,
        &["a trial run of 1 row failed: step `n0` (expand): 2199023255552 elements are over the limit of 268435456"],
    );
    let types = TestGraph::new(17).input("x", DataType::Float, &[-1]).node("Relu", &["x"], &["y"], vec![]);
    refused(
        &types.output("y", DataType::Int64, &[-1]),
        &["output 'y' is declared as INT64 [-1] but a trial run returned FP32 [1]"],
    );
}

#[test]
fn weights_may_be_in_a_file_of_their_own() {
    let mut graph = xy(17).node("Mul", &["x", "w"], &["y"], vec![]);
    let mut weight = float_tensor("w", &[2], &[]);
    let entry =
        |key: &str, value: &str| StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.to_owned()) };
    weight.raw_data = None;
    weight.data_location = Some(1);
    weight.external_data = vec![entry("location", "w.bin"), entry("offset", "4"), entry("length", "8")];
    graph.graph.initializer.push(weight);
    refused(&graph, &[r#"tensor `w`: external_data is in "w.bin", which is not there"#]);
    let mut with_file = graph.files();
    let bytes: Vec<u8> = [0.0_f32, 2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    with_file.insert("w.bin", bytes.into()).unwrap();
    let model = load(&with_file).unwrap();
    assert_eq!(model.run(&[f32s("x", &[1, 2], &[1.0, 1.0])]).unwrap()[0].tensor.to_f64().unwrap(), [2.0, 3.0]);
    with_file.insert("w.bin", vec![0; 11].into()).unwrap();
    let error = load(&with_file).unwrap_err().to_string();
    assert_eq!(error, r#"tensor `w`: external_data is 8 bytes from 4 of "w.bin", which has 11"#);
}

fn valid() -> Vec<u8> {
    xy(17)
        .floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .floats("b", &[1, 2], &[0.5, 0.5])
        .ints("s", &[2], &[-1, 2])
        .node("MatMul", &["x", "w"], &["h"], vec![])
        .node("Add", &["h", "b"], &["g"], vec![])
        .node("Softmax", &["g"], &["p"], vec![("axis", Attr::I(-1))])
        .node("Reshape", &["p", "s"], &["y"], vec![])
        .bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(load(&files(bytes)).is_err());
    }

    #[test]
    fn no_truncated_or_changed_model_panics(cut in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let whole = valid();
        let truncated = whole[..cut.index(whole.len())].to_vec();
        let _ = load(&files(truncated));
        let mut changed = whole;
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        if let Ok(model) = load(&files(changed)) {
            let _ = model.run(&model.sample_inputs(3));
            let _ = model.describe();
        }
    }
}
