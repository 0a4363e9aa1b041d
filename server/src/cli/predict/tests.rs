use serde_json::{Value, json};

use super::*;

fn spec(name: &str, datatype: &str, shape: &[i64]) -> InputSpec {
    InputSpec { name: name.to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec() }
}

fn output(name: &str, datatype: &str, shape: &[usize], data: Value) -> Output {
    serde_json::from_value(json!({ "name": name, "datatype": datatype, "shape": shape, "data": data })).unwrap()
}

fn shown(outputs: &[Output]) -> String {
    anstream::adapter::strip_str(&table::outputs(outputs)).to_string()
}

#[test]
fn a_made_up_request_fits_every_datatype_that_json_can_say() {
    let body = request::sample(&[
        spec("f", "FP32", &[-1, 2]),
        spec("i", "INT64", &[-1]),
        spec("b", "BOOL", &[1]),
        spec("t", "BYTES", &[2]),
    ]);
    let data: Vec<Value> = body.unwrap()["inputs"].as_array().unwrap().iter().map(|i| i["data"].clone()).collect();
    assert_eq!(data, [json!([1.0, 1.0]), json!([0]), json!([false]), json!(["", ""])]);
    assert_eq!(request::sample(&[spec("h", "FP16", &[1])]).unwrap_err().exit, Exit::BadInput);
    assert_eq!(request::sample(&[spec("big", "FP32", &[i64::MAX, 4])]).unwrap_err().exit, Exit::BadInput);
}

#[test]
fn bare_rows_become_a_request_of_one_input() {
    let features = [spec("features", "FP32", &[-1, 2])];
    let rows = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap();
    let shape = |text: &str| request::from_rows(&features, rows(text)).map(|body| body["inputs"][0]["shape"].clone());
    assert_eq!(shape("[[1, 2], [3, 4], [5, 6]]").unwrap(), json!([3, 2]));
    assert_eq!(shape("[1, 2]").unwrap(), json!([1, 2]), "one row without its brackets");
    assert!(shape("[[1, 2], [3]]").unwrap_err().message.contains("array 1 of axis 1 has 1 elements"));
    assert!(shape("[[1, 2], 3]").unwrap_err().message.contains("mix"));
    let two = [spec("a", "FP32", &[-1]), spec("b", "FP32", &[-1])];
    assert!(request::from_rows(&two, rows("[[1]]")).unwrap_err().message.contains("a, b"));
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    assert_eq!(shape(&deep).unwrap_err().exit, Exit::BadInput);
}

#[test]
fn outputs_of_the_same_rows_share_lines() {
    let outputs = [
        output("label", "INT64", &[2], json!([0, 1])),
        output("probability", "FP32", &[2, 2], json!([0.875, 0.125, 0.000012, 0.999988])),
    ];
    insta::assert_snapshot!(shown(&outputs), @r"
      row  label INT64  probability FP32[2]
      0    0            [0.8750, 0.1250]
      1    1            [1.200e-5, 1.0000]
    ");
}

#[test]
fn many_rows_and_long_rows_are_cut() {
    let data: Vec<f64> = (0..240).map(f64::from).collect();
    let text = shown(&[output("x", "FP32", &[12, 20], json!(data))]);
    assert!(text.contains("… 12 more]"), "{text}");
    assert!(text.ends_with("… 2 more rows\n"), "{text}");
    assert_eq!(text.lines().count(), 12);
}

#[test]
fn outputs_that_share_no_rows_have_a_line_each() {
    let outputs =
        [output("a", "FP32", &[2], json!([1.0, 2.0])), output("b", "BYTES", &[3], json!(["x", "y\u{1b}", "z"]))];
    insta::assert_snapshot!(shown(&outputs), @r#"
      output  datatype  values
      a       FP32[2]   [1.0000, 2.0000]
      b       BYTES[3]  ["x", "y\u{1b}", "z"]
    "#);
}

#[test]
fn an_answer_that_contradicts_itself_is_shown_and_not_a_panic() {
    let text = shown(&[output("a", "FP32", &[5, 5], json!([1.0]))]);
    assert!(text.contains("FP32[5,5]"), "{text}");
    assert_eq!(shown(&[output("a", "FP32", &[0, 5], json!([]))]).lines().count(), 2);
    assert_eq!(shown(&[]).lines().count(), 1);
}
