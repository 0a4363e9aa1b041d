use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};

use super::{count_on_device, non_finite_bf16, non_finite_f16, non_finite_f32, non_finite_f64};
use crate::launch::Counts;
use crate::launch::testing::device;

/// Every seventh is a NaN or an infinity, of both signs.
fn numbers(len: usize) -> Vec<f64> {
    let wrong = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -f64::NAN];
    (0..len).map(|i| if i % 7 == 3 { wrong[i / 7 % 4] } else { i as f64 / 8.0 - 3.0 }).collect()
}

fn counted(x: &Tensor, counts: &mut Counts) -> u64 {
    counts.reset().unwrap();
    count_on_device(x, counts, 1).unwrap();
    let read = counts.read().unwrap();
    assert_eq!([read[0], read[2]], [0, 0], "the counters beside it");
    read[1]
}

#[test]
fn equals_the_cpu_for_each_datatype_and_length() {
    let (device, cuda) = device();
    let mut counts = Counts::zeroed(&cuda, 3).unwrap();
    // None, part of a warp, a block and more, and more than a grid holds at once.
    for len in [0, 1, 3, 4, 31, 32, 33, 255, 256, 257, 1000, 90_001] {
        let all = numbers(len);
        let f32s: Vec<f32> = all.iter().map(|v| *v as f32).collect();
        let f16s: Vec<f16> = all.iter().map(|v| f16::from_f64(*v)).collect();
        let bf16s: Vec<bf16> = all.iter().map(|v| bf16::from_f64(*v)).collect();
        let on = |x: candle_core::Result<Tensor>| x.unwrap();
        let of_f16: Vec<u8> = f16s.iter().flat_map(|v| v.to_le_bytes()).collect();
        let of_bf16: Vec<u8> = bf16s.iter().flat_map(|v| v.to_le_bytes()).collect();
        let of_f32: Vec<u8> = f32s.iter().flat_map(|v| v.to_le_bytes()).collect();
        let of_f64: Vec<u8> = all.iter().flat_map(|v| v.to_le_bytes()).collect();
        for (x, expected) in [
            (on(Tensor::from_vec(f16s, len, &device)), non_finite_f16(&of_f16)),
            (on(Tensor::from_vec(bf16s, len, &device)), non_finite_bf16(&of_bf16)),
            (on(Tensor::from_vec(f32s, len, &device)), non_finite_f32(&of_f32)),
            (on(Tensor::from_vec(all, len, &device)), non_finite_f64(&of_f64)),
        ] {
            assert_eq!(counted(&x, &mut counts), expected as u64, "{len} of {:?}", x.dtype());
        }
    }
}

#[test]
fn no_element_is_passed_over_or_counted_twice() {
    let (device, cuda) = device();
    let mut counts = Counts::zeroed(&cuda, 3).unwrap();
    for len in [257, 81_921, 90_001] {
        let x = Tensor::full(f32::NAN, len, &device).unwrap();
        assert_eq!(counted(&x, &mut counts), len as u64);
    }
}

#[test]
fn counts_add_up_and_only_what_the_tensor_shows_is_counted() {
    let (device, cuda) = device();
    let mut counts = Counts::zeroed(&cuda, 1).unwrap();
    let x = Tensor::new(&[f32::NAN, 1.0, f32::INFINITY, 2.0, f32::NAN], &device).unwrap();
    count_on_device(&x.narrow(0, 1, 3).unwrap(), &mut counts, 0).unwrap();
    assert_eq!(counts.read().unwrap(), [1]);
    count_on_device(&x, &mut counts, 0).unwrap();
    assert_eq!(counts.read().unwrap(), [4]);
    counts.reset().unwrap();
    count_on_device(&Tensor::zeros(4, DType::I64, &device).unwrap(), &mut counts, 0).unwrap();
    assert_eq!(counts.read().unwrap(), [0]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (device, cuda) = device();
    let mut counts = Counts::zeroed(&cuda, 1).unwrap();
    let x = Tensor::zeros((2, 3), DType::F32, &device).unwrap();
    assert!(count_on_device(&x, &mut counts, 1).unwrap_err().to_string().contains("counter 1 of 1"));
    assert!(count_on_device(&x, &mut counts, usize::MAX).is_err());
    assert!(count_on_device(&x.t().unwrap(), &mut counts, 0).is_err());
    let on_cpu = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    assert!(count_on_device(&on_cpu, &mut counts, 0).is_err());
}
