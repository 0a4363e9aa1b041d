//! A product of two packed matrices, all of them column after column. Pure arithmetic.

use super::number::Real;
use half::f16;

/// So many products are summed before they join the sum of all: errors grow with the square root of the rest.
const PART: usize = 128;

/// The m×n product of `a`, m×k, and `b`, k×n.
pub(super) fn product<T: Real>(size: [usize; 3], a: &[T], b: &[T]) -> Vec<T> {
    let [m, n, k] = size;
    // The inner loop runs along a column of the result, so the longer side becomes the column.
    if m < n {
        let turned = product([n, m, k], &transposed(k, n, b), &transposed(m, k, a));
        return transposed(n, m, &turned);
    }
    let mut c = vec![T::default(); m * n];
    let mut part = vec![T::default(); m];
    for (b, c) in b.chunks_exact(k.max(1)).zip(c.chunks_exact_mut(m.max(1))) {
        for begin in (0..k).step_by(PART) {
            part.fill(T::default());
            let end = k.min(begin + PART);
            for (a, b) in a[begin * m..end * m].chunks_exact(m).zip(&b[begin..end]) {
                part.iter_mut().zip(a).for_each(|(sum, a)| *sum += *a * *b);
            }
            c.iter_mut().zip(&part).for_each(|(sum, part)| *sum += *part);
        }
    }
    c
}

/// Products that a tensor core of Turing adds to a sum of half precision in one step.
const STEP: usize = 4;

/// As [`product`], with sums that are kept in half precision: what overflows it, overflows here.
pub(super) fn product_in_halves(size: [usize; 3], a: &[f32], b: &[f32]) -> Vec<f32> {
    let [m, n, k] = size;
    let rows = transposed(m, k, a);
    let mut c = Vec::with_capacity(m * n);
    for column in 0..n {
        for row in 0..m {
            let (a, b) = (&rows[row * k..(row + 1) * k], &b[column * k..(column + 1) * k]);
            let sum = a.chunks(STEP).zip(b.chunks(STEP)).fold(0f32, |sum, (a, b)| {
                let step: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                f16::from_f32(sum + step).to_f32()
            });
            c.push(sum);
        }
    }
    c
}

/// The columns×rows transpose of a rows×columns matrix.
pub(super) fn transposed<T: Real>(rows: usize, columns: usize, matrix: &[T]) -> Vec<T> {
    let mut turned = vec![T::default(); rows * columns];
    for (column, values) in matrix.chunks_exact(rows.max(1)).enumerate() {
        for (row, value) in values.iter().enumerate() {
            turned[row * columns + column] = *value;
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(Some(seed), next).take(count).map(|it| (it >> 8) as f32 / 8_388_608.0 - 1.0).collect()
    }

    fn exact([m, n, k]: [usize; 3], a: &[f32], b: &[f32]) -> Vec<f64> {
        let at = |i: usize, j: usize| (0..k).map(|l| f64::from(a[l * m + i]) * f64::from(b[j * k + l])).sum();
        (0..n).flat_map(|j| (0..m).map(move |i| (i, j))).map(|(i, j)| at(i, j)).collect()
    }

    #[test]
    fn products_of_every_form() {
        for size in [
            [1, 1, 7],
            [8, 8, 8],
            [33, 65, 129],
            [65, 33, 300],
            [1, 100, 3],
            [100, 1, 3],
            [3, 4, 0],
            [0, 4, 3],
            [4, 0, 3],
        ] {
            let [m, n, k] = size;
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let got = product(size, &a, &b);
            assert_eq!(got.len(), m * n);
            for (got, want) in got.iter().zip(exact(size, &a, &b)) {
                assert!((f64::from(*got) - want).abs() < 1e-6 * (k as f64 + 1.0), "{size:?}: {got} instead of {want}");
            }
        }
    }

    #[test]
    fn sums_in_halves_round_and_overflow() {
        let ones = vec![1.0; 4096];
        assert_eq!(product_in_halves([1, 1, 4096], &ones, &ones), [4096.0]);
        let large = vec![200.0; 4];
        assert!(product_in_halves([1, 1, 4], &large, &large)[0].is_infinite());
        // 2048 and eight ones, added four at a time: each step is a whole number of halves' spacing.
        let b = [2048.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        assert_eq!(product_in_halves([1, 1, 8], &[1.0; 8], &b), [2048.0]);
    }
}
