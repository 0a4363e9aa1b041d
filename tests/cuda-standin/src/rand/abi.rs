//! The C functions of `curand.h` that candle calls, and those that cudarc's tests call.

use super::Generator;
use super::numbers::Draw;
use crate::border::Out;
use crate::driver::abi::call;
use crate::driver::handles::Handle;
use crate::driver::state::State;
use std::ffi::{c_int, c_uint};

/// A `curandStatus_t` that is no success.
struct Status(c_int);

const NOT_INITIALIZED: Status = Status(101);
const TYPE_ERROR: Status = Status(103);
const LENGTH_NOT_MULTIPLE: Status = Status(105);
const LAUNCH_FAILURE: Status = Status(201);
const INITIALIZATION_FAILED: Status = Status(203);
const INTERNAL_ERROR: Status = Status(999);

/// Default, and XORWOW by name: what the default is.
const KINDS: [c_int; 2] = [100, 101];
/// cuRAND 10.4.
const VERSION: c_int = 10_400;

/// Runs a call; a status is no code of the driver, so it goes around [`call`]'s.
fn library(name: &'static str, body: impl FnOnce(&mut State) -> Result<(), Status>) -> c_int {
    let mut status = INTERNAL_ERROR.0;
    call(name, |state| {
        status = body(state).map_or_else(|status| status.0, |()| 0);
        Ok(())
    });
    status
}

fn generator(state: &mut State, handle: Handle) -> Result<&mut Generator, Status> {
    state.generators.get_mut(handle).map_err(|_| NOT_INITIALIZED)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandGetVersion(version: Out<c_int>) -> c_int {
    version.put(VERSION);
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandCreateGenerator(place: Out<Handle>, kind: c_int) -> c_int {
    library("curandCreateGenerator", |state| {
        if !KINDS.contains(&kind) {
            return Err(TYPE_ERROR);
        }
        state.with_context().map_err(|_| INITIALIZATION_FAILED)?;
        if place.is_null() {
            return Err(NOT_INITIALIZED);
        }
        place.put(state.generators.add(Generator::new()));
        Ok(())
    })
}

/// After an error that stays, the library's own frees fail. That it says so is a guess, and the worse case for a caller.
#[unsafe(no_mangle)]
unsafe extern "C" fn curandDestroyGenerator(handle: Handle) -> c_int {
    library("curandDestroyGenerator", |state| {
        state.generators.remove(handle).map_err(|_| NOT_INITIALIZED)?;
        state.usable().map_err(|_| INTERNAL_ERROR)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandSetStream(handle: Handle, stream: Handle) -> c_int {
    library("curandSetStream", |state| {
        generator(state, handle)?.stream = stream;
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandSetPseudoRandomGeneratorSeed(handle: Handle, seed: u64) -> c_int {
    library("curandSetPseudoRandomGeneratorSeed", |state| {
        generator(state, handle)?.set_seed(seed);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandSetGeneratorOffset(handle: Handle, offset: u64) -> c_int {
    library("curandSetGeneratorOffset", |state| {
        generator(state, handle)?.set_offset(offset);
        Ok(())
    })
}

/// Draws, and writes where a kernel of the library would.
fn generate(name: &'static str, handle: Handle, to: u64, count: usize, draw: Draw) -> c_int {
    library(name, |state| {
        let of = generator(state, handle)?;
        let stream = of.stream;
        if draw.pairs() && !count.is_multiple_of(2) {
            return Err(LENGTH_NOT_MULTIPLE);
        }
        if count == 0 {
            return Ok(());
        }
        if !state.library_launches(name, stream).map_err(|_| LAUNCH_FAILURE)? {
            return Ok(());
        }
        // Bounds first: numbers that have no place are not made, however many they are said to be.
        let len = count.saturating_mul(draw.width()) as u64;
        if state.library_reaches(name, "its output", to, len).is_err() {
            state.library_ran(name, 0, 0);
            return Ok(());
        }
        let bytes = generator(state, handle)?.draw(draw, count);
        let _ = state.library_writes(name, "its output", to, &bytes);
        state.library_ran(name, 0, len);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandGenerate(handle: Handle, to: u64, count: usize) -> c_int {
    generate("curandGenerate", handle, to, count, Draw::Bits)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandGenerateUniform(handle: Handle, to: u64, count: usize) -> c_int {
    generate("curandGenerateUniform", handle, to, count, Draw::Uniform)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandGenerateUniformDouble(handle: Handle, to: u64, count: usize) -> c_int {
    generate("curandGenerateUniformDouble", handle, to, count, Draw::UniformDouble)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandGenerateNormal(handle: Handle, to: u64, count: usize, mean: f32, deviation: f32) -> c_int {
    generate("curandGenerateNormal", handle, to, count, Draw::Normal { mean, deviation })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandGenerateNormalDouble(
    handle: Handle,
    to: u64,
    count: usize,
    mean: f64,
    deviation: f64,
) -> c_int {
    generate("curandGenerateNormalDouble", handle, to, count, Draw::NormalDouble { mean, deviation })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandGenerateLogNormal(
    handle: Handle,
    to: u64,
    count: usize,
    mean: f32,
    deviation: f32,
) -> c_int {
    generate("curandGenerateLogNormal", handle, to, count, Draw::LogNormal { mean, deviation })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandGenerateLogNormalDouble(
    handle: Handle,
    to: u64,
    count: usize,
    mean: f64,
    deviation: f64,
) -> c_int {
    generate("curandGenerateLogNormalDouble", handle, to, count, Draw::LogNormalDouble { mean, deviation })
}

/// The default order is the only one that was recorded.
#[unsafe(no_mangle)]
unsafe extern "C" fn curandSetGeneratorOrdering(handle: Handle, order: c_uint) -> c_int {
    /// `CURAND_ORDERING_PSEUDO_DEFAULT`, and the best, which is the same for XORWOW.
    const DEFAULT: [c_uint; 2] = [100, 101];
    library("curandSetGeneratorOrdering", |state| {
        generator(state, handle)?;
        if DEFAULT.contains(&order) {
            return Ok(());
        }
        state.unsupported(format!("curandSetGeneratorOrdering of order {order}"));
        Err(INTERNAL_ERROR)
    })
}
