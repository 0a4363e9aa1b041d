//! What a linked program says of itself: the libraries it needs, the functions it holds. Asked of binutils, which come
//! with every C compiler.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// The beginnings of the names of CUDA's libraries.
const CUDA: [&str; 8] =
    ["libcuda.", "libcublas", "libcurand", "libcudart", "libnvrtc", "libcudnn", "libnvidia", "libnvJitLink"];

/// Fails where the program would not start without a library of CUDA.
pub(crate) fn needs_no_cuda(program: &Path) -> Result<Vec<String>> {
    let needed = needed(&shell::text(Command::new("readelf").args(["--wide", "--dynamic"]).arg(program))?);
    let cuda: Vec<&str> = needed.iter().map(String::as_str).filter(|name| is_cuda(name)).collect();
    if !cuda.is_empty() {
        bail!("{} does not start without {}", program.display(), cuda.join(", "));
    }
    Ok(needed)
}

/// The names of the functions that the program holds.
pub(crate) fn functions(program: &Path) -> Result<BTreeSet<String>> {
    Ok(defined(&shell::text(Command::new("nm").args(["--defined-only", "--format=posix"]).arg(program))?))
}

fn is_cuda(library: &str) -> bool {
    CUDA.iter().any(|start| library.starts_with(start))
}

/// Of lines such as `0x01 (NEEDED) Shared library: [libc.so.6]`.
fn needed(said: &str) -> Vec<String> {
    let names = said.lines().filter(|line| line.contains("(NEEDED)"));
    names.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())).collect()
}

/// Of lines such as `cuInit T 2f40 12`: functions are `T`, and `t` where they are not seen from outside.
fn defined(said: &str) -> BTreeSet<String> {
    let function = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, kind) = (words.next()?, words.next()?);
        kind.eq_ignore_ascii_case("t").then(|| name.to_owned())
    };
    said.lines().filter_map(function).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_and_those_of_cuda_told_apart() {
        let said = " 0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]\n \
                    0x0000000000000001 (NEEDED)             Shared library: [libcuda.so.1]\n \
                    0x000000000000000c (INIT)               0x1000\n";
        assert_eq!(needed(said), ["libgcc_s.so.1", "libcuda.so.1"]);
        assert!(is_cuda("libcuda.so.1") && is_cuda("libcublasLt.so.13") && !is_cuda("libc.so.6"));
    }

    #[test]
    fn functions_are_told_apart_from_data() {
        let said = "cuInit T 2f40 12\ncuda_data D 10 8\nlocal t 3 4\nundefined U\n";
        assert_eq!(defined(said).into_iter().collect::<Vec<_>>(), ["cuInit", "local"]);
    }
}
