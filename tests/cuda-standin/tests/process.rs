//! The library as a process has it: loaded by name, told by the environment what to do, and asked by another thread while
//! a launch waits.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use cuda_standin::install;
use serde_json::Value;
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;

const PTX: &str = ".version 9.0\n.target sm_75\n.address_size 64\n.visible .entry nothing()\n{\n ret;\n}\n";
/// Where the child finds the named pipe of its slow launch.
const PIPE: &str = "CUDA_STANDIN_TEST_PIPE";

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

type Call = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64) -> u64;

/// The library, by its loader's handle.
#[derive(Clone, Copy)]
struct Library(u64);

impl Library {
    fn open(name: &str) -> Self {
        let name = CString::new(name).unwrap();
        // SAFETY: the name ends with NUL and lives through the call; the library's initialisers take nothing.
        let handle = unsafe { dlopen(name.as_ptr(), 2) };
        assert!(!handle.is_null(), "{name:?} is not found");
        Self(handle as u64)
    }

    /// Calls a function that takes at most eleven words, and gives its answer of 64 bits.
    fn call(self, name: &str, words: &[u64]) -> u64 {
        let name = CString::new(name).unwrap();
        // SAFETY: the handle is that of a library which stays loaded; the name ends with NUL and lives through the call.
        let symbol = unsafe { dlsym(self.0 as *mut c_void, name.as_ptr()) };
        assert!(!symbol.is_null(), "{name:?} is not exported");
        let mut all = [0; 11];
        all[..words.len()].copy_from_slice(words);
        // SAFETY: the functions called here take integers and pointers only, and fewer than eleven.
        let call = unsafe { std::mem::transmute::<*mut c_void, Call>(symbol) };
        let [a, b, c, d, e, f, g, h, i, j, k] = all;
        // SAFETY: each caller below passes what `cuda.h` or the stand-in says of that function, and pointers to places
        // that live through the call.
        unsafe { call(a, b, c, d, e, f, g, h, i, j, k) }
    }

    /// Calls a function that answers a `CUresult`.
    fn code(self, name: &str, words: &[u64]) -> i32 {
        self.call(name, words) as i32
    }

    fn good(self, name: &str, words: &[u64]) {
        assert_eq!(self.code(name, words), 0, "{name}");
    }
}

fn out<T>(place: &mut T) -> u64 {
    std::ptr::from_mut(place) as u64
}

#[test]
#[ignore = "the child process of a_process_is_told_by_its_environment_and_leaves_its_documents"]
fn child() {
    let cuda = Library::open("libcuda.so.1");
    assert_eq!(cuda.0, Library::open("libcublas.so.13").0, "one library under all its names");
    cuda.good("cuInit", &[0]);
    let (mut context, mut module, mut function, mut block) = (0u64, 0u64, 0u64, 0u64);
    cuda.good("cuDevicePrimaryCtxRetain", &[out(&mut context), 0]);
    cuda.good("cuCtxSetCurrent", &[context]);
    let text = CString::new(PTX).unwrap();
    cuda.good("cuModuleLoadData", &[out(&mut module), text.as_ptr() as u64]);
    cuda.good("cuModuleGetFunction", &[out(&mut function), module, c"nothing".as_ptr() as u64]);
    assert_eq!(cuda.code("cuMemAlloc_v2", &[out(&mut block), 64]), 2, "the first allocation is planned to fail");
    cuda.good("cuMemAlloc_v2", &[out(&mut block), 64]);
    let launch = [function, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0];
    let waits = std::thread::spawn(move || {
        cuda.good("cuCtxSetCurrent", &[context]);
        cuda.good("cuLaunchKernel", &launch);
    });
    // Opening the pipe waits until the launch has come, and the launch then waits until it is closed.
    let pipe = std::fs::OpenOptions::new().write(true).open(std::env::var(PIPE).unwrap()).unwrap();
    let (mut free, mut total) = (0u64, 0u64);
    cuda.good("cuMemGetInfo_v2", &[out(&mut free), out(&mut total)]);
    assert_eq!(launches(cuda, false), 0, "it has not run");
    drop(pipe);
    waits.join().unwrap();
    assert_eq!(launches(cuda, true), 1);
    assert_eq!(launches(cuda, false), 0, "the counts were begun anew");
    cuda.good("cuLaunchKernel", &launch);
    cuda.good("cuMemFree_v2", &[block]);
    assert_eq!(cuda.code("cuStreamSynchronize", &[77]), 400);
    cuda.good("cuDevicePrimaryCtxRelease_v2", &[0]);
}

/// Launches that were counted, by the function for tests in the process.
fn launches(cuda: Library, reset: bool) -> u64 {
    let len = cuda.call("sluiceStandinCounts", &[0, 0, 0]) as usize;
    let mut text = vec![0u8; len + 1];
    assert_eq!(
        cuda.call("sluiceStandinCounts", &[text.as_mut_ptr() as u64, text.len() as u64, reset.into()]),
        len as u64
    );
    text.pop();
    serde_json::from_slice::<Value>(&text).unwrap()["launches"].as_u64().unwrap()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn a_process_is_told_by_its_environment_and_leaves_its_documents() {
    let program = std::env::current_exe().unwrap();
    let folder = folder("process");
    let _ = std::fs::remove_dir_all(&folder);
    let library = install::beside(&program).expect("cargo built the library for this test");
    install::lay_out(&library, &folder.join("lib")).unwrap();
    let pipe = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let ran = Command::new(&program)
        .args(["--exact", "child", "--ignored"])
        .env("LD_LIBRARY_PATH", folder.join("lib"))
        .env("CUDA_STANDIN_FAULTS", format!("allocation=1;slow=1:{}", pipe.display()))
        .env("CUDA_STANDIN_COUNTS", folder.join("counts.json"))
        .env("CUDA_STANDIN_REPORT", folder.join("report.json"))
        .env(PIPE, &pipe)
        .env_remove("CUDA_VISIBLE_DEVICES")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}{said}", String::from_utf8_lossy(&ran.stdout));
    assert!(said.contains("cuda-standin: wrong-call: stream 0x4d never was one"), "{said}");
    let read = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap() };
    let (counts, report) = (read("counts.json"), read("report.json"));
    assert_eq!(counts["kernels"]["nothing"]["launches"], 1, "since the reset");
    assert_eq!(counts["calls"]["cuDevicePrimaryCtxRelease_v2"], 1);
    assert_eq!(report["reports"].as_array().unwrap().len(), 1, "no leak: {report}");
    assert_eq!(report["reports"][0]["kind"], "wrong-call");
}

#[test]
fn a_plan_that_cannot_be_read_stops_the_process_at_its_beginning() {
    let folder = folder("bad-plan");
    let program = std::env::current_exe().unwrap();
    install::lay_out(&install::beside(&program).unwrap(), &folder).unwrap();
    let ran = Command::new(&program)
        .args(["--exact", "bad_plan", "--ignored"])
        .env("LD_LIBRARY_PATH", &folder)
        .env("CUDA_STANDIN_FAULTS", "memory=lots")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    let wanted =
        "cuda-standin: CUDA_STANDIN_FAULTS: `memory=lots`: lots is no size; write as 4096, 64KiB, 256MiB or 2GiB";
    assert!(said.contains(wanted), "{said}");
}

#[test]
#[ignore = "the child process of a_plan_that_cannot_be_read_stops_the_process_at_its_beginning"]
fn bad_plan() {
    assert_eq!(Library::open("libcuda.so.1").code("cuInit", &[0]), 999);
}
