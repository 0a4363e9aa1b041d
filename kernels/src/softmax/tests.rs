use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;

use super::{Kind, reference, softmax};

#[test]
fn large_numbers_do_not_overflow() {
    let x = Tensor::new(&[[1e30_f32, 1e30], [-1e30, 0.0]], &Device::Cpu).unwrap();
    assert_eq!(softmax(&x, 1, Kind::Softmax).unwrap().to_vec2::<f32>().unwrap(), [[0.5, 0.5], [0.0, 1.0]]);
}

#[test]
fn empty_and_single_rows() {
    let empty = Tensor::zeros((2, 0), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(softmax(&empty, 1, Kind::Softmax).unwrap().dims(), [2, 0]);
    let single = Tensor::new(&[[7_f64]], &Device::Cpu).unwrap();
    assert_eq!(softmax(&single, 1, Kind::LogSoftmax).unwrap().to_vec2::<f64>().unwrap(), [[0.0]]);
    assert!(softmax(&single, 2, Kind::Softmax).is_err());
}

#[test]
fn nan_spreads_over_its_row_only() {
    let x = Tensor::new(&[[f32::NAN, 1.0], [1.0, 1.0]], &Device::Cpu).unwrap();
    let out = softmax(&x, 1, Kind::Softmax).unwrap().to_vec2::<f32>().unwrap();
    assert!(out[0].iter().all(|v| v.is_nan()));
    assert_eq!(out[1], [0.5, 0.5]);
}

proptest! {
    #[test]
    fn equals_the_reference_on_any_axis(values in prop::collection::vec(-5.0_f64..5.0, 12), axis in 0_usize..2) {
        let x = Tensor::from_vec(values, (3, 4), &Device::Cpu).unwrap();
        let lines = |t: &Tensor| {
            let t = if axis == 0 { t.t().unwrap() } else { t.clone() };
            t.contiguous().unwrap().to_vec2::<f64>().unwrap()
        };
        let shares = lines(&softmax(&x, axis, Kind::Softmax).unwrap());
        let logs = lines(&softmax(&x, axis, Kind::LogSoftmax).unwrap());
        for ((line, shares), logs) in lines(&x).iter().zip(shares).zip(logs) {
            for ((expected, share), log) in reference::softmax(line).iter().zip(shares).zip(logs) {
                prop_assert!((expected - share).abs() < 1e-12 && (expected.ln() - log).abs() < 1e-12);
            }
        }
    }
}
