//! Products in groups: those of one group have one form, and their matrices lie where arrays on the device say.

use super::{Call, matrix, of, with};
use crate::blas::product::Compute;
use crate::blas::{Blas, Status};
use crate::border::In;
use crate::driver::handles::Handle;
use crate::driver::state::State;
use std::ffi::c_int;

/// No caller has more groups, or more in one.
const MANY: c_int = 1 << 20;

/// The address at `index` of an array on the device.
fn address(state: &mut State, array: u64, index: usize) -> Result<u64, Status> {
    let mut bytes = [0; 8];
    let at = array.wrapping_add(8 * index as u64);
    state
        .library_reads("cublasGemmGroupedBatchedEx", "its arrays", at, &mut bytes)
        .map_err(|_| Status::EXECUTION_FAILED)?;
    Ok(u64::from_le_bytes(bytes))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasGemmGroupedBatchedEx(
    handle: Handle,
    operations_a: In<c_int>,
    operations_b: In<c_int>,
    m: In<c_int>,
    n: In<c_int>,
    k: In<c_int>,
    alphas: In<u8>,
    a: u64,
    of_a: c_int,
    leading_a: In<c_int>,
    b: u64,
    of_b: c_int,
    leading_b: In<c_int>,
    betas: In<u8>,
    c: u64,
    of_c: c_int,
    leading_c: In<c_int>,
    groups: c_int,
    sizes: In<c_int>,
    compute: c_int,
) -> c_int {
    with("cublasGemmGroupedBatchedEx", handle, |state: &mut State, blas: &Blas| {
        let compute = Compute::of(compute).ok_or(Status::NOT_SUPPORTED)?;
        if !(0..=MANY).contains(&groups) {
            return Err(Status::INVALID_VALUE);
        }
        let scalar_width = compute.scalar().width();
        let mut member = 0;
        for group in 0..groups as usize {
            let number = |array: In<c_int>| array.at(group).ok_or(Status::INVALID_VALUE);
            let scalars = |array: In<u8>| In::at_address(array.address() + (group * scalar_width) as u64);
            let size = number(sizes)?;
            if !(0..=MANY).contains(&size) {
                return Err(Status::INVALID_VALUE);
            }
            for _ in 0..size {
                let call = Call {
                    operations: [number(operations_a)?, number(operations_b)?],
                    size: [number(m)?, number(n)?, number(k)?],
                    alpha: scalars(alphas),
                    a: matrix(address(state, a, member)?, of(of_a)?, number(leading_a)?, 0),
                    b: matrix(address(state, b, member)?, of(of_b)?, number(leading_b)?, 0),
                    beta: scalars(betas),
                    c: matrix(address(state, c, member)?, of(of_c)?, number(leading_c)?, 0),
                    batch: 1,
                    compute,
                };
                call.run(state, blas)?;
                member += 1;
            }
        }
        Ok(())
    })
}
