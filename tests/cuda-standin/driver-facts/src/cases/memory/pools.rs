//! What the driver's pools take from the device, keep, and give back.

use super::{MIB, alloc_async};
use crate::driver::out;
use crate::probe::Probe;
use serde_json::{Value, json};

pub(super) fn default_pool(p: &Probe) -> u64 {
    let mut pool = 0u64;
    p.must("cuDeviceGetDefaultMemPool", &[out(&mut pool), 0]);
    pool
}

fn pool_attributes(p: &Probe, pool: u64) -> Value {
    let mut all = Vec::new();
    for attribute in 1..=8u64 {
        let mut value = 0u64;
        match p.cu.call("cuMemPoolGetAttribute", &[pool, attribute, out(&mut value)]) {
            0 => all.push(json!(if attribute < 4 { value & 0xFFFF_FFFF } else { value })),
            code => all.push(json!({"error": code})),
        }
    }
    Value::Array(all)
}

/// Free memory and the pool's attributes: reuse ×3, threshold, reserved now and high, used now and high.
fn pool_mark(p: &Probe, pool: u64, what: &str) {
    let (free, _) = p.memory();
    p.line(json!({"what": what, "free": free, "pool": pool_attributes(p, pool)}));
}

pub(super) fn pool(p: &Probe, threshold: Option<u64>) {
    p.context();
    let pool = default_pool(p);
    let stream = p.stream(1);
    pool_mark(p, pool, "at first");
    if let Some(mut threshold) = threshold {
        p.step("release threshold", "cuMemPoolSetAttribute", &[pool, 4, out(&mut threshold)]);
    }
    let mut blocks = Vec::new();
    for bytes in [
        1u64,
        512,
        513,
        4096,
        MIB,
        2 * MIB,
        2 * MIB + 1,
        31 * MIB,
        32 * MIB,
        33 * MIB,
        64 * MIB,
        100 * MIB,
        500 * MIB + 1,
    ] {
        blocks.push(alloc_async(p, bytes, stream));
        pool_mark(p, pool, &format!("cuMemAllocAsync {bytes} at {:#x}", blocks[blocks.len() - 1]));
    }
    p.must("cuStreamSynchronize", &[stream]);
    pool_mark(p, pool, "synchronised");
    for block in blocks.drain(..).rev() {
        p.must("cuMemFreeAsync", &[block, stream]);
        pool_mark(p, pool, &format!("cuMemFreeAsync {block:#x}"));
    }
    p.must("cuStreamQuery", &[stream]);
    pool_mark(p, pool, "queried");
    p.must("cuStreamSynchronize", &[stream]);
    pool_mark(p, pool, "stream synchronised");
    p.sync();
    pool_mark(p, pool, "context synchronised");
    let again = alloc_async(p, 40 * MIB, stream);
    pool_mark(p, pool, "40 MiB again");
    p.must("cuMemFreeAsync", &[again, stream]);
    let event = p.event(2);
    p.must("cuEventRecord", &[event, stream]);
    p.must("cuEventSynchronize", &[event]);
    pool_mark(p, pool, "freed, event synchronised");
    let again = alloc_async(p, 40 * MIB, stream);
    p.must("cuMemFreeAsync", &[again, stream]);
    p.must("cuStreamSynchronize", &[stream]);
    pool_mark(p, pool, "40 MiB and freed and stream synchronised");
    p.step("keep 16 MiB", "cuMemPoolTrimTo", &[pool, 16 * MIB]);
    pool_mark(p, pool, "trimmed to 16 MiB");
    p.step("keep nothing", "cuMemPoolTrimTo", &[pool, 0]);
    pool_mark(p, pool, "trimmed to 0");
    let mut zero = 0u64;
    p.step("reserved high = 0", "cuMemPoolSetAttribute", &[pool, 6, out(&mut zero)]);
    let mut one = 1u64;
    p.step("reserved high = 1", "cuMemPoolSetAttribute", &[pool, 6, out(&mut one)]);
    p.step("used now = 0", "cuMemPoolSetAttribute", &[pool, 7, out(&mut zero)]);
    let kept = alloc_async(p, 48 * MIB, stream);
    p.must("cuStreamSynchronize", &[stream]);
    p.step("with 48 MiB in use", "cuMemPoolTrimTo", &[pool, 0]);
    pool_mark(p, pool, "trimmed with 48 MiB in use");
    p.step("an async block", "cuMemFree_v2", &[kept]);
    pool_mark(p, pool, "48 MiB freed by cuMemFree");
    p.step("default pool", "cuMemPoolDestroy", &[pool]);
}

/// How the pool grows while small blocks keep coming.
pub(super) fn growth(p: &Probe) {
    p.context();
    let pool = default_pool(p);
    let mut threshold = u64::MAX;
    p.must("cuMemPoolSetAttribute", &[pool, 4, out(&mut threshold)]);
    let stream = p.stream(1);
    let (mut last, _) = p.memory();
    let mut reserved_last = 0u64;
    for index in 0..4000u64 {
        let block = alloc_async(p, 100_000, stream);
        let (free, _) = p.memory();
        let mut reserved = 0u64;
        p.must("cuMemPoolGetAttribute", &[pool, 5, out(&mut reserved)]);
        if free != last || reserved != reserved_last {
            p.line(json!({"block": index, "address": format!("{block:#x}"), "taken": last as i64 - free as i64, "reserved": reserved}));
        }
        (last, reserved_last) = (free, reserved);
    }
    let mut used = 0u64;
    p.must("cuMemPoolGetAttribute", &[pool, 7, out(&mut used)]);
    p.say("used after 4000 of 100000", used);
}

/// Which freed block a later request gets.
pub(super) fn reuse(p: &Probe) {
    p.context();
    let (one, two) = (p.stream(1), p.stream(1));
    let pool = default_pool(p);
    let mut threshold = u64::MAX;
    p.must("cuMemPoolSetAttribute", &[pool, 4, out(&mut threshold)]);
    let a = alloc_async(p, 8 * MIB, one);
    let b = alloc_async(p, 8 * MIB, one);
    p.must("cuMemFreeAsync", &[a, one]);
    let c = alloc_async(p, 8 * MIB, one);
    p.say("same stream, freed a: the next is a", c == a);
    p.must("cuMemFreeAsync", &[b, one]);
    let d = alloc_async(p, 8 * MIB, two);
    p.say("other stream, freed b and idle: the next is b", d == b);
    p.sync();
    let e = alloc_async(p, 8 * MIB, two);
    p.say("other stream after a sync: the next is b", e == b);
    let f = alloc_async(p, MIB, one);
    p.must("cuMemFreeAsync", &[f, one]);
    let g = alloc_async(p, 600_000, one);
    p.say("a smaller one takes the start of a freed block", g == f);
    pool_mark(p, pool, "at the end");
    let mut plain = 0u64;
    p.step("a plain allocation while the pool holds memory", "cuMemAlloc_v2", &[out(&mut plain), 64 * MIB]);
}

#[repr(C)]
struct PoolProps {
    kind: i32,
    handles: i32,
    location: i32,
    id: i32,
    security: u64,
    max: u64,
    usage: u16,
    reserved: [u8; 54],
}

pub(super) fn own_pool(p: &Probe) {
    p.context();
    let stream = p.stream(1);
    let mut props =
        PoolProps { kind: 1, handles: 0, location: 1, id: 0, security: 0, max: 0, usage: 0, reserved: [0; 54] };
    let mut pool = 0u64;
    p.step("", "cuMemPoolCreate", &[out(&mut pool), out(&mut props)]);
    pool_mark(p, pool, "own pool made");
    let mut address = 0u64;
    p.step("", "cuMemAllocFromPoolAsync", &[out(&mut address), 5 * MIB, pool, stream]);
    pool_mark(p, pool, "5 MiB from it");
    p.step("with a block out", "cuMemPoolDestroy", &[pool]);
    p.step("block of a destroyed pool", "cuMemFreeAsync", &[address, stream]);
    p.sync();
    let mut current = 0u64;
    p.step("", "cuDeviceGetMemPool", &[out(&mut current), 0]);
    p.say("current is the default", current == default_pool(p));
    let mut limited = PoolProps { max: 40 * MIB, ..props };
    p.step("at most 40 MiB", "cuMemPoolCreate", &[out(&mut pool), out(&mut limited)]);
    p.step("30 MiB", "cuMemAllocFromPoolAsync", &[out(&mut address), 30 * MIB, pool, stream]);
    p.step("30 MiB more", "cuMemAllocFromPoolAsync", &[out(&mut address), 30 * MIB, pool, stream]);
    p.step("", "cuDeviceSetMemPool", &[0, pool]);
    p.step("900 MiB by cuMemAllocAsync", "cuMemAllocAsync", &[out(&mut address), 900 * MIB, stream]);
}

pub(super) fn exhaust_async(p: &Probe) {
    p.context();
    let stream = p.stream(1);
    let pool = default_pool(p);
    let (free, _) = p.memory();
    let mut blocks = Vec::new();
    let mut code = 0;
    while code == 0 && blocks.len() < 400 {
        let mut address = 0u64;
        code = p.cu.call("cuMemAllocAsync", &[out(&mut address), 1000 * MIB, stream]);
        if code == 0 {
            blocks.push(address);
        }
    }
    p.line(json!({"what": "blocks of 1000 MiB until refused", "free": free, "count": blocks.len(), "result": code}));
    pool_mark(p, pool, "then");
    p.step("", "cuStreamSynchronize", &[stream]);
    if let Some(block) = blocks.pop() {
        p.must("cuMemFreeAsync", &[block, stream]);
        let mut address = 0u64;
        p.step("one freed in order, asked again", "cuMemAllocAsync", &[out(&mut address), 1000 * MIB, stream]);
        let other = p.stream(1);
        p.must("cuMemFreeAsync", &[address, stream]);
        p.step("freed on one stream, asked on another", "cuMemAllocAsync", &[out(&mut address), 1000 * MIB, other]);
        p.must("cuMemFreeAsync", &[address, other]);
        p.step("freed async, plain asked at once", "cuMemAlloc_v2", &[out(&mut address), 1000 * MIB]);
        p.sync();
        p.step("and after a sync", "cuMemAlloc_v2", &[out(&mut address), 1000 * MIB]);
    }
}
