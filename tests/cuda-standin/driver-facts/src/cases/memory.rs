//! What is allocated, what `cuMemGetInfo` says about it, and what pools keep.

mod addresses;
mod pools;

use super::Case;
use crate::driver::out;
use crate::probe::{PROBE_PTX, Probe, Shape, pause};
use serde_json::json;

const MIB: u64 = 1 << 20;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("memory/info", info).alone(),
        Case::new("memory/info_eager", info).alone().with("CUDA_MODULE_LOADING", "EAGER"),
        Case::new("memory/info_of_another_process", info_of_other).alone(),
        Case::new("memory/pool_threshold_0", |p| pools::pool(p, Some(0))).alone(),
        Case::new("memory/pool_threshold_as_found", |p| pools::pool(p, None)).alone(),
        Case::new("memory/pool_threshold_max", |p| pools::pool(p, Some(u64::MAX))).alone(),
        Case::new("memory/pool_growth", pools::growth).alone(),
        Case::new("memory/pool_reuse", pools::reuse).alone(),
        Case::new("memory/own_pool", pools::own_pool).alone(),
        Case::new("memory/allocate", allocate),
        Case::new("memory/exhaust", exhaust).alone(),
        Case::new("memory/exhaust_async", pools::exhaust_async).alone(),
        Case::new("memory/free", free),
        Case::new("memory/free_async_wrongly", free_async),
        Case::new("memory/copy_bounds", addresses::copy_bounds),
        Case::new("memory/pinned", addresses::pinned),
        Case::new("memory/uninitialised", addresses::uninitialised).alone(),
        Case::new("memory/pointer_attributes", addresses::pointer_attributes),
    ]
}

/// Free memory now, as the difference from `since`.
fn mark(p: &Probe, what: &str, since: &mut u64) {
    let (free, total) = p.memory();
    p.line(json!({"what": what, "free": free, "total": total, "taken": *since as i64 - free as i64}));
    *since = free;
}

fn info(p: &Probe) {
    p.context();
    let mut device_total = 0u64;
    p.must("cuDeviceTotalMem_v2", &[out(&mut device_total), 0]);
    p.say("device total", device_total);
    let (mut since, _) = p.memory();
    mark(p, "context made", &mut since);
    let mut blocks = Vec::new();
    for bytes in [
        1u64,
        256,
        512,
        1024,
        4096,
        65536,
        65537,
        MIB,
        MIB,
        2 * MIB - 1,
        2 * MIB,
        2 * MIB + 1,
        3 * MIB,
        20 * MIB,
        100 * MIB + 1,
    ] {
        blocks.push(p.alloc(bytes));
        mark(p, &format!("cuMemAlloc {bytes} at {:#x}", blocks[blocks.len() - 1]), &mut since);
    }
    for block in blocks.iter().rev() {
        p.must("cuMemFree_v2", &[*block]);
        mark(p, &format!("cuMemFree {block:#x}"), &mut since);
    }
    let small: Vec<u64> = (0..3000).map(|_| p.alloc(1000)).collect();
    mark(p, "3000 of 1000 bytes", &mut since);
    p.say(
        "steps between the first eight",
        small.windows(2).take(8).map(|w| w[1] as i64 - w[0] as i64).collect::<Vec<_>>(),
    );
    for block in &small {
        p.must("cuMemFree_v2", &[*block]);
    }
    mark(p, "freed", &mut since);
    let host = p.pinned(64 * MIB);
    mark(p, "64 MiB pinned", &mut since);
    p.must("cuMemFreeHost", &[host]);
    mark(p, "freed pinned", &mut since);
    let module = p.module(PROBE_PTX);
    mark(p, "module loaded", &mut since);
    let function = p.function(module, "nothing");
    p.launch("", function, Shape::new(1, 32), &[]);
    p.sync();
    mark(p, "first launch", &mut since);
    let function = p.function(module, "stack");
    mark(p, "function with a stack", &mut since);
    let place = p.alloc(4);
    p.launch("", function, Shape::new(1, 32), &[2, place]);
    p.sync();
    mark(p, "launched with a stack", &mut since);
    let printing = p.function(module, "prints");
    p.launch("", printing, Shape::new(1, 2), &[]);
    p.sync();
    mark(p, "launched with printf", &mut since);
    let streams: Vec<u64> = (0..8).map(|_| p.stream(1)).collect();
    mark(p, "8 streams", &mut since);
    streams.iter().for_each(|stream| {
        p.launch("", function, Shape::new(1, 32).on(*stream), &[2, place]);
    });
    p.sync();
    mark(p, "8 streams used", &mut since);
    p.must("cuModuleUnload", &[module]);
    mark(p, "module unloaded", &mut since);
}

fn info_of_other(p: &Probe) {
    p.context();
    let (mut since, _) = p.memory();
    mark(p, "alone", &mut since);
    let program = std::env::current_exe().expect("a program has a path");
    let child = std::process::Command::new(program)
        .args(["hold", "context"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return };
    pause(2500);
    mark(p, "another process has a context and 100 MiB", &mut since);
    drop(child.stdin.take());
    let _ = child.wait();
    mark(p, "it ended", &mut since);
}

fn alloc_async(p: &Probe, bytes: u64, stream: u64) -> u64 {
    let mut address = 0u64;
    p.must("cuMemAllocAsync", &[out(&mut address), bytes, stream]);
    address
}

fn allocate(p: &Probe) {
    p.context();
    let mut address = 0xEEu64;
    p.step("0 bytes", "cuMemAlloc_v2", &[out(&mut address), 0]);
    p.say("address", address);
    address = 0xEE;
    p.step("0 bytes", "cuMemAllocAsync", &[out(&mut address), 0, 0]);
    p.say("address", address);
    p.step("free of it", "cuMemFreeAsync", &[address, 0]);
    address = 0xEE;
    p.step("0 bytes", "cuMemHostAlloc", &[out(&mut address), 0, 0]);
    p.say("address", address);
    p.step("null place", "cuMemAlloc_v2", &[0, 16]);
    p.step("null place", "cuMemAllocAsync", &[0, 16, 0]);
    for bytes in [1u64, 3, 256, 512, 513, 1024, 4096, MIB, 3 * MIB] {
        let (mut a, mut b, mut h) = (0u64, 0u64, 0u64);
        p.must("cuMemAlloc_v2", &[out(&mut a), bytes]);
        p.must("cuMemAllocAsync", &[out(&mut b), bytes, 0]);
        p.must("cuMemHostAlloc", &[out(&mut h), bytes, 0]);
        let alignment = |address: u64| 1u64 << address.trailing_zeros().min(40);
        p.line(json!({"what": "alignment", "bytes": bytes, "plain": alignment(a), "async": alignment(b), "host": alignment(h),
            "addresses": [format!("{a:#x}"), format!("{b:#x}"), format!("{h:#x}")]}));
    }
    for bytes in [1u64 << 40, 1 << 47, 1 << 50, u64::MAX, u64::MAX - 4096] {
        p.step(&format!("{bytes} bytes"), "cuMemAlloc_v2", &[out(&mut address), bytes]);
        p.step(&format!("{bytes} bytes"), "cuMemAllocAsync", &[out(&mut address), bytes, 0]);
    }
    p.step("after refusals", "cuMemAlloc_v2", &[out(&mut address), 16]);
    p.step("", "cuCtxSynchronize", &[]);
}

/// Takes memory until there is none.
fn exhaust(p: &Probe) {
    p.context();
    let (mut since, total) = p.memory();
    p.line(json!({"free": since, "total": total}));
    let mut address = 0u64;
    p.step("exactly what is free", "cuMemAlloc_v2", &[out(&mut address), since]);
    let all_but = since - 512 * MIB;
    if p.step("all but 512 MiB", "cuMemAlloc_v2", &[out(&mut address), all_but]) == 0 {
        mark(p, "after it", &mut since);
    }
    for bytes in [64 * MIB, 2 * MIB, 65536, 1] {
        let mut count = 0u32;
        let mut code = 0;
        while code == 0 && count < 4000 {
            code = p.cu.call("cuMemAlloc_v2", &[out(&mut address), bytes]);
            count += u32::from(code == 0);
        }
        p.line(json!({"what": format!("blocks of {bytes} until refused"), "count": count, "result": code}));
        mark(p, "then", &mut since);
    }
    p.step("async after all", "cuMemAllocAsync", &[out(&mut address), 1, 0]);
    p.step("pinned after all", "cuMemHostAlloc", &[out(&mut address), 4096, 0]);
    p.step("stream after all", "cuStreamCreate", &[out(&mut address), 1]);
    p.step("event after all", "cuEventCreate", &[out(&mut address), 0]);
    let text = std::ffi::CString::new(PROBE_PTX).unwrap_or_default();
    if p.step("module after all", "cuModuleLoadData", &[out(&mut address), text.as_ptr() as u64]) == 0 {
        let function = p.function(address, "nothing");
        p.launch("launch after all", function, Shape::new(1, 32), &[]);
    }
    p.step("", "cuCtxSynchronize", &[]);
}

fn free(p: &Probe) {
    p.context();
    let mut other = 0u64;
    p.step("null", "cuMemFree_v2", &[0]);
    p.step("null", "cuMemFreeAsync", &[0, 0]);
    p.step("null", "cuMemFreeHost", &[0]);
    p.step("garbage", "cuMemFree_v2", &[0x1234_5600]);
    p.step("garbage", "cuMemFreeAsync", &[0x1234_5600, 0]);
    p.step("garbage", "cuMemFreeHost", &[0x1234_5600]);
    let block = p.alloc(4096);
    p.step("inside a block", "cuMemFree_v2", &[block + 256]);
    p.step("", "cuMemFree_v2", &[block]);
    p.step("twice", "cuMemFree_v2", &[block]);
    let block = p.alloc(8 * MIB);
    p.step("8 MiB", "cuMemFree_v2", &[block]);
    p.step("8 MiB twice", "cuMemFree_v2", &[block]);
    let block = p.alloc(4096);
    p.step("plain block by async free", "cuMemFreeAsync", &[block, 0]);
    // Not freed again by `cuMemFree`: that answers 0 too, and the next synchronisation crashes.
    let block = alloc_async(p, 4096, 0);
    p.step("async block by plain free", "cuMemFree_v2", &[block]);
    p.step("then async", "cuMemFreeAsync", &[block, 0]);
    let block = alloc_async(p, 4096, 0);
    p.step("inside an async block", "cuMemFreeAsync", &[block + 256, 0]);
    p.step("", "cuMemFreeAsync", &[block, 0]);
    p.step("async twice", "cuMemFreeAsync", &[block, 0]);
    p.sync();
    p.step("async thrice, after a sync", "cuMemFreeAsync", &[block, 0]);
    let host = p.pinned(4096);
    p.step("pinned as device memory", "cuMemFree_v2", &[host]);
    p.step("inside a pinned block", "cuMemFreeHost", &[host + 64]);
    p.step("", "cuMemFreeHost", &[host]);
    p.step("pinned twice", "cuMemFreeHost", &[host]);
    p.step("after all", "cuMemAlloc_v2", &[out(&mut other), 16]);
    p.step("device memory as pinned", "cuMemFreeHost", &[other]);
    p.step("", "cuCtxSynchronize", &[]);
}

fn free_async(p: &Probe) {
    p.context();
    let (one, two) = (p.stream(1), p.stream(1));
    let block = alloc_async(p, 4096, one);
    p.step("freed on a stream that never waited", "cuMemFreeAsync", &[block, two]);
    p.step("", "cuCtxSynchronize", &[]);
    let mut word = 0u32;
    p.step("freed, read", "cuMemcpyDtoH_v2", &[out(&mut word), block, 4]);
    let block = alloc_async(p, 4096, one);
    p.must("cuMemFreeAsync", &[block, one]);
    p.step("freed in order, then written in order", "cuMemsetD8Async", &[block, 1, 4096, one]);
    p.step("", "cuStreamSynchronize", &[one]);
    p.step("freed and synchronised, then written", "cuMemsetD8Async", &[block, 1, 4096, one]);
    p.step("", "cuStreamSynchronize", &[one]);
    p.must("cuMemPoolTrimTo", &[pools::default_pool(p), 0]);
    p.step("freed and trimmed, then written", "cuMemsetD8Async", &[block, 1, 4096, one]);
    p.step("", "cuStreamSynchronize", &[one]);
}
