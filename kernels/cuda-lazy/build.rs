//! Makes what the linker is given in place of CUDA's libraries, and the list of trampolines.
//!
//! cudarc and candle's kernels ask for `-lcuda` and others. An archive with nothing in it satisfies that: the functions
//! are found here, in the trampolines, and no library is recorded as needed.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// An `ar` archive without members.
const EMPTY_ARCHIVE: &[u8] = b"!<arch>\n";

/// What `-l` asks for.
const LIBRARIES: [&str; 6] = ["cuda", "cublas", "cublasLt", "curand", "nvrtc", "cudart"];

const SYMBOLS: &str = "symbols.txt";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SYMBOLS}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    archives(&out.join("lib"))?;
    let symbols = fs::read_to_string(SYMBOLS)?;
    fs::write(out.join("symbols.rs"), trampolines(&symbols))
}

fn archives(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for name in LIBRARIES {
        fs::write(folder.join(format!("lib{name}.a")), EMPTY_ARCHIVE)?;
    }
    println!("cargo::rustc-link-search=native={}", folder.display());
    Ok(())
}

/// One call of the macro `trampolines!`, with a line for each symbol: its number, its name, its library.
fn trampolines(list: &str) -> String {
    let names = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: String =
        names.enumerate().map(|(number, name)| format!("    {number} {name} {};\n", library(name))).collect();
    format!("trampolines! {{\n{lines}}}\n")
}

/// CUDA's names begin with what they belong to.
fn library(name: &str) -> &'static str {
    match name {
        _ if name.starts_with("cublas") => "Cublas",
        _ if name.starts_with("curand") => "Curand",
        _ if name.starts_with("cuda") || name.starts_with("__cuda") => "Runtime",
        _ => "Driver",
    }
}
