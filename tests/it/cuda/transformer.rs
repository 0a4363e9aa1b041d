//! A small transformer, built on candle and run on both devices in single and in half precision: the ops of such a model,
//! with shapes that are no powers of two.

use candle_core::{D, DType, Device, Result, Tensor};

use super::gpu;

const WORDS: usize = 50;
const WIDTH: usize = 24;
const HEADS: usize = 3;
const LAYERS: usize = 2;
const LENGTH: usize = 7;

/// Made-up numbers between -0.5 and 0.5, the same on every machine.
fn weights(seed: u32, shape: &[usize]) -> Result<Tensor> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16) as u16) / f32::from(u16::MAX) - 0.5
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

struct Weights<'a> {
    device: &'a Device,
    dtype: DType,
    seed: std::cell::Cell<u32>,
}

impl Weights<'_> {
    fn take(&self, shape: &[usize]) -> Result<Tensor> {
        self.seed.set(self.seed.get() + 1);
        weights(self.seed.get(), shape)?.to_dtype(self.dtype)?.to_device(self.device)
    }
}

fn normal(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)
}

fn softmax(x: &Tensor) -> Result<Tensor> {
    let shares = x.broadcast_sub(&x.max_keepdim(D::Minus1)?)?.exp()?;
    shares.broadcast_div(&shares.sum_keepdim(D::Minus1)?)
}

fn attention(x: &Tensor, weights: &Weights<'_>) -> Result<Tensor> {
    let (batch, length, width) = x.dims3()?;
    let heads = |t: Tensor| t.reshape((batch, length, HEADS, width / HEADS))?.transpose(1, 2)?.contiguous();
    let project = || x.broadcast_matmul(&weights.take(&[width, width])?)?.broadcast_add(&weights.take(&[width])?);
    let (q, k, v) = (heads(project()?)?, heads(project()?)?, heads(project()?)?);
    let scale = 1.0 / ((width / HEADS) as f64).sqrt();
    let shares = softmax(&(q.matmul(&k.transpose(2, 3)?.contiguous()?)? * scale)?)?;
    let mixed = shares.matmul(&v)?.transpose(1, 2)?.reshape((batch, length, width))?;
    mixed.broadcast_matmul(&weights.take(&[width, width])?)
}

fn forward(ids: &[u32], batch: usize, device: &Device, dtype: DType) -> Result<Vec<f32>> {
    let weights = Weights { device, dtype, seed: std::cell::Cell::new(0) };
    let ids = Tensor::from_slice(ids, batch * LENGTH, device)?;
    let mut x = weights.take(&[WORDS, WIDTH])?.index_select(&ids, 0)?.reshape((batch, LENGTH, WIDTH))?;
    for _ in 0..LAYERS {
        x = (&x + attention(&normal(&x)?, &weights)?)?;
        let wide = normal(&x)?.broadcast_matmul(&weights.take(&[WIDTH, 4 * WIDTH])?)?;
        let wide = wide.broadcast_add(&weights.take(&[4 * WIDTH])?)?.gelu_erf()?;
        x = (&x + wide.broadcast_matmul(&weights.take(&[4 * WIDTH, WIDTH])?)?)?;
    }
    // Not their softmax: of fifty shares most are too small to tell right from wrong.
    normal(&x)?.broadcast_matmul(&weights.take(&[WIDTH, WORDS])?)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

#[test]
fn a_transformer_answers_the_same_on_the_device_in_both_precisions() -> Result<()> {
    let (_turn, gpu) = gpu();
    let device = gpu.candle();
    for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 2e-2)] {
        for batch in [1, 3, 8, 5] {
            let ids: Vec<u32> = (0..batch * LENGTH).map(|at| (at * 17 % WORDS) as u32).collect();
            let host = forward(&ids, batch, &Device::Cpu, dtype)?;
            let there = forward(&ids, batch, &device, dtype)?;
            assert_eq!((host.len(), there.len()), (batch * LENGTH * WORDS, host.len()));
            let spread = host.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            assert!(spread > 1.0, "there is something to compare: {spread}");
            for (at, (x, y)) in host.iter().zip(&there).enumerate() {
                assert!(
                    (x - y).abs() <= tolerance * (1.0 + x.abs()),
                    "{dtype:?}, {batch} rows, element {at}: {x} and {y}"
                );
            }
        }
    }
    Ok(())
}
