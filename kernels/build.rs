//! With the feature `cuda`, compiles each `src/*/kernel.cu` for a T4: machine code, and the PTX that it was made of.
//!
//! In three steps rather than by nvcc alone, since nvcc writes the paths of this machine into both.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The folders of `src` that have a kernel.
const KERNELS: [&str; 3] = ["bias_activation", "embedding", "health"];

fn main() -> Result<()> {
    // What is watched is the sources and nothing of the compiler's path: a toolkit that moved compiles the same.
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return Ok(());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    for name in KERNELS {
        let source = Path::new("src").join(name).join("kernel.cu");
        println!("cargo::rerun-if-changed={}", source.display());
        compile(&source, &out.join(name)).map_err(|error| format!("{}: {error}", source.display()))?;
    }
    Ok(())
}

/// Leaves `STEM.ptx`, `STEM.cubin` and `STEM.fatbin`.
fn compile(source: &Path, stem: &Path) -> Result<()> {
    let file = |end: &str| stem.with_extension(end);
    let (ptx, cubin, fatbin) = (file("ptx"), file("cubin"), file("fatbin"));
    let mut nvcc = tool("nvcc");
    nvcc.args(["-ptx", "-arch=compute_75", "-std=c++17", "-O3", "-lineinfo", "-Werror", "all-warnings", "-o"]);
    run(nvcc.arg(&ptx).arg(source))?;
    fs::write(&ptx, with_short_paths(&fs::read_to_string(&ptx)?, source))?;
    run(tool("ptxas").args(["-arch=sm_75", "-O3", "--generate-line-info", "-o"]).arg(&cubin).arg(&ptx))?;
    // Uncompressed, so that what reads only PTX finds it without a library.
    let mut fatbinary = tool("fatbinary");
    fatbinary.args(["-64", "--compress=false"]).arg(format!("--create={}", fatbin.display()));
    fatbinary.arg(format!("--image3=kind=elf,sm=75,file={}", cubin.display()));
    run(fatbinary.arg(format!("--image3=kind=ptx,sm=75,file={}", ptx.display())))
}

/// PTX whose `.file` lines name our source as in this repository, and the toolkit's headers by their names.
fn with_short_paths(ptx: &str, source: &Path) -> String {
    let ours = format!("kernels/{}", source.display());
    let line = |line: &str| match line.split('"').collect::<Vec<_>>()[..] {
        [file, path, ""] if file.trim_start().starts_with(".file") => {
            let name = path.rsplit('/').next().unwrap_or(path);
            let short = if path.ends_with(&*source.to_string_lossy()) { &ours } else { name };
            format!("{file}\"{short}\"\n")
        }
        _ => format!("{line}\n"),
    };
    ptx.lines().map(line).collect()
}

/// A program of the toolkit: beside `$NVCC`, or on the `PATH`, or in `$CUDA_HOME`.
fn tool(name: &str) -> Command {
    let beside = env::var_os("NVCC").map(|nvcc| Path::new(&nvcc).with_file_name(name));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join(name));
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os);
    let in_homes = homes.map(|home| Path::new(&home).join("bin").join(name));
    let found = beside.into_iter().chain(on_path).chain(in_homes).find(|program| program.is_file());
    Command::new(found.unwrap_or_else(|| name.into()))
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| {
        format!("cannot start `{name}` ({error}): the feature `cuda` needs nvcc 13.0; `cargo xtask cuda` has one")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Err(format!("`{name}` ended with {}\n{}", output.status, said.concat()).into())
}
