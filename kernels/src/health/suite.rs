//! What the count is asked on a device.

use candle_core::{DType, Device, Result, Tensor};
use half::{bf16, f16};

use super::{count_on_device, non_finite_bf16, non_finite_f16, non_finite_f32, non_finite_f64};
use crate::launch::Counts;
use crate::suite::{equal, of_op, refused};

of_op!(
    "health": equals_the_cpu_for_each_datatype_and_length, no_element_is_passed_over_or_counted_twice,
    counts_add_up_and_only_what_the_tensor_shows_is_counted, what_does_not_fit_is_an_error,
);

/// Every seventh is a NaN or an infinity, of both signs.
fn numbers(len: usize) -> Vec<f64> {
    let wrong = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -f64::NAN];
    (0..len).map(|i| if i % 7 == 3 { wrong[i / 7 % 4] } else { i as f64 / 8.0 - 3.0 }).collect()
}

fn counted(x: &Tensor, counts: &mut Counts) -> Result<u64> {
    counts.reset()?;
    count_on_device(x, counts, 1)?;
    let read = counts.read()?;
    equal([read[0], read[2]], [0, 0], "the counters beside it")?;
    Ok(read[1])
}

fn equals_the_cpu_for_each_datatype_and_length(device: &Device) -> Result<()> {
    let mut counts = Counts::zeroed(device.as_cuda_device()?, 3)?;
    // None, part of a warp, a block and more, and more than a grid holds at once.
    for len in [0, 1, 3, 4, 31, 32, 33, 255, 256, 257, 1000, 90_001] {
        let all = numbers(len);
        let f32s: Vec<f32> = all.iter().map(|v| *v as f32).collect();
        let f16s: Vec<f16> = all.iter().map(|v| f16::from_f64(*v)).collect();
        let bf16s: Vec<bf16> = all.iter().map(|v| bf16::from_f64(*v)).collect();
        let of_f16: Vec<u8> = f16s.iter().flat_map(|v| v.to_le_bytes()).collect();
        let of_bf16: Vec<u8> = bf16s.iter().flat_map(|v| v.to_le_bytes()).collect();
        let of_f32: Vec<u8> = f32s.iter().flat_map(|v| v.to_le_bytes()).collect();
        let of_f64: Vec<u8> = all.iter().flat_map(|v| v.to_le_bytes()).collect();
        for (x, expected) in [
            (Tensor::from_vec(f16s, len, device)?, non_finite_f16(&of_f16)),
            (Tensor::from_vec(bf16s, len, device)?, non_finite_bf16(&of_bf16)),
            (Tensor::from_vec(f32s, len, device)?, non_finite_f32(&of_f32)),
            (Tensor::from_vec(all, len, device)?, non_finite_f64(&of_f64)),
        ] {
            equal(counted(&x, &mut counts)?, expected as u64, format_args!("{len} of {:?}", x.dtype()))?;
        }
    }
    Ok(())
}

fn no_element_is_passed_over_or_counted_twice(device: &Device) -> Result<()> {
    let mut counts = Counts::zeroed(device.as_cuda_device()?, 3)?;
    for len in [257, 81_921, 90_001] {
        let x = Tensor::full(f32::NAN, len, device)?;
        equal(counted(&x, &mut counts)?, len as u64, "of as many")?;
    }
    Ok(())
}

fn counts_add_up_and_only_what_the_tensor_shows_is_counted(device: &Device) -> Result<()> {
    let mut counts = Counts::zeroed(device.as_cuda_device()?, 1)?;
    let x = Tensor::new(&[f32::NAN, 1.0, f32::INFINITY, 2.0, f32::NAN], device)?;
    count_on_device(&x.narrow(0, 1, 3)?, &mut counts, 0)?;
    equal(counts.read()?, [1], "of a part")?;
    count_on_device(&x, &mut counts, 0)?;
    equal(counts.read()?, [4], "of the whole, behind it")?;
    counts.reset()?;
    count_on_device(&Tensor::zeros(4, DType::I64, device)?, &mut counts, 0)?;
    equal(counts.read()?, [0], "of whole numbers")
}

fn what_does_not_fit_is_an_error(device: &Device) -> Result<()> {
    let mut counts = Counts::zeroed(device.as_cuda_device()?, 1)?;
    let x = Tensor::zeros((2, 3), DType::F32, device)?;
    refused(count_on_device(&x, &mut counts, 1), "counter 1 of 1", "a counter past the last")?;
    refused(count_on_device(&x, &mut counts, usize::MAX), "counter", "a counter far past the last")?;
    refused(count_on_device(&x.t()?, &mut counts, 0), "contiguous", "a tensor that is not contiguous")?;
    let on_cpu = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
    refused(count_on_device(&on_cpu, &mut counts, 0), "not on a CUDA device", "a tensor of the host's")
}
