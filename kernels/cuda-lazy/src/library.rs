//! The shared libraries by name, each opened at most once and never closed: functions of it are called until the end.

use std::error::Error as _;
use std::ffi::{CStr, OsString, c_char, c_void};
use std::sync::OnceLock;

use libloading::os::unix;
use thiserror::Error;

/// One of CUDA's libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// The driver's own.
    Driver,
    /// Matrix products.
    Cublas,
    /// Random numbers.
    Curand,
    /// The runtime, which only candle's kernels for GGUF use.
    Runtime,
}

/// A library that could not be opened, or a function that it does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what}: {why} (looked in {searched})")]
pub struct Missing {
    /// The file's name, and the function's where the file was found.
    pub what: String,
    /// What the dynamic linker said.
    pub why: String,
    /// Where it looked.
    pub searched: String,
}

static DRIVER: Slot = Slot::new();
static CUBLAS: Slot = Slot::new();
static CURAND: Slot = Slot::new();
static RUNTIME: Slot = Slot::new();

type Slot = OnceLock<Result<unix::Library, Missing>>;

impl Library {
    /// The name by which the dynamic linker finds it: of CUDA 13, whose driver is R580.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Driver => "libcuda.so.1",
            Self::Cublas => "libcublas.so.13",
            Self::Curand => "libcurand.so.10",
            Self::Runtime => "libcudart.so.13",
        }
    }

    /// Opens it, unless that was tried before.
    ///
    /// # Errors
    /// What the dynamic linker said, at the first try.
    pub fn open(self) -> Result<(), Missing> {
        self.opened().map(|_| ())
    }

    /// The address of a function.
    pub(crate) fn symbol(self, name: &CStr) -> Result<*const c_void, Missing> {
        let library = self.opened()?;
        // SAFETY: the symbol is not called here, and is only read as an address; the library is never closed.
        match unsafe { library.get::<*const c_void>(name.to_bytes_with_nul()) } {
            Ok(symbol) => Ok(symbol.as_raw_ptr().cast_const()),
            Err(error) => Err(self.missing(&format!("{}, {}", self.file(), name.to_string_lossy()), &error)),
        }
    }

    /// What a function answers that is not there: the library's code for "not initialised".
    pub(crate) fn absent(self) -> *const c_void {
        match self {
            Self::Driver | Self::Runtime => driver_absent as *const c_void,
            Self::Cublas => cublas_absent as *const c_void,
            Self::Curand => curand_absent as *const c_void,
        }
    }

    fn opened(self) -> Result<&'static unix::Library, Missing> {
        let slot = match self {
            Self::Driver => &DRIVER,
            Self::Cublas => &CUBLAS,
            Self::Curand => &CURAND,
            Self::Runtime => &RUNTIME,
        };
        slot.get_or_init(|| self.load()).as_ref().map_err(Clone::clone)
    }

    fn load(self) -> Result<unix::Library, Missing> {
        // SAFETY: the initialisers of these libraries ask nothing of the process that loads them; what has these names is
        // CUDA's, or what stands in for it.
        unsafe { unix::Library::new(self.file()) }.map_err(|error| self.missing(self.file(), &error))
    }

    fn missing(self, what: &str, error: &libloading::Error) -> Missing {
        // The error's own words are which call failed; below it is what `dlerror` says.
        let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        // The linker repeats the name that it was given.
        let why = said.strip_prefix(self.file()).map_or(said.as_str(), |rest| rest.trim_start_matches([':', ' ']));
        Missing { what: what.to_owned(), why: why.to_owned(), searched: searched(std::env::var_os("LD_LIBRARY_PATH")) }
    }
}

fn searched(path: Option<OsString>) -> String {
    match path.filter(|path| !path.is_empty()) {
        Some(path) => format!("LD_LIBRARY_PATH={} and the system's folders", path.to_string_lossy()),
        None => "the system's folders; LD_LIBRARY_PATH is not set".to_owned(),
    }
}

/// `CUDA_ERROR_NOT_INITIALIZED`, and `cudaErrorInitializationError`.
extern "C" fn driver_absent() -> usize {
    3
}

/// `CUBLAS_STATUS_NOT_INITIALIZED`.
extern "C" fn cublas_absent() -> usize {
    1
}

/// `CURAND_STATUS_NOT_INITIALIZED`.
extern "C" fn curand_absent() -> usize {
    101
}

/// For functions that answer a handle or nothing: candle's kernels for GGUF register themselves before `main`.
pub(crate) extern "C" fn nothing() -> usize {
    0
}

/// For functions that answer a text.
pub(crate) extern "C" fn no_text() -> *const c_char {
    c"libcudart.so.13 was not found".as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_says_which_and_where() {
        let missing = Missing {
            what: Library::Driver.file().to_owned(),
            why: "cannot open shared object file".to_owned(),
            searched: searched(Some("/opt/cuda".into())),
        };
        let said = "libcuda.so.1: cannot open shared object file (looked in LD_LIBRARY_PATH=/opt/cuda and the system's folders)";
        assert_eq!(missing.to_string(), said);
        assert_eq!(searched(None), searched(Some(OsString::new())));
    }
}
