//! Before there is a context, and while there comes to be one.

use super::Case;
use crate::driver::{out, text_at};
use crate::probe::Probe;
use serde_json::{Map, Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("start/symbols", symbols),
        Case::new("start/errors", errors),
        Case::new("start/before_init", before_init),
        Case::new("start/no_visible_device", no_visible_device).with("CUDA_VISIBLE_DEVICES", ""),
        Case::new("start/visible_device_that_is_not", no_visible_device).with("CUDA_VISIBLE_DEVICES", "7"),
        Case::new("start/device", device),
        Case::new("start/no_context", no_context),
        Case::new("start/primary_context", primary_context),
        Case::new("start/primary_context_reset", primary_context_reset),
        Case::new("start/created_context", created_context),
        Case::new("start/limits", limits),
    ]
}

const SYMBOLS: &str = "cuInit cuDriverGetVersion cuDeviceGet cuDeviceGetCount cuDeviceGetName cuDeviceGetUuid \
cuDeviceGetUuid_v2 cuDeviceTotalMem_v2 cuDeviceGetAttribute cuDevicePrimaryCtxRetain cuDevicePrimaryCtxRelease_v2 \
cuDevicePrimaryCtxReset_v2 cuDevicePrimaryCtxGetState cuDevicePrimaryCtxSetFlags_v2 cuCtxCreate_v2 cuCtxCreate_v3 \
cuCtxCreate_v4 cuCtxDestroy_v2 cuCtxGetCurrent cuCtxSetCurrent cuCtxPushCurrent_v2 cuCtxPopCurrent_v2 \
cuCtxSynchronize cuCtxGetDevice cuCtxGetFlags cuCtxGetLimit cuCtxSetLimit cuCtxGetStreamPriorityRange \
cuCtxGetApiVersion cuGetErrorString cuGetErrorName cuStreamCreate cuStreamCreateWithPriority cuStreamDestroy_v2 \
cuStreamSynchronize cuStreamSynchronize_ptsz cuStreamQuery cuStreamWaitEvent cuStreamIsCapturing cuStreamBeginCapture_v2 \
cuStreamEndCapture cuStreamGetCaptureInfo_v3 cuStreamAttachMemAsync cuEventCreate cuEventRecord cuEventQuery \
cuEventSynchronize cuEventElapsedTime cuEventElapsedTime_v2 cuEventDestroy_v2 cuMemAlloc_v2 cuMemFree_v2 \
cuMemAllocAsync cuMemAllocAsync_ptsz cuMemFreeAsync cuMemAllocManaged cuMemGetInfo_v2 cuMemHostAlloc cuMemFreeHost \
cuMemHostRegister_v2 cuMemHostUnregister cuMemHostGetDevicePointer_v2 cuMemcpyHtoD_v2 cuMemcpyDtoH_v2 cuMemcpyDtoD_v2 \
cuMemcpyHtoDAsync_v2 cuMemcpyDtoHAsync_v2 cuMemcpyDtoDAsync_v2 cuMemcpyPeerAsync cuMemcpyAsync cuMemsetD8_v2 \
cuMemsetD8Async cuMemsetD32Async cuMemGetAddressRange_v2 cuPointerGetAttribute cuMemPoolCreate cuMemPoolDestroy \
cuMemPoolTrimTo cuMemPoolGetAttribute cuMemPoolSetAttribute cuMemAllocFromPoolAsync cuDeviceGetDefaultMemPool \
cuDeviceGetMemPool cuDeviceSetMemPool cuModuleLoad cuModuleLoadData cuModuleLoadDataEx cuModuleLoadFatBinary \
cuModuleUnload cuModuleGetFunction cuModuleGetGlobal_v2 cuModuleGetLoadingMode cuLibraryLoadData cuKernelGetFunction \
cuFuncGetAttribute cuFuncSetAttribute cuFuncSetCacheConfig cuFuncGetParamInfo cuFuncIsLoaded cuFuncLoad cuLaunchKernel \
cuLaunchKernelEx cuLaunchCooperativeKernel cuLaunchHostFunc cuOccupancyMaxActiveBlocksPerMultiprocessor \
cuOccupancyMaxPotentialBlockSize cuGraphInstantiateWithFlags cuGraphLaunch cuGraphUpload cuGraphExecDestroy \
cuGraphDestroy cuGraphGetNodes cuGetProcAddress cuGetProcAddress_v2 cuGetExportTable cuProfilerStart";

fn symbols(p: &Probe) {
    let (have, lack): (Vec<&str>, Vec<&str>) =
        SYMBOLS.split_whitespace().partition(|name| !p.cu.symbol(name).is_null());
    p.say("exported", have);
    p.say("not exported", lack);
}

fn errors(p: &Probe) {
    for code in 0..=1100u64 {
        let (mut name, mut text) = (0u64, 0u64);
        let a = p.cu.call("cuGetErrorName", &[code, out(&mut name)]);
        let b = p.cu.call("cuGetErrorString", &[code, out(&mut text)]);
        if a == 0 || b == 0 {
            p.line(json!({"code": code, "name": text_at(name), "string": text_at(text)}));
        }
    }
    let mut name = 1u64;
    let code = p.cu.call("cuGetErrorString", &[12345, out(&mut name)]);
    p.line(json!({"what": "a code that does not exist", "result": code, "pointer_is_null": name == 0}));
}

fn before_init(p: &Probe) {
    let (mut word, mut long) = (0i32, 0u64);
    p.step_with("version", "cuDriverGetVersion", &[out(&mut word)], || value_of(word));
    p.step("", "cuDeviceGetCount", &[out(&mut word)]);
    p.step("", "cuDeviceGet", &[out(&mut word), 0]);
    p.step("", "cuDeviceGetAttribute", &[out(&mut word), 75, 0]);
    p.step("", "cuDevicePrimaryCtxRetain", &[out(&mut long), 0]);
    p.step("", "cuCtxGetCurrent", &[out(&mut long)]);
    p.step("", "cuCtxSetCurrent", &[0]);
    p.step("", "cuCtxSynchronize", &[]);
    p.step("", "cuMemAlloc_v2", &[out(&mut long), 16]);
    p.step("null", "cuMemFree_v2", &[0]);
    p.step("", "cuStreamCreate", &[out(&mut long), 0]);
    p.step("", "cuStreamSynchronize", &[0]);
    p.step("", "cuEventCreate", &[out(&mut long), 0]);
    p.step("", "cuModuleLoadData", &[out(&mut long), c"garbage".as_ptr() as u64]);
    p.step("", "cuMemGetInfo_v2", &[out(&mut long), out(&mut long)]);
    p.step("flags 1", "cuInit", &[1]);
    p.step("", "cuInit", &[0]);
    p.step("again", "cuInit", &[0]);
    p.step_with("", "cuDeviceGetCount", &[out(&mut word)], || value_of(word));
}

fn value_of(value: impl Into<Value>) -> Map<String, Value> {
    Map::from_iter([("value".to_owned(), value.into())])
}

fn no_visible_device(p: &Probe) {
    let (mut word, mut long) = (-5i32, 0u64);
    p.step("", "cuInit", &[0]);
    p.step("again", "cuInit", &[0]);
    p.step_with("", "cuDriverGetVersion", &[out(&mut word)], Map::new);
    p.step("", "cuDeviceGetCount", &[out(&mut word)]);
    p.say("count", word);
    p.step("", "cuDeviceGet", &[out(&mut word), 0]);
    p.step("", "cuDevicePrimaryCtxRetain", &[out(&mut long), 0]);
    p.step("", "cuCtxGetCurrent", &[out(&mut long)]);
    p.step("", "cuMemAlloc_v2", &[out(&mut long), 16]);
}

fn device(p: &Probe) {
    let mut word = 0i32;
    p.step("", "cuInit", &[0]);
    p.step("", "cuDriverGetVersion", &[out(&mut word)]);
    p.say("driver version", word);
    p.step("", "cuDeviceGetCount", &[out(&mut word)]);
    p.say("devices", word);
    for ordinal in [0u64, 1, u32::MAX as u64] {
        let mut device = -7i32;
        p.step(&format!("ordinal {}", ordinal as i32), "cuDeviceGet", &[out(&mut device), ordinal]);
        p.say("device", device);
    }
    let mut name = [0u8; 128];
    p.step("", "cuDeviceGetName", &[name.as_mut_ptr() as u64, 128, 0]);
    p.say("name", text_at(name.as_ptr() as u64));
    let mut short = [0xEEu8; 8];
    p.step("room for 4 bytes", "cuDeviceGetName", &[short.as_mut_ptr() as u64, 4, 0]);
    p.say("bytes", short.to_vec());
    let mut uuid = [0u8; 16];
    p.step("", "cuDeviceGetUuid_v2", &[uuid.as_mut_ptr() as u64, 0]);
    let mut total = 0u64;
    p.step("", "cuDeviceTotalMem_v2", &[out(&mut total), 0]);
    p.say("total memory", total);
    p.step("device 1", "cuDeviceTotalMem_v2", &[out(&mut total), 1]);
    p.step("device 1", "cuDeviceGetAttribute", &[out(&mut word), 75, 1]);
    p.step("null place", "cuDeviceGetAttribute", &[0, 75, 0]);
    let mut attributes = Map::new();
    let mut refused = Vec::new();
    for attribute in 0..=220u64 {
        let mut value = i32::MIN;
        match p.cu.call("cuDeviceGetAttribute", &[out(&mut value), attribute, 0]) {
            0 => drop(attributes.insert(attribute.to_string(), value.into())),
            code => refused.push(json!([attribute, code])),
        }
    }
    p.say("attributes", attributes);
    p.say("refused attributes", refused);
}

fn no_context(p: &Probe) {
    p.device();
    let (mut word, mut long) = (0i32, 0xEEu64);
    p.step("", "cuCtxGetCurrent", &[out(&mut long)]);
    p.say("current", long);
    p.step("", "cuCtxGetDevice", &[out(&mut word)]);
    p.step("", "cuCtxSynchronize", &[]);
    p.step("", "cuMemGetInfo_v2", &[out(&mut long), out(&mut long)]);
    p.step("", "cuMemAlloc_v2", &[out(&mut long), 16]);
    p.step("", "cuMemAllocAsync", &[out(&mut long), 16, 0]);
    p.step("", "cuMemHostAlloc", &[out(&mut long), 16, 0]);
    p.step("null", "cuMemFree_v2", &[0]);
    p.step("garbage", "cuMemFree_v2", &[0x1234_5600]);
    p.step("null", "cuMemFreeHost", &[0]);
    p.step("", "cuStreamCreate", &[out(&mut long), 0]);
    p.step("0", "cuStreamSynchronize", &[0]);
    p.step("0", "cuStreamQuery", &[0]);
    p.step("2", "cuStreamSynchronize", &[2]);
    p.step("", "cuEventCreate", &[out(&mut long), 0]);
    let text = std::ffi::CString::new(crate::probe::PROBE_PTX).unwrap_or_default();
    p.step("", "cuModuleLoadData", &[out(&mut long), text.as_ptr() as u64]);
    p.step("", "cuCtxPopCurrent_v2", &[out(&mut long)]);
    p.step("null", "cuCtxSetCurrent", &[0]);
    p.step("", "cuStreamBeginCapture_v2", &[0, 0]);
    p.step("", "cuCtxGetLimit", &[out(&mut long), 0]);
}

fn state(p: &Probe, when: &str) {
    let (mut flags, mut active) = (0u32, 0i32);
    let code = p.cu.call("cuDevicePrimaryCtxGetState", &[0, out(&mut flags), out(&mut active)]);
    let mut current = 0u64;
    let got = p.cu.call("cuCtxGetCurrent", &[out(&mut current)]);
    p.line(json!({"what": format!("state {when}"), "result": code, "flags": flags, "active": active,
        "current_result": got, "current_is_null": current == 0}));
}

fn primary_context(p: &Probe) {
    p.device();
    let (mut first, mut second, mut third, mut long) = (0u64, 0u64, 0u64, 0u64);
    state(p, "at first");
    p.step("never retained", "cuDevicePrimaryCtxRelease_v2", &[0]);
    p.step("", "cuDevicePrimaryCtxRetain", &[out(&mut first), 0]);
    state(p, "after retain");
    p.step("again", "cuDevicePrimaryCtxRetain", &[out(&mut second), 0]);
    p.say("the same handle", first == second);
    p.step("", "cuCtxSetCurrent", &[first]);
    state(p, "after set");
    let mut word = 0u32;
    p.step("", "cuCtxGetApiVersion", &[first, out(&mut word)]);
    p.say("api version", word);
    p.step("", "cuCtxGetFlags", &[out(&mut word)]);
    p.say("flags", word);
    p.step("primary", "cuCtxDestroy_v2", &[first]);
    state(p, "after destroy of the primary");
    let address = p.alloc(4096);
    p.step("", "cuDevicePrimaryCtxRelease_v2", &[0]);
    state(p, "after one release");
    p.step("", "cuDevicePrimaryCtxRelease_v2", &[0]);
    state(p, "after the last release");
    p.step("after the last release", "cuMemAlloc_v2", &[out(&mut long), 16]);
    p.step("after the last release", "cuMemFree_v2", &[address]);
    p.step("after the last release", "cuCtxSynchronize", &[]);
    p.step("after the last release", "cuStreamCreate", &[out(&mut long), 0]);
    p.step("after the last release", "cuCtxSetCurrent", &[first]);
    p.step("one too many", "cuDevicePrimaryCtxRelease_v2", &[0]);
    p.step("after all", "cuDevicePrimaryCtxRetain", &[out(&mut third), 0]);
    p.say("the same handle again", first == third);
    state(p, "after retain again");
    p.step("still current", "cuMemAlloc_v2", &[out(&mut long), 16]);
    p.step("", "cuCtxSetCurrent", &[third]);
    p.step("current anew", "cuMemAlloc_v2", &[out(&mut long), 16]);
    p.step("of the context before", "cuMemFree_v2", &[address]);
}

fn primary_context_reset(p: &Probe) {
    let context = p.context();
    let module = p.module(crate::probe::PROBE_PTX);
    let address = p.alloc(4096);
    let stream = p.stream(1);
    let mut long = 0u64;
    p.step("", "cuDevicePrimaryCtxReset_v2", &[0]);
    state(p, "after reset");
    p.step("", "cuMemAlloc_v2", &[out(&mut long), 16]);
    p.step("of before", "cuMemFree_v2", &[address]);
    p.step("of before", "cuModuleGetFunction", &[out(&mut long), module, c"nothing".as_ptr() as u64]);
    p.step("", "cuCtxSetCurrent", &[context]);
    p.step("", "cuCtxSynchronize", &[]);
    p.step("", "cuDevicePrimaryCtxRetain", &[out(&mut long), 0]);
    p.say("the same handle", long == context);
    p.step("", "cuCtxSetCurrent", &[long]);
    p.step("", "cuMemAlloc_v2", &[out(&mut long), 16]);
    p.step("of before", "cuMemFree_v2", &[address]);
    p.step("of before", "cuStreamSynchronize", &[stream]);
}

fn created_context(p: &Probe) {
    p.device();
    let (mut first, mut second, mut popped) = (0u64, 0u64, 0u64);
    let mut long = 0u64;
    p.step("", "cuCtxCreate_v2", &[out(&mut first), 0, 0]);
    state(p, "after create");
    p.step("", "cuCtxCreate_v4", &[out(&mut second), 0, 0, 0]);
    p.step("", "cuCtxPopCurrent_v2", &[out(&mut popped)]);
    p.say("popped the second", popped == second);
    p.step("", "cuCtxGetCurrent", &[out(&mut long)]);
    p.say("current is the first", long == first);
    p.step("", "cuCtxPushCurrent_v2", &[second]);
    let address = p.alloc(64);
    p.step("the current one", "cuCtxDestroy_v2", &[second]);
    p.step("", "cuCtxGetCurrent", &[out(&mut long)]);
    p.say("current after destroy: null, first, second", json!([long == 0, long == first, long == second]));
    p.step("", "cuMemAlloc_v2", &[out(&mut long), 16]);
    p.step("of the destroyed one", "cuMemFree_v2", &[address]);
    p.step("destroyed", "cuCtxSetCurrent", &[second]);
    p.step("", "cuMemAlloc_v2", &[out(&mut long), 16]);
    p.step("twice", "cuCtxDestroy_v2", &[second]);
}

fn limits(p: &Probe) {
    p.context();
    for limit in 0..=10u64 {
        let mut value = 0u64;
        p.step(&format!("limit {limit}"), "cuCtxGetLimit", &[out(&mut value), limit]);
        p.say("value", value);
    }
    let mut value = 0u64;
    p.step("stack of 3000 bytes", "cuCtxSetLimit", &[0, 3000]);
    p.step("", "cuCtxGetLimit", &[out(&mut value), 0]);
    p.say("value", value);
    let (mut least, mut greatest) = (0i32, 0i32);
    p.step("", "cuCtxGetStreamPriorityRange", &[out(&mut least), out(&mut greatest)]);
    p.say("least, greatest", json!([least, greatest]));
    let mut mode = 0i32;
    p.step("", "cuModuleGetLoadingMode", &[out(&mut mode)]);
    p.say("mode (1 eager, 2 lazy)", mode);
}
