//! This test program is linked with the trampolines, and starts. What it finds is set up by the parent: libraries of a few
//! lines of C, in a folder that the dynamic linker is told to look in.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::ffi::{c_float, c_int, c_uint, c_void};
use std::path::Path;
use std::process::Command;

use cuda_lazy::presence;

/// Answers what the environment says, and from `cuLaunchKernel` and `curandSetStream` what became of the arguments.
const DRIVER: &str = r#"
#include <stdlib.h>
static int said(const char *name, int otherwise) { const char *text = getenv(name); return text ? atoi(text) : otherwise; }
int cuInit(unsigned flags) { return flags ? 1 : said("FAKE_INIT", 0); }
int cuDriverGetVersion(int *version) { *version = said("FAKE_VERSION", 13000); return 0; }
int cuDeviceGetCount(int *count) { *count = said("FAKE_COUNT", 2); return 0; }
int cuDeviceGetName(char *name, int len, int device) { name[0] = 'A' + device; name[1] = 0; return len == 255 ? 0 : 1; }
int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *stream, void **parameters, void **extra) {
    return f == (void *)1 && gx == 2 && gy == 3 && gz == 4 && bx == 5 && by == 6 && bz == 7 && shared == 8
        && stream == (void *)9 && parameters == (void *)10 && extra == (void *)11 ? 77 : 78;
}
"#;

/// With more arguments than the real one has, some of them floats: a trampoline does not know how many there are.
const CURAND: &str = "
int curandSetStream(void *generator, float *out, unsigned long n, float mean, float deviation) {
    return generator == (void *)1 && out == (void *)2 && n == 3 && mean == 0.5f && deviation == 0.25f ? 55 : 56;
}
";

const CUBLAS: &str = "int cublasCreate_v2(void **handle) { *handle = (void *)1; return 0; }";

unsafe extern "C" {
    fn cuLaunchKernel(
        function: *mut c_void,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared: c_uint,
        stream: *mut c_void,
        parameters: *mut *mut c_void,
        extra: *mut *mut c_void,
    ) -> c_int;
    fn curandSetStream(generator: *mut c_void, out: *mut f32, n: usize, mean: c_float, deviation: c_float) -> c_int;
    fn cublasDestroy_v2(handle: *mut c_void) -> c_int;
}

fn number<T>(number: usize) -> *mut T {
    std::ptr::without_provenance_mut(number)
}

/// What the child prints: presence, and what three calls answer, twice each.
fn report() -> String {
    let found = match presence() {
        Ok(driver) => {
            let names: Vec<String> = driver.devices.iter().map(|it| format!("{}={}", it.ordinal, it.name)).collect();
            format!("CUDA {}: {}", driver.version, names.join(" "))
        }
        Err(absent) => absent.to_string(),
    };
    let calls: Vec<String> = (0..2)
        .map(|_| {
            // SAFETY: the functions of this test's own libraries compare their arguments and follow none of them, and where
            // there are none, a code is answered.
            let codes = unsafe {
                let launched = cuLaunchKernel(number(1), 2, 3, 4, 5, 6, 7, 8, number(9), number(10), number(11));
                [launched, curandSetStream(number(1), number(2), 3, 0.5, 0.25), cublasDestroy_v2(number(1))]
            };
            format!("{codes:?}")
        })
        .collect();
    format!("found: {found}\ncalls: {}", calls.join(" "))
}

/// Not a test of its own: what [`run`] starts.
#[test]
fn child() {
    if std::env::var_os("CUDA_LAZY_CHILD").is_some() {
        println!("{}", report());
    }
}

/// The report of a process that finds its libraries in `folder`.
fn run(folder: &Path, variables: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("CUDA_LAZY_CHILD", "1")
        .env("LD_LIBRARY_PATH", folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines()
        .filter(|line| line.starts_with("found: ") || line.starts_with("calls: "))
        .collect::<Vec<_>>()
        .join("\n")
}

fn compile(folder: &Path, file: &str, source: &str) {
    let text = folder.join("source.c");
    std::fs::write(&text, source).unwrap();
    let status =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(folder.join(file)).arg(&text).status().unwrap();
    assert!(status.success(), "cc cannot compile {file}");
}

fn all(folder: &Path) {
    compile(folder, "libcuda.so.1", DRIVER);
    compile(folder, "libcurand.so.10", CURAND);
    compile(folder, "libcublas.so.13", CUBLAS);
}

#[test]
fn arguments_arrive_in_registers_and_on_the_stack_at_the_first_call_and_after() {
    let folder = tempfile::tempdir().unwrap();
    all(folder.path());
    // A function that its library lacks answers like a library that is not there.
    assert_eq!(run(folder.path(), &[]), "found: CUDA 13.0: 0=A 1=B\ncalls: [77, 55, 1] [77, 55, 1]");
}

#[test]
fn without_libraries_calls_answer_not_initialised() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(folder.path(), &[]);
    assert!(report.contains("libcuda.so.1: cannot open shared object file"), "{report}");
    assert!(report.contains(&format!("LD_LIBRARY_PATH={}", folder.path().display())), "{report}");
    assert!(report.ends_with("calls: [3, 101, 1] [3, 101, 1]"), "{report}");
}

#[test]
fn what_the_driver_answers_is_told() {
    let folder = tempfile::tempdir().unwrap();
    all(folder.path());
    for (variable, value, said) in [
        ("FAKE_INIT", "100", "the driver sees no GPU (cuInit answers 100)"),
        ("FAKE_INIT", "999", "cuInit answers 999"),
        ("FAKE_COUNT", "0", "the driver sees no GPU (cuInit answers 100)"),
        ("FAKE_VERSION", "12080", "driver supports CUDA 12.8; sluice needs R580 or newer (CUDA 13.0)"),
        ("FAKE_VERSION", "13010", "CUDA 13.1: 0=A 1=B"),
    ] {
        let report = run(folder.path(), &[(variable, value)]);
        assert!(report.starts_with(&format!("found: {said}\n")), "{variable}={value}: {report}");
    }
}

#[test]
fn a_library_beside_the_driver_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    all(folder.path());
    std::fs::remove_file(folder.path().join("libcublas.so.13")).unwrap();
    let report = run(folder.path(), &[]);
    assert!(report.starts_with("found: libcublas.so.13: cannot open"), "{report}");
}

#[test]
fn a_library_that_is_broken_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("libcuda.so.1"), "no library").unwrap();
    let report = run(folder.path(), &[]);
    assert!(report.contains("libcuda.so.1: ") && report.contains("file too short"), "{report}");
}
