//! Every committed model answers the same on the device as on the host.

use models::cuda::Gpu;
use models::{Datatype, Model, NamedTensor, Tensor};
use tests::onnx::{self, data_type};
use tests::zoo;

use super::{files, gpu};

/// One row, a few, a full batch of eight, and a ragged last one.
const BATCHES: [usize; 4] = [1, 3, 8, 5];

fn placed(files: &models::ModelFiles, gpu: &Gpu) -> anyhow::Result<Model> {
    let mut placing = models::inspect(files)?.placing();
    while !placing.step(gpu)? {}
    Ok(placing.finish(gpu))
}

/// How far apart two numbers may be: sums are added up in another order, and exponentials differ in their last bits.
fn tolerance(datatype: Datatype) -> f64 {
    match datatype {
        Datatype::Fp16 | Datatype::Bf16 => 1e-2,
        Datatype::Fp32 => 1e-5,
        Datatype::Fp64 => 1e-12,
        _ => 0.0,
    }
}

fn differs(host: &Tensor, device: &Tensor) -> Option<String> {
    if (host.datatype(), host.shape()) != (device.datatype(), device.shape()) {
        return Some(format!("{host:?} and {device:?}"));
    }
    let (Some(x), Some(y)) = (host.to_f64(), device.to_f64()) else {
        return (host != device).then(|| "other bytes".to_owned());
    };
    let apart = |(x, y): &(&f64, &f64)| {
        let same = x == y || (x.is_nan() && y.is_nan());
        let near = (*x - *y).abs() <= tolerance(host.datatype()) * (1.0 + x.abs());
        !same && !near
    };
    x.iter().zip(&y).find(apart).map(|(x, y)| format!("{x} and {y}"))
}

fn compare(name: &str, inputs: &[NamedTensor], host: &Model, device: &Model) -> anyhow::Result<Vec<String>> {
    let (on_host, on_device) = (host.run(inputs)?, device.run(inputs)?);
    anyhow::ensure!(on_host.len() == on_device.len(), "{name}: {} and {} outputs", on_host.len(), on_device.len());
    let pairs = on_host.iter().zip(&on_device);
    let problems = pairs.filter_map(|(host, device)| Some((&host.name, differs(&host.tensor, &device.tensor)?)));
    Ok(problems.map(|(output, problem)| format!("{name}, {output}: {problem}")).collect())
}

#[test]
fn every_committed_model_answers_the_same_on_the_device() -> anyhow::Result<()> {
    let (_turn, gpu) = gpu();
    let (mut problems, mut compared) = (Vec::new(), 0);
    for (model, versions) in zoo::all()? {
        for version in versions {
            let files = files(&zoo::artifact(&model, &version))?;
            let host = models::load(&files)?;
            let device = placed(&files, &gpu)?;
            for rows in BATCHES {
                for inputs in [host.varied_inputs(rows), host.sample_inputs(rows)] {
                    problems.extend(compare(&format!("{model} {version}, {rows} rows"), &inputs, &host, &device)?);
                    compared += 1;
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(compared > 100, "{compared} batches were compared");
    Ok(())
}

/// Dense, with weights and activations of this type: `x` of 9 columns, `y` of 4.
fn dense(elem_type: i32, bits: fn(f32) -> u16) -> Vec<u8> {
    let tensor = |name: &str, dims: &[i64]| {
        let values = (0..dims.iter().product()).map(|at: i64| (at * 7 % 19) as f32 / 16.0 - 0.5);
        let raw_data = values.flat_map(|value| bits(value).to_le_bytes()).collect();
        onnx::Tensor { dims: dims.to_vec(), data_type: elem_type, name: name.to_owned(), raw_data }
    };
    onnx::file(onnx::Graph {
        name: "dense".to_owned(),
        node: vec![
            onnx::node("MatMul", &["x", "weight"], "product"),
            onnx::node("Add", &["product", "bias"], "sum"),
            onnx::node("Relu", &["sum"], "y"),
        ],
        initializer: vec![tensor("weight", &[9, 4]), tensor("bias", &[4])],
        input: vec![onnx::rows("x", elem_type, 9)],
        output: vec![onnx::rows("y", elem_type, 4)],
    })
}

#[test]
fn a_model_in_half_precision_answers_the_same_on_the_device() -> anyhow::Result<()> {
    let (_turn, gpu) = gpu();
    let f16 = dense(data_type::FLOAT16, |value| half::f16::from_f32(value).to_bits());
    let bf16 = dense(data_type::BFLOAT16, |value| half::bf16::from_f32(value).to_bits());
    let mut problems = Vec::new();
    for (elem_type, file) in [("f16", f16), ("bf16", bf16)] {
        let mut files = models::ModelFiles::new();
        files.insert("model.onnx".to_owned(), file.into())?;
        let (host, device) = (models::load(&files)?, placed(&files, &gpu)?);
        for rows in BATCHES {
            let inputs = host.varied_inputs(rows);
            assert!(host.run(&inputs)?[0].tensor.to_f64().is_some_and(|y| y.iter().any(|y| *y > 0.1)), "all is zero");
            problems.extend(compare(&format!("{elem_type}, {rows} rows"), &inputs, &host, &device)?);
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

#[test]
fn real_rows_are_answered_the_same_and_those_without_an_answer_too() -> anyhow::Result<()> {
    let (_turn, gpu) = gpu();
    let rows = zoo::fraud_rows()?;
    let mut problems = Vec::new();
    // v1.2.0 comes to NaN for one row in eight.
    for (version, some_fail) in [("v1.1.0", false), ("v1.2.0", true)] {
        let files = files(&zoo::artifact("fraud-detection", version))?;
        let (host, device) = (models::load(&files)?, placed(&files, &gpu)?);
        let mut failed = 0;
        for batch in rows[..24].chunks(1).chain(rows[24..64].chunks(8)) {
            let data: Vec<u8> = batch.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
            let tensor = Tensor::new(Datatype::Fp32, vec![batch.len(), 9], data.into())?;
            let inputs = [NamedTensor { name: "features".into(), tensor }];
            match (host.run(&inputs), device.run(&inputs)) {
                (Ok(_), Ok(_)) => problems.extend(compare(version, &inputs, &host, &device)?),
                (Err(on_host), Err(there)) => {
                    assert_eq!(on_host.to_string(), there.to_string());
                    assert!(device.device_fault().is_none(), "a row without an answer is no fault of the device");
                    failed += 1;
                }
                (on_host, there) => problems.push(format!("{version}: {on_host:?} and {there:?}")),
            }
        }
        assert_eq!(failed > 0, some_fail, "{version}");
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

#[test]
fn what_is_not_finite_is_counted_on_the_device() -> anyhow::Result<()> {
    let (_turn, gpu) = gpu();
    let some = [0.0_f32, f32::NAN, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, -0.0];
    let broken = gpu.upload::<f32>(&[2, 3], |start, into| into.copy_from_slice(&some[start..start + into.len()]))?;
    let sound = gpu.upload::<f64>(&[5000], |_, into| into.fill(1.0))?;
    assert_eq!(gpu.non_finite(&[&broken, &sound, &broken])?, [3, 0, 3]);
    assert_eq!(gpu.non_finite(&[&sound])?, [0], "each count begins at zero");
    assert!(gpu.non_finite(&[])?.is_empty());
    Ok(())
}

#[test]
fn a_tensor_of_several_pieces_comes_back_as_it_went() -> anyhow::Result<()> {
    let (_turn, gpu) = gpu();
    // Two pieces and a little, of numbers that tell their place.
    let len = 2 * models::cuda::PIECE_BYTES / size_of::<f32>() + 3;
    let number = |at: usize| (at % 1_000_003) as f32;
    let there = gpu.upload::<f32>(&[len], |start, into| {
        into.iter_mut().enumerate().for_each(|(at, value)| *value = number(start + at));
    })?;
    let as_it_went = |there: &candle_core::Tensor| -> anyhow::Result<bool> {
        let mut back = Vec::with_capacity(len);
        gpu.download::<f32>(there, |piece| back.extend_from_slice(piece))?;
        Ok(back.len() == len && back.iter().enumerate().all(|(at, value)| *value == number(at)))
    };
    assert!(as_it_went(&there)?);
    // A constant of a model goes a piece at each step.
    let host = candle_core::Tensor::from_iter((0..len).map(number), &candle_core::Device::Cpu)?;
    let mut transfer = models::cuda::Transfer::start(&host, &gpu)?;
    assert!(transfer.step(&gpu)?.is_none() && transfer.step(&gpu)?.is_none(), "there are three pieces");
    assert!(as_it_went(&transfer.step(&gpu)?.expect("the third is the last one"))?);
    Ok(())
}

#[test]
fn a_model_gives_back_all_that_it_took() -> anyhow::Result<()> {
    let (_turn, gpu) = gpu();
    let files = files(&zoo::artifact("recommendation", "v1.0.0"))?;
    let used = |gpu: &Gpu| -> anyhow::Result<u64> { Ok(gpu.trim(0)?.pool_used_bytes) };
    // The first use of a module may keep something for ever.
    drop(placed(&files, &gpu)?.run(&models::load(&files)?.sample_inputs(1))?);
    let before = used(&gpu)?;
    let model = placed(&files, &gpu)?;
    assert!(used(&gpu)? > before, "weights are on the device");
    for rows in BATCHES {
        model.run(&model.sample_inputs(rows))?;
    }
    drop(model);
    assert_eq!(used(&gpu)?, before);
    Ok(())
}
