//! What the fused layer is asked on a device.

use candle_core::{DType, Device, Result, Tensor};

use super::{Activation, activate, add_bias_activate, dense, reference};
use crate::suite::{back, equal, holds, near, of_op, refused};

of_op!(
    "bias_activation": equals_the_reference_for_each_activation_shape_and_datatype, a_dense_layer_equals_the_cpus,
    without_a_bias_minus_zero_and_nan_stay_and_the_input_is_not_written,
    what_it_does_not_compute_in_falls_back_and_what_does_not_fit_is_an_error,
);

/// Of both signs, up to 6, none twice in a row.
fn numbers(len: usize, step: usize) -> Vec<f64> {
    (0..len).map(|i| (i * step % 97) as f64 / 8.0 - 6.0).collect()
}

fn tensor(values: &[f64], shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
    Tensor::from_slice(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
}

fn equals_the_reference_for_each_activation_shape_and_datatype(device: &Device) -> Result<()> {
    // Narrow rows that share a block, wide ones that are split, ragged ends, and more rows than a grid holds at once.
    for (rows, columns) in [(1, 1), (3, 17), (8, 256), (2, 1000), (700, 3)] {
        let (x, bias) = (numbers(rows * columns, 31), numbers(columns, 13));
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 2e-3)] {
            // What the datatype makes of the inputs is not the kernel's doing.
            let rounded = |values: &[f64]| back(&tensor(values, &[values.len()], dtype, &Device::Cpu)?);
            let (exact, exact_bias) = (rounded(&x)?, rounded(&bias)?);
            for activation in Activation::EACH {
                let sum = |i: usize| exact[i] + exact_bias[i % columns];
                let expected: Vec<f64> =
                    (0..rows * columns).map(|i| reference::activation(sum(i), activation)).collect();
                let product = tensor(&x, &[rows, columns], dtype, device)?;
                let bias = tensor(&bias, &[columns], dtype, device)?;
                let out = add_bias_activate(product, Some(&bias), activation)?;
                let what = format!("{activation} of {rows} × {columns} {dtype:?}");
                near(&back(&out)?, &expected, tolerance, what)?;
            }
        }
    }
    Ok(())
}

fn a_dense_layer_equals_the_cpus(device: &Device) -> Result<()> {
    let (x, weight, bias) = (numbers(5 * 33, 7), numbers(33 * 19, 11), numbers(19, 3));
    let on = |device: &Device| {
        let x = tensor(&x, &[5, 33], DType::F32, device)?.affine(0.05, 0.0)?;
        let (weight, bias) =
            (tensor(&weight, &[33, 19], DType::F32, device)?, tensor(&bias, &[19], DType::F32, device)?);
        back(&dense(&x, &weight, Some(&bias), Activation::Gelu)?)
    };
    near(&on(device)?, &on(&Device::Cpu)?, 1e-5, "a dense layer")
}

fn without_a_bias_minus_zero_and_nan_stay_and_the_input_is_not_written(device: &Device) -> Result<()> {
    for dtype in [DType::F32, DType::F16] {
        let x = tensor(&[-0.0, f64::NAN, -2.0, 100.0], &[4], dtype, device)?;
        for activation in Activation::EACH {
            let out = back(&activate(&x, activation)?)?;
            let right = out[1].is_nan() && out[2].is_finite() && out[3].is_finite();
            holds(right, format_args!("{activation} {dtype:?}: {out:?}"))?;
        }
        let same = back(&activate(&x, Activation::Identity)?)?;
        holds(same[0].is_sign_negative(), "-0 became 0")?;
        equal(back(&x)?[2], -2.0, "the input")?;
    }
    Ok(())
}

fn what_it_does_not_compute_in_falls_back_and_what_does_not_fit_is_an_error(device: &Device) -> Result<()> {
    let doubles = tensor(&[-1.0, 2.0], &[2], DType::F64, device)?;
    equal(back(&activate(&doubles, Activation::Relu)?)?, [0.0, 2.0], "doubles")?;
    let product = tensor(&numbers(6, 1), &[2, 3], DType::F32, device)?;
    let with = |bias: &Tensor| add_bias_activate(product.clone(), Some(bias), Activation::Relu);
    refused(with(&tensor(&numbers(3, 1), &[3], DType::F16, device)?), "dtype", "a bias of another datatype")?;
    refused(
        with(&tensor(&numbers(3, 1), &[3], DType::F32, &Device::Cpu)?),
        "on another device",
        "a bias of the host's",
    )?;
    refused(with(&tensor(&numbers(4, 1), &[4], DType::F32, device)?), "are no rows of 4", "a bias that is too long")
}
