use bytes::Bytes;

use super::*;
use crate::tensor::Tensor;

fn spec(name: &str, datatype: Datatype, shape: &[i64]) -> TensorSpec {
    let shape = shape.iter().map(|d| usize::try_from(*d).map_or(Dim::Any, Dim::Fixed)).collect();
    TensorSpec { name: name.into(), datatype, shape }
}

fn signature() -> Signature {
    Signature {
        inputs: vec![spec("features", Datatype::Fp32, &[-1, 9]), spec("id", Datatype::Int64, &[-1])],
        outputs: vec![spec("score", Datatype::Fp32, &[-1, 1])],
        batched: true,
    }
}

fn tensor(name: &str, datatype: Datatype, shape: &[usize]) -> NamedTensor {
    let bytes = shape.iter().product::<usize>() * datatype.size().unwrap();
    let tensor = Tensor::new(datatype, shape.to_vec(), Bytes::from(vec![0; bytes])).unwrap();
    NamedTensor { name: name.into(), tensor }
}

fn check(inputs: &[NamedTensor], expected: &[&str]) {
    let actual: Vec<String> = signature().check(inputs).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(actual, expected);
}

#[test]
fn good_inputs_come_back_as_rows_in_any_order() {
    let inputs = [tensor("id", Datatype::Int64, &[3]), tensor("features", Datatype::Fp32, &[3, 9])];
    assert_eq!(signature().check(&inputs), Ok(3));
    let unbatched = Signature { batched: false, ..signature() };
    assert_eq!(unbatched.check(&inputs), Ok(1));
}

#[test]
fn every_problem_is_told_at_once() {
    check(
        &[tensor("features", Datatype::Fp64, &[3, 8]), tensor("user", Datatype::Int64, &[3])],
        &[
            "input 'features': datatype FP64 does not fit the model's FP32",
            "input 'features': shape [3, 8] does not fit the model's [-1, 9]",
            "input 'user' is not known; the model has 'features', 'id'",
            "input 'id' is missing; it is INT64 [-1]",
        ],
    );
    check(
        &[tensor("features", Datatype::Fp32, &[3, 9]), tensor("id", Datatype::Int64, &[2])],
        &["input 'id' has 2 rows, but 'features' has 3"],
    );
    check(
        &[tensor("features", Datatype::Fp32, &[0, 9]), tensor("id", Datatype::Int64, &[0])],
        &[
            "input 'features': shape [0, 9] has no elements; send at least one row",
            "input 'id': shape [0] has no elements; send at least one row",
        ],
    );
    check(
        &[
            tensor("id", Datatype::Int64, &[1]),
            tensor("id", Datatype::Int64, &[1]),
            tensor("features", Datatype::Fp32, &[9]),
        ],
        &["input 'id' is given twice", "input 'features': shape [9] does not fit the model's [-1, 9]"],
    );
    assert_eq!(signature().check(&[]).unwrap_err().len(), 2);
}

#[test]
fn a_candidate_may_accept_more_and_return_more() {
    let mut candidate = signature();
    candidate.inputs[0].shape[1] = Dim::Any;
    candidate.outputs.push(spec("why", Datatype::Bytes, &[-1]));
    assert_eq!(candidate.compatible_with(&signature()), Ok(()));
    // The other way round, callers of the wider one would be refused.
    assert_eq!(
        signature().compatible_with(&candidate).unwrap_err(),
        [
            "input 'features' is FP32 [-1, 9], but stable accepts FP32 [-1, -1]",
            "output 'why' of stable (BYTES [-1]) is not returned"
        ]
    );
}

#[test]
fn a_candidate_that_would_break_callers_is_refused_with_every_reason() {
    let candidate = Signature {
        inputs: vec![spec("features", Datatype::Fp64, &[-1, 9]), spec("extra", Datatype::Fp32, &[1])],
        outputs: vec![spec("score", Datatype::Fp32, &[-1, -1])],
        batched: true,
    };
    assert_eq!(
        candidate.compatible_with(&signature()).unwrap_err(),
        [
            "input 'extra' (FP32 [1]) is required, but stable has no such input",
            "input 'features' is FP64 [-1, 9], but stable accepts FP32 [-1, 9]",
            "input 'id' of stable (INT64 [-1]) is not accepted",
            "output 'score' is FP32 [-1, -1], but stable returns FP32 [-1, 1]",
        ]
    );
}
