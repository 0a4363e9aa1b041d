//! The product for a few rows, one thread, no packing.
//!
//! Outputs are computed in blocks that stay in vector registers while the inner axis is walked once. Each output is
//! summed in the order of the inner axis whatever the block width, so a row's answer does not depend on its batch.

use candle_core::{Result, Tensor, bail};

use super::Activation;
use crate::element::{Float, elements};

/// Outputs held in registers at once: 8 vectors of 8 `f32` with AVX2.
const BLOCK: usize = 64;
/// For what is left of a row.
const TAIL_BLOCK: usize = 8;

pub(super) struct Dense {
    pub(super) bias: Option<Tensor>,
    pub(super) activation: Activation,
}

impl Dense {
    /// `[m, k, n]`.
    pub(super) fn forward<T: Float>(&self, x: &[T], weight: &[T], [m, k, n]: [usize; 3]) -> Result<Vec<T>> {
        let mut out = vec![T::ZERO; m * n];
        if let Some(bias) = &self.bias {
            let (storage, layout) = bias.storage_and_layout();
            let candle_core::Storage::Cpu(storage) = &*storage else { bail!("dense: bias on another device") };
            let bias = elements::<T>(storage, layout, "dense")?;
            out.chunks_exact_mut(n.max(1)).for_each(|row| row.copy_from_slice(bias));
        }
        if k > 0 && n > 0 {
            accumulate(x, weight, k, &mut out, n);
        }
        self.activation.apply_all(&mut out);
        Ok(out)
    }
}

/// `out += x · weight`, on the widest vectors that this processor has.
fn accumulate<T: Float>(x: &[T], weight: &[T], k: usize, out: &mut [T], n: usize) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has AVX2 and FMA, checked on the line above; the function has no other precondition.
        return unsafe { accumulate_avx2(x, weight, k, out, n) };
    }
    rows::<T, false>(x, weight, k, out, n);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn accumulate_avx2<T: Float>(x: &[T], weight: &[T], k: usize, out: &mut [T], n: usize) {
    rows::<T, true>(x, weight, k, out, n);
}

#[inline(always)]
fn rows<T: Float, const FUSED: bool>(x: &[T], weight: &[T], k: usize, out: &mut [T], n: usize) {
    for (x, out) in x.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
        let mut at = 0;
        while at + BLOCK <= n {
            block::<T, BLOCK, FUSED>(x, weight, out, n, at);
            at += BLOCK;
        }
        while at + TAIL_BLOCK <= n {
            block::<T, TAIL_BLOCK, FUSED>(x, weight, out, n, at);
            at += TAIL_BLOCK;
        }
        while at < n {
            block::<T, 1, FUSED>(x, weight, out, n, at);
            at += 1;
        }
    }
}

/// `out[at..at + WIDTH] += x · weight[.., at..at + WIDTH]`.
#[inline(always)]
fn block<T: Float, const WIDTH: usize, const FUSED: bool>(x: &[T], weight: &[T], out: &mut [T], n: usize, at: usize) {
    let mut sums = [T::ZERO; WIDTH];
    sums.copy_from_slice(&out[at..at + WIDTH]);
    for (x, row) in x.iter().zip(weight.chunks_exact(n)) {
        let row = &row[at..at + WIDTH];
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum = if FUSED { weight.mul_add(*x, *sum) } else { *weight * *x + *sum };
        }
    }
    out[at..at + WIDTH].copy_from_slice(&sums);
}
