//! Modules and their kernels.

use super::call;
use super::device::answer;
use crate::border::{In, Out, Text};
use crate::driver::code::{Answer, Code};
use crate::driver::handles::Handle;
use crate::driver::module::Refused;
use crate::driver::state::State;
use crate::image;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// Reads an image that begins at `pointer`, whose length only its own beginning tells.
///
/// # Safety
///
/// The caller of the C function owes an image: a fat binary or machine code with all the bytes that its header says, or a
/// text that ends with NUL. Null is refused.
unsafe fn image_at(pointer: *const c_void) -> Answer<Vec<u8>> {
    if pointer.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let bytes = pointer.cast::<u8>();
    let mut magic = [0; 4];
    for at in 0..magic.len() {
        // SAFETY: no byte before this one was the NUL that ends a text.
        magic[at] = unsafe { bytes.add(at).read() };
        if magic[at] == 0 {
            return Ok(magic[..at].to_vec());
        }
    }
    if !image::is_binary(magic) {
        // SAFETY: what is neither a container nor machine code is a text that ends with NUL.
        return Ok(unsafe { CStr::from_ptr(pointer.cast()) }.to_bytes().to_vec());
    }
    // SAFETY: both sorts of binary have a header longer than this.
    let beginning = unsafe { bytes.cast::<[u8; image::BEGINNING]>().read_unaligned() };
    let len = image::length(&beginning).ok_or(Code::INVALID_IMAGE)?;
    // SAFETY: the caller owes as many bytes as the header says; the reference ends with the copy.
    Ok(unsafe { std::slice::from_raw_parts(bytes, len) }.to_vec())
}

/// Loads what was read; gives the handle, or the code and why.
fn load(state: &mut State, module: &Out<Handle>, bytes: Answer<Vec<u8>>) -> Result<(), Refused> {
    state.context()?;
    let bytes = bytes?;
    if module.is_null() {
        return Err(Code::INVALID_VALUE.into());
    }
    module.put(state.load(&bytes)?);
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadData(module: Out<Handle>, image: *const c_void) -> c_int {
    call("cuModuleLoadData", |state| {
        state.context()?;
        // SAFETY: the caller owes an image, as `cuda.h` says.
        let bytes = unsafe { image_at(image) };
        load(state, &module, bytes).map_err(|refused| refused.code)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadFatBinary(module: Out<Handle>, image: *const c_void) -> c_int {
    call("cuModuleLoadFatBinary", |state| {
        state.context()?;
        // SAFETY: the caller owes an image, as `cuda.h` says.
        let bytes = unsafe { image_at(image) };
        load(state, &module, bytes).map_err(|refused| refused.code)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoad(module: Out<Handle>, path: Text) -> c_int {
    call("cuModuleLoad", |state| {
        state.context()?;
        let path = path.read().ok_or(Code::INVALID_VALUE)?;
        let bytes = std::fs::read(path).map_err(|_| Code::FILE_NOT_FOUND);
        load(state, &module, bytes).map_err(|refused| refused.code)
    })
}

/// Buffers for what the compiler says: pointer and size of each, by their numbers in `CUjit_option`.
const ERROR_LOG: c_int = 5;
const ERROR_LOG_SIZE: c_int = 6;
const INFO_LOG: c_int = 3;
const INFO_LOG_SIZE: c_int = 4;
/// No caller gives more options.
const OPTIONS_MAX: usize = 64;

/// Options that a caller gives as two arrays.
struct Options {
    names: In<c_int>,
    /// Of type `void *`: a number or an address.
    values: Out<u64>,
    count: usize,
}

impl Options {
    fn find(&self, name: c_int) -> Option<usize> {
        (0..self.count.min(OPTIONS_MAX)).find(|index| self.names.at(*index) == Some(name))
    }

    /// Writes a log into the caller's buffer, and its length where the size was.
    fn log(&self, buffer: c_int, size: c_int, text: &str) {
        let (Some(buffer), Some(size)) = (self.find(buffer), self.find(size)) else { return };
        let (Some(address), Some(room)) = (self.values.get_at(buffer), self.values.get_at(size)) else { return };
        let mut bytes: Vec<u8> = text.bytes().take((room as usize).saturating_sub(1)).collect();
        let len = bytes.len() as u64;
        if room > 0 {
            bytes.push(0);
            Out::<u8>::at_address(address).put_all(&bytes, room as usize);
        }
        self.values.put_at(size, len);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadDataEx(
    module: Out<Handle>,
    image: *const c_void,
    count: c_uint,
    names: In<c_int>,
    values: Out<u64>,
) -> c_int {
    let options = Options { names, values, count: count as usize };
    call("cuModuleLoadDataEx", |state| {
        state.context()?;
        // SAFETY: the caller owes an image, as `cuda.h` says.
        let bytes = unsafe { image_at(image) };
        let loaded = load(state, &module, bytes);
        let why = loaded.as_ref().err().map_or("", |refused| refused.why.as_str());
        options.log(ERROR_LOG, ERROR_LOG_SIZE, why);
        options.log(INFO_LOG, INFO_LOG_SIZE, "");
        loaded.map_err(|refused| refused.code)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleUnload(module: Handle) -> c_int {
    call("cuModuleUnload", |state| state.unload(module))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunction(function: Out<Handle>, module: Handle, name: Text) -> c_int {
    call("cuModuleGetFunction", |state| {
        let found = state.get_function(module, name.read().as_deref())?;
        answer(&function, Ok(found))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunctionCount(count: Out<c_uint>, module: Handle) -> c_int {
    call("cuModuleGetFunctionCount", |state| answer(&count, state.function_count(module)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetGlobal_v2(address: Out<u64>, bytes: Out<usize>, module: Handle, name: Text) -> c_int {
    call("cuModuleGetGlobal_v2", |state| {
        let found = state.get_global(module, name.read().as_deref());
        // A name that is nothing leaves zeros, as the real driver does.
        let (at, len) = found.unwrap_or((0, 0));
        if matches!(found, Ok(_) | Err(Code::NOT_FOUND | Code::INVALID_VALUE)) {
            address.put(at);
            bytes.put(len as usize);
        }
        found.map(drop)
    })
}

/// Kernels are compiled when their module is loaded, whatever the mode; a real driver does it at first use (2).
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetLoadingMode(mode: Out<c_int>) -> c_int {
    call("cuModuleGetLoadingMode", |state| answer(&mode, state.initialised().map(|()| 2)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetAttribute(value: Out<c_int>, attribute: c_int, function: Handle) -> c_int {
    call("cuFuncGetAttribute", |state| answer(&value, state.function_attribute(function, attribute)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncSetAttribute(function: Handle, attribute: c_int, value: c_int) -> c_int {
    call("cuFuncSetAttribute", |state| state.set_function_attribute(function, attribute, value))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncSetCacheConfig(function: Handle, config: c_int) -> c_int {
    call("cuFuncSetCacheConfig", |state| {
        state.function(function)?;
        if (0..=3).contains(&config) { Ok(()) } else { Err(Code::INVALID_VALUE) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetParamInfo(function: Handle, index: usize, offset: Out<usize>, size: Out<usize>) -> c_int {
    call("cuFuncGetParamInfo", |state| {
        let (at, len) = state.parameter(function, index as u64)?;
        offset.put(at as usize);
        size.put(len as usize);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncIsLoaded(loaded: Out<c_int>, function: Handle) -> c_int {
    call("cuFuncIsLoaded", |state| {
        state.function(function)?;
        answer(&loaded, Ok(1))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetName(name: Out<*const c_char>, _function: Handle) -> c_int {
    call("cuFuncGetName", |state| {
        name.put(std::ptr::null());
        Err(state.unsupported("cuFuncGetName"))
    })
}
