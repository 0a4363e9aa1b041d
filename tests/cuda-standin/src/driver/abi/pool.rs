//! Pools of device memory.

use super::call;
use super::device::answer;
use crate::border::{In, Out};
use crate::driver::allocator::Attribute;
use crate::driver::code::Code;
use crate::driver::handles::Handle;
use std::ffi::{c_int, c_ushort};

/// `CUmemPoolProps`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Properties {
    kind: c_int,
    handles: c_int,
    location: c_int,
    device: c_int,
    security: u64,
    max: usize,
    usage: c_ushort,
    reserved: [u8; 54],
}

/// Memory that is pinned to a device, and a device as its place.
const PINNED: c_int = 1;
const ON_DEVICE: c_int = 1;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolCreate(pool: Out<Handle>, properties: In<Properties>) -> c_int {
    call("cuMemPoolCreate", |state| {
        state.initialised()?;
        let asked = properties.get().ok_or(Code::INVALID_VALUE)?;
        if asked.kind != PINNED || asked.location != ON_DEVICE {
            return Err(Code::INVALID_VALUE);
        }
        state.device(asked.device)?;
        if asked.handles != 0 {
            return Err(state.unsupported("cuMemPoolCreate of a pool that other processes may use"));
        }
        answer(&pool, Ok(state.pools().make_pool(asked.max as u64)))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolDestroy(pool: Handle) -> c_int {
    call("cuMemPoolDestroy", |state| {
        state.initialised()?;
        state.pools().destroy_pool(pool)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolTrimTo(pool: Handle, keep: usize) -> c_int {
    call("cuMemPoolTrimTo", |state| {
        state.usable()?;
        state.pools().trim(pool, keep as u64)
    })
}

/// Ways to use memory again are numbers of 32 bits, all else of 64.
fn wide(attribute: Attribute) -> bool {
    !matches!(attribute, Attribute::Reuse(_))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolGetAttribute(pool: Handle, attribute: c_int, value: Out<u32>) -> c_int {
    call("cuMemPoolGetAttribute", |state| {
        state.usable()?;
        let attribute = Attribute::of(attribute).filter(|_| !value.is_null()).ok_or(Code::INVALID_VALUE)?;
        let got = state.pools().alive(pool)?.get(attribute);
        let words = [got as u32, (got >> 32) as u32];
        value.put_all(&words[..if wide(attribute) { 2 } else { 1 }], 2);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemPoolSetAttribute(pool: Handle, attribute: c_int, value: In<u32>) -> c_int {
    call("cuMemPoolSetAttribute", |state| {
        state.usable()?;
        let attribute = Attribute::of(attribute).ok_or(Code::INVALID_VALUE)?;
        let low = value.get().ok_or(Code::INVALID_VALUE)?;
        let high = if wide(attribute) { value.at(1).unwrap_or(0) } else { 0 };
        state.pools().alive(pool)?.set(attribute, u64::from(low) | u64::from(high) << 32)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetDefaultMemPool(pool: Out<Handle>, device: c_int) -> c_int {
    call("cuDeviceGetDefaultMemPool", |state| {
        state.device(device)?;
        answer(&pool, Ok(state.pools().default_pool()))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetMemPool(pool: Out<Handle>, device: c_int) -> c_int {
    call("cuDeviceGetMemPool", |state| {
        state.device(device)?;
        answer(&pool, Ok(state.pools().current_pool()))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceSetMemPool(device: c_int, pool: Handle) -> c_int {
    call("cuDeviceSetMemPool", |state| {
        state.device(device)?;
        state.pools().set_current_pool(pool)
    })
}
