//! Products with a vector, and sums of magnitudes.

use super::number::{Real, Type};
use super::product::{Compute, Matrix, Product, run};
use super::{Blas, Status};
use crate::driver::libraries::Failed;
use crate::driver::state::State;

/// A vector whose numbers lie so many apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vector {
    pub(super) address: u64,
    pub(super) increment: i64,
}

/// y = alpha · op(A) · x + beta · y, as a product: a vector with gaps is a matrix of one row.
#[derive(Debug, Clone, Copy)]
pub(super) struct MatrixVector {
    pub(super) of: Type,
    pub(super) transposed: bool,
    /// Rows and columns of A as it lies in memory.
    pub(super) size: [i64; 2],
    pub(super) a: (u64, i64),
    pub(super) x: Vector,
    pub(super) y: Vector,
    pub(super) alpha: f64,
    pub(super) beta: f64,
}

impl MatrixVector {
    /// yᵀ = alpha · xᵀ · op(A)ᵀ + beta · yᵀ.
    fn product(&self) -> Result<Product, Status> {
        let [rows, columns] = self.size;
        let (of_x, of_y) = if self.transposed { (rows, columns) } else { (columns, rows) };
        let (address, leading) = self.a;
        if self.x.increment <= 0 || self.y.increment <= 0 || leading < rows.max(1) {
            return Err(Status::INVALID_VALUE);
        }
        let row =
            |vector: Vector| Matrix { address: vector.address, of: self.of, leading: vector.increment, stride: 0 };
        Ok(Product {
            transposed: [false, !self.transposed],
            size: [1, of_y, of_x],
            a: row(self.x),
            b: Matrix { address, of: self.of, leading, stride: 0 },
            c: row(self.y),
            batch: 1,
            compute: if self.of == Type::F64 { Compute::F64 } else { Compute::F32 },
            alpha: self.alpha,
            beta: self.beta,
        })
    }

    pub(super) fn run(&self, state: &mut State, blas: &Blas) -> Result<(), Status> {
        let product = self.product()?;
        product.check()?;
        run(state, blas, &product)
    }
}

/// The sum of magnitudes of `count` numbers.
pub(super) fn magnitudes<T: Real>(
    state: &mut State,
    blas: &Blas,
    of: Type,
    x: Vector,
    count: i64,
) -> Result<Option<f64>, Status> {
    let name = format!("cublas_asum_{}", of.word());
    if !state.library_launches(&name, blas.stream).map_err(|_| Status::EXECUTION_FAILED)? {
        return Ok(None);
    }
    let mut values: Vec<T> = Vec::new();
    let step = x.increment.wrapping_mul(of.width() as i64);
    let mut bytes = vec![0; of.width()];
    for index in 0..count {
        let at = x.address.wrapping_add_signed(step.wrapping_mul(index));
        if let Err(Failed) = state.library_reads(&name, "x", at, &mut bytes) {
            break;
        }
        of.read(&bytes, &mut values);
    }
    state.library_ran(&name, (values.len() * of.width()) as u64, 0);
    Ok(Some(values.iter().map(|value| value.to_f64().abs()).sum()))
}
