//! Handles that are no longer, or never were. The driver may crash on them: that is recorded too.

use super::Case;
use crate::driver::out;
use crate::probe::{PROBE_PTX, Probe, Shape};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (kind, handle) in
        [("destroyed", None), ("garbage", Some(0xDEAD_BEE0u64)), ("small", Some(77)), ("null", Some(0))]
    {
        let mut add = |what: &str, run: fn(&Probe, Option<u64>)| {
            cases.push(Case::new(format!("handles/{kind}_{what}"), move |p: &Probe| run(p, handle)));
        };
        add("stream_synchronize", |p, h| {
            p.context();
            let stream = h.unwrap_or_else(|| gone(p, p.stream(1), "cuStreamDestroy_v2"));
            p.step("", "cuStreamSynchronize", &[stream]);
            p.step("", "cuStreamQuery", &[stream]);
        });
        add("stream_destroy", |p, h| {
            p.context();
            let stream = h.unwrap_or_else(|| gone(p, p.stream(1), "cuStreamDestroy_v2"));
            p.step("", "cuStreamDestroy_v2", &[stream]);
        });
        add("stream_launch", |p, h| {
            p.context();
            let stream = h.unwrap_or_else(|| gone(p, p.stream(1), "cuStreamDestroy_v2"));
            let module = p.module(PROBE_PTX);
            let function = p.function(module, "nothing");
            p.launch("", function, Shape::new(1, 1).on(stream), &[]);
            p.step("", "cuCtxSynchronize", &[]);
        });
        add("event", |p, h| {
            p.context();
            let event = h.unwrap_or_else(|| gone(p, p.event(0), "cuEventDestroy_v2"));
            p.step("", "cuEventQuery", &[event]);
            p.step("", "cuEventRecord", &[event, 0]);
        });
        add("event_destroy", |p, h| {
            p.context();
            let event = h.unwrap_or_else(|| gone(p, p.event(0), "cuEventDestroy_v2"));
            p.step("", "cuEventDestroy_v2", &[event]);
        });
        add("module", |p, h| {
            p.context();
            let module = h.unwrap_or_else(|| gone(p, p.module(PROBE_PTX), "cuModuleUnload"));
            let mut function = 0u64;
            p.step("", "cuModuleGetFunction", &[out(&mut function), module, c"nothing".as_ptr() as u64]);
        });
        add("module_unload", |p, h| {
            p.context();
            let module = h.unwrap_or_else(|| gone(p, p.module(PROBE_PTX), "cuModuleUnload"));
            p.step("", "cuModuleUnload", &[module]);
        });
        add("function", |p, h| {
            p.context();
            let function = h.unwrap_or_else(|| {
                let module = p.module(PROBE_PTX);
                let function = p.function(module, "nothing");
                p.must("cuModuleUnload", &[module]);
                function
            });
            let mut word = 0i32;
            p.step("", "cuFuncGetAttribute", &[out(&mut word), 4, function]);
            p.launch("", function, Shape::new(1, 1), &[]);
            p.step("", "cuCtxSynchronize", &[]);
        });
        add("context", |p, h| {
            p.device();
            let context = h.unwrap_or_else(|| {
                let mut context = 0u64;
                p.must("cuCtxCreate_v2", &[out(&mut context), 0, 0]);
                gone(p, context, "cuCtxDestroy_v2")
            });
            let mut long = 0u64;
            p.step("", "cuCtxSetCurrent", &[context]);
            p.step("", "cuMemAlloc_v2", &[out(&mut long), 16]);
            p.step("", "cuCtxSynchronize", &[]);
            p.step("", "cuCtxDestroy_v2", &[context]);
        });
        add("graph", |p, h| {
            p.context();
            let stream = p.stream(1);
            let exec = h.unwrap_or_else(|| {
                let (mut graph, mut exec) = (0u64, 0u64);
                p.must("cuStreamBeginCapture_v2", &[stream, 0]);
                p.must("cuStreamEndCapture", &[stream, out(&mut graph)]);
                p.must("cuGraphInstantiateWithFlags", &[out(&mut exec), graph, 0]);
                gone(p, exec, "cuGraphExecDestroy")
            });
            p.step("", "cuGraphLaunch", &[exec, stream]);
        });
    }
    cases.push(Case::new("handles/of_another_context", |p: &Probe| {
        p.device();
        let (mut one, mut two, mut long) = (0u64, 0u64, 0u64);
        p.must("cuCtxCreate_v2", &[out(&mut one), 0, 0]);
        let (stream, event, module) = (p.stream(1), p.event(0), p.module(PROBE_PTX));
        let block = p.alloc(4096);
        let function = p.function(module, "nothing");
        p.must("cuCtxCreate_v2", &[out(&mut two), 0, 0]);
        p.step("its stream", "cuStreamSynchronize", &[stream]);
        p.step("its event on stream 0", "cuEventRecord", &[event, 0]);
        p.step("its event on its stream", "cuEventRecord", &[event, stream]);
        p.launch("its function on stream 0", function, Shape::new(1, 1), &[]);
        p.launch("its function on its stream", function, Shape::new(1, 1).on(stream), &[]);
        p.step("its block", "cuMemsetD8Async", &[block, 0, 16, 0]);
        p.step("", "cuCtxSynchronize", &[]);
        p.step("its block", "cuMemFree_v2", &[block]);
        p.step("its module", "cuModuleGetFunction", &[out(&mut long), module, c"fill".as_ptr() as u64]);
        p.step("its module", "cuModuleUnload", &[module]);
        p.step("its stream", "cuStreamDestroy_v2", &[stream]);
    }));
    cases
}

/// Destroys a handle and gives it back.
fn gone(p: &Probe, handle: u64, by: &str) -> u64 {
    p.must(by, &[handle]);
    handle
}
