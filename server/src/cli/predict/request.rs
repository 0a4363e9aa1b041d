//! The body of a request: a made-up one, one from bare rows, or one that was given. Pure.

use serde_json::{Value, json};

use super::{Exit, Failure, InputSpec};

/// Elements of one made-up input.
const SAMPLE_MAX: usize = 1 << 20;
/// Arrays in arrays.
const RANK_MAX: usize = 16;

/// A request that fits `inputs`: one row, floats 1, whole numbers 0, texts empty.
pub(super) fn sample(inputs: &[InputSpec]) -> Result<Value, Failure> {
    let tensors: Result<Vec<Value>, Failure> = inputs.iter().map(sample_tensor).collect();
    Ok(json!({ "inputs": tensors? }))
}

fn sample_tensor(spec: &InputSpec) -> Result<Value, Failure> {
    let element = match spec.datatype.as_str() {
        "FP32" | "FP64" => json!(1.0),
        "BOOL" => json!(false),
        "BYTES" => json!(""),
        "FP16" | "BF16" => {
            let why = format!("input {:?} is {}, which has no JSON form", spec.name, spec.datatype);
            return Err(Failure::input(why).hint("send it as binary tensor data with a client of the protocol"));
        }
        _ => json!(0),
    };
    let shape: Vec<usize> = spec.shape.iter().map(|size| usize::try_from(*size).unwrap_or(1)).collect();
    let elements = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    let elements = elements.filter(|count| *count <= SAMPLE_MAX).ok_or_else(|| {
        Failure::input(format_args!("input {:?} is too big to make up; send one with --json", spec.name))
    })?;
    Ok(json!({ "name": spec.name, "shape": shape, "datatype": spec.datatype, "data": vec![element; elements] }))
}

/// A request of bare `rows` for a model with one input.
pub(super) fn from_rows(inputs: &[InputSpec], rows: Vec<Value>) -> Result<Value, Failure> {
    let [spec] = inputs else {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let why = format!("bare rows do for one input; this model has {}", names.join(", "));
        return Err(Failure::input(why).hint("write {\"inputs\": [{\"name\", \"shape\", \"datatype\", \"data\"}]}"));
    };
    let mut rows = Value::Array(rows);
    let mut shape = shape_of(&rows)?;
    // One row without its brackets: the batch axis is missing, and everything else is there.
    if shape.len() + 1 == spec.shape.len() {
        rows = json!([rows]);
        shape.insert(0, 1);
    }
    Ok(json!({ "inputs": [{ "name": spec.name, "shape": shape, "datatype": spec.datatype, "data": rows }] }))
}

/// The shape of arrays in arrays, which must all be of the same size.
fn shape_of(value: &Value) -> Result<Vec<usize>, Failure> {
    let mut shape = Vec::new();
    let mut level: Vec<&Value> = vec![value];
    while level.iter().any(|value| value.is_array()) {
        let sizes: Option<Vec<&Vec<Value>>> = level.iter().map(|value| value.as_array()).collect();
        let arrays = sizes.ok_or_else(|| Failure::input("the rows mix values and arrays"))?;
        let size = arrays.first().map_or(0, |first| first.len());
        if let Some(odd) = arrays.iter().position(|array| array.len() != size) {
            let (axis, found) = (shape.len(), arrays[odd].len());
            let why = format!("array {odd} of axis {axis} has {found} elements, and array 0 has {size}");
            return Err(Failure::input(why));
        }
        shape.push(size);
        if shape.len() > RANK_MAX {
            return Err(Failure::input(format_args!("the arrays are over {RANK_MAX} deep")));
        }
        level = arrays.into_iter().flatten().collect();
    }
    Ok(shape)
}

/// A whole request, as far as it can be told from here.
pub(super) fn checked(body: Value) -> Result<Value, Failure> {
    if body.get("inputs").is_some_and(Value::is_array) {
        return Ok(body);
    }
    let failure = Failure { exit: Exit::BadInput, message: "there is no list of inputs".to_owned(), hint: None };
    Err(failure.hint("write {\"inputs\": [{\"name\", \"shape\", \"datatype\", \"data\"}]}, or an array of rows"))
}
