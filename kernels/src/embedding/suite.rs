//! What the gather is asked on a device.

use candle_core::{DType, Device, Result, Tensor};

use super::{GatherError, gather, gather_on_device};
use crate::launch::Counts;
use crate::suite::{back, equal, holds, of_op, refused};

of_op!(
    "embedding": equals_the_cpu_for_each_datatype_and_width,
    a_table_that_begins_inside_its_memory_is_read_from_there,
    an_index_out_of_range_is_refused_before_the_device_sees_it,
    on_the_device_an_index_out_of_range_gives_zeros_and_is_counted_once, what_does_not_fit_is_an_error,
);

fn table(shape: (usize, usize, usize), dtype: DType) -> Result<Tensor> {
    let count = shape.0 * shape.1 * shape.2;
    let numbers: Vec<u32> = (0..count).map(|i| (i % 251) as u32).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)
}

fn gathered(table: &Tensor, indices: &Tensor) -> Result<Tensor> {
    gather(table, indices, 1).map_err(|error| candle_core::Error::Msg(format!("{error:?}")))
}

fn equals_the_cpu_for_each_datatype_and_width(device: &Device) -> Result<()> {
    let indices = Tensor::new(&[2_i64, -1, 0, 3, 3], &Device::Cpu)?;
    for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
        // Rows of one element, of no multiple of a move, of one and of many, and wider than a block.
        for inner in [0, 1, 3, 8, 16, 260] {
            let table = table((2, 5, inner), dtype)?;
            let expected = gathered(&table, &indices)?;
            let actual = gathered(&table.to_device(device)?, &indices)?;
            let what = format!("{dtype:?} of {inner}");
            equal(actual.dims(), expected.dims(), &what)?;
            equal(back(&actual)?, back(&expected)?, &what)?;
        }
    }
    Ok(())
}

fn a_table_that_begins_inside_its_memory_is_read_from_there(device: &Device) -> Result<()> {
    let indices = Tensor::new(&[1_i64, 0], &Device::Cpu)?;
    let whole = table((5, 2, 3), DType::F16)?;
    let part = |whole: &Tensor| whole.narrow(0, 1, 4);
    let expected = gathered(&part(&whole)?, &indices)?;
    let actual = gathered(&part(&whole.to_device(device)?)?, &indices)?;
    equal(back(&actual)?, back(&expected)?, "a part of a table")
}

fn an_index_out_of_range_is_refused_before_the_device_sees_it(device: &Device) -> Result<()> {
    let table = table((1, 3, 2), DType::F32)?.to_device(device)?;
    let indices = Tensor::new(&[0_i64, 3], &Device::Cpu)?;
    let answer = gather(&table, &indices, 1);
    holds(matches!(answer, Err(GatherError::OutOfRange { index: 3, size: 3 })), format_args!("row 3 of 3: {answer:?}"))
}

fn on_the_device_an_index_out_of_range_gives_zeros_and_is_counted_once(device: &Device) -> Result<()> {
    let mut counts = Counts::zeroed(device.as_cuda_device()?, 2)?;
    // Several slabs, and rows that several threads move.
    let table = table((3, 4, 5), DType::F32)?.affine(1.0, 1.0)?.to_device(device)?;
    let numbers = [0_i64, 4, -4, -5, i64::MIN, i64::MAX, 3];
    let indices = Tensor::new(&numbers, device)?;
    let out = gather_on_device(&table, &indices, 1, &mut counts, 1)?;
    equal(counts.read()?, [0, 4], "the counters")?;
    let rows: Vec<Vec<Vec<f32>>> = out.to_vec3()?;
    let expected: Vec<Vec<Vec<f32>>> = table.to_vec3()?;
    for (slab, expected) in rows.iter().zip(&expected) {
        for (place, from) in [(0, 0), (2, 0), (6, 3)] {
            equal(&slab[place], &expected[from], format_args!("row {place}"))?;
        }
        for place in [1, 3, 4, 5] {
            equal(slab[place].as_slice(), [0.0; 5], format_args!("row {place}, which there is not"))?;
        }
    }
    Ok(())
}

fn what_does_not_fit_is_an_error(device: &Device) -> Result<()> {
    let mut counts = Counts::zeroed(device.as_cuda_device()?, 1)?;
    let table = table((1, 3, 2), DType::F32)?.to_device(device)?;
    let indices = Tensor::new(&[0_i64], device)?;
    let mut answer = |indices: &Tensor, axis, slot| gather_on_device(&table, indices, axis, &mut counts, slot);
    refused(answer(&indices, 3, 0), "axis 3", "an axis that the table does not have")?;
    refused(answer(&indices, 1, 1), "counter 1 of 1", "a counter past the last")?;
    refused(answer(&Tensor::new(&[0_u32], device)?, 1, 0), "dtype", "indices of another datatype")?;
    refused(answer(&indices.to_device(&Device::Cpu)?, 1, 0), "not on a CUDA device", "indices of the host's")
}
