//! One call of a product: what is refused, what is read and written, for each matrix of a batch.

use super::kernel::{product, product_in_halves};
use super::number::{Real, Type};
use super::{Blas, Status};
use crate::driver::libraries::Failed;
use crate::driver::state::State;

/// In what sums are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compute {
    F16,
    F32,
    F64,
}

impl Compute {
    /// Of a `cublasComputeType_t`. Those that may round operands first are computed without doing so.
    pub(super) fn of(code: i32) -> Option<Self> {
        Some(match code {
            64 | 65 => Self::F16,
            68 | 69 | 74 | 75 | 77 => Self::F32,
            70 | 71 => Self::F64,
            _ => return None,
        })
    }

    /// The type of `alpha` and `beta`.
    pub(super) fn scalar(self) -> Type {
        match self {
            Self::F16 => Type::F16,
            Self::F32 => Type::F32,
            Self::F64 => Type::F64,
        }
    }
}

/// A matrix, or one in each step of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix {
    pub(super) address: u64,
    pub(super) of: Type,
    /// From one column to the next, in numbers.
    pub(super) leading: i64,
    /// From one matrix of a batch to the next, in numbers.
    pub(super) stride: i64,
}

/// C = alpha · op(A) · op(B) + beta · C, all column after column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    pub(super) transposed: [bool; 2],
    /// m, n, k.
    pub(super) size: [i64; 3],
    pub(super) a: Matrix,
    pub(super) b: Matrix,
    pub(super) c: Matrix,
    pub(super) batch: i64,
    pub(super) compute: Compute,
    pub(super) alpha: f64,
    pub(super) beta: f64,
}

/// Whether a `cublasOperation_t` transposes; conjugation changes no real number.
pub(super) fn transposes(operation: i32) -> Result<bool, Status> {
    match operation {
        0 => Ok(false),
        1 | 2 => Ok(true),
        _ => Err(Status::INVALID_VALUE),
    }
}

impl Product {
    /// Rows and columns of the operand as it lies in memory.
    fn stored(&self, operand: usize) -> [i64; 2] {
        let [m, n, k] = self.size;
        let [rows, columns] = if operand == 0 { [m, k] } else { [k, n] };
        if self.transposed[operand] { [columns, rows] } else { [rows, columns] }
    }

    pub(super) fn check(&self) -> Result<(), Status> {
        let too_near = |matrix: &Matrix, rows: i64| matrix.leading < rows.max(1);
        let refused = self.size.iter().any(|size| *size < 0)
            || too_near(&self.a, self.stored(0)[0])
            || too_near(&self.b, self.stored(1)[0])
            || too_near(&self.c, self.size[0]);
        if refused {
            return Err(Status::INVALID_VALUE);
        }
        let types = [self.a.of, self.b.of, self.c.of];
        let known = match self.compute {
            Compute::F64 => types == [Type::F64; 3],
            Compute::F16 => types == [Type::F16; 3],
            Compute::F32 => {
                [Type::F32, Type::F16, Type::Bf16].iter().any(|of| types == [*of; 3] || types == [*of, *of, Type::F32])
            }
        };
        if known { Ok(()) } else { Err(Status::NOT_SUPPORTED) }
    }

    fn name(&self) -> String {
        let sums = self.compute.scalar().word();
        format!("cublas_gemm_{}_{}_in_{sums}", self.a.of.word(), self.c.of.word())
    }
}

/// Runs a checked product on a handle's stream.
pub(super) fn run(state: &mut State, blas: &Blas, product: &Product) -> Result<(), Status> {
    let [m, n, _] = product.size;
    if m == 0 || n == 0 || product.batch <= 0 {
        return Ok(());
    }
    let name = product.name();
    if !state.library_launches(&name, blas.stream).map_err(|_| Status::EXECUTION_FAILED)? {
        return Ok(());
    }
    let (mut loaded, mut stored) = (0, 0);
    for step in 0..product.batch {
        let done = match product.compute {
            Compute::F64 => one::<f64>(state, &name, product, step),
            _ => one::<f32>(state, &name, product, step),
        };
        // A kernel that fails leaves its error behind; the call itself succeeds.
        let Ok((read, written)) = done else { break };
        loaded += read;
        stored += written;
    }
    state.library_ran(&name, loaded, stored);
    Ok(())
}

/// One matrix of a batch: bytes read and written.
fn one<T: Real>(state: &mut State, name: &str, it: &Product, step: i64) -> Result<(u64, u64), Failed> {
    let [m, n, k] = it.size.map(|size| size as usize);
    let mut read = 0;
    let mut operand = |state: &mut State, index: usize, matrix: &Matrix, what: &str| {
        let [rows, columns] = it.stored(index);
        let values = load::<T>(state, name, what, matrix, [rows, columns], step)?;
        read += (values.len() * matrix.of.width()) as u64;
        let turn = it.transposed[index];
        Ok(if turn { super::kernel::transposed(rows as usize, columns as usize, &values) } else { values })
    };
    reaches(state, name, "C", &it.c, [m, n], step)?;
    // With alpha 0 the library reads neither.
    let sums = if it.alpha == 0.0 || k == 0 {
        vec![T::default(); m * n]
    } else {
        let (a, b) = (operand(state, 0, &it.a, "A")?, operand(state, 1, &it.b, "B")?);
        sums(it.compute, [m, n, k], &a, &b)
    };
    let (alpha, beta) = (T::of_f64(it.alpha), T::of_f64(it.beta));
    let mut c: Vec<T> = sums.into_iter().map(|sum| alpha * sum).collect();
    if it.beta != 0.0 {
        let before = load::<T>(state, name, "C", &it.c, [it.size[0], it.size[1]], step)?;
        read += (before.len() * it.c.of.width()) as u64;
        c.iter_mut().zip(before).for_each(|(c, before)| *c += beta * before);
    }
    store(state, name, &it.c, m, &c, step)?;
    Ok((read, (m * n * it.c.of.width()) as u64))
}

fn sums<T: Real>(compute: Compute, size: [usize; 3], a: &[T], b: &[T]) -> Vec<T> {
    if compute != Compute::F16 {
        return product(size, a, b);
    }
    let single = |values: &[T]| -> Vec<f32> { values.iter().map(|value| value.to_f64() as f32).collect() };
    product_in_halves(size, &single(a), &single(b)).into_iter().map(T::of_f32).collect()
}

/// Where a column of a step's matrix begins. Nonsense wraps and is then no block.
fn column(matrix: &Matrix, column: usize, step: i64) -> u64 {
    let numbers = matrix.stride.wrapping_mul(step).wrapping_add(matrix.leading.wrapping_mul(column as i64));
    matrix.address.wrapping_add_signed(numbers.wrapping_mul(matrix.of.width() as i64))
}

fn load<T: Real>(
    state: &mut State,
    name: &str,
    what: &str,
    matrix: &Matrix,
    [rows, columns]: [i64; 2],
    step: i64,
) -> Result<Vec<T>, Failed> {
    let (rows, columns, width) = (rows as usize, columns as usize, matrix.of.width());
    aligned(state, name, what, matrix)?;
    // Columns that touch are read at once.
    let (runs, len) = if matrix.leading == rows as i64 { (1, rows * columns) } else { (columns, rows) };
    reaches(state, name, what, matrix, [rows, columns], step)?;
    let mut values = Vec::with_capacity(rows * columns);
    let mut bytes = vec![0; len * width];
    for run in 0..runs {
        state.library_reads(name, what, column(matrix, run, step), &mut bytes)?;
        matrix.of.read(&bytes, &mut values);
    }
    Ok(values)
}

fn store<T: Real>(
    state: &mut State,
    name: &str,
    matrix: &Matrix,
    rows: usize,
    values: &[T],
    step: i64,
) -> Result<(), Failed> {
    aligned(state, name, "C", matrix)?;
    let bytes = matrix.of.write(values);
    if matrix.leading == rows as i64 {
        return state.library_writes(name, "C", column(matrix, 0, step), &bytes);
    }
    for (index, bytes) in bytes.chunks_exact(rows * matrix.of.width()).enumerate() {
        state.library_writes(name, "C", column(matrix, index, step), bytes)?;
    }
    Ok(())
}

/// From the first number to the last, a matrix lies in one block: nothing is made room for that has no place, however
/// large it is said to be.
fn reaches(
    state: &mut State,
    name: &str,
    what: &str,
    matrix: &Matrix,
    [rows, columns]: [usize; 2],
    step: i64,
) -> Result<(), Failed> {
    if rows == 0 || columns == 0 {
        return Ok(());
    }
    let numbers = (matrix.leading as u64).saturating_mul(columns as u64 - 1).saturating_add(rows as u64);
    state.library_reaches(name, what, column(matrix, 0, step), numbers.saturating_mul(matrix.of.width() as u64))
}

fn aligned(state: &mut State, name: &str, what: &str, matrix: &Matrix) -> Result<(), Failed> {
    if matrix.address.is_multiple_of(matrix.of.width() as u64) {
        return Ok(());
    }
    Err(state.library_misaligned(name, what, matrix.address))
}
