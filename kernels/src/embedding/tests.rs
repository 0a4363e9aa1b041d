use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;

use super::{GatherError, gather, reference};

fn table(shape: (usize, usize, usize)) -> Tensor {
    let count = shape.0 * shape.1 * shape.2;
    Tensor::from_vec((0..count).map(|i| i as f32).collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
}

#[test]
fn an_index_out_of_range_is_named() {
    for index in [3, -4, i64::MIN, i64::MAX] {
        let indices = Tensor::new(&[0, index], &Device::Cpu).unwrap();
        let error = gather(&table((1, 3, 2)), &indices, 1).unwrap_err();
        assert!(matches!(error, GatherError::OutOfRange { index: i, size: 3 } if i == index), "{error:?}");
    }
}

#[test]
fn indices_may_be_a_scalar_or_none_or_many_axes() {
    let table = table((1, 3, 2));
    let scalar = gather(&table, &Tensor::new(-1_i64, &Device::Cpu).unwrap(), 1).unwrap();
    assert_eq!(scalar.to_vec2::<f32>().unwrap(), [[4.0, 5.0]]);
    let none = gather(&table, &Tensor::zeros(0, DType::I64, &Device::Cpu).unwrap(), 1).unwrap();
    assert_eq!(none.dims(), [1, 0, 2]);
    let many = gather(&table, &Tensor::new(&[[0_i64, 1], [2, 0]], &Device::Cpu).unwrap(), 1).unwrap();
    assert_eq!(many.dims(), [1, 2, 2, 2]);
}

#[test]
fn wrong_axes_and_index_types_are_errors() {
    assert!(gather(&table((1, 3, 2)), &Tensor::new(&[0_i64], &Device::Cpu).unwrap(), 3).is_err());
    assert!(gather(&table((1, 3, 2)), &Tensor::new(&[0_f32], &Device::Cpu).unwrap(), 1).is_err());
}

proptest! {
    #[test]
    fn equals_the_reference(
        outer in 1_usize..4, size in 1_usize..6, inner in 0_usize..5, picks in prop::collection::vec(0_i64..1000, 0..7)
    ) {
        let bound = size as i64;
        let indices: Vec<i64> = picks.iter().map(|p| p % (2 * bound) - bound).collect();
        let table = table((outer, size, inner));
        let count = indices.len();
        let out = gather(&table, &Tensor::from_vec(indices.clone(), count, &Device::Cpu).unwrap(), 1).unwrap();
        let flat = table.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        prop_assert_eq!(out.dims(), [outer, count, inner]);
        prop_assert_eq!(
            out.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            reference::gather(&flat, [outer, size, inner], &indices)
        );
    }
}
