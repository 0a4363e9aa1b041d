//! Names and texts of codes.

use crate::border::Out;
use crate::driver::code::Code;
use crate::driver::errors;
use std::ffi::{CStr, c_char, c_int};

fn put(place: &Out<*const c_char>, text: Option<&'static CStr>) -> c_int {
    if place.is_null() {
        return Code::INVALID_VALUE.0;
    }
    place.put(text.map_or(std::ptr::null(), CStr::as_ptr));
    if text.is_some() { 0 } else { Code::INVALID_VALUE.0 }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorName(code: c_int, name: Out<*const c_char>) -> c_int {
    put(&name, errors::name(code))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorString(code: c_int, text: Out<*const c_char>) -> c_int {
    put(&text, errors::text(code))
}
