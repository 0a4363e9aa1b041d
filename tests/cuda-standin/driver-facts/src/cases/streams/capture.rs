//! What may be captured into a graph, and what breaks a capture.

use crate::driver::out;
use crate::probe::{PROBE_PTX, Probe, Shape};
use serde_json::json;

pub(super) fn capture(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let count = p.function(module, "count");
    let place = p.alloc(4);
    p.to_device(place, &[0; 4]);
    let stream = p.stream(1);
    let (mut status, mut graph, mut exec, mut nodes) = (9i32, 0u64, 0u64, 0u64);
    p.step("0", "cuStreamBeginCapture_v2", &[0, 0]);
    p.step("2", "cuStreamBeginCapture_v2", &[2, 2]);
    if p.cu.call("cuStreamIsCapturing", &[2, out(&mut status)]) == 0 && status == 1 {
        p.must("cuStreamEndCapture", &[2, out(&mut graph)]);
    }
    p.step("not capturing", "cuStreamEndCapture", &[stream, out(&mut graph)]);
    p.step("", "cuStreamBeginCapture_v2", &[stream, 0]);
    p.step("twice", "cuStreamBeginCapture_v2", &[stream, 0]);
    p.step("", "cuStreamIsCapturing", &[stream, out(&mut status)]);
    p.say("status", status);
    p.launch("captured", count, Shape::new(2, 32).on(stream), &[place]);
    let mut address = 0u64;
    p.step("captured", "cuMemAllocAsync", &[out(&mut address), 1000, stream]);
    p.step("captured", "cuMemsetD8Async", &[address, 1, 1000, stream]);
    p.step("captured", "cuMemFreeAsync", &[address, stream]);
    p.step("captured", "cuMemcpyDtoDAsync_v2", &[place, place, 4, stream]);
    p.step("", "cuStreamEndCapture", &[stream, out(&mut graph)]);
    p.step("", "cuStreamIsCapturing", &[stream, out(&mut status)]);
    p.say("status", status);
    p.say("the kernel has run", p.words(place, 1)[0]);
    p.step("", "cuGraphGetNodes", &[graph, 0, out(&mut nodes)]);
    p.say("nodes", nodes);
    p.step("", "cuGraphInstantiateWithFlags", &[out(&mut exec), graph, 0]);
    p.step("", "cuGraphLaunch", &[exec, stream]);
    p.step("", "cuGraphLaunch", &[exec, stream]);
    p.step("legacy", "cuGraphLaunch", &[exec, 0]);
    p.sync();
    p.say("counted after three launches of 64", p.words(place, 1)[0]);
    p.step("", "cuGraphUpload", &[exec, stream]);
    p.step("", "cuGraphDestroy", &[graph]);
    p.step("without its graph", "cuGraphLaunch", &[exec, stream]);
    p.sync();
    p.say("counted", p.words(place, 1)[0]);
    p.step("", "cuGraphExecDestroy", &[exec]);
    p.step("null", "cuGraphLaunch", &[0, stream]);
}

/// What a capture in each mode does not bear.
pub(super) fn capture_breakers(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let nothing = p.function(module, "nothing");
    p.launch("", nothing, Shape::new(1, 1), &[]);
    let device = p.alloc(1 << 20);
    let pinned = p.pinned(1 << 20);
    let mut pageable = vec![0u8; 1 << 20];
    let page = pageable.as_mut_ptr() as u64;
    let text = std::ffi::CString::new(PROBE_PTX).unwrap_or_default();
    let (other, done) = (p.stream(1), p.event(2));
    let (mut long, mut word) = (0u64, 0i32);
    let blocking = p.stream(0);
    for mode in 0..3u64 {
        let calls: Vec<(&str, &str, Vec<u64>)> = vec![
            ("", "cuMemAlloc_v2", vec![out(&mut long), 64]),
            ("", "cuMemHostAlloc", vec![out(&mut long), 64, 3]),
            ("null", "cuMemFree_v2", vec![0]),
            ("", "cuMemGetInfo_v2", vec![out(&mut long), out(&mut long)]),
            ("", "cuCtxSynchronize", vec![]),
            ("itself", "cuStreamSynchronize", vec![u64::MAX]),
            ("itself", "cuStreamQuery", vec![u64::MAX]),
            ("other", "cuStreamSynchronize", vec![other]),
            ("legacy", "cuStreamSynchronize", vec![0]),
            ("done event", "cuEventQuery", vec![done]),
            ("pageable", "cuMemcpyHtoDAsync_v2", vec![device, page, 1024, u64::MAX]),
            ("pageable", "cuMemcpyDtoHAsync_v2", vec![page, device, 1024, u64::MAX]),
            ("pinned", "cuMemcpyHtoDAsync_v2", vec![device, pinned, 1024, u64::MAX]),
            ("pinned", "cuMemcpyDtoHAsync_v2", vec![pinned, device, 1024, u64::MAX]),
            ("", "cuMemcpyHtoD_v2", vec![device, page, 1024]),
            ("other stream", "cuMemsetD8Async", vec![device, 0, 16, other]),
            ("legacy", "cuMemsetD8Async", vec![device, 0, 16, 0]),
            ("blocking stream", "cuMemsetD8Async", vec![device, 0, 16, blocking]),
            ("other stream", "cuMemAllocAsync", vec![out(&mut long), 64, other]),
            ("", "cuModuleLoadData", vec![out(&mut long), text.as_ptr() as u64]),
            ("not loaded yet", "cuModuleGetFunction", vec![out(&mut long), module, c"fill".as_ptr() as u64]),
            ("", "cuStreamCreate", vec![out(&mut long), 1]),
            ("", "cuEventCreate", vec![out(&mut long), 0]),
            ("", "cuFuncGetAttribute", vec![out(&mut word), 4, nothing]),
            ("", "cuFuncSetAttribute", vec![nothing, 8, 1024]),
            ("legacy", "cuLaunchKernel", vec![nothing, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]),
            ("itself", "cuLaunchKernel", vec![nothing, 1, 1, 1, 1, 1, 1, 0, u64::MAX, 0, 0]),
            ("grid of 0", "cuLaunchKernel", vec![nothing, 0, 1, 1, 1, 1, 1, 0, u64::MAX, 0, 0]),
        ];
        for (what, name, args) in calls {
            let stream = p.stream(1);
            p.must("cuStreamBeginCapture_v2", &[stream, mode]);
            let args: Vec<u64> = args.into_iter().map(|arg| if arg == u64::MAX { stream } else { arg }).collect();
            let code = p.cu.call(name, &args);
            let mut status = 9i32;
            let asked = p.cu.call("cuStreamIsCapturing", &[stream, out(&mut status)]);
            let mut graph = 0u64;
            let end = p.cu.call("cuStreamEndCapture", &[stream, out(&mut graph)]);
            p.line(json!({"mode": mode, "call": name, "with": what, "result": code, "is_capturing": [asked, status], "end": end, "graph": graph != 0}));
            p.sync();
        }
    }
}
