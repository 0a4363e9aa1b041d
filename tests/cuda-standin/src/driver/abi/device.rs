//! The driver itself, and its one device.

use super::call;
use crate::border::Out;
use crate::driver::attributes;
use crate::driver::code::{Answer, Code};
use std::ffi::{c_char, c_int, c_uint};

#[unsafe(no_mangle)]
unsafe extern "C" fn cuInit(flags: c_uint) -> c_int {
    call("cuInit", |state| state.init(flags))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDriverGetVersion(version: Out<c_int>) -> c_int {
    call("cuDriverGetVersion", |state| answer(&version, Ok(state.version())))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: Out<c_int>, ordinal: c_int) -> c_int {
    call("cuDeviceGet", |state| answer(&device, state.device(ordinal).map(|()| 0)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: Out<c_int>) -> c_int {
    call("cuDeviceGetCount", |state| answer(&count, state.initialised().map(|()| 1)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: Out<c_char>, room: c_int, device: c_int) -> c_int {
    call("cuDeviceGetName", |state| {
        state.device(device)?;
        let room = usize::try_from(room).ok().filter(|room| *room > 0 && !name.is_null()).ok_or(Code::INVALID_VALUE)?;
        let mut text: Vec<c_char> = attributes::NAME.bytes().take(room - 1).map(|byte| byte as c_char).collect();
        text.push(0);
        name.put_all(&text, room);
        Ok(())
    })
}

fn uuid(place: &Out<[u8; 16]>, answered: Answer) -> Answer {
    answer(place, answered.map(|()| attributes::UUID))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid(place: Out<[u8; 16]>, device: c_int) -> c_int {
    call("cuDeviceGetUuid", |state| uuid(&place, state.device(device)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid_v2(place: Out<[u8; 16]>, device: c_int) -> c_int {
    call("cuDeviceGetUuid_v2", |state| uuid(&place, state.device(device)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: c_int) -> c_int {
    call("cuDeviceTotalMem_v2", |state| answer(&bytes, state.device(device).map(|()| state.info().1 as usize)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetAttribute(value: Out<c_int>, attribute: c_int, device: c_int) -> c_int {
    call("cuDeviceGetAttribute", |state| {
        state.device(device)?;
        answer(&value, attributes::attribute(attribute).ok_or(Code::INVALID_VALUE))
    })
}

/// Puts what was answered into its place. A null place is told first.
pub(super) fn answer<T: Copy>(place: &Out<T>, value: Answer<T>) -> Answer {
    if place.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    place.put(value?);
    Ok(())
}

/// Tables of functions that NVIDIA's own libraries ask for by number. There are none here, which such a library must
/// bear: nvrtc asks for one after each compilation.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetExportTable(table: Out<u64>, _number: *const [u8; 16]) -> c_int {
    call("cuGetExportTable", |_| {
        table.put(0);
        Err(Code::INVALID_VALUE)
    })
}
