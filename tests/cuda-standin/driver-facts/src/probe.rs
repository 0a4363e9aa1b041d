//! One probe: a child process that talks to the driver and prints each step as a line of JSON.

use crate::driver::{Library, out, text_at};
use serde_json::{Map, Value, json};
use std::io::Write;

pub(crate) const PROBE_PTX: &str = include_str!("../ptx/probe.ptx");

/// Flags of `cuMemHostAlloc`: portable and mapped into the device.
const HOST_FLAGS: u64 = 3;

pub(crate) struct Probe {
    pub(crate) cu: Library,
}

impl Probe {
    pub(crate) fn open() -> Result<Probe, String> {
        let cu = match std::env::var("DRIVER_FACTS_LIBRARY") {
            Ok(path) => Library::open(&[&path])?,
            Err(_) => Library::open(&["libcuda.so.1", "libcuda.so", "/usr/local/nvidia/lib64/libcuda.so.1"])?,
        };
        Ok(Probe { cu })
    }

    pub(crate) fn line(&self, value: Value) {
        let mut to = std::io::stdout().lock();
        writeln!(to, "{value}").and_then(|()| to.flush()).expect("the parent reads");
    }

    pub(crate) fn name_of(&self, code: i32) -> Value {
        let mut name = 0u64;
        if code >= 0 && self.cu.call("cuGetErrorName", &[code as u64, out(&mut name)]) == 0 {
            return text_at(name).map_or(Value::Null, Value::from);
        }
        Value::Null
    }

    /// Calls and records what came back.
    pub(crate) fn step(&self, what: &str, call: &str, args: &[u64]) -> i32 {
        self.step_with(what, call, args, Map::new)
    }

    /// Calls and records what came back, and what `more` reads afterwards.
    pub(crate) fn step_with(
        &self,
        what: &str,
        call: &str,
        args: &[u64],
        more: impl FnOnce() -> Map<String, Value>,
    ) -> i32 {
        let code = self.cu.call(call, args);
        let mut line = Map::new();
        line.insert("what".into(), what.into());
        line.insert("call".into(), call.into());
        line.insert("result".into(), code.into());
        if code != 0 {
            line.insert("name".into(), self.name_of(code));
        }
        for (key, value) in more() {
            line.insert(key, value);
        }
        self.line(Value::Object(line));
        code
    }

    /// Calls; a failure is recorded as an unexpected one.
    pub(crate) fn must(&self, call: &str, args: &[u64]) -> i32 {
        let code = self.cu.call(call, args);
        if code != 0 {
            self.line(json!({"unexpected": call, "result": code, "name": self.name_of(code)}));
        }
        code
    }

    pub(crate) fn say(&self, what: &str, value: impl Into<Value>) {
        self.line(json!({"what": what, "value": value.into()}));
    }

    // ---- the usual beginnings -------------------------------------------------------------------

    pub(crate) fn device(&self) -> u64 {
        self.must("cuInit", &[0]);
        let mut device = 0i32;
        self.must("cuDeviceGet", &[out(&mut device), 0]);
        device as u64
    }

    /// The primary context, current.
    pub(crate) fn context(&self) -> u64 {
        let device = self.device();
        let mut context = 0u64;
        self.must("cuDevicePrimaryCtxRetain", &[out(&mut context), device]);
        self.must("cuCtxSetCurrent", &[context]);
        context
    }

    pub(crate) fn module(&self, ptx: &str) -> u64 {
        // An older driver than R580 knows no PTX 9.0.
        let ptx = match std::env::var("DRIVER_FACTS_PTX_VERSION") {
            Ok(version) => ptx.replacen(".version 9.0", &format!(".version {version}"), 1),
            Err(_) => ptx.to_owned(),
        };
        let text = std::ffi::CString::new(ptx).expect("PTX has no NUL");
        let mut module = 0u64;
        self.must("cuModuleLoadData", &[out(&mut module), text.as_ptr() as u64]);
        module
    }

    pub(crate) fn function(&self, module: u64, name: &str) -> u64 {
        let name = std::ffi::CString::new(name).expect("a name has no NUL");
        let mut function = 0u64;
        self.must("cuModuleGetFunction", &[out(&mut function), module, name.as_ptr() as u64]);
        function
    }

    pub(crate) fn alloc(&self, bytes: u64) -> u64 {
        let mut address = 0u64;
        self.must("cuMemAlloc_v2", &[out(&mut address), bytes]);
        address
    }

    /// Pinned memory that the device sees at the same address.
    pub(crate) fn pinned(&self, bytes: u64) -> u64 {
        let mut address = 0u64;
        self.must("cuMemHostAlloc", &[out(&mut address), bytes, HOST_FLAGS]);
        if address != 0 {
            // SAFETY: the driver has just given this many bytes of pinned memory, and nothing else knows of them.
            unsafe { std::ptr::write_bytes(address as *mut u8, 0, bytes as usize) };
        }
        address
    }

    pub(crate) fn stream(&self, flags: u64) -> u64 {
        let mut stream = 0u64;
        self.must("cuStreamCreate", &[out(&mut stream), flags]);
        stream
    }

    pub(crate) fn event(&self, flags: u64) -> u64 {
        let mut event = 0u64;
        self.must("cuEventCreate", &[out(&mut event), flags]);
        event
    }

    pub(crate) fn memory(&self) -> (u64, u64) {
        let (mut free, mut total) = (0u64, 0u64);
        self.must("cuMemGetInfo_v2", &[out(&mut free), out(&mut total)]);
        (free, total)
    }

    /// Launches; the answer is recorded under `what` unless that is empty.
    pub(crate) fn launch(&self, what: &str, function: u64, shape: Shape, params: &[u64]) -> i32 {
        let mut values = params.to_vec();
        let mut pointers: Vec<u64> = values.iter_mut().map(out).collect();
        let Shape { grid, block, shared, stream } = shape;
        let args = [
            function,
            grid[0],
            grid[1],
            grid[2],
            block[0],
            block[1],
            block[2],
            shared,
            stream,
            pointers.as_mut_ptr() as u64,
            0,
        ];
        if what.is_empty() { self.must("cuLaunchKernel", &args) } else { self.step(what, "cuLaunchKernel", &args) }
    }

    pub(crate) fn to_device(&self, address: u64, bytes: &[u8]) {
        self.must("cuMemcpyHtoD_v2", &[address, bytes.as_ptr() as u64, bytes.len() as u64]);
    }

    pub(crate) fn read_back(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut to = vec![0xEEu8; bytes];
        self.must("cuMemcpyDtoH_v2", &[to.as_mut_ptr() as u64, address, bytes as u64]);
        to
    }

    pub(crate) fn words(&self, address: u64, count: usize) -> Vec<u32> {
        self.read_back(address, count * 4)
            .chunks_exact(4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    }

    pub(crate) fn sync(&self) -> i32 {
        self.must("cuCtxSynchronize", &[])
    }
}

/// How a kernel is launched.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) grid: [u64; 3],
    pub(crate) block: [u64; 3],
    pub(crate) shared: u64,
    pub(crate) stream: u64,
}

impl Shape {
    pub(crate) fn new(grid: u64, block: u64) -> Shape {
        Shape { grid: [grid, 1, 1], block: [block, 1, 1], shared: 0, stream: 0 }
    }

    pub(crate) fn on(self, stream: u64) -> Shape {
        Shape { stream, ..self }
    }

    pub(crate) fn shared(self, shared: u64) -> Shape {
        Shape { shared, ..self }
    }
}

/// Reads a word of pinned memory or of a vector that the device may be writing.
pub(crate) fn peek(address: u64) -> u32 {
    // SAFETY: the callers' words lie in blocks that live as long as their probe, at multiples of four. A write of the
    // device in between is why it is volatile; a word arrives whole.
    unsafe { std::ptr::read_volatile(address as *const u32) }
}

/// Writes a word of pinned memory that the device may be reading.
pub(crate) fn poke(address: u64, value: u32) {
    // SAFETY: as for `peek`.
    unsafe { std::ptr::write_volatile(address as *mut u32, value) };
}

pub(crate) fn pause(milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
}
