use candle_core::{DType, Device, Tensor};

use super::{GatherError, gather, gather_on_device};
use crate::launch::Counts;
use crate::launch::testing::device;

fn table(shape: (usize, usize, usize), dtype: DType) -> Tensor {
    let count = shape.0 * shape.1 * shape.2;
    let numbers: Vec<u32> = (0..count).map(|i| (i % 251) as u32).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn back(x: &Tensor) -> Vec<f64> {
    let x = x.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
    x.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn equals_the_cpu_for_each_datatype_and_width() {
    let (device, _) = device();
    let indices = Tensor::new(&[2_i64, -1, 0, 3, 3], &Device::Cpu).unwrap();
    for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
        // Rows of one element, of no multiple of a move, of one and of many, and wider than a block.
        for inner in [0, 1, 3, 8, 16, 260] {
            let table = table((2, 5, inner), dtype);
            let expected = gather(&table, &indices, 1).unwrap();
            let actual = gather(&table.to_device(&device).unwrap(), &indices, 1).unwrap();
            assert_eq!(actual.dims(), expected.dims());
            assert_eq!(back(&actual), back(&expected), "{dtype:?} of {inner}");
        }
    }
}

#[test]
fn a_table_that_begins_inside_its_memory_is_read_from_there() {
    let (device, _) = device();
    let indices = Tensor::new(&[1_i64, 0], &Device::Cpu).unwrap();
    let whole = table((5, 2, 3), DType::F16);
    let part = |whole: &Tensor| whole.narrow(0, 1, 4).unwrap();
    let expected = gather(&part(&whole), &indices, 1).unwrap();
    let actual = gather(&part(&whole.to_device(&device).unwrap()), &indices, 1).unwrap();
    assert_eq!(back(&actual), back(&expected));
}

#[test]
fn an_index_out_of_range_is_refused_before_the_device_sees_it() {
    let (device, _) = device();
    let table = table((1, 3, 2), DType::F32).to_device(&device).unwrap();
    let indices = Tensor::new(&[0_i64, 3], &Device::Cpu).unwrap();
    let error = gather(&table, &indices, 1).unwrap_err();
    assert!(matches!(error, GatherError::OutOfRange { index: 3, size: 3 }), "{error:?}");
}

#[test]
fn on_the_device_an_index_out_of_range_gives_zeros_and_is_counted_once() {
    let (device, cuda) = device();
    let mut refused = Counts::zeroed(&cuda, 2).unwrap();
    // Several slabs, and rows that several threads move.
    let table = table((3, 4, 5), DType::F32).affine(1.0, 1.0).unwrap().to_device(&device).unwrap();
    let numbers = [0_i64, 4, -4, -5, i64::MIN, i64::MAX, 3];
    let indices = Tensor::new(&numbers, &device).unwrap();
    let out = gather_on_device(&table, &indices, 1, &mut refused, 1).unwrap();
    assert_eq!(refused.read().unwrap(), [0, 4]);
    let rows: Vec<Vec<Vec<f32>>> = out.to_vec3().unwrap();
    let expected: Vec<Vec<Vec<f32>>> = table.to_vec3().unwrap();
    for (slab, expected) in rows.iter().zip(&expected) {
        for (place, from) in [(0, 0), (2, 0), (6, 3)] {
            assert_eq!(slab[place], expected[from]);
        }
        for place in [1, 3, 4, 5] {
            assert_eq!(slab[place], [0.0; 5]);
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (device, cuda) = device();
    let mut refused = Counts::zeroed(&cuda, 1).unwrap();
    let table = table((1, 3, 2), DType::F32).to_device(&device).unwrap();
    let indices = Tensor::new(&[0_i64], &device).unwrap();
    assert!(gather_on_device(&table, &indices, 3, &mut refused, 0).is_err());
    assert!(gather_on_device(&table, &indices, 1, &mut refused, 1).is_err());
    assert!(gather_on_device(&table, &Tensor::new(&[0_u32], &device).unwrap(), 1, &mut refused, 0).is_err());
    assert!(gather_on_device(&table, &indices.to_device(&Device::Cpu).unwrap(), 1, &mut refused, 0).is_err());
}
