//! Whole models, as converters write them.

use proptest::prelude::*;

use super::*;
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::testing::{Attr, TestGraph, f32s, i64s};
use crate::tensor::{Datatype, Tensor};

fn loaded(graph: &TestGraph) -> Model {
    load(&graph.files()).unwrap()
}

fn mlp() -> TestGraph {
    TestGraph::new(17)
        .input("x", DataType::Float, &[-1, 2])
        .floats("w1", &[2, 3], &[1.0, -1.0, 0.5, 2.0, 1.0, -0.5])
        .floats("b1", &[1, 3], &[0.0, 0.5, -0.5])
        .floats("w2", &[3, 1], &[1.0, 2.0, 3.0])
        .floats("b2", &[1], &[-1.0])
        .node("Cast", &["x"], &["c"], vec![("to", Attr::I(1))])
        .node("MatMul", &["c", "w1"], &["m1"], vec![])
        .node("Add", &["m1", "b1"], &["a1"], vec![])
        .node("Relu", &["a1"], &["h"], vec![])
        .node("MatMul", &["h", "w2"], &["m2"], vec![])
        .node("Add", &["b2", "m2"], &["a2"], vec![])
        .node("Sigmoid", &["a2"], &["y"], vec![])
        .output("y", DataType::Float, &[-1, 1])
}

#[test]
fn bias_and_activation_join_the_product() {
    let model = loaded(&mlp());
    let steps: Vec<String> = model.plan.describe().lines().map(str::to_owned).collect();
    assert_eq!(
        steps,
        [
            "%1 = upload(`x`)  # x",
            "%2 = cast FP32(%1)  # n0",
            "%5 = dense [2, 3] + bias + relu(%2)  # n1",
            "%8 = dense [3, 1] + bias + sigmoid(%5)  # n4",
            "`y` = %8",
        ]
    );
    // relu([3, 0.5, -0.5] · …) by hand: h = [3, 0.5, 0] and 3 + 1 - 1 = 3.
    let out = model.run(&[f32s("x", &[1, 2], &[1.0, 1.0])]).unwrap();
    let expected = 1.0 / (1.0 + (-3.0_f64).exp());
    assert!((out[0].tensor.to_f64().unwrap()[0] - expected).abs() < 1e-6);
    assert!(model.signature().batched);
    assert_eq!(model.platform(), "onnx_sluice");
    assert_eq!(model.memory_bytes(), 4 * (6 + 3 + 3 + 1));
    let (one, ten) = (model.cost(1), model.cost(10));
    assert_eq!(one.flops, 3 * 5 + 7);
    assert_eq!(ten.flops, 10 * one.flops);
    let inspection = inspect(&mlp().files()).unwrap();
    assert!(inspection.memory_bytes(1000) >= 52 + 1000 * (8 + 12));
    assert_eq!(inspection.format, "onnx");
}

/// What scikit-learn's converter writes for a pipeline of `StandardScaler` and `LogisticRegression`.
#[test]
fn a_logistic_regression_returns_labels_and_probabilities() {
    let graph = |labels: (&'static str, Attr), data_type| {
        TestGraph::new(17)
            .input("X", DataType::Float, &[-1, -1])
            .node(
                "ai.onnx.ml:Scaler",
                &["X"],
                &["s"],
                vec![("offset", Attr::Fs(vec![1.0, 2.0])), ("scale", Attr::Fs(vec![0.5, 1.0]))],
            )
            .node(
                "ai.onnx.ml:LinearClassifier",
                &["s"],
                &["label", "scores"],
                vec![
                    ("coefficients", Attr::Fs(vec![-1.0, -2.0, 1.0, 2.0])),
                    ("intercepts", Attr::Fs(vec![-0.5, 0.5])),
                    ("multi_class", Attr::I(0)),
                    ("post_transform", Attr::S("LOGISTIC")),
                    labels,
                ],
            )
            .node("ai.onnx.ml:Normalizer", &["scores"], &["probabilities"], vec![("norm", Attr::S("L1"))])
            .output("label", data_type, &[-1])
            .output("probabilities", DataType::Float, &[-1, 2])
    };
    let x = [f32s("X", &[2, 2], &[3.0, 2.0, 1.0, 0.0])];
    let model = loaded(&graph(("classlabels_ints", Attr::Is(vec![10, 20])), DataType::Int64));
    let out = model.run(&x).unwrap();
    assert_eq!(out[0].tensor.to_f64().unwrap(), [20.0, 10.0]);
    // Scaled to [1, 0] and [0, -2]: scores 1.5 and -3.5.
    let sigmoid = |s: f64| 1.0 / (1.0 + (-s).exp());
    let expected = [sigmoid(-1.5), sigmoid(1.5), sigmoid(3.5), sigmoid(-3.5)];
    let actual = out[1].tensor.to_f64().unwrap();
    assert!(actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-6), "{actual:?}");
    assert!(model.signature().batched);
    assert_eq!(model.signature().inputs[0].shape_text(), "[-1, 2]");
    let model = loaded(&graph(("classlabels_strings", Attr::Ss(vec!["no", "yes"])), DataType::String));
    let out = model.run(&x).unwrap();
    assert_eq!(out[0].tensor.byte_elements().collect::<Vec<_>>(), [b"yes".as_slice(), b"no"]);
    assert_eq!(out[0].tensor.shape(), [2]);
}

/// What it writes after the layers of an `MLPClassifier` with two classes.
#[test]
fn an_mlp_classifier_returns_labels_and_probabilities() {
    let graph = TestGraph::new(17)
        .input("X", DataType::Float, &[-1, 1])
        .floats("unity", &[], &[1.0])
        .ints("classes", &[2], &[7, 9])
        .ints("shape", &[1], &[-1])
        .node("Sigmoid", &["X"], &["p"], vec![])
        .node("Sub", &["unity", "p"], &["q"], vec![])
        .node("Concat", &["q", "p"], &["probabilities"], vec![("axis", Attr::I(1))])
        .node("ArgMax", &["probabilities"], &["best"], vec![("axis", Attr::I(1))])
        .node("ai.onnx.ml:ArrayFeatureExtractor", &["classes", "best"], &["picked"], vec![])
        .node("Reshape", &["picked", "shape"], &["flat"], vec![])
        .node("Cast", &["flat"], &["label"], vec![("to", Attr::I(DataType::Int64 as i64))])
        .output("label", DataType::Int64, &[-1])
        .output("probabilities", DataType::Float, &[-1, 2]);
    let model = loaded(&graph);
    let out = model.run(&[f32s("X", &[3, 1], &[2.0, -2.0, 5.0])]).unwrap();
    assert_eq!(out[0].tensor.to_f64().unwrap(), [9.0, 7.0, 9.0]);
    assert!(model.signature().batched);
}

#[test]
fn a_classifier_without_an_answer_for_rows_of_ones_loads() {
    // 0 / 0 where X is 1, as it is in samples.
    let graph = TestGraph::new(17)
        .input("X", DataType::Float, &[-1, 1])
        .floats("one", &[], &[1.0])
        .node("Sub", &["X", "one"], &["apart"], vec![])
        .node("Div", &["apart", "apart"], &["same"], vec![])
        .node("Concat", &["same", "X"], &["scores"], vec![("axis", Attr::I(1))])
        .node("ArgMax", &["scores"], &["best"], vec![("axis", Attr::I(1)), ("keepdims", Attr::I(0))])
        .output("best", DataType::Int64, &[-1]);
    let model = loaded(&graph);
    assert!(model.signature().batched);
    let out = model.run(&[f32s("X", &[2, 1], &[2.0, 0.5])]).unwrap();
    assert_eq!(out[0].tensor.to_f64().unwrap(), [1.0, 0.0]);
    let error = model.run(&[f32s("X", &[1, 1], &[1.0])]).unwrap_err();
    assert!(error.is_non_finite(), "{error}");
}

#[test]
fn a_recommender_looks_up_rows_and_names_the_input_of_a_bad_id() {
    let graph = TestGraph::new(17)
        .input("user", DataType::Int64, &[-1, 1])
        .input("dense", DataType::Float, &[-1, 1])
        .floats("table", &[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
        .floats("w", &[1, 3], &[1.0, 1.0, 1.0])
        .ints("axes", &[1], &[1])
        .node("Squeeze", &["user", "axes"], &["flat"], vec![])
        .node("Gather", &["table", "flat"], &["row"], vec![])
        .node("Concat", &["row", "dense"], &["all"], vec![("axis", Attr::I(1))])
        .node("Gemm", &["all", "w"], &["score"], vec![("transB", Attr::I(1))])
        .output("score", DataType::Float, &[-1, 1]);
    let model = loaded(&graph);
    let run = |ids: &[i64]| {
        let rows = ids.len();
        model.run(&[f32s("dense", &[rows, 1], &vec![0.5; rows]), i64s("user", &[rows, 1], ids)])
    };
    assert_eq!(run(&[2, 0]).unwrap()[0].tensor.to_f64().unwrap(), [9.5, 1.5]);
    let error = run(&[0, 3]).unwrap_err();
    assert_eq!(error.to_string(), "input 'user': index 3 is not within -3..3");
}

#[test]
fn an_identity_passes_every_datatype_through_without_a_copy() {
    for (data_type, datatype) in [
        (DataType::Float, Datatype::Fp32),
        (DataType::Uint8, Datatype::Uint8),
        (DataType::Int8, Datatype::Int8),
        (DataType::Uint16, Datatype::Uint16),
        (DataType::Int16, Datatype::Int16),
        (DataType::Int32, Datatype::Int32),
        (DataType::Int64, Datatype::Int64),
        (DataType::String, Datatype::Bytes),
        (DataType::Bool, Datatype::Bool),
        (DataType::Float16, Datatype::Fp16),
        (DataType::Double, Datatype::Fp64),
        (DataType::Uint32, Datatype::Uint32),
        (DataType::Uint64, Datatype::Uint64),
        (DataType::Bfloat16, Datatype::Bf16),
    ] {
        let graph = TestGraph::new(17).input("x", data_type, &[-1, 2]).node("Identity", &["x"], &["y"], vec![]).output(
            "y",
            data_type,
            &[-1, 2],
        );
        let model = loaded(&graph);
        assert!(model.signature().batched, "{datatype}");
        let bytes = match datatype.size() {
            Some(size) => (0..2 * size).map(|at| 0x80 | at as u8).collect::<Vec<u8>>(),
            None => vec![1, 0, 0, 0, 0xff, 0, 0, 0, 0],
        };
        let tensor = Tensor::new(datatype, vec![1, 2], bytes.into()).unwrap();
        let out = model.run(&[NamedTensor { name: "x".into(), tensor: tensor.clone() }]).unwrap();
        assert_eq!(out[0].tensor, tensor);
        assert_eq!(out[0].tensor.data().as_ptr(), tensor.data().as_ptr(), "{datatype} was copied");
    }
}

#[test]
fn half_precision_and_narrow_numbers_are_converted_at_the_edges() {
    let twice = |data_type| {
        TestGraph::new(17).input("x", data_type, &[-1]).node("Add", &["x", "x"], &["y"], vec![]).output(
            "y",
            data_type,
            &[-1],
        )
    };
    let run = |data_type, datatype, bytes: Vec<u8>| {
        let tensor = Tensor::new(datatype, vec![1], bytes.into()).unwrap();
        loaded(&twice(data_type)).run(&[NamedTensor { name: "x".into(), tensor }]).unwrap().remove(0).tensor
    };
    let half = run(DataType::Float16, Datatype::Fp16, half::f16::from_f32(1.5).to_le_bytes().to_vec());
    assert_eq!((half.datatype(), half.to_f64().unwrap()), (Datatype::Fp16, vec![3.0]));
    let small = run(DataType::Int8, Datatype::Int8, vec![100]);
    assert_eq!(small.to_f64().unwrap(), [-56.0]);
    let large = run(DataType::Uint64, Datatype::Uint64, (1_u64 << 62).to_le_bytes().to_vec());
    assert_eq!(large.to_f64().unwrap(), [(1_u64 << 63) as f64]);
}

#[test]
fn rows_are_joined_only_where_they_do_not_touch_each_other() {
    let over_rows = TestGraph::new(17)
        .input("x", DataType::Float, &[-1, 2])
        .node("Softmax", &["x"], &["y"], vec![("axis", Attr::I(0))])
        .output("y", DataType::Float, &[-1, 2]);
    assert!(!loaded(&over_rows).signature().batched);
    let fixed = TestGraph::new(17).input("x", DataType::Float, &[1, 2]).node("Relu", &["x"], &["y"], vec![]).output(
        "y",
        DataType::Float,
        &[1, 2],
    );
    assert!(!loaded(&fixed).signature().batched);
    let total = TestGraph::new(12)
        .input("x", DataType::Float, &[-1, 2])
        .node("ReduceSum", &["x"], &["y"], vec![("axes", Attr::Is(vec![0]))])
        .output("y", DataType::Float, &[1, 2]);
    let model = loaded(&total);
    assert!(!model.signature().batched);
    // Not batched, yet any number of rows is one request.
    let out = model.run(&[f32s("x", &[2, 2], &[1.0, 2.0, 3.0, 4.0])]).unwrap();
    assert_eq!(out[0].tensor.to_f64().unwrap(), [4.0, 6.0]);
}

#[test]
fn inputs_are_checked_and_numbers_that_are_not_are_counted() {
    let model = loaded(&mlp());
    let error = model.run(&[f32s("x", &[3, 8], &[0.0; 24])]).unwrap_err();
    assert_eq!(error.to_string(), "input 'x': shape [3, 8] does not fit the model's [-1, 2]");
    let out = model.run(&[f32s("x", &[2, 2], &[f32::NAN, 0.0, 1.0, 1.0])]).unwrap();
    assert_eq!(out[0].tensor.non_finite(), 1);
    let out = model.run(&model.sample_inputs(5)).unwrap();
    assert_eq!((out[0].tensor.shape(), out[0].tensor.non_finite()), (&[5, 1][..], 0));
}

#[test]
fn a_width_that_the_weights_fix_is_part_of_the_signature() {
    let mut graph = mlp();
    let open = TestGraph::new(17).input("x", DataType::Float, &[-1, -1]);
    graph.graph.input = open.graph.input;
    let model = loaded(&graph);
    assert_eq!(model.signature().inputs[0].shape_text(), "[-1, 2]");
    assert!(model.run(&[f32s("x", &[1, 3], &[0.0; 3])]).unwrap_err().is_callers());
    // Any width runs here, so none is chosen.
    let any = TestGraph::new(17)
        .input("x", DataType::Float, &[-1, -1])
        .floats("w", &[3], &[1.0, 2.0, 3.0])
        .node("Relu", &["x"], &["y"], vec![])
        .output("y", DataType::Float, &[-1, -1]);
    assert_eq!(loaded(&any).signature().inputs[0].shape_text(), "[-1, -1]");
}

#[test]
fn the_logged_signature_of_mlflow_is_honoured() {
    let mut files = mlp().files();
    let inputs = r#"[{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]"#;
    let text = format!("flavors:\n  onnx:\n    data: model.onnx\nsignature:\n  inputs: '{inputs}'\n");
    files.insert("MLmodel", text.into_bytes().into()).unwrap();
    assert_eq!(
        load(&files).unwrap_err().to_string(),
        "the signature in MLmodel does not fit the model: \
         input 'x' was logged as FP64 [-1, 2], but the graph has FP32 [-1, 2]"
    );
}

fn tensors() -> impl Strategy<Value = (Datatype, usize, Vec<usize>)> {
    let datatype = prop::sample::select(Datatype::ALL.to_vec());
    (datatype, 0_usize..4, prop::collection::vec(0_usize..4, 1..5))
}

proptest! {
    #[test]
    fn what_was_joined_splits_into_what_it_was((datatype, width, rows) in tensors()) {
        let part = |(index, rows): (usize, &usize)| {
            let elements = rows * width;
            let data: Vec<u8> = match datatype.size() {
                Some(size) => (0..elements * size).map(|at| (at + index) as u8).collect(),
                None => (0..elements).flat_map(|at| [vec![(at % 3) as u8, 0, 0, 0], vec![7; at % 3]].concat()).collect(),
            };
            Tensor::new(datatype, vec![*rows, width], data.into()).unwrap()
        };
        let parts: Vec<Tensor> = rows.iter().enumerate().map(part).collect();
        let joined = Tensor::concat(&parts).unwrap();
        prop_assert_eq!(joined.rows(), rows.iter().sum::<usize>());
        prop_assert_eq!(joined.split(&rows).unwrap(), parts);
        prop_assert!(joined.split(&[joined.rows() + 1]).is_err());
    }
}

/// Every committed artifact, by its folder.
fn committed() -> Vec<(String, ModelFiles)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo/artifacts");
    let folders = |path: &std::path::Path| -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let mut entries: Vec<_> = entries.collect();
        entries.sort();
        entries
    };
    let versions = folders(&root).into_iter().flat_map(|model| folders(&model));
    let read = |version: std::path::PathBuf| {
        let mut files = ModelFiles::new();
        for file in folders(&version).into_iter().filter(|path| path.is_file()) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            files.insert(name, std::fs::read(&file).unwrap().into()).unwrap();
        }
        (version.strip_prefix(&root).unwrap().display().to_string(), files)
    };
    versions.map(read).collect()
}

#[test]
fn a_plan_for_a_device_computes_the_same_where_the_host_stands_for_it() {
    let mut copies = 0;
    for (name, files) in committed() {
        let inspection = inspect(&files).unwrap();
        let (plan, _) = inspection.plan.placed(&inspection.made);
        copies += plan.describe().matches("to_device").count();
        let host = inspection.load();
        for rows in [1, 3] {
            let inputs = host.varied_inputs(rows);
            let expected = host.run(&inputs).unwrap();
            let answers = plan.run(inputs.into_iter().map(|input| input.tensor).collect()).unwrap();
            for (expected, (output, tensor)) in expected.iter().zip(&answers) {
                assert_eq!((&expected.name, &expected.tensor), (output, tensor), "{name}");
            }
        }
    }
    assert!(copies > 3, "{copies} copies to the device");
}

#[test]
fn what_runs_where_is_told() {
    let told = |wanted: &str| {
        let (_, files) = committed().into_iter().find(|(name, _)| name == wanted).unwrap();
        inspect(&files).unwrap().describe_on_device()
    };
    insta::assert_snapshot!(told("fraud-detection/v1.0.0"));
    insta::assert_snapshot!(told("recommendation/v1.0.0"));
}
