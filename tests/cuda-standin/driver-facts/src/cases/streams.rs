//! Which work waits for which, which calls wait for work, and when a copy reads its source.

mod capture;

use super::Case;
use crate::driver::out;
use crate::probe::{PROBE_PTX, Probe, Shape, pause, peek, poke};
use serde_json::json;

/// How long a kernel waits for a flag before it gives up: longer than any call takes by itself.
const PATIENCE: u64 = 80_000_000;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("streams/order", order).alone(),
        Case::new("streams/calls_that_wait", calls_that_wait).alone(),
        Case::new("streams/copies", copies).alone(),
        Case::new("streams/per_thread", per_thread).alone(),
        Case::new("streams/events", events).alone(),
        Case::new("streams/wait_event", wait_event).alone(),
        Case::new("streams/host_function", host_function).alone(),
        Case::new("streams/creation", creation),
        Case::new("streams/capture", capture::capture),
        Case::new("streams/capture_breakers", capture::capture_breakers),
    ]
}

/// A kernel that waits for a flag in pinned memory, and one that sets it.
struct Waiting {
    wait: u64,
    set: u64,
    flag: u64,
    done: u64,
}

fn waiting(p: &Probe) -> Waiting {
    let module = p.module(PROBE_PTX);
    let memory = p.pinned(4096);
    let w = Waiting {
        wait: p.function(module, "wait_flag"),
        set: p.function(module, "set_flag"),
        flag: memory,
        done: memory + 64,
    };
    // Both are loaded before anything is measured.
    poke(w.flag, 1);
    p.launch("", w.wait, Shape::new(1, 1), &[w.flag, w.done, 1000]);
    p.launch("", w.set, Shape::new(1, 1), &[w.done, 0]);
    p.sync();
    w
}

impl Waiting {
    /// Starts a kernel on `stream` that runs until the flag is set, or for `PATIENCE`.
    fn begin(&self, p: &Probe, stream: u64) {
        self.begin_for(p, stream, PATIENCE);
    }

    fn begin_for(&self, p: &Probe, stream: u64, nanoseconds: u64) {
        poke(self.flag, 0);
        poke(self.done, 0);
        p.launch("", self.wait, Shape::new(1, 1).on(stream), &[self.flag, self.done, nanoseconds]);
    }

    fn finish(&self, p: &Probe) {
        poke(self.flag, 1);
        p.sync();
    }
}

/// For each pair: does a kernel launched on the second stream run while one on the first waits?
fn order(p: &Probe) {
    p.context();
    let w = waiting(p);
    let streams = [
        ("0", 0),
        ("legacy 1", 1),
        ("per-thread 2", 2),
        ("blocking", p.stream(0)),
        ("another blocking", p.stream(0)),
        ("non-blocking", p.stream(1)),
        ("another non-blocking", p.stream(1)),
    ];
    for (first, a) in streams {
        for (second, b) in streams {
            w.begin(p, a);
            p.launch("", w.set, Shape::new(1, 1).on(b), &[w.flag, 1]);
            p.sync();
            p.line(json!({"first": first, "second": second, "ran_together": peek(w.done) == 1, "raw": peek(w.done)}));
        }
    }
    // The same with a memset as the second.
    for (first, a) in streams {
        for (second, b) in [("0", 0), ("per-thread 2", 2), ("non-blocking", streams[5].1)] {
            w.begin(p, a);
            p.must("cuMemsetD8Async", &[w.flag, 1, 4, b]);
            p.sync();
            p.line(json!({"first": first, "memset_on": second, "ran_together": peek(w.done) == 1}));
        }
    }
}

/// For each call: does it come back while a kernel runs on a stream of its own?
fn calls_that_wait(p: &Probe) {
    let context = p.context();
    let w = waiting(p);
    let device = p.alloc(64 << 20);
    let host = p.pinned(64 << 20);
    let mut pageable = vec![0u8; 64 << 20];
    let page = pageable.as_mut_ptr() as u64;
    let text = std::ffi::CString::new(PROBE_PTX).unwrap_or_default();
    for (kind, flags) in [("non-blocking", 1u64), ("blocking", 0)] {
        let busy = p.stream(flags);
        let other = p.stream(1);
        let probe = |what: &str, name: &str, args: &[u64]| {
            w.begin(p, busy);
            pause(5);
            let code = p.cu.call(name, args);
            let waited = peek(w.done) != 0;
            p.line(json!({"busy": kind, "call": name, "with": what, "result": code, "waited": waited}));
            w.finish(p);
        };
        let mut long = 0u64;
        let mut word = 0i32;
        probe("", "cuMemAlloc_v2", &[out(&mut long), 1 << 20]);
        let (small, large) = (p.alloc(1024), p.alloc(64 << 20));
        probe("1 KiB", "cuMemFree_v2", &[small]);
        probe("64 MiB", "cuMemFree_v2", &[large]);
        probe("other stream", "cuMemAllocAsync", &[out(&mut long), 1 << 20, other]);
        let block = long;
        probe("other stream", "cuMemFreeAsync", &[block, other]);
        probe("busy stream", "cuMemAllocAsync", &[out(&mut long), 1 << 20, busy]);
        probe("busy stream", "cuMemFreeAsync", &[long, busy]);
        probe("", "cuMemHostAlloc", &[out(&mut long), 1 << 20, 3]);
        probe("", "cuMemFreeHost", &[long]);
        probe("", "cuMemGetInfo_v2", &[out(&mut long), out(&mut long)]);
        probe("64 KiB pageable", "cuMemcpyHtoD_v2", &[device, page, 65536]);
        probe("65 KiB pageable", "cuMemcpyHtoD_v2", &[device, page, 66560]);
        probe("16 bytes pageable", "cuMemcpyDtoH_v2", &[page, device, 16]);
        probe("pinned", "cuMemcpyHtoD_v2", &[device, host, 65536]);
        probe("pinned", "cuMemcpyDtoH_v2", &[host, device, 65536]);
        probe("", "cuMemcpyDtoD_v2", &[device, device + 65536, 65536]);
        probe("", "cuMemsetD8_v2", &[device, 0, 65536]);
        for (where_, stream) in [("other stream", other), ("busy stream", busy), ("0", 0), ("per-thread 2", 2)] {
            probe(&format!("16 bytes pageable, {where_}"), "cuMemcpyHtoDAsync_v2", &[device, page, 16, stream]);
            probe(&format!("64 KiB pageable, {where_}"), "cuMemcpyHtoDAsync_v2", &[device, page, 65536, stream]);
            probe(&format!("1 MiB pageable, {where_}"), "cuMemcpyHtoDAsync_v2", &[device, page, 1 << 20, stream]);
            probe(&format!("16 bytes pageable, {where_}"), "cuMemcpyDtoHAsync_v2", &[page, device, 16, stream]);
            probe(&format!("1 MiB pageable, {where_}"), "cuMemcpyDtoHAsync_v2", &[page, device, 1 << 20, stream]);
            probe(&format!("1 MiB pinned, {where_}"), "cuMemcpyHtoDAsync_v2", &[device, host, 1 << 20, stream]);
            probe(&format!("1 MiB pinned, {where_}"), "cuMemcpyDtoHAsync_v2", &[host, device, 1 << 20, stream]);
            probe(where_, "cuMemcpyDtoDAsync_v2", &[device, device + (1 << 20), 1 << 20, stream]);
            probe(where_, "cuMemsetD8Async", &[device, 0, 1 << 20, stream]);
            probe(where_, "cuStreamQuery", &[stream]);
            probe(where_, "cuStreamSynchronize", &[stream]);
        }
        probe("", "cuCtxSynchronize", &[]);
        probe("non-blocking", "cuStreamCreate", &[out(&mut long), 1]);
        probe("idle", "cuStreamDestroy_v2", &[long]);
        probe("", "cuEventCreate", &[out(&mut long), 0]);
        probe("idle", "cuEventDestroy_v2", &[long]);
        let pending = p.event(0);
        w.begin(p, busy);
        p.must("cuEventRecord", &[pending, busy]);
        let code = p.cu.call("cuEventDestroy_v2", &[pending]);
        p.line(json!({"busy": kind, "call": "cuEventDestroy_v2", "with": "pending", "result": code, "waited": peek(w.done) != 0}));
        w.finish(p);
        probe("", "cuModuleLoadData", &[out(&mut long), text.as_ptr() as u64]);
        let module = long;
        probe("", "cuModuleGetFunction", &[out(&mut long), module, c"fill".as_ptr() as u64]);
        let function = long;
        probe("", "cuFuncGetAttribute", &[out(&mut word), 4, function]);
        probe("", "cuFuncSetAttribute", &[function, 8, 1024]);
        let (mut p0, mut p1, mut p2) = (device, 1u64, 4u64);
        let mut params = [out(&mut p0), out(&mut p1), out(&mut p2)];
        probe(
            "first launch of a function, other stream",
            "cuLaunchKernel",
            &[function, 1, 1, 1, 32, 1, 1, 0, other, params.as_mut_ptr() as u64, 0],
        );
        probe("", "cuModuleUnload", &[module]);
        let mut pool = 0u64;
        p.must("cuDeviceGetDefaultMemPool", &[out(&mut pool), 0]);
        probe("", "cuMemPoolTrimTo", &[pool, 0]);
        probe("", "cuCtxSetCurrent", &[context]);
        let busy_one = p.stream(flags);
        w.begin(p, busy_one);
        pause(5);
        let code = p.cu.call("cuStreamDestroy_v2", &[busy_one]);
        p.line(json!({"busy": kind, "call": "cuStreamDestroy_v2", "with": "the busy stream", "result": code, "waited": peek(w.done) != 0}));
        w.finish(p);
        p.say("work of a destroyed stream was done", peek(w.done) == 1);
    }
}

/// When does a copy behind a running kernel read its source or write its target?
fn copies(p: &Probe) {
    p.context();
    let w = waiting(p);
    let stream = p.stream(1);
    let device = p.alloc(32 << 20);
    let pinned = p.pinned(32 << 20);
    let mut pageable = vec![0u8; 32 << 20];
    for (memory, host) in [("pageable", pageable.as_mut_ptr() as u64), ("pinned", pinned)] {
        for bytes in [4usize, 1024, 4096, 16384, 32768, 65536, 65540, 131_072, 1 << 20, 16 << 20] {
            p.must("cuMemsetD8Async", &[device, 0, bytes as u64, stream]);
            p.sync();
            fill(host, 0x11, bytes);
            w.begin(p, stream);
            let code = p.cu.call("cuMemcpyHtoDAsync_v2", &[device, host, bytes as u64, stream]);
            let waited = peek(w.done) != 0;
            fill(host, 0x22, bytes);
            w.finish(p);
            let got = p.read_back(device, bytes);
            let early = got.iter().filter(|b| **b == 0x11).count();
            p.line(json!({"copy": "HtoD async behind a kernel", "memory": memory, "bytes": bytes, "result": code, "waited": waited,
                "bytes_as_at_the_call": early, "bytes_as_changed_later": got.iter().filter(|b| **b == 0x22).count()}));
            p.must("cuMemsetD8Async", &[device, 0x33, bytes as u64, stream]);
            p.sync();
            fill(host, 0x11, bytes);
            w.begin(p, stream);
            let code = p.cu.call("cuMemcpyDtoHAsync_v2", &[host, device, bytes as u64, stream]);
            let waited = peek(w.done) != 0;
            let there = peek(host) == 0x3333_3333;
            w.finish(p);
            p.line(json!({"copy": "DtoH async behind a kernel", "memory": memory, "bytes": bytes, "result": code, "waited": waited,
                "there_on_return": there, "there_after_sync": peek(host) == 0x3333_3333}));
        }
    }
}

/// Overwrites memory of this process that a copy may be reading.
fn fill(host: u64, value: u8, bytes: usize) {
    // SAFETY: `host` is a vector or a pinned block of at least `bytes` bytes that `copies` owns and holds no reference
    // into while this runs. That the device may read it meanwhile is what is asked.
    unsafe { std::ptr::write_bytes(host as *mut u8, value, bytes) };
}

/// Handle 2 from two host threads.
fn per_thread(p: &Probe) {
    let context = p.context();
    let w = waiting(p);
    w.begin(p, 2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            p.must("cuCtxSetCurrent", &[context]);
            p.step("from another thread", "cuStreamQuery", &[2]);
            p.launch("", w.set, Shape::new(1, 1).on(2), &[w.flag, 1]);
        });
    });
    p.sync();
    p.say("handle 2 of two threads ran together", peek(w.done) == 1);
    w.begin(p, 2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut current = 7u64;
            p.step("a new thread", "cuCtxGetCurrent", &[out(&mut current)]);
            p.say("its context is null", current == 0);
            p.step("a new thread without a context", "cuMemAlloc_v2", &[out(&mut current), 16]);
            p.must("cuCtxSetCurrent", &[context]);
            p.step("handle 2 of another thread", "cuStreamSynchronize", &[2]);
            p.say("that waited for the first thread's work", peek(w.done) != 0);
            p.step("", "cuCtxSynchronize", &[]);
            p.say("the context's did", peek(w.done) != 0);
        });
    });
    w.begin(p, 2);
    p.step("busy", "cuStreamQuery", &[2]);
    p.step("legacy, while handle 2 is busy", "cuStreamQuery", &[0]);
    w.finish(p);
}

fn events(p: &Probe) {
    p.context();
    let w = waiting(p);
    let (stream, other) = (p.stream(1), p.stream(1));
    let (first, second, untimed) = (p.event(0), p.event(0), p.event(2));
    let mut ms = -1f32;
    p.step("never recorded", "cuEventQuery", &[first]);
    p.step("never recorded", "cuEventSynchronize", &[first]);
    p.step("never recorded", "cuStreamWaitEvent", &[stream, first, 0]);
    p.step("neither recorded", "cuEventElapsedTime_v2", &[out(&mut ms), first, second]);
    p.step("neither recorded", "cuEventElapsedTime", &[out(&mut ms), first, second]);
    p.must("cuEventRecord", &[first, stream]);
    p.step("one recorded", "cuEventElapsedTime_v2", &[out(&mut ms), first, second]);
    w.begin(p, stream);
    p.must("cuEventRecord", &[second, stream]);
    p.step("behind a running kernel", "cuEventQuery", &[second]);
    p.step("second not done", "cuEventElapsedTime_v2", &[out(&mut ms), first, second]);
    p.step("busy", "cuStreamQuery", &[stream]);
    p.step("busy", "cuStreamQuery", &[0]);
    w.finish(p);
    p.step("done", "cuEventQuery", &[second]);
    p.step("done", "cuEventElapsedTime_v2", &[out(&mut ms), first, second]);
    p.say("positive", ms >= 0.0);
    p.step("the other way round", "cuEventElapsedTime_v2", &[out(&mut ms), second, first]);
    p.say("negative", ms < 0.0);
    p.must("cuEventRecord", &[untimed, stream]);
    p.must("cuEventSynchronize", &[untimed]);
    p.step("untimed", "cuEventElapsedTime_v2", &[out(&mut ms), first, untimed]);
    // A record replaces the one before.
    w.begin(p, stream);
    p.must("cuEventRecord", &[first, stream]);
    p.must("cuEventRecord", &[first, other]);
    p.must("cuStreamSynchronize", &[other]);
    p.step("recorded again on an idle stream", "cuEventQuery", &[first]);
    w.finish(p);
    for flags in [0u64, 1, 2, 3, 4, 6, 8] {
        let mut event = 0u64;
        p.step(&format!("flags {flags}"), "cuEventCreate", &[out(&mut event), flags]);
    }
    p.step("null event", "cuEventRecord", &[0, stream]);
    p.step("null event", "cuEventDestroy_v2", &[0]);
    p.step("null event", "cuEventQuery", &[0]);
    p.step("null event", "cuStreamWaitEvent", &[stream, 0, 0]);
    p.step("flags 5", "cuStreamWaitEvent", &[stream, first, 5]);
}

fn wait_event(p: &Probe) {
    p.context();
    let w = waiting(p);
    let (one, two) = (p.stream(1), p.stream(1));
    let event = p.event(2);
    w.begin(p, one);
    p.must("cuEventRecord", &[event, one]);
    p.must("cuStreamWaitEvent", &[two, event, 0]);
    p.launch("", w.set, Shape::new(1, 1).on(two), &[w.flag, 1]);
    p.sync();
    p.say("work behind a wait ran before the event", peek(w.done) == 1);
    // A wait sees the record before it, not one after it.
    w.begin(p, one);
    p.must("cuStreamWaitEvent", &[two, event, 0]);
    p.must("cuEventRecord", &[event, one]);
    p.launch("", w.set, Shape::new(1, 1).on(two), &[w.flag, 1]);
    p.sync();
    p.say("a record after the wait does not hold it", peek(w.done) == 1);
    // A record on the legacy stream waits for a blocking stream.
    let blocking = p.stream(0);
    w.begin(p, blocking);
    p.must("cuEventRecord", &[event, 0]);
    p.must("cuStreamWaitEvent", &[two, event, 0]);
    p.launch("", w.set, Shape::new(1, 1).on(two), &[w.flag, 1]);
    p.sync();
    p.say("an event of stream 0 waits for a blocking stream", peek(w.done) == 2);
    w.begin(p, one);
    p.must("cuEventRecord", &[event, 0]);
    p.step("of stream 0, a non-blocking stream busy", "cuEventSynchronize", &[event]);
    p.say("that waited for the non-blocking stream", peek(w.done) != 0);
    w.finish(p);
}

static CALLED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

static INSIDE: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(-99);

extern "C" fn called(library: u64) {
    use std::sync::atomic::Ordering::SeqCst;
    let cu = crate::driver::Library::at(library);
    let mut free = 0u64;
    INSIDE.store(cu.call("cuMemAlloc_v2", &[out(&mut free), 16]), SeqCst);
    CALLED.fetch_add(1, SeqCst);
}

fn host_function(p: &Probe) {
    use std::sync::atomic::Ordering::SeqCst;
    p.context();
    let w = waiting(p);
    let stream = p.stream(1);
    let library = p.cu.address();
    w.begin(p, stream);
    p.step("", "cuLaunchHostFunc", &[stream, called as *const () as u64, library]);
    pause(20);
    p.say("called while the kernel before it ran", CALLED.load(SeqCst));
    w.finish(p);
    p.say("called after a sync", CALLED.load(SeqCst));
    p.say("a driver call inside it answered", INSIDE.load(SeqCst));
    p.step("null function", "cuLaunchHostFunc", &[stream, 0, 0]);
}

fn creation(p: &Probe) {
    p.context();
    let mut stream = 0u64;
    for flags in [0u64, 1, 2, 3, 8] {
        p.step(&format!("flags {flags}"), "cuStreamCreate", &[out(&mut stream), flags]);
    }
    for priority in [-100i64, -5, -1, 0, 1, 5] {
        p.step(
            &format!("priority {priority}"),
            "cuStreamCreateWithPriority",
            &[out(&mut stream), 1, priority as u32 as u64],
        );
        let mut got = 99i32;
        p.must("cuStreamGetPriority", &[stream, out(&mut got)]);
        p.say("priority got", got);
    }
    let mut flags = 9u32;
    for handle in [0u64, 1, 2] {
        p.step(&format!("handle {handle}"), "cuStreamGetFlags", &[handle, out(&mut flags)]);
        p.say("flags", flags);
        p.step(&format!("handle {handle}"), "cuStreamDestroy_v2", &[handle]);
    }
}
