//! Libraries with every name that cudarc knows, to link the suites by. A function of them says its name and aborts.
//!
//! Programs of the suites are linked against CUDA as its users link it, and CUDA is not here. What stands in for it comes
//! first when a program runs; a name that it lacks is found here, so that the one test which calls it fails, and says why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// Said before it aborts.
pub(super) const SAID: &str = "not in the stand-in: ";

/// A module of cudarc, the library that it declares, and how that is called when a program runs.
const LIBRARIES: [(&str, &str, &str); 5] = [
    ("driver", "cuda", "libcuda.so.1"),
    ("nvrtc", "nvrtc", "libnvrtc.so.13"),
    ("curand", "curand", "libcurand.so.10"),
    ("cublas", "cublas", "libcublas.so.13"),
    ("cublaslt", "cublasLt", LAST),
];

/// The library that cudarc asks the linker for last, so that names are looked for in it after all others.
const LAST: &str = "libcublasLt.so.13";

/// Where they are.
pub(super) struct Traps {
    /// As `CUDA_HOME` would be: `lib` holds the names that a linker looks for.
    pub(super) home: PathBuf,
    /// For `LD_LIBRARY_PATH`.
    pub(super) running: PathBuf,
}

/// Makes them of cudarc's sources.
pub(super) fn make(cudarc: &Path, folder: &Path) -> Result<Traps> {
    let traps = Traps { home: folder.join("home"), running: folder.join("running") };
    let lib = traps.home.join("lib");
    for folder in [&lib, &traps.running] {
        fs::create_dir_all(folder)?;
    }
    let mut all = Vec::new();
    for (module, name, file) in LIBRARIES {
        let declared = names(&fs::read_to_string(cudarc.join("src").join(module).join("sys/mod.rs"))?);
        if declared.is_empty() {
            bail!("cudarc's module {module} declares no functions of {file}");
        }
        compile(&lib.join(format!("lib{name}.so")), file, &declared)?;
        all.extend(declared);
    }
    // Candle's kernels ask for it; nothing of it is called.
    compile(&lib.join("libcudart.so"), "libcudart.so.13", &[])?;
    compile(&traps.running.join(LAST), LAST, &all)?;
    Ok(traps)
}

/// The functions that a `sys` module declares. Each stands alone in an `extern` block, deeper than cudarc's own.
fn names(source: &str) -> Vec<String> {
    let declared = source.lines().filter_map(|line| line.strip_prefix("            fn "));
    let mut names: Vec<String> = declared.filter_map(|line| Some(line.split_once('(')?.0.to_owned())).collect();
    names.sort();
    names.dedup();
    names
}

fn compile(library: &Path, called: &str, names: &[String]) -> Result<()> {
    let functions: String = names.iter().map(|name| format!("void {name}(void) {{ trap(\"{name}\"); }}\n")).collect();
    let source = library.with_extension("c");
    fs::write(
        &source,
        format!(
            "#include <stdio.h>\n#include <stdlib.h>\n\
             __attribute__((unused)) static void trap(const char *name) {{ fprintf(stderr, \"{SAID}%s\\n\", name); abort(); }}\n\
             {functions}"
        ),
    )?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-fno-builtin", "-o"]).arg(library).arg(format!("-Wl,-soname,{called}")).arg(&source);
    shell::text(&mut cc)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_functions_are_found() {
        let source = "pub unsafe fn cuInit(flags: u32) {\n        extern \"C\" {\n            fn cuInit(flags: u32) -> i32;\n        }\n";
        assert_eq!(names(source), ["cuInit"]);
        assert_eq!(names("pub fn own() {}"), [""; 0]);
    }

    #[test]
    fn a_trap_says_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libtrap.so");
        compile(&library, "libtrap.so", &["cuNever".to_owned()]).unwrap();
        let (source, program) = (folder.path().join("main.c"), folder.path().join("main"));
        fs::write(&source, "void cuNever(void); int main(void) { cuNever(); }").unwrap();
        let mut cc = Command::new("cc");
        shell::text(cc.arg("-o").args([&program, &source, &library])).unwrap();
        let error = shell::text(Command::new(program).env("LD_LIBRARY_PATH", folder.path())).unwrap_err().to_string();
        assert!(error.ends_with("not in the stand-in: cuNever"), "{error}");
    }
}
