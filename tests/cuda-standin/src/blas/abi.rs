//! The C functions of `cublas_v2.h`.

mod grouped;

use super::number::{Real, Type};
use super::product::{Compute, Matrix, Product, run, transposes};
use super::vectors::{MatrixVector, Vector, magnitudes};
use super::{Blas, Status, WORKSPACE};
use crate::border::{In, Out};
use crate::driver::abi::call;
use crate::driver::handles::Handle;
use crate::driver::state::State;
use crate::report::Kind;
use std::ffi::{c_int, c_longlong};

/// Algorithms that `cublasGemmAlgo_t` names.
fn known_algorithm(algorithm: c_int) -> bool {
    matches!(algorithm, -1..=23 | 99..=115)
}

/// Runs a call; a status is no code of the driver, so it goes around [`call`]'s.
fn library(name: &'static str, body: impl FnOnce(&mut State) -> Result<(), Status>) -> c_int {
    let mut status = Status::INTERNAL_ERROR.0;
    call(name, |state| {
        status = body(state).map_or_else(|status| status.0, |()| 0);
        Ok(())
    });
    status
}

/// Runs a call on a handle.
fn with(name: &'static str, handle: Handle, body: impl FnOnce(&mut State, &Blas) -> Result<(), Status>) -> c_int {
    library(name, |state| {
        let blas = state.blas.get(handle).map_err(|_| Status::NOT_INITIALIZED)?;
        let blas = Blas { ..*blas };
        body(state, &blas)
    })
}

/// A scalar of a call: on the host, or on the device where the handle says so.
fn scalar(state: &mut State, blas: &Blas, of: Type, place: In<u8>, what: &str) -> Result<f64, Status> {
    if place.is_null() {
        state.find(Kind::WrongCall, format!("{what} of a product is a null pointer; cuBLAS reads it and crashes"));
        return Err(Status::INVALID_VALUE);
    }
    let mut bytes = vec![0; of.width()];
    if blas.device_scalars {
        state.library_reads("cuBLAS", what, place.address(), &mut bytes).map_err(|_| Status::EXECUTION_FAILED)?;
    } else {
        match of {
            Type::F64 => bytes = place.bytes::<8>().unwrap_or_default().to_vec(),
            Type::F32 => bytes = place.bytes::<4>().unwrap_or_default().to_vec(),
            Type::F16 | Type::Bf16 => bytes = place.bytes::<2>().unwrap_or_default().to_vec(),
        }
    }
    let mut value: Vec<f64> = Vec::new();
    of.read(&bytes, &mut value);
    value.first().copied().ok_or(Status::INTERNAL_ERROR)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasCreate_v2(handle: Out<Handle>) -> c_int {
    library("cublasCreate_v2", |state| {
        if handle.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        state.with_context().map_err(|_| Status::NOT_INITIALIZED)?;
        state.library_takes(WORKSPACE).map_err(|_| Status::ALLOC_FAILED)?;
        handle.put(state.blas.add(Blas::default()));
        Ok(())
    })
}

/// After an error that stays, the library's own frees fail. That it says so is a guess, and the worse case for a caller.
#[unsafe(no_mangle)]
unsafe extern "C" fn cublasDestroy_v2(handle: Handle) -> c_int {
    library("cublasDestroy_v2", |state| {
        state.blas.remove(handle).map_err(|_| Status::NOT_INITIALIZED)?;
        state.library_gives(WORKSPACE);
        state.usable().map_err(|_| Status::INTERNAL_ERROR)
    })
}

/// cuBLAS 13.1.
#[unsafe(no_mangle)]
unsafe extern "C" fn cublasGetVersion_v2(_handle: Handle, version: Out<c_int>) -> c_int {
    version.put(130_100);
    if version.is_null() { Status::INVALID_VALUE.0 } else { 0 }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasSetStream_v2(handle: Handle, stream: Handle) -> c_int {
    library("cublasSetStream_v2", |state| {
        state.blas.get_mut(handle).map_err(|_| Status::NOT_INITIALIZED)?.stream = stream;
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasGetPointerMode_v2(handle: Handle, mode: Out<c_int>) -> c_int {
    with("cublasGetPointerMode_v2", handle, |_, blas| {
        mode.put(c_int::from(blas.device_scalars));
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasSetPointerMode_v2(handle: Handle, mode: c_int) -> c_int {
    library("cublasSetPointerMode_v2", |state| {
        let blas = state.blas.get_mut(handle).map_err(|_| Status::NOT_INITIALIZED)?;
        match mode {
            0 | 1 => blas.device_scalars = mode == 1,
            _ => return Err(Status::INVALID_VALUE),
        }
        Ok(())
    })
}

/// What every form of a product is given.
struct Call {
    operations: [c_int; 2],
    size: [c_int; 3],
    alpha: In<u8>,
    a: Matrix,
    b: Matrix,
    beta: In<u8>,
    c: Matrix,
    batch: c_int,
    compute: Compute,
}

impl Call {
    fn run(self, state: &mut State, blas: &Blas) -> Result<(), Status> {
        let mut product = Product {
            transposed: [transposes(self.operations[0])?, transposes(self.operations[1])?],
            size: self.size.map(i64::from),
            a: self.a,
            b: self.b,
            c: self.c,
            batch: self.batch.into(),
            compute: self.compute,
            alpha: 0.0,
            beta: 0.0,
        };
        product.check()?;
        let of = self.compute.scalar();
        product.alpha = scalar(state, blas, of, self.alpha, "alpha")?;
        product.beta = scalar(state, blas, of, self.beta, "beta")?;
        run(state, blas, &product)
    }
}

fn matrix(address: u64, of: Type, leading: c_int, stride: c_longlong) -> Matrix {
    Matrix { address, of, leading: leading.into(), stride }
}

fn of(code: c_int) -> Result<Type, Status> {
    Type::of(code).ok_or(Status::NOT_SUPPORTED)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasGemmStridedBatchedEx(
    handle: Handle,
    operation_a: c_int,
    operation_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: In<u8>,
    a: u64,
    of_a: c_int,
    leading_a: c_int,
    stride_a: c_longlong,
    b: u64,
    of_b: c_int,
    leading_b: c_int,
    stride_b: c_longlong,
    beta: In<u8>,
    c: u64,
    of_c: c_int,
    leading_c: c_int,
    stride_c: c_longlong,
    batch: c_int,
    compute: c_int,
    algorithm: c_int,
) -> c_int {
    with("cublasGemmStridedBatchedEx", handle, |state, blas| {
        if !known_algorithm(algorithm) {
            return Err(Status::INVALID_VALUE);
        }
        let compute = Compute::of(compute).ok_or(Status::NOT_SUPPORTED)?;
        let call = Call {
            operations: [operation_a, operation_b],
            size: [m, n, k],
            alpha,
            a: matrix(a, of(of_a)?, leading_a, stride_a),
            b: matrix(b, of(of_b)?, leading_b, stride_b),
            beta,
            c: matrix(c, of(of_c)?, leading_c, stride_c),
            batch,
            compute,
        };
        call.run(state, blas)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasGemmEx(
    handle: Handle,
    operation_a: c_int,
    operation_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: In<u8>,
    a: u64,
    of_a: c_int,
    leading_a: c_int,
    b: u64,
    of_b: c_int,
    leading_b: c_int,
    beta: In<u8>,
    c: u64,
    of_c: c_int,
    leading_c: c_int,
    compute: c_int,
    algorithm: c_int,
) -> c_int {
    with("cublasGemmEx", handle, |state, blas| {
        if !known_algorithm(algorithm) {
            return Err(Status::INVALID_VALUE);
        }
        let compute = Compute::of(compute).ok_or(Status::NOT_SUPPORTED)?;
        let call = Call {
            operations: [operation_a, operation_b],
            size: [m, n, k],
            alpha,
            a: matrix(a, of(of_a)?, leading_a, 0),
            b: matrix(b, of(of_b)?, leading_b, 0),
            beta,
            c: matrix(c, of(of_c)?, leading_c, 0),
            batch: 1,
            compute,
        };
        call.run(state, blas)
    })
}

/// The forms that are of one type, in one call and in a batch.
macro_rules! of_one_type {
    ($single:ident, $batched:ident, $of:expr, $compute:expr) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $single(
            handle: Handle,
            operation_a: c_int,
            operation_b: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: In<u8>,
            a: u64,
            leading_a: c_int,
            b: u64,
            leading_b: c_int,
            beta: In<u8>,
            c: u64,
            leading_c: c_int,
        ) -> c_int {
            with(stringify!($single), handle, |state, blas| {
                let call = Call {
                    operations: [operation_a, operation_b],
                    size: [m, n, k],
                    alpha,
                    a: matrix(a, $of, leading_a, 0),
                    b: matrix(b, $of, leading_b, 0),
                    beta,
                    c: matrix(c, $of, leading_c, 0),
                    batch: 1,
                    compute: $compute,
                };
                call.run(state, blas)
            })
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $batched(
            handle: Handle,
            operation_a: c_int,
            operation_b: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: In<u8>,
            a: u64,
            leading_a: c_int,
            stride_a: c_longlong,
            b: u64,
            leading_b: c_int,
            stride_b: c_longlong,
            beta: In<u8>,
            c: u64,
            leading_c: c_int,
            stride_c: c_longlong,
            batch: c_int,
        ) -> c_int {
            with(stringify!($batched), handle, |state, blas| {
                let call = Call {
                    operations: [operation_a, operation_b],
                    size: [m, n, k],
                    alpha,
                    a: matrix(a, $of, leading_a, stride_a),
                    b: matrix(b, $of, leading_b, stride_b),
                    beta,
                    c: matrix(c, $of, leading_c, stride_c),
                    batch,
                    compute: $compute,
                };
                call.run(state, blas)
            })
        }
    };
}

of_one_type!(cublasSgemm_v2, cublasSgemmStridedBatched, Type::F32, Compute::F32);
of_one_type!(cublasDgemm_v2, cublasDgemmStridedBatched, Type::F64, Compute::F64);

/// A matrix times a vector, and a sum of magnitudes, in one type.
macro_rules! with_vectors {
    ($product:ident, $sum:ident, $of:expr, $real:ty) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $product(
            handle: Handle,
            operation: c_int,
            m: c_int,
            n: c_int,
            alpha: In<u8>,
            a: u64,
            leading: c_int,
            x: u64,
            increment_x: c_int,
            beta: In<u8>,
            y: u64,
            increment_y: c_int,
        ) -> c_int {
            with(stringify!($product), handle, |state, blas| {
                let product = MatrixVector {
                    of: $of,
                    transposed: transposes(operation)?,
                    size: [m.into(), n.into()],
                    a: (a, leading.into()),
                    x: Vector { address: x, increment: increment_x.into() },
                    y: Vector { address: y, increment: increment_y.into() },
                    alpha: scalar(state, blas, $of, alpha, "alpha")?,
                    beta: scalar(state, blas, $of, beta, "beta")?,
                };
                product.run(state, blas)
            })
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $sum(handle: Handle, count: c_int, x: u64, increment: c_int, to: Out<$real>) -> c_int {
            with(stringify!($sum), handle, |state, blas| {
                let count = if increment > 0 { i64::from(count.max(0)) } else { 0 };
                let x = Vector { address: x, increment: increment.into() };
                let Some(sum) = magnitudes::<$real>(state, blas, $of, x, count)? else { return Ok(()) };
                let sum = <$real as Real>::of_f64(sum);
                if blas.device_scalars {
                    let written = state.library_writes(stringify!($sum), "the sum", to.address(), &sum.to_le_bytes());
                    return written.map_err(|_| Status::EXECUTION_FAILED);
                }
                to.put(sum);
                Ok(())
            })
        }
    };
}

with_vectors!(cublasSgemv_v2, cublasSasum_v2, Type::F32, f32);
with_vectors!(cublasDgemv_v2, cublasDasum_v2, Type::F64, f64);
