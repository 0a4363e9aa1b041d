//! A trampoline for each name: it jumps to the function of the library, whose address the first call finds.
//!
//! A trampoline knows neither the arguments of its function nor how many there are, so it must leave every register and
//! the stack as the caller left them. `r11` is the one that the calling convention gives to code between caller and callee.

use std::arch::naked_asm;
use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::library::{Library, no_text, nothing};

/// A function by name.
struct Symbol {
    name: &'static CStr,
    library: Library,
}

macro_rules! trampolines {
    ($($number:literal $name:ident $library:ident;)*) => {
        const COUNT: usize = [$($number),*].len();

        static SYMBOLS: [Symbol; COUNT] = [
            $(Symbol {
                name: match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("a name with a zero byte"),
                },
                library: Library::$library,
            },)*
        ];

        /// Where each function is; null until it is called.
        static TARGETS: [AtomicPtr<c_void>; COUNT] = [const { AtomicPtr::new(ptr::null_mut()) }; COUNT];

        $(
            // SAFETY: no other crate defines this name: it is CUDA's, and CUDA itself is not linked.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            extern "C" fn $name() {
                naked_asm!(
                    "mov r11, qword ptr [rip + {targets} + 8 * {number}]",
                    "test r11, r11",
                    "jz 2f",
                    "jmp r11",
                    "2:",
                    "mov r11d, {number}",
                    "jmp {first_call}",
                    targets = sym TARGETS,
                    number = const $number,
                    first_call = sym first_call,
                )
            }
        )*
    };
}

include!(concat!(env!("OUT_DIR"), "/symbols.rs"));

/// Finds the function whose number is in `r11`, and goes on there as if the caller had called it.
///
/// Kept over the search: the six integer arguments, `al` (how many vector registers a variadic call uses) and the eight
/// vector registers. The caller's return address and arguments on the stack stay where they are.
#[unsafe(naked)]
extern "C" fn first_call() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        // The stack is now at a multiple of 16, and stays at one.
        "sub rsp, 192",
        "mov qword ptr [rsp], rdi",
        "mov qword ptr [rsp + 8], rsi",
        "mov qword ptr [rsp + 16], rdx",
        "mov qword ptr [rsp + 24], rcx",
        "mov qword ptr [rsp + 32], r8",
        "mov qword ptr [rsp + 40], r9",
        "mov qword ptr [rsp + 48], rax",
        "movaps xmmword ptr [rsp + 64], xmm0",
        "movaps xmmword ptr [rsp + 80], xmm1",
        "movaps xmmword ptr [rsp + 96], xmm2",
        "movaps xmmword ptr [rsp + 112], xmm3",
        "movaps xmmword ptr [rsp + 128], xmm4",
        "movaps xmmword ptr [rsp + 144], xmm5",
        "movaps xmmword ptr [rsp + 160], xmm6",
        "movaps xmmword ptr [rsp + 176], xmm7",
        "mov edi, r11d",
        "call {find}",
        "mov r11, rax",
        "mov rdi, qword ptr [rsp]",
        "mov rsi, qword ptr [rsp + 8]",
        "mov rdx, qword ptr [rsp + 16]",
        "mov rcx, qword ptr [rsp + 24]",
        "mov r8, qword ptr [rsp + 32]",
        "mov r9, qword ptr [rsp + 40]",
        "mov rax, qword ptr [rsp + 48]",
        "movaps xmm0, xmmword ptr [rsp + 64]",
        "movaps xmm1, xmmword ptr [rsp + 80]",
        "movaps xmm2, xmmword ptr [rsp + 96]",
        "movaps xmm3, xmmword ptr [rsp + 112]",
        "movaps xmm4, xmmword ptr [rsp + 128]",
        "movaps xmm5, xmmword ptr [rsp + 144]",
        "movaps xmm6, xmmword ptr [rsp + 160]",
        "movaps xmm7, xmmword ptr [rsp + 176]",
        "leave",
        "jmp r11",
        find = sym find,
    )
}

/// The function, or one that answers an error. Two threads may both look; they find the same.
extern "C" fn find(number: u32) -> *const c_void {
    let place = number as usize;
    let (Some(symbol), Some(target)) = (SYMBOLS.get(place), TARGETS.get(place)) else {
        return nothing as *const c_void;
    };
    let found = symbol.library.symbol(symbol.name).unwrap_or_else(|_| symbol.absent());
    target.store(found.cast_mut(), Ordering::Release);
    found
}

impl Symbol {
    /// Most functions answer a code; these answer a handle, a text or nothing.
    fn absent(&self) -> *const c_void {
        match self.name.to_bytes() {
            b"cudaGetErrorName" | b"cudaGetErrorString" => no_text as *const c_void,
            name if name.starts_with(b"__cudaRegister") || name.starts_with(b"__cudaUnregister") => {
                nothing as *const c_void
            }
            _ => self.library.absent(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_each_stands_once() {
        let names: Vec<&CStr> = SYMBOLS.iter().map(|symbol| symbol.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }

    #[test]
    fn a_name_says_its_library() {
        let library = |name: &CStr| SYMBOLS.iter().find(|symbol| symbol.name == name).map(|symbol| symbol.library);
        assert_eq!(library(c"cuCtxGetCurrent"), Some(Library::Driver));
        assert_eq!(library(c"cublasCreate_v2"), Some(Library::Cublas));
        assert_eq!(library(c"curandSetStream"), Some(Library::Curand));
        assert_eq!(library(c"cudaMalloc"), Some(Library::Runtime));
        assert_eq!(library(c"__cudaRegisterVar"), Some(Library::Runtime));
    }
}
