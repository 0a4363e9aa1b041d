//! Each op against values worked out by hand.

mod bad_files;

use bytes::Bytes;

use super::proto::tensor_proto::DataType;
use super::testing::{Attr, TestGraph, f32s, float_tensor, i64s};
use crate::model::load;
use crate::tensor::{Datatype, NamedTensor, Tensor};

/// Runs one node of F32 operands that are all model inputs, and compares its only output, whatever its datatype.
#[track_caller]
fn check(opset: i64, op: &str, attrs: Vec<(&str, Attr)>, inputs: &[NamedTensor], shape: &[usize], expected: &[f64]) {
    check_with(TestGraph::new(opset), op, attrs, inputs, &[], shape, expected);
}

/// With further operands that the graph holds as initializers.
#[track_caller]
fn check_with(
    graph: TestGraph,
    op: &str,
    attrs: Vec<(&str, Attr)>,
    inputs: &[NamedTensor],
    more: &[&str],
    shape: &[usize],
    expected: &[f64],
) {
    let mut graph = graph;
    for input in inputs {
        graph = graph.input(&input.name, data_type(input.tensor.datatype()), &vec![-1; input.tensor.shape().len()]);
    }
    let operands: Vec<&str> = inputs.iter().map(|input| &*input.name).chain(more.iter().copied()).collect();
    let graph = graph.node(op, &operands, &["out"], attrs);
    let mut last = String::new();
    // The datatype of the output is the op's business: the one that loads is the right one.
    for output in [DataType::Float, DataType::Int64, DataType::Bool, DataType::Double, DataType::Int32] {
        let mut graph = TestGraph { graph: graph.graph.clone(), opset: graph.opset };
        graph = graph.output("out", output, &vec![-1; shape.len()]);
        match load(&graph.files()) {
            Ok(model) => {
                let out = model.run(inputs).unwrap();
                assert_eq!(out[0].tensor.shape(), shape, "{op}");
                let actual = out[0].tensor.to_f64().unwrap();
                let close = |a: &f64, e: &f64| (a - e).abs() < 1e-5 * (1.0 + e.abs()) || (a.is_nan() && e.is_nan());
                assert!(actual.iter().zip(expected).all(|(a, e)| close(a, e)), "{op}: {actual:?} for {expected:?}");
                return;
            }
            Err(error) => last = error.to_string(),
        }
    }
    panic!("{op}: {last}");
}

fn data_type(datatype: Datatype) -> DataType {
    match datatype {
        Datatype::Int64 => DataType::Int64,
        Datatype::Bool => DataType::Bool,
        _ => DataType::Float,
    }
}

#[test]
fn activations() {
    let x = [f32s("x", &[1, 3], &[-1.0, 0.0, 2.0])];
    let e = std::f64::consts::E;
    for (op, attrs, expected) in [
        ("Relu", vec![], [0.0, 0.0, 2.0]),
        ("LeakyRelu", vec![("alpha", Attr::F(0.1))], [-0.1, 0.0, 2.0]),
        ("LeakyRelu", vec![], [-0.01, 0.0, 2.0]),
        ("Elu", vec![], [1.0 / e - 1.0, 0.0, 2.0]),
        ("Sigmoid", vec![], [0.268_941_4, 0.5, 0.880_797_1]),
        ("Tanh", vec![], [-0.761_594_2, 0.0, 0.964_027_6]),
        ("Softplus", vec![], [0.313_261_7, std::f64::consts::LN_2, 2.126_928]),
        ("Gelu", vec![], [-0.158_655_25, 0.0, 1.954_499_7]),
        ("Gelu", vec![("approximate", Attr::S("tanh"))], [-0.158_808, 0.0, 1.954_597_6]),
        ("Erf", vec![], [-0.842_700_8, 0.0, 0.995_322_3]),
        ("Exp", vec![], [1.0 / e, 1.0, e * e]),
        ("Neg", vec![], [1.0, 0.0, -2.0]),
        ("Abs", vec![], [1.0, 0.0, 2.0]),
        ("Sqrt", vec![], [f64::NAN, 0.0, std::f64::consts::SQRT_2]),
        ("IsNaN", vec![], [0.0, 0.0, 0.0]),
        ("Identity", vec![], [-1.0, 0.0, 2.0]),
        ("Softmax", vec![], [0.042_010_07, 0.114_195_2, 0.843_794_7]),
        ("LogSoftmax", vec![], [-3.169_846, -2.169_846, -0.169_846]),
        ("Clip", vec![], [-1.0, 0.0, 2.0]),
        ("Floor", vec![], [-1.0, 0.0, 2.0]),
    ] {
        check(20, op, attrs, &x, &[1, 3], &expected);
    }
    check(20, "Log", vec![], &[f32s("x", &[2], &[1.0, 4.0])], &[2], &[0.0, 4.0_f64.ln()]);
    check(20, "Reciprocal", vec![], &[f32s("x", &[2], &[1.0, 4.0])], &[2], &[1.0, 0.25]);
}

#[test]
fn softmax_changed_at_opset_13() {
    let x = [f32s("x", &[2, 2, 1], &[0.0, 0.0, 1.0, 1.0])];
    check(12, "Softmax", vec![], &x, &[2, 2, 1], &[0.5, 0.5, 0.5, 0.5]);
    check(13, "Softmax", vec![], &x, &[2, 2, 1], &[1.0; 4]);
    check(
        13,
        "Softmax",
        vec![("axis", Attr::I(0))],
        &x,
        &[2, 2, 1],
        &[0.268_941_4, 0.268_941_4, 0.731_058_6, 0.731_058_6],
    );
}

/// Only an axis counted from the start may be the rank: before opset 13 -1 was the last axis too.
#[test]
fn negative_axes_count_from_the_last() {
    let x = [f32s("x", &[2, 3], &[1.0, 2.0, 3.0, 3.0, 2.0, 1.0])];
    let (low, mid, high) = (0.090_030_57, 0.244_728_47, 0.665_240_96);
    for opset in [11, 12, 13] {
        let axis = vec![("axis", Attr::I(-1))];
        check(opset, "Softmax", axis, &x, &[2, 3], &[low, mid, high, high, mid, low]);
    }
    let all: f64 = [1.0_f64, 2.0, 3.0, 3.0, 2.0, 1.0].iter().map(|v| v.exp()).sum();
    let flat = [1.0_f64, 2.0, 3.0, 3.0, 2.0, 1.0].map(|v| v.exp() / all);
    check(12, "Softmax", vec![("axis", Attr::I(-2))], &x, &[2, 3], &flat);
    check(12, "Softmax", vec![("axis", Attr::I(2))], &x, &[2, 3], &[1.0; 6]);
    let x = [f32s("x", &[2, 1, 2], &[1.0, 2.0, 3.0, 4.0])];
    for (axis, shape) in [(-1, [2, 2]), (-3, [1, 4]), (1, [2, 2]), (3, [4, 1])] {
        check(17, "Flatten", vec![("axis", Attr::I(axis))], &x, &shape, &[1.0, 2.0, 3.0, 4.0]);
    }
    for axis in [-4, 4] {
        let graph = TestGraph::new(17)
            .input("x", DataType::Float, &[2, 1, 2])
            .node("Flatten", &["x"], &["out"], vec![("axis", Attr::I(axis))])
            .output("out", DataType::Float, &[-1, -1]);
        let error = load(&graph.files()).unwrap_err().to_string();
        assert!(error.contains(&format!("axis {axis} of a tensor of rank 3")), "{error}");
    }
}

#[test]
fn arithmetic_broadcasts() {
    let a = f32s("a", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let b = f32s("b", &[2], &[2.0, 0.5]);
    for (op, expected) in [
        ("Add", [3.0, 2.5, 5.0, 4.5]),
        ("Sub", [-1.0, 1.5, 1.0, 3.5]),
        ("Mul", [2.0, 1.0, 6.0, 2.0]),
        ("Div", [0.5, 4.0, 1.5, 8.0]),
        ("Max", [2.0, 2.0, 3.0, 4.0]),
        ("Min", [1.0, 0.5, 2.0, 0.5]),
        ("Sum", [3.0, 2.5, 5.0, 4.5]),
        ("Greater", [0.0, 1.0, 1.0, 1.0]),
        ("GreaterOrEqual", [0.0, 1.0, 1.0, 1.0]),
        ("Less", [1.0, 0.0, 0.0, 0.0]),
        ("LessOrEqual", [1.0, 0.0, 0.0, 0.0]),
        ("Equal", [0.0; 4]),
    ] {
        check(17, op, vec![], &[a.clone(), b.clone()], &[2, 2], &expected);
    }
    let graph = TestGraph::new(17).floats("two", &[], &[2.0]);
    check_with(graph, "Pow", vec![], &[f32s("a", &[2], &[-3.0, 4.0])], &["two"], &[2], &[9.0, 16.0]);
    let nan = f32s("b", &[1, 2], &[f32::NAN, 0.0]);
    check(17, "Max", vec![], &[f32s("a", &[1, 2], &[1.0, 1.0]), nan], &[1, 2], &[f64::NAN, 1.0]);
}

#[test]
fn whole_numbers_wrap_and_do_not_divide_by_zero() {
    let a = i64s("a", &[2], &[i64::MAX, 7]);
    check(17, "Add", vec![], &[a.clone(), i64s("b", &[2], &[1, 1])], &[2], &[i64::MIN as f64, 8.0]);
    check(17, "Neg", vec![], &[i64s("a", &[2], &[i64::MIN, 7])], &[2], &[i64::MIN as f64, -7.0]);
    let graph = TestGraph::new(17)
        .input("a", DataType::Int64, &[-1])
        .ints("three", &[1], &[3])
        .node("Add", &["a", "three"], &["b"], vec![])
        .node("Div", &["three", "b"], &["out"], vec![])
        .output("out", DataType::Int64, &[-1]);
    let model = load(&graph.files()).unwrap();
    assert_eq!(model.run(&[i64s("a", &[1], &[-4])]).unwrap()[0].tensor.to_f64().unwrap(), [-3.0]);
    let error = model.run(&[i64s("a", &[1], &[-3])]).unwrap_err();
    assert_eq!(error.to_string(), "step `n1` (binary): division of a whole number by zero");
}

#[test]
fn clip_bounds_are_attributes_before_opset_11() {
    let x = [f32s("x", &[4], &[-2.0, 0.5, 3.0, f32::NAN])];
    let expected = [-1.0, 0.5, 1.0, f64::NAN];
    check(10, "Clip", vec![("min", Attr::F(-1.0)), ("max", Attr::F(1.0))], &x, &[4], &expected);
    let graph = TestGraph::new(11).floats("min", &[], &[-1.0]).floats("max", &[], &[1.0]);
    check_with(graph, "Clip", vec![], &x, &["min", "max"], &[4], &expected);
    let graph = TestGraph::new(11).floats("max", &[], &[1.0]);
    check_with(graph, "Clip", vec![], &x, &["", "max"], &[4], &[-2.0, 0.5, 1.0, f64::NAN]);
}

#[test]
fn products() {
    let a = f32s("a", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = f32s("b", &[3, 1], &[1.0, 0.0, -1.0]);
    check(17, "MatMul", vec![], &[a.clone(), b.clone()], &[2, 1], &[-2.0, -2.0]);
    check(17, "Gemm", vec![("alpha", Attr::F(2.0))], &[a.clone(), b], &[2, 1], &[-4.0, -4.0]);
    check(17, "MatMul", vec![], &[a.clone(), f32s("b", &[3], &[1.0, 1.0, 1.0])], &[2], &[6.0, 15.0]);
    let row = f32s("r", &[2], &[1.0, -1.0]);
    check(17, "MatMul", vec![], &[row, a.clone()], &[3], &[-3.0, -3.0, -3.0]);
    // Constant weights and bias, transposed and scaled, become one dense step.
    let graph =
        TestGraph::new(17).floats("w", &[2, 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 1.0]).floats("c", &[2], &[10.0, 20.0]);
    let attrs = vec![("transB", Attr::I(1)), ("alpha", Attr::F(0.5)), ("beta", Attr::F(0.1))];
    check_with(graph, "Gemm", attrs, std::slice::from_ref(&a), &["w", "c"], &[2, 2], &[1.5, 4.5, 3.0, 7.5]);
    let t = f32s("t", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let attrs = vec![("transA", Attr::I(1))];
    check(17, "Gemm", attrs, &[t, f32s("b", &[2, 1], &[1.0, 1.0])], &[2, 1], &[4.0, 6.0]);
}

#[test]
fn reductions() {
    let x = [f32s("x", &[2, 2], &[1.0, 2.0, 3.0, 5.0])];
    check(11, "ReduceSum", vec![("axes", Attr::Is(vec![1]))], &x, &[2, 1], &[3.0, 8.0]);
    let graph = TestGraph::new(13).ints("axes", &[1], &[-1]);
    check_with(graph, "ReduceSum", vec![("keepdims", Attr::I(0))], &x, &["axes"], &[2], &[3.0, 8.0]);
    check(13, "ReduceMean", vec![], &x, &[1, 1], &[2.75]);
    check(13, "ReduceMean", vec![("axes", Attr::Is(vec![0])), ("keepdims", Attr::I(0))], &x, &[2], &[2.0, 3.5]);
    check(13, "ReduceMax", vec![("axes", Attr::Is(vec![0]))], &x, &[1, 2], &[3.0, 5.0]);
    check(13, "ReduceMin", vec![("axes", Attr::Is(vec![0]))], &x, &[1, 2], &[1.0, 2.0]);
    check(13, "ReduceSum", vec![("noop_with_empty_axes", Attr::I(1))], &x, &[2, 2], &[1.0, 2.0, 3.0, 5.0]);
    let signed = [f32s("x", &[1, 2], &[3.0, -4.0])];
    for (op, expected) in [("ReduceSumSquare", 25.0), ("ReduceL1", 7.0), ("ReduceL2", 5.0)] {
        check(13, op, vec![("axes", Attr::Is(vec![1]))], &signed, &[1, 1], &[expected]);
    }
    let ties = [f32s("x", &[2, 3], &[1.0, 1.0, 0.0, 0.0, 2.0, 2.0])];
    check(13, "ArgMax", vec![("axis", Attr::I(1))], &ties, &[2, 1], &[0.0, 1.0]);
    check(13, "ArgMax", vec![("axis", Attr::I(1)), ("keepdims", Attr::I(0))], &ties, &[2], &[0.0, 1.0]);
}

#[test]
fn extremes_do_not_hide_nan() {
    let nan = f64::NAN;
    let x = [f32s("x", &[2, 2, 2], &[f32::NAN, 1.0, 2.0, 3.0, 5.0, 4.0, 7.0, 6.0])];
    let along = |axes: &[i64]| vec![("axes", Attr::Is(axes.to_vec())), ("keepdims", Attr::I(0))];
    check(13, "ReduceMax", along(&[1]), &x, &[2, 2], &[nan, 3.0, 7.0, 6.0]);
    check(13, "ReduceMin", along(&[2]), &x, &[2, 2], &[nan, 2.0, 4.0, 6.0]);
    check(13, "ReduceMax", along(&[0, 2]), &x, &[2], &[nan, 7.0]);
    let graph = TestGraph::new(13)
        .input("x", DataType::Float, &[-1, 2])
        .node("ArgMax", &["x"], &["out"], vec![("axis", Attr::I(1))])
        .output("out", DataType::Int64, &[-1, 1]);
    let model = load(&graph.files()).unwrap();
    let error = model.run(&[f32s("x", &[2, 2], &[1.0, 2.0, f32::NAN, 0.0])]).unwrap_err();
    assert!(
        error.to_string().ends_with("no element is the largest where one is NaN") && error.is_non_finite(),
        "{error}"
    );
}

#[test]
fn a_number_beyond_the_engine_is_the_callers() {
    let graph = TestGraph::new(13)
        .input("x", DataType::Uint64, &[-1, 1])
        .node("Add", &["x", "x"], &["out"], vec![])
        .output("out", DataType::Uint64, &[-1, 1]);
    let model = load(&graph.files()).unwrap();
    let number = |number: u64| {
        let tensor = Tensor::new(Datatype::Uint64, vec![1, 1], Bytes::copy_from_slice(&number.to_le_bytes()));
        [NamedTensor { name: "x".into(), tensor: tensor.unwrap() }]
    };
    assert_eq!(model.run(&number(1 << 40)).unwrap()[0].tensor.data()[..], (1_u64 << 41).to_le_bytes());
    let error = model.run(&number(1 << 63)).unwrap_err();
    assert_eq!(error.to_string(), "input 'x': a UINT64 over 2^63 - 1 cannot be computed with");
    assert!(error.is_callers());
}

#[test]
fn shapes() {
    let x = [f32s("x", &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])];
    let all = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
    let shape = |values: &[i64]| TestGraph::new(17).ints("s", &[values.len() as i64], values);
    check_with(shape(&[-1]), "Reshape", vec![], &x, &["s"], &[6], &all);
    check_with(shape(&[0, 1, -1]), "Reshape", vec![], &x, &["s"], &[2, 1, 3], &all);
    check(17, "Flatten", vec![], &[f32s("x", &[1, 2, 1], &[1.0, 2.0])], &[1, 2], &[1.0, 2.0]);
    check(17, "Flatten", vec![("axis", Attr::I(0))], &x, &[1, 6], &all);
    check(17, "Transpose", vec![], &x, &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    check(17, "Transpose", vec![("perm", Attr::Is(vec![0, 1]))], &x, &[2, 3], &all);
    check_with(shape(&[0]), "Unsqueeze", vec![], &x, &["s"], &[1, 2, 3], &all);
    check(11, "Unsqueeze", vec![("axes", Attr::Is(vec![-1]))], &x, &[2, 3, 1], &all);
    check(11, "Squeeze", vec![("axes", Attr::Is(vec![0]))], &[f32s("x", &[1, 2], &[1.0, 2.0])], &[2], &[1.0, 2.0]);
    check_with(shape(&[0]), "Squeeze", vec![], &[f32s("x", &[1, 2], &[1.0, 2.0])], &["s"], &[2], &[1.0, 2.0]);
    check(17, "Shape", vec![], &x, &[2], &[2.0, 3.0]);
    check(17, "Shape", vec![("start", Attr::I(-1))], &x, &[1], &[3.0]);
    check_with(
        shape(&[2, 2, 1]),
        "Expand",
        vec![],
        &[f32s("x", &[2, 1], &[1.0, 2.0])],
        &["s"],
        &[2, 2, 1],
        &[1.0, 2.0, 1.0, 2.0],
    );
    let row = f32s("y", &[1, 3], &[6.0, 7.0, 8.0]);
    check(
        17,
        "Concat",
        vec![("axis", Attr::I(-2))],
        &[x[0].clone(), row],
        &[3, 3],
        &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
    );
}

#[test]
fn slices_walk_both_ways_and_stop_at_the_ends() {
    let x = [f32s("x", &[1, 5], &[0.0, 1.0, 2.0, 3.0, 4.0])];
    for (start, end, step, expected) in [
        (1, 3, 1, vec![1.0, 2.0]),
        (-2, i64::MAX, 1, vec![3.0, 4.0]),
        (0, 5, 2, vec![0.0, 2.0, 4.0]),
        (4, i64::MIN, -2, vec![4.0, 2.0, 0.0]),
        (-1, 0, -1, vec![4.0, 3.0, 2.0, 1.0]),
        (100, -100, -4, vec![4.0, 0.0]),
        (3, 1, 1, vec![]),
    ] {
        let graph = TestGraph::new(17).ints("s", &[1], &[start]).ints("e", &[1], &[end]).ints("a", &[1], &[1]).ints(
            "t",
            &[1],
            &[step],
        );
        check_with(graph, "Slice", vec![], &x, &["s", "e", "a", "t"], &[1, expected.len()], &expected);
    }
    let attrs = vec![("starts", Attr::Is(vec![1])), ("ends", Attr::Is(vec![-1])), ("axes", Attr::Is(vec![1]))];
    check(9, "Slice", attrs, &x, &[1, 3], &[1.0, 2.0, 3.0]);
}

#[test]
fn constants() {
    for (name, value, shape, expected) in [
        ("value", Attr::T(float_tensor("", &[1, 2], &[1.0, 2.0]).into()), vec![1, 2], vec![2.0, 3.0]),
        ("value_float", Attr::F(2.0), vec![1], vec![3.0]),
        ("value_floats", Attr::Fs(vec![2.0, 3.0]), vec![2], vec![3.0, 4.0]),
    ] {
        let graph = TestGraph::new(17)
            .input("x", DataType::Float, &[-1])
            .node("Constant", &[], &["c"], vec![(name, value)])
            .node("Add", &["x", "c"], &["y"], vec![])
            .output("y", DataType::Float, &vec![-1; shape.len()]);
        let out = load(&graph.files()).unwrap().run(&[f32s("x", &[1], &[1.0])]).unwrap();
        assert_eq!((out[0].tensor.shape(), out[0].tensor.to_f64().unwrap()), (&shape[..], expected));
    }
    let graph = TestGraph::new(17)
        .input("x", DataType::Float, &[-1, -1])
        .node("Shape", &["x"], &["s"], vec![])
        .node("ConstantOfShape", &["s"], &["y"], vec![("value", Attr::T(float_tensor("", &[1], &[7.0]).into()))])
        .output("y", DataType::Float, &[-1, -1]);
    let out = load(&graph.files()).unwrap().run(&[f32s("x", &[1, 2], &[1.0, 1.0])]).unwrap();
    assert_eq!(out[0].tensor.to_f64().unwrap(), [7.0, 7.0]);
}

#[test]
fn parts_of_an_axis() {
    let run = |graph: TestGraph, more: &[&str], attrs| {
        let graph = graph.input("x", DataType::Float, &[-1, 5]);
        let operands = [&["x"], more].concat();
        let graph = graph.node("Split", &operands, &["a", "b"], attrs).output("a", DataType::Float, &[-1, -1]).output(
            "b",
            DataType::Float,
            &[-1, -1],
        );
        let model = load(&graph.files()).unwrap();
        let out = model.run(&[f32s("x", &[1, 5], &[0.0, 1.0, 2.0, 3.0, 4.0])]).unwrap();
        out.iter().map(|out| out.tensor.to_f64().unwrap()).collect::<Vec<_>>()
    };
    let axis = || ("axis", Attr::I(1));
    let sizes = TestGraph::new(13).ints("sizes", &[2], &[1, 4]);
    assert_eq!(run(sizes, &["sizes"], vec![axis()]), [vec![0.0], vec![1.0, 2.0, 3.0, 4.0]]);
    let sizes = ("split", Attr::Is(vec![2, 3]));
    assert_eq!(run(TestGraph::new(11), &[], vec![axis(), sizes]), [vec![0.0, 1.0], vec![2.0, 3.0, 4.0]]);
    assert_eq!(run(TestGraph::new(18), &[], vec![axis()]), [vec![0.0, 1.0, 2.0], vec![3.0, 4.0]]);
}

#[test]
fn choices_and_casts() {
    let a = f32s("a", &[2], &[1.0, -2.7]);
    check(17, "Cast", vec![("to", Attr::I(DataType::Int64 as i64))], std::slice::from_ref(&a), &[2], &[1.0, -2.0]);
    check(17, "Cast", vec![("to", Attr::I(DataType::Bool as i64))], std::slice::from_ref(&a), &[2], &[1.0, 1.0]);
    check(
        17,
        "Cast",
        vec![("to", Attr::I(DataType::Double as i64))],
        std::slice::from_ref(&a),
        &[2],
        &[1.0, f64::from(-2.7_f32)],
    );
    let big = i64s("a", &[1], &[(1 << 32) + 5]);
    check(17, "Cast", vec![("to", Attr::I(DataType::Int32 as i64))], &[big], &[1], &[5.0]);
    let condition = NamedTensor {
        name: "c".into(),
        tensor: crate::Tensor::new(Datatype::Bool, vec![2, 1], Bytes::from_static(&[1, 0])).unwrap(),
    };
    check(
        17,
        "Where",
        vec![],
        &[condition.clone(), a.clone(), f32s("b", &[1], &[9.0])],
        &[2, 2],
        &[1.0, -2.7, 9.0, 9.0],
    );
    check(17, "Not", vec![], std::slice::from_ref(&condition), &[2, 1], &[0.0, 1.0]);
    let other = NamedTensor { name: "d".into(), ..condition.clone() };
    check(17, "Xor", vec![], &[condition, other], &[2, 1], &[0.0, 0.0]);
}

#[test]
fn layers_for_inference() {
    let x = [f32s("x", &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0])];
    let graph = TestGraph::new(15)
        .floats("scale", &[2], &[1.0, 2.0])
        .floats("bias", &[2], &[0.0, 1.0])
        .floats("mean", &[2], &[1.0, 3.0])
        .floats("var", &[2], &[4.0, 1.0]);
    let attrs = vec![("epsilon", Attr::F(0.0))];
    check_with(
        graph,
        "BatchNormalization",
        attrs,
        &x,
        &["scale", "bias", "mean", "var"],
        &[1, 2, 2],
        &[0.0, 0.5, 1.0, 3.0],
    );
    check(17, "Dropout", vec![], &x, &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let graph = TestGraph::new(17).floats("table", &[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let graph = graph.input("i", DataType::Int64, &[-1]).node("Gather", &["table", "i"], &["out"], vec![]);
    let model = load(&graph.output("out", DataType::Float, &[-1, 2]).files()).unwrap();
    let out = model.run(&[i64s("i", &[2], &[-1, 0])]).unwrap();
    assert_eq!(out[0].tensor.to_f64().unwrap(), [4.0, 5.0, 0.0, 1.0]);
    let error = model.run(&[i64s("i", &[2], &[1, 3])]).unwrap_err();
    assert_eq!(error.to_string(), "input 'i': index 3 is not within -3..3");
    assert!(error.is_callers());
}

#[test]
fn classical_machine_learning() {
    let x = [f32s("x", &[1, 2], &[3.0, -4.0])];
    let pair = |a: f32, b: f32| Attr::Fs(vec![a, b]);
    check(
        17,
        "ai.onnx.ml:Scaler",
        vec![("offset", pair(1.0, 0.0)), ("scale", pair(2.0, 0.5))],
        &x,
        &[1, 2],
        &[4.0, -2.0],
    );
    for (norm, expected) in [("L1", [3.0 / 7.0, -4.0 / 7.0]), ("L2", [0.6, -0.8]), ("MAX", [1.0, -4.0 / 3.0])] {
        check(17, "ai.onnx.ml:Normalizer", vec![("norm", Attr::S(norm))], &x, &[1, 2], &expected);
    }
    check(17, "ai.onnx.ml:Binarizer", vec![("threshold", Attr::F(0.5))], &x, &[1, 2], &[1.0, 0.0]);
    let missing = [f32s("x", &[1, 2], &[f32::NAN, -4.0])];
    let attrs = vec![("imputed_value_floats", pair(7.0, 8.0)), ("replaced_value_float", Attr::F(f32::NAN))];
    check(17, "ai.onnx.ml:Imputer", attrs, &missing, &[1, 2], &[7.0, -4.0]);
    let attrs = vec![("coefficients", pair(2.0, 1.0)), ("intercepts", Attr::Fs(vec![0.5]))];
    check(17, "ai.onnx.ml:LinearRegressor", attrs, &x, &[1, 1], &[2.5]);
    let attrs =
        vec![("keys_int64s", Attr::Is(vec![1, 2])), ("values_floats", pair(0.1, 0.2)), ("default_float", Attr::F(9.0))];
    check(
        17,
        "ai.onnx.ml:LabelEncoder",
        attrs,
        &[i64s("x", &[3], &[2, 5, 1])],
        &[3],
        &[f64::from(0.2_f32), 9.0, f64::from(0.1_f32)],
    );
    let graph = TestGraph::new(17).ints("i", &[2], &[-1, 0]);
    check_with(graph, "ai.onnx.ml:ArrayFeatureExtractor", vec![], &x, &["i"], &[1, 2], &[-4.0, 3.0]);
}
