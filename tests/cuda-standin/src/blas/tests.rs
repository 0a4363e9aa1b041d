//! Products in the memory of a device: layouts, scalars, types, and what the checks find.

use super::number::Type;
use super::product::{Compute, Matrix, Product, run};
use super::vectors::{MatrixVector, Vector, magnitudes};
use super::{Blas, Status};
use crate::driver::state::State;
use crate::driver::tests::driver;
use crate::memory::BlockName;
use crate::report::Kind;

const A: u64 = 1 << 50;
const B: u64 = A + (1 << 20);
const C: u64 = B + (1 << 20);

/// A device whose blocks A, B and C hold these numbers.
fn with(of: Type, a: &[f64], b: &[f64], c: &[f64]) -> State {
    let mut state = driver("");
    for (number, (address, numbers)) in [(A, a), (B, b), (C, c)].into_iter().enumerate() {
        state.memory.insert(address, (numbers.len() * of.width()) as u64, BlockName::Allocation(number as u64));
        state.memory.write(address, &of.write(numbers)).unwrap();
    }
    state
}

fn c(state: &State, of: Type, count: usize) -> Vec<f64> {
    let mut bytes = vec![0; count * of.width()];
    state.memory.read(C, &mut bytes).unwrap();
    let mut numbers = Vec::new();
    of.read(&bytes, &mut numbers);
    numbers
}

/// 2×2 of 2×3 and 3×2, leading dimensions as tight as they can be.
fn product(of: Type, compute: Compute) -> Product {
    let matrix = |address, leading| Matrix { address, of, leading, stride: 0 };
    Product {
        transposed: [false; 2],
        size: [2, 2, 3],
        a: matrix(A, 2),
        b: matrix(B, 3),
        c: matrix(C, 2),
        batch: 1,
        compute,
        alpha: 1.0,
        beta: 0.0,
    }
}

// Column after column: [1 3 5; 2 4 6] and [1 4; 2 5; 3 6].
const SIX: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
const WANTED: [f64; 4] = [22.0, 28.0, 49.0, 64.0];

fn kinds(state: &State) -> Vec<Kind> {
    state.reports.found().iter().map(|(report, _)| report.kind).collect()
}

#[test]
fn every_type_gives_the_same_small_numbers() {
    for (of, compute) in [
        (Type::F32, Compute::F32),
        (Type::F64, Compute::F64),
        (Type::F16, Compute::F32),
        (Type::F16, Compute::F16),
        (Type::Bf16, Compute::F32),
    ] {
        let mut state = with(of, &SIX, &SIX, &[0.0; 4]);
        let product = product(of, compute);
        product.check().unwrap();
        run(&mut state, &Blas::default(), &product).unwrap();
        assert_eq!(c(&state, of, 4), WANTED, "{of:?} in {compute:?}");
        assert_eq!((kinds(&state), state.counts.all_kernels().launches), (Vec::new(), 1));
    }
}

#[test]
fn transposed_operands_scalars_and_gaps() {
    // The same matrices row after row, C with a row of gap.
    let (a, b) = ([1.0, 3.0, 5.0, 2.0, 4.0, 6.0], [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let mut state = with(Type::F32, &a, &b, &[1.0; 6]);
    let mut it = Product { transposed: [true; 2], alpha: 2.0, beta: 10.0, ..product(Type::F32, Compute::F32) };
    (it.a.leading, it.b.leading, it.c.leading) = (3, 2, 3);
    it.check().unwrap();
    run(&mut state, &Blas::default(), &it).unwrap();
    assert_eq!(c(&state, Type::F32, 6), [54.0, 66.0, 1.0, 108.0, 138.0, 1.0]);
}

#[test]
fn a_batch_goes_on_by_strides() {
    let twice: Vec<f64> = SIX.iter().chain(&SIX).copied().collect();
    let mut state = with(Type::F32, &twice, &SIX, &[0.0; 8]);
    let mut it = Product { batch: 2, ..product(Type::F32, Compute::F32) };
    (it.a.stride, it.c.stride) = (6, 4);
    run(&mut state, &Blas::default(), &it).unwrap();
    assert_eq!(c(&state, Type::F32, 8), [WANTED, WANTED].concat());
}

#[test]
fn what_a_call_may_not_say() {
    let good = product(Type::F32, Compute::F32);
    let near = |leading| Product { a: Matrix { leading, ..good.a }, ..good };
    assert_eq!([1, 2, 3].map(|it| near(it).check()), [Err(Status::INVALID_VALUE), Ok(()), Ok(())]);
    assert_eq!(Product { size: [2, -1, 3], ..good }.check(), Err(Status::INVALID_VALUE));
    assert_eq!(Product { compute: Compute::F64, ..good }.check(), Err(Status::NOT_SUPPORTED));
    let mixed = Product { c: Matrix { of: Type::F64, ..good.c }, ..good };
    assert_eq!(mixed.check(), Err(Status::NOT_SUPPORTED));
}

#[test]
fn a_product_that_reaches_past_its_matrices_is_found_and_stays() {
    let good = product(Type::F32, Compute::F32);
    for (wrong, kind, code) in [
        (Product { size: [2, 2, 4], b: Matrix { leading: 4, ..good.b }, ..good }, Kind::OutOfBounds, 700),
        (Product { size: [2, 3, 3], b: good.b, ..good }, Kind::OutOfBounds, 700),
        (Product { a: Matrix { address: A + 2, ..good.a }, ..good }, Kind::Misaligned, 716),
        (Product { a: Matrix { leading: 1 << 40, ..good.a }, size: [1 << 40, 2, 3], ..good }, Kind::OutOfBounds, 700),
    ] {
        let mut state = with(Type::F32, &SIX, &SIX, &[0.0; 4]);
        run(&mut state, &Blas::default(), &wrong).unwrap();
        assert_eq!(kinds(&state), [kind]);
        assert_eq!(state.context().map_err(|stays| stays.0), Err(code));
    }
}

#[test]
fn bytes_that_nothing_wrote_are_found_where_they_are_read() {
    let mut state = with(Type::F32, &SIX, &SIX, &[]);
    state.memory.remove(C).unwrap();
    state.memory.insert(C, 16, BlockName::Allocation(7));
    let mut it = product(Type::F32, Compute::F32);
    run(&mut state, &Blas::default(), &it).unwrap();
    assert_eq!(kinds(&state), [], "with beta 0 the target is not read");
    state.memory.remove(C).unwrap();
    state.memory.insert(C, 16, BlockName::Allocation(8));
    it.beta = 1.0;
    run(&mut state, &Blas::default(), &it).unwrap();
    assert_eq!(kinds(&state), [Kind::UninitialisedGlobal]);
}

#[test]
fn vectors_with_gaps() {
    // [1 3 5; 2 4 6] · (1, 10, 100), every other number; and its transpose · (1, 10).
    let x = [1.0, 0.0, 10.0, 0.0, 100.0];
    let mut state = with(Type::F64, &SIX, &x, &[0.0; 3]);
    let vector = |address, increment| Vector { address, increment };
    let mut it = MatrixVector {
        of: Type::F64,
        transposed: false,
        size: [2, 3],
        a: (A, 2),
        x: vector(B, 2),
        y: vector(C, 1),
        alpha: 1.0,
        beta: 0.0,
    };
    it.run(&mut state, &Blas::default()).unwrap();
    assert_eq!(c(&state, Type::F64, 2), [531.0, 642.0]);
    it.transposed = true;
    it.run(&mut state, &Blas::default()).unwrap();
    assert_eq!(c(&state, Type::F64, 3), [21.0, 43.0, 65.0]);
    it.x.increment = 0;
    assert_eq!(it.run(&mut state, &Blas::default()), Err(Status::INVALID_VALUE));
    let sum = magnitudes::<f64>(&mut state, &Blas::default(), Type::F64, vector(B, 2), 3);
    assert_eq!(sum, Ok(Some(111.0)));
}
