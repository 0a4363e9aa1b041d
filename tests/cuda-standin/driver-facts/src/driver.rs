//! The CUDA driver, and other libraries, called by name.
//!
//! Every function of the driver takes integers and pointers and returns a `CUresult`, so one signature of sixteen words
//! fits them all: the System V convention of x86-64 lets the caller pass more than is read. Names that the library
//! lacks answer [`NOT_EXPORTED`].
//!
//! [`Library::call`] is not `unsafe` although no compiler can check its arguments. Probes hand over freed and invented
//! addresses on purpose; each runs in a process of its own, and how that process ends is part of the record.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("calls by name are written for the calling convention of Linux on x86-64");

/// What [`Library::call`] answers for a name that the library does not export.
pub(crate) const NOT_EXPORTED: i32 = -1;

/// `RTLD_NOW | RTLD_GLOBAL`.
const NOW_AND_GLOBAL: c_int = 0x102;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

type AnyCall =
    unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64) -> i32;

/// A library that stays loaded until the process ends, by its loader's handle.
#[derive(Clone, Copy)]
pub(crate) struct Library(u64);

impl Library {
    /// Opens the first of `names` that the loader finds.
    pub(crate) fn open(names: &[&str]) -> Result<Self, String> {
        let mut why = String::new();
        for name in names {
            let name = CString::new(*name).expect("no NUL in a library's name");
            // SAFETY: the name ends with NUL and lives through the call. What the library's initialisers do is the
            // driver's own affair.
            let library = unsafe { dlopen(name.as_ptr(), NOW_AND_GLOBAL) };
            if !library.is_null() {
                return Ok(Self(library as u64));
            }
            // SAFETY: takes nothing, and gives null or a text that is valid until this thread's next call of dl….
            let message = unsafe { dlerror() };
            if let Some(text) = text_at(message as u64) {
                why = text;
            }
        }
        Err(why)
    }

    /// The handle as a word, for a callback that is given one word.
    pub(crate) fn address(self) -> u64 {
        self.0
    }

    /// The library of [`Library::address`].
    pub(crate) fn at(address: u64) -> Self {
        Self(address)
    }

    pub(crate) fn symbol(self, name: &str) -> *mut c_void {
        let name = CString::new(name).expect("no NUL in a symbol");
        // SAFETY: the handle came from `dlopen` and is never closed; the name ends with NUL and lives through the call.
        unsafe { dlsym(self.0 as *mut c_void, name.as_ptr()) }
    }

    /// Calls `name` with `args` (at most sixteen integers or pointers).
    pub(crate) fn call(self, name: &str, args: &[u64]) -> i32 {
        let symbol = self.symbol(name);
        if symbol.is_null() {
            return NOT_EXPORTED;
        }
        let mut a = [0u64; 16];
        a[..args.len()].copy_from_slice(args);
        // SAFETY: the symbol is a function of that library that takes at most sixteen words in the order of `cuda.h`.
        // Words beyond those it takes lie in registers and on the stack of this caller, where it never looks.
        let call = unsafe { std::mem::transmute::<*mut c_void, AnyCall>(symbol) };
        // SAFETY: see the module: whether the words mean what the function takes them for is what a probe asks.
        unsafe {
            call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15])
        }
    }
}

/// The address of a place that the driver fills in.
pub(crate) fn out<T>(place: &mut T) -> u64 {
    std::ptr::from_mut(place) as u64
}

/// The text at an address that the driver or the loader gave.
pub(crate) fn text_at(pointer: u64) -> Option<String> {
    if pointer == 0 {
        return None;
    }
    // SAFETY: not null, and the callers pass texts only: of the driver's static table, of the loader, or of a buffer of
    // their own that began as zeros and is longer than what was written into it.
    Some(unsafe { CStr::from_ptr(pointer as *const c_char) }.to_string_lossy().into_owned())
}
