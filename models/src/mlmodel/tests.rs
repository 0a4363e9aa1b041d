use super::*;

fn file(inputs: &str, outputs: &str) -> String {
    format!(
        "artifact_path: model\nflavors:\n  onnx:\n    data: model.onnx\n  python_function:\n    loader_module: \
         mlflow.onnx\nsignature:\n  inputs: '{inputs}'\n  outputs: '{outputs}'\n  params: null\n"
    )
}

fn signature() -> Signature {
    let spec =
        |name: &str, shape: &[Dim]| TensorSpec { name: name.into(), datatype: Datatype::Fp32, shape: shape.to_vec() };
    Signature {
        inputs: vec![spec("x", &[Dim::Any, Dim::Any])],
        outputs: vec![spec("y", &[Dim::Any, Dim::Fixed(2)])],
        batched: true,
    }
}

fn check(inputs: &str, outputs: &str, expected: &str) {
    let mut signature = signature();
    let actual = match Mlmodel::parse(file(inputs, outputs).as_bytes()).and_then(|m| m.refine(&mut signature)) {
        Ok(()) => format!("{} -> {}", signature.inputs[0], signature.outputs[0]),
        Err(error) => error.to_string(),
    };
    assert_eq!(actual, expected);
}

#[test]
fn a_logged_signature_narrows_shapes() {
    check(
        r#"[{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float32", "shape": [-1, 30]}}]"#,
        r#"[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]"#,
        "FP32 [-1, 30] -> FP32 [-1, 2]",
    );
    check(
        r#"[{"type": "double", "name": "age"}, {"type": "long", "name": "n"}]"#,
        "[]",
        "FP32 [-1, -1] -> FP32 [-1, 2]",
    );
}

#[test]
fn every_contradiction_is_told() {
    check(
        r#"[{"type": "tensor", "name": "z", "tensor-spec": {"dtype": "float32", "shape": [-1, 30]}}, {"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float64", "shape": [-1, 30]}}]"#,
        r#"[{"type": "tensor", "name": "y", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]"#,
        "the signature in MLmodel does not fit the model: input 'z' was logged, but the graph has no such input; \
         input 'x' was logged as FP64 [-1, 30], but the graph has FP32 [-1, -1]; \
         output 'y' was logged as FP32 [-1, 3], but the graph has FP32 [-1, 2]",
    );
    check("[{", "[]", "MLmodel: signature.inputs: EOF while parsing an object at line 1 column 2");
    check(
        r#"[{"type": "tensor", "tensor-spec": {"dtype": "complex64", "shape": [1]}}]"#,
        "[]",
        r#"MLmodel: signature.inputs: dtype "complex64" is not known"#,
    );
}

#[test]
fn files_that_would_unfold_without_end_are_refused() {
    let error = Mlmodel::parse(b"a: &a [1]\nb: [*a, *a]\n").unwrap_err();
    assert_eq!(error.to_string(), "MLmodel: line 2: aliases are not accepted");
    let deep = "[".repeat(100);
    assert!(Mlmodel::parse(deep.as_bytes()).is_err());
    assert!(Mlmodel::parse(&vec![b' '; FILE_BYTES_MAX + 1]).is_err());
    assert!(Mlmodel::parse(b"").is_err());
    assert!(Mlmodel::parse(&[0xff]).is_err());
}
