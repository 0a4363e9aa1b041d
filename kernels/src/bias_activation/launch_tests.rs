use candle_core::{DType, Device, Tensor};

use super::{Activation, activate, add_bias_activate, dense, reference};
use crate::launch::testing::device;

const ACTIVATIONS: [Activation; 9] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu(0.1),
    Activation::Elu(1.5),
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Softplus,
];

/// Of both signs, up to 6, none twice in a row.
fn numbers(len: usize, step: usize) -> Vec<f64> {
    (0..len).map(|i| (i * step % 97) as f64 / 8.0 - 6.0).collect()
}

fn tensor(values: &[f64], shape: &[usize], dtype: DType, device: &Device) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap().to_device(device).unwrap()
}

fn back(x: &Tensor) -> Vec<f64> {
    let x = x.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
    x.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn compare(actual: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let close = (actual - expected).abs() <= tolerance * (1.0 + expected.abs());
        assert!(close, "{what}[{index}]: {actual} for {expected}");
    }
}

#[test]
fn equals_the_reference_for_each_activation_shape_and_datatype() {
    let (device, _) = device();
    // Narrow rows that share a block, wide ones that are split, ragged ends, and more rows than a grid holds at once.
    for (rows, columns) in [(1, 1), (3, 17), (8, 256), (2, 1000), (700, 3)] {
        let (x, bias) = (numbers(rows * columns, 31), numbers(columns, 13));
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 2e-3)] {
            // What the datatype makes of the inputs is not the kernel's doing.
            let rounded = |values: &[f64]| back(&tensor(values, &[values.len()], dtype, &Device::Cpu));
            let (exact, exact_bias) = (rounded(&x), rounded(&bias));
            for activation in ACTIVATIONS {
                let sum = |i: usize| exact[i] + exact_bias[i % columns];
                let expected: Vec<f64> =
                    (0..rows * columns).map(|i| reference::activation(sum(i), activation)).collect();
                let product = tensor(&x, &[rows, columns], dtype, &device);
                let bias = tensor(&bias, &[columns], dtype, &device);
                let out = add_bias_activate(product, Some(&bias), activation).unwrap();
                compare(&back(&out), &expected, tolerance, &format!("{activation} of {rows} × {columns} {dtype:?}"));
            }
        }
    }
}

#[test]
fn a_dense_layer_equals_the_cpus() {
    let (device, _) = device();
    let (x, weight, bias) = (numbers(5 * 33, 7), numbers(33 * 19, 11), numbers(19, 3));
    let on = |device: &Device| {
        let [x, weight, bias] =
            [(&x, &[5, 33][..]), (&weight, &[33, 19]), (&bias, &[19])].map(|(v, s)| tensor(v, s, DType::F32, device));
        dense(&x.affine(0.05, 0.0).unwrap(), &weight, Some(&bias), Activation::Gelu).unwrap()
    };
    compare(&back(&on(&device)), &back(&on(&Device::Cpu)), 1e-5, "dense");
}

#[test]
fn without_a_bias_minus_zero_and_nan_stay_and_the_input_is_not_written() {
    let (device, _) = device();
    for dtype in [DType::F32, DType::F16] {
        let x = tensor(&[-0.0, f64::NAN, -2.0, 100.0], &[4], dtype, &device);
        for activation in ACTIVATIONS {
            let out = back(&activate(&x, activation).unwrap());
            assert!(out[1].is_nan() && out[2].is_finite() && out[3].is_finite(), "{activation} {dtype:?}: {out:?}");
        }
        assert!(back(&activate(&x, Activation::Identity).unwrap())[0].is_sign_negative());
        assert_eq!(back(&x)[2], -2.0);
    }
}

#[test]
fn what_it_does_not_compute_in_falls_back_and_what_does_not_fit_is_an_error() {
    let (device, _) = device();
    let doubles = tensor(&[-1.0, 2.0], &[2], DType::F64, &device);
    assert_eq!(back(&activate(&doubles, Activation::Relu).unwrap()), [0.0, 2.0]);
    let product = tensor(&numbers(6, 1), &[2, 3], DType::F32, &device);
    let halves = tensor(&numbers(3, 1), &[3], DType::F16, &device);
    assert!(add_bias_activate(product.clone(), Some(&halves), Activation::Relu).is_err());
    let on_cpu = tensor(&numbers(3, 1), &[3], DType::F32, &Device::Cpu);
    assert!(add_bias_activate(product.clone(), Some(&on_cpu), Activation::Relu).is_err());
    let ragged = tensor(&numbers(4, 1), &[4], DType::F32, &device);
    assert!(add_bias_activate(product, Some(&ragged), Activation::Relu).is_err());
}
