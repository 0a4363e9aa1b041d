//! Errors that kill a context: which code, who tells it first, and what still answers afterwards.

use super::Case;
use crate::driver::out;
use crate::probe::{PROBE_PTX, Probe, Shape, pause};
use serde_json::json;

type Fault = fn(&Probe, &World);

/// What existed before the fault.
struct World {
    context: u64,
    module: u64,
    block: u64,
    pooled: u64,
    host: u64,
    stream: u64,
    idle: u64,
    before: u64,
    after: u64,
}

const FAULTS: &[(&str, Fault)] = &[
    ("store_out_of_bounds", |p, w| fault(p, w, "write_at", &[w.block + (64 << 30), 1])),
    ("store_far_out_of_bounds", |p, w| fault(p, w, "write_at", &[1 << 60, 1])),
    ("store_to_null", |p, w| fault(p, w, "write_at", &[0, 1])),
    ("load_from_null", |p, w| fault(p, w, "read_at", &[0, w.block])),
    ("load_out_of_bounds", |p, w| fault(p, w, "read_at", &[w.block + (64 << 30), w.block])),
    ("misaligned_store", |p, w| fault(p, w, "write_at", &[w.block + 2, 1])),
    ("misaligned_load", |p, w| fault(p, w, "read_at", &[w.block + 1, w.block])),
    ("misaligned_vector_load", |p, w| fault(p, w, "read_v4_at", &[w.block + 8, w.block])),
    ("misaligned_generic_store", |p, w| fault(p, w, "write_generic", &[w.block + 2, 1])),
    ("misaligned_atomic", |p, w| fault(p, w, "atom_at", &[w.block + 2])),
    ("atomic_out_of_bounds", |p, w| fault(p, w, "atom_at", &[w.block + (64 << 30)])),
    ("assertion", |p, w| fault(p, w, "assert_fails", &[])),
    ("trap", |p, w| fault(p, w, "traps", &[])),
    ("breakpoint", |p, w| fault(p, w, "breaks", &[])),
    ("shared_out_of_bounds", |p, w| fault(p, w, "shared_at", &[1 << 20, w.block])),
    ("shared_past_the_blocks_own", |p, w| fault(p, w, "shared_at", &[4096, w.block])),
    ("shared_misaligned", |p, w| fault(p, w, "shared_at", &[2, w.block])),
    ("local_out_of_bounds", |p, w| fault(p, w, "local_at", &[1 << 22, w.block])),
    ("local_past_the_array", |p, w| fault(p, w, "local_at", &[64, w.block])),
    ("local_misaligned", |p, w| fault(p, w, "local_at", &[2, w.block])),
    ("atomic_on_local_memory", |p, w| fault(p, w, "atom_local", &[w.block])),
    ("stack_overflow", |p, w| fault(p, w, "stack", &[1_000_000, w.block])),
    ("call_of_no_function", |p, w| fault(p, w, "call_at", &[0x1238])),
    ("host_memory_not_pinned", |p, w| {
        let mut word = Box::new(0u32);
        fault(p, w, "write_at", &[out(&mut *word), 1]);
        pause(200);
    }),
    ("store_to_a_freed_block", |p, w| {
        let block = p.alloc(64 << 20);
        p.must("cuMemFree_v2", &[block]);
        fault(p, w, "write_at", &[block, 1]);
    }),
    ("store_to_a_freed_small_block", |p, w| {
        let block = p.alloc(512);
        p.must("cuMemFree_v2", &[block]);
        fault(p, w, "write_at", &[block, 1]);
    }),
    ("store_just_past_a_block", |p, w| {
        let block = p.alloc(512);
        fault(p, w, "write_at", &[block + 512, 1]);
    }),
    ("store_past_a_block_of_2_MiB", |p, w| {
        let block = p.alloc(2 << 20);
        fault(p, w, "write_at", &[block + (2 << 20), 1]);
    }),
    ("store_to_constant_memory", |p, w| {
        let (mut address, mut size) = (0u64, 0u64);
        p.must("cuModuleGetGlobal_v2", &[out(&mut address), out(&mut size), w.module, c"fixed".as_ptr() as u64]);
        fault(p, w, "write_at", &[address, 1]);
    }),
];

/// The first call after a fault that has already happened.
const FIRST: &[&str] = &[
    "cuStreamQuery",
    "cuStreamQuery other",
    "cuEventQuery before",
    "cuEventQuery after",
    "cuEventSynchronize before",
    "cuMemAlloc_v2",
    "cuMemAllocAsync",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemcpyDtoH_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuModuleLoadData",
    "cuModuleGetFunction",
    "cuModuleUnload",
    "cuFuncGetAttribute",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuLaunchKernel",
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxReset_v2",
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = FAULTS
        .iter()
        .map(|(name, fault)| Case::new(format!("sticky/{name}"), move |p: &Probe| run(p, *fault)))
        .collect();
    cases.extend(
        FIRST
            .iter()
            .map(|call| Case::new(format!("sticky_first/{}", call.replace(' ', "_")), move |p: &Probe| first(p, call))),
    );
    for (name, fault) in FAULTS.iter().filter(|(name, _)| ["store_to_null", "assertion"].contains(name)) {
        cases.push(
            Case::new(format!("sticky/{name}_launch_blocking"), move |p: &Probe| run(p, *fault))
                .with("CUDA_LAUNCH_BLOCKING", "1"),
        );
    }
    cases.push(Case::new("sticky/two_contexts", two_contexts));
    cases.push(Case::new("sticky/recover_by_reset", |p| recover(p, true)));
    cases.push(Case::new("sticky/recover_by_release", |p| recover(p, false)));
    cases
}

fn world(p: &Probe) -> World {
    let context = p.context();
    let module = p.module(PROBE_PTX);
    let mut pooled = 0u64;
    p.must("cuMemAllocAsync", &[out(&mut pooled), 4096, 0]);
    let w = World {
        context,
        module,
        pooled,
        block: p.alloc(4096),
        host: p.pinned(4096),
        stream: p.stream(1),
        idle: p.stream(1),
        before: p.event(0),
        after: p.event(0),
    };
    p.must("cuEventRecord", &[w.before, w.stream]);
    p.must("cuStreamSynchronize", &[w.stream]);
    w
}

fn fault(p: &Probe, w: &World, kernel: &str, params: &[u64]) {
    let function = p.function(w.module, kernel);
    p.launch(&format!("launch of {kernel}"), function, Shape::new(1, 1).shared(1024).on(w.stream), params);
}

fn run(p: &Probe, fault: Fault) {
    let w = world(p);
    fault(p, &w);
    p.step("", "cuEventRecord", &[w.after, w.stream]);
    p.step("", "cuStreamSynchronize", &[w.stream]);
    p.step("", "cuCtxSynchronize", &[]);
    p.step("again", "cuCtxSynchronize", &[]);
    let mut value = [0u32; 4];
    p.step("", "cuMemcpyDtoH_v2", &[out(&mut value), w.block, 16]);
    p.say("block", value.to_vec());
    afterwards(p, &w);
}

fn afterwards(p: &Probe, w: &World) {
    let (mut long, mut word) = (0u64, 0i32);
    let mut bytes = [0u8; 64];
    let host = bytes.as_mut_ptr() as u64;
    let mut milliseconds = 0f32;
    p.step("the stream", "cuStreamQuery", &[w.stream]);
    p.step("another stream", "cuStreamQuery", &[w.idle]);
    p.step("another stream", "cuStreamSynchronize", &[w.idle]);
    p.step("recorded and done before", "cuEventQuery", &[w.before]);
    p.step("recorded after", "cuEventQuery", &[w.after]);
    p.step("recorded after", "cuEventSynchronize", &[w.after]);
    p.step("", "cuEventElapsedTime_v2", &[out(&mut milliseconds), w.before, w.after]);
    p.step("", "cuEventRecord", &[w.before, w.idle]);
    p.step("", "cuStreamWaitEvent", &[w.idle, w.before, 0]);
    p.step("", "cuMemAlloc_v2", &[out(&mut long), 16]);
    p.step("", "cuMemAllocAsync", &[out(&mut long), 16, w.idle]);
    p.step("", "cuMemHostAlloc", &[out(&mut long), 16, 0]);
    p.step("", "cuMemGetInfo_v2", &[out(&mut long), out(&mut long)]);
    p.step("", "cuMemcpyHtoD_v2", &[w.block, host, 16]);
    p.step("", "cuMemcpyHtoDAsync_v2", &[w.block, host, 16, w.idle]);
    p.step("", "cuMemcpyDtoHAsync_v2", &[host, w.block, 16, w.idle]);
    p.step("", "cuMemcpyDtoDAsync_v2", &[w.block, w.block + 64, 16, w.idle]);
    p.step("", "cuMemsetD8Async", &[w.block, 0, 16, w.idle]);
    p.step("", "cuModuleGetFunction", &[out(&mut long), w.module, c"nothing".as_ptr() as u64]);
    let function = long;
    p.step("", "cuFuncGetAttribute", &[out(&mut word), 4, function]);
    p.step("", "cuOccupancyMaxActiveBlocksPerMultiprocessor", &[out(&mut word), function, 32, 0]);
    p.launch("a good kernel", function, Shape::new(1, 1).on(w.idle), &[]);
    let text = std::ffi::CString::new(PROBE_PTX).unwrap_or_default();
    p.step("", "cuModuleLoadData", &[out(&mut long), text.as_ptr() as u64]);
    p.step("", "cuStreamCreate", &[out(&mut long), 1]);
    p.step("", "cuEventCreate", &[out(&mut long), 0]);
    p.step("", "cuStreamBeginCapture_v2", &[w.idle, 0]);
    p.step("", "cuStreamIsCapturing", &[w.idle, out(&mut word)]);
    p.step("", "cuPointerGetAttribute", &[out(&mut long), 2, w.block]);
    p.step("", "cuCtxGetCurrent", &[out(&mut long)]);
    p.say("current is still the context", long == w.context);
    p.step("", "cuCtxSetCurrent", &[w.context]);
    p.step("", "cuCtxGetDevice", &[out(&mut word)]);
    p.step("", "cuCtxGetLimit", &[out(&mut long), 0]);
    p.step("", "cuDeviceGetAttribute", &[out(&mut word), 75, 0]);
    p.step("", "cuDeviceGetCount", &[out(&mut word)]);
    p.step("", "cuDeviceTotalMem_v2", &[out(&mut long), 0]);
    p.step("", "cuInit", &[0]);
    p.step("", "cuMemFree_v2", &[w.block]);
    p.step("", "cuMemFreeAsync", &[w.pooled, w.idle]);
    p.step("", "cuMemFreeHost", &[w.host]);
    p.step("", "cuEventDestroy_v2", &[w.before]);
    p.step("", "cuStreamDestroy_v2", &[w.idle]);
    p.step("", "cuStreamDestroy_v2", &[w.stream]);
    p.step("", "cuModuleUnload", &[w.module]);
    p.step("", "cuCtxSynchronize", &[]);
}

fn first(p: &Probe, call: &str) {
    let w = world(p);
    let function = p.function(w.module, "nothing");
    fault(p, &w, "write_at", &[0, 1]);
    p.must("cuEventRecord", &[w.after, w.stream]);
    pause(300);
    let (mut long, mut word) = (0u64, 0i32);
    let mut bytes = [0u8; 64];
    let host = bytes.as_mut_ptr() as u64;
    let text = std::ffi::CString::new(PROBE_PTX).unwrap_or_default();
    let (name, which) = call.split_once(' ').unwrap_or((call, ""));
    let args: Vec<u64> = match (name, which) {
        ("cuStreamQuery", "other") => vec![w.idle],
        ("cuStreamQuery", _) => vec![w.stream],
        ("cuEventQuery" | "cuEventSynchronize", "before") => vec![w.before],
        ("cuEventQuery", _) => vec![w.after],
        ("cuMemAlloc_v2", _) => vec![out(&mut long), 16],
        ("cuMemAllocAsync", _) => vec![out(&mut long), 16, w.idle],
        ("cuMemFree_v2", _) => vec![w.block],
        ("cuMemGetInfo_v2", _) => vec![out(&mut long), out(&mut long)],
        ("cuMemcpyDtoH_v2", _) => vec![host, w.block, 16],
        ("cuMemcpyHtoDAsync_v2", _) => vec![w.block, host, 16, w.idle],
        ("cuModuleLoadData", _) => vec![out(&mut long), text.as_ptr() as u64],
        ("cuModuleGetFunction", _) => vec![out(&mut long), w.module, c"fill".as_ptr() as u64],
        ("cuModuleUnload", _) => vec![w.module],
        ("cuFuncGetAttribute", _) => vec![out(&mut word), 4, function],
        ("cuStreamCreate", _) => vec![out(&mut long), 1],
        ("cuStreamDestroy_v2", _) => vec![w.idle],
        ("cuEventCreate", _) => vec![out(&mut long), 0],
        ("cuEventDestroy_v2", _) => vec![w.before],
        ("cuCtxGetCurrent", _) => vec![out(&mut long)],
        ("cuCtxSetCurrent", _) => vec![w.context],
        ("cuMemHostAlloc", _) => vec![out(&mut long), 16, 0],
        ("cuMemFreeHost", _) => vec![w.host],
        ("cuDeviceGetAttribute", _) => vec![out(&mut word), 75, 0],
        ("cuDevicePrimaryCtxRetain", _) => vec![out(&mut long), 0],
        ("cuDevicePrimaryCtxRelease_v2" | "cuDevicePrimaryCtxReset_v2", _) => vec![0],
        _ => Vec::new(),
    };
    match name {
        "cuLaunchKernel" => drop(p.launch("first", function, Shape::new(1, 1).on(w.idle), &[])),
        _ => drop(p.step("first", name, &args)),
    }
    p.step("second", "cuCtxSynchronize", &[]);
    p.step("third", "cuMemAlloc_v2", &[out(&mut long), 16]);
}

/// A fault in one context; does another one in the process live?
fn two_contexts(p: &Probe) {
    p.device();
    let (mut one, mut two) = (0u64, 0u64);
    p.must("cuCtxCreate_v2", &[out(&mut one), 0, 0]);
    let mut block = p.alloc(4096);
    p.must("cuCtxCreate_v2", &[out(&mut two), 0, 0]);
    let module = p.module(PROBE_PTX);
    let write = p.function(module, "write_at");
    p.launch("a store to null in the second", write, Shape::new(1, 1), &[0, 1]);
    p.step("second", "cuCtxSynchronize", &[]);
    p.must("cuCtxSetCurrent", &[one]);
    p.step("first", "cuCtxSynchronize", &[]);
    p.step("first", "cuMemFree_v2", &[block]);
    p.step("first", "cuMemAlloc_v2", &[out(&mut block), 16]);
    let module = p.module(PROBE_PTX);
    let write = p.function(module, "write_at");
    p.launch("a good store in the first", write, Shape::new(1, 1), &[block, 7]);
    p.step("first", "cuCtxSynchronize", &[]);
    p.step("the dead one", "cuCtxDestroy_v2", &[two]);
    let mut third = 0u64;
    p.step("a third", "cuCtxCreate_v2", &[out(&mut third), 0, 0]);
    p.step("the third", "cuMemAlloc_v2", &[out(&mut block), 16]);
}

fn recover(p: &Probe, by_reset: bool) {
    let w = world(p);
    let big = p.alloc(512 << 20);
    p.line(json!({"what": "free with 512 MiB out", "free": p.memory().0, "address": format!("{big:#x}")}));
    fault(p, &w, "write_at", &[0, 1]);
    p.step("", "cuCtxSynchronize", &[]);
    let call = if by_reset { "cuDevicePrimaryCtxReset_v2" } else { "cuDevicePrimaryCtxRelease_v2" };
    p.step("", call, &[0]);
    let mut long = 0u64;
    p.step("", "cuCtxSynchronize", &[]);
    p.step("", "cuCtxGetCurrent", &[out(&mut long)]);
    let (mut flags, mut active) = (0u32, 0i32);
    p.step("", "cuDevicePrimaryCtxGetState", &[0, out(&mut flags), out(&mut active)]);
    p.say("active", active);
    p.step("", "cuDevicePrimaryCtxRetain", &[out(&mut long), 0]);
    p.say("the same handle", long == w.context);
    p.step("", "cuCtxSetCurrent", &[long]);
    p.step("", "cuCtxSynchronize", &[]);
    p.step("", "cuMemAlloc_v2", &[out(&mut long), 4096]);
    let block = long;
    let text = std::ffi::CString::new(PROBE_PTX).unwrap_or_default();
    if p.step("", "cuModuleLoadData", &[out(&mut long), text.as_ptr() as u64]) == 0 {
        let write = p.function(long, "write_at");
        p.launch("a good store", write, Shape::new(1, 1), &[block, 99]);
        p.step("", "cuCtxSynchronize", &[]);
        p.say("stored", p.words(block, 1)[0]);
        p.say("free", p.memory().0);
    }
}
