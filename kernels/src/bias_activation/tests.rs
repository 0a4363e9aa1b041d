use candle_core::{Device, Tensor};
use proptest::prelude::*;

use super::{Activation, activate, dense, reference};

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    // A small linear congruential generator: enough spread, no dependency, the same on every run.
    let mut state = seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn check(m: usize, k: usize, n: usize, activation: Activation) {
    let (x, w, b) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
    let expected = reference::dense(&x, &w, &b, [m, k, n], activation);
    for (dtype, tolerance) in [(candle_core::DType::F32, 1e-4), (candle_core::DType::F64, 1e-6)] {
        let tensor = |values: &[f64], shape: &[usize]| {
            Tensor::from_slice(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
        };
        let (x, w, b) = (tensor(&x, &[m, k]), tensor(&w, &[k, n]), tensor(&b, &[n]));
        compare(&dense(&x, &w, Some(&b), activation).unwrap(), &[m, n], &expected, tolerance);
        let large = super::add_bias_activate(x.matmul(&w).unwrap(), Some(&b), activation).unwrap();
        compare(&large, &[m, n], &expected, tolerance);
    }
}

#[track_caller]
fn compare(out: &Tensor, shape: &[usize], expected: &[f64], tolerance: f64) {
    assert_eq!(out.dims(), shape);
    let actual: Vec<f64> = out.to_dtype(candle_core::DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let close = (actual - expected).abs() <= tolerance * (1.0 + expected.abs());
        assert!(close, "{shape:?}[{index}]: {actual} for {expected}");
    }
}

#[test]
fn equals_the_reference_on_edge_and_ragged_shapes() {
    for (m, k, n) in [(1, 1, 1), (0, 3, 2), (2, 3, 0), (2, 0, 3), (1, 30, 256), (3, 17, 65), (8, 9, 73), (64, 130, 129)]
    {
        check(m, k, n, Activation::Relu);
    }
}

#[test]
fn equals_the_reference_for_each_activation() {
    for activation in Activation::EACH {
        check(2, 5, 11, activation);
    }
}

#[test]
fn leading_axes_are_kept_and_no_bias_is_zero_bias() {
    let x = Tensor::arange(0.0_f32, 12.0, &Device::Cpu).unwrap().reshape((2, 2, 3)).unwrap();
    let w = Tensor::ones((3, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    let out = dense(&x, &w, None, Activation::Identity).unwrap();
    assert_eq!(out.to_vec3::<f32>().unwrap(), [[[3.0, 3.0], [12.0, 12.0]], [[21.0, 21.0], [30.0, 30.0]]]);
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let tensor = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(dense(&tensor(&[1, 3]), &tensor(&[2, 2]), None, Activation::Relu).is_err());
    assert!(dense(&tensor(&[1, 2]), &tensor(&[2, 2]), Some(&tensor(&[3])), Activation::Relu).is_err());
    assert!(dense(&tensor(&[]), &tensor(&[2, 2]), None, Activation::Relu).is_err());
    let ints = Tensor::zeros((1, 2), candle_core::DType::I64, &Device::Cpu).unwrap();
    assert!(dense(&ints, &tensor(&[2, 2]), None, Activation::Relu).is_err());
    assert!(activate(&ints, Activation::Relu).is_err());
    assert_eq!(activate(&tensor(&[2, 0]), Activation::Relu).unwrap().dims(), [2, 0]);
}

#[test]
fn nan_is_not_hidden_and_the_input_is_not_written() {
    let x = Tensor::new(&[f32::NAN, -1.0, 100.0], &Device::Cpu).unwrap();
    for activation in Activation::EACH {
        let out = activate(&x, activation).unwrap().to_vec1::<f32>().unwrap();
        assert!(out[0].is_nan() && out[1].is_finite() && out[2].is_finite(), "{activation}: {out:?}");
    }
    assert_eq!(x.to_vec1::<f32>().unwrap()[1], -1.0);
}

#[test]
fn candles_own_ops_agree_so_that_devices_agree() {
    let nan = Tensor::new(&[f32::NAN], &Device::Cpu).unwrap();
    for activation in Activation::EACH {
        let out = super::activate_by_candle(&nan, activation).unwrap().to_vec1::<f32>().unwrap();
        assert!(out[0].is_nan(), "{activation}");
    }
    let x = Tensor::from_vec(numbers(64, 7), 64, &Device::Cpu).unwrap().affine(4.0, 0.0).unwrap();
    for activation in Activation::EACH {
        let ours = activate(&x, activation).unwrap();
        let theirs = super::activate_by_candle(&x, activation).unwrap();
        let apart = ours.sub(&theirs).unwrap().abs().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap();
        assert!(apart < 1e-9, "{activation}: {apart}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// A caller's row must not depend on whose rows it was batched with.
    #[test]
    fn a_row_alone_equals_the_row_in_its_small_batch(m in 1_usize..8, k in 1_usize..40, n in 1_usize..140) {
        let x = Tensor::from_vec(numbers(m * k, 5), (m, k), &Device::Cpu).unwrap();
        let w = Tensor::from_vec(numbers(k * n, 6), (k, n), &Device::Cpu).unwrap();
        let joined = dense(&x, &w, None, Activation::Sigmoid).unwrap();
        let alone = dense(&x.narrow(0, m - 1, 1).unwrap(), &w, None, Activation::Sigmoid).unwrap();
        prop_assert_eq!(
            joined.narrow(0, m - 1, 1).unwrap().to_vec2::<f64>().unwrap(),
            alone.to_vec2::<f64>().unwrap()
        );
    }
}
