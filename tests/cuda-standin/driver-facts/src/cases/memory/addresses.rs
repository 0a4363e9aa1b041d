//! What an address may be: bounds of copies, pinned and registered memory, what fresh memory holds.

use super::{MIB, alloc_async};
use crate::driver::out;
use crate::probe::Probe;
use serde_json::json;

pub(super) fn copy_bounds(p: &Probe) {
    p.context();
    let mut host = vec![0u8; 16 << 20];
    let h = host.as_mut_ptr() as u64;
    let block = p.alloc(4096);
    let next = p.alloc(4096);
    p.say("the next block begins after", next as i64 - block as i64);
    p.step("0 bytes", "cuMemcpyHtoD_v2", &[block, h, 0]);
    p.step("0 bytes from null to null", "cuMemcpyHtoD_v2", &[0, 0, 0]);
    p.step("0 bytes from null to null", "cuMemcpyHtoDAsync_v2", &[0, 0, 0, 0]);
    p.step("to null", "cuMemcpyHtoD_v2", &[0, h, 16]);
    p.step("from null", "cuMemcpyHtoD_v2", &[block, 0, 16]);
    p.step("to garbage", "cuMemcpyHtoD_v2", &[0x1234_5600, h, 16]);
    p.step("host to host by HtoD", "cuMemcpyHtoD_v2", &[h, h + 64, 16]);
    p.step("device to device by HtoD", "cuMemcpyHtoD_v2", &[block, next, 16]);
    p.step("4096 of 4096", "cuMemcpyHtoD_v2", &[block, h, 4096]);
    p.step("4097 of 4096", "cuMemcpyHtoD_v2", &[block, h, 4097]);
    p.step("4097 of 4096, async", "cuMemcpyHtoDAsync_v2", &[block, h, 4097, 0]);
    p.step("16 MiB of 4096", "cuMemcpyHtoD_v2", &[block, h, 16 << 20]);
    p.step("16 MiB of 4096, back", "cuMemcpyDtoH_v2", &[h, block, 16 << 20]);
    p.step("16 from byte 4090", "cuMemcpyDtoH_v2", &[h, block + 4090, 16]);
    p.step("16 from byte 4096", "cuMemcpyDtoH_v2", &[h, block + 4096, 16]);
    p.step("memset 0 bytes", "cuMemsetD8Async", &[block, 0, 0, 0]);
    p.step("memset null, 0 bytes", "cuMemsetD8Async", &[0, 0, 0, 0]);
    p.step("memset 5000 of 4096", "cuMemsetD8Async", &[block, 0, 5000, 0]);
    p.step("memset 16 MiB of 4096", "cuMemsetD8Async", &[block, 0, 16 << 20, 0]);
    p.step("memset32 at byte 2", "cuMemsetD32Async", &[block + 2, 0, 4, 0]);
    p.step("overlapping", "cuMemcpyDtoDAsync_v2", &[block + 16, block, 64, 0]);
    p.step("to itself", "cuMemcpyDtoDAsync_v2", &[block, block, 64, 0]);
    p.step("", "cuCtxSynchronize", &[]);
    p.must("cuMemFree_v2", &[block]);
    p.step("to a freed block", "cuMemcpyHtoD_v2", &[block, h, 16]);
    p.step("from a freed block", "cuMemcpyDtoH_v2", &[h, block, 16]);
    p.step("memset of a freed block", "cuMemsetD8Async", &[block, 0, 16, 0]);
    p.step("", "cuCtxSynchronize", &[]);
    let big = p.alloc(64 * MIB);
    p.must("cuMemFree_v2", &[big]);
    p.step("to a freed block of 64 MiB", "cuMemcpyHtoD_v2", &[big, h, 16]);
    p.step("", "cuCtxSynchronize", &[]);
    let pool_block = alloc_async(p, 4096, 0);
    p.step("5000 of 4096 of an async block", "cuMemcpyHtoD_v2", &[pool_block, h, 5000]);
    p.step("", "cuCtxSynchronize", &[]);
}

pub(super) fn pinned(p: &Probe) {
    p.context();
    for flags in [0u64, 1, 2, 3, 4, 7, 8] {
        let mut host = 0u64;
        let mut device = 0u64;
        if p.step(&format!("flags {flags}"), "cuMemHostAlloc", &[out(&mut host), 4096, flags]) == 0 {
            p.step("", "cuMemHostGetDevicePointer_v2", &[out(&mut device), host, 0]);
            p.say("device pointer is the host pointer", device == host);
            // SAFETY: the driver has just given these 4096 bytes, and neither side writes them.
            let bytes = unsafe { std::slice::from_raw_parts(host as *const u8, 4096) };
            p.say("bytes not zero", bytes.iter().filter(|b| **b != 0).count());
        }
    }
    let mut plain = vec![0u8; 8192];
    let address = plain.as_mut_ptr() as u64;
    p.step("", "cuMemHostRegister_v2", &[address, 8192, 0]);
    p.step("again", "cuMemHostRegister_v2", &[address, 8192, 0]);
    p.step("", "cuMemHostUnregister", &[address]);
    p.step("again", "cuMemHostUnregister", &[address]);
}

pub(super) fn uninitialised(p: &Probe) {
    p.context();
    let not_zero = |bytes: Vec<u8>| bytes.iter().filter(|b| **b != 0).count();
    let block = p.alloc(8 * MIB);
    p.say("a fresh block, bytes not zero", not_zero(p.read_back(block, 8 << 20)));
    p.must("cuMemsetD8Async", &[block, 0xAB, 8 * MIB, 0]);
    p.sync();
    p.must("cuMemFree_v2", &[block]);
    let again = p.alloc(8 * MIB);
    p.say("same address again", again == block);
    p.say("freed and allocated again, bytes not zero", not_zero(p.read_back(again, 8 << 20)));
    let block = p.alloc(1000);
    p.must("cuMemsetD8Async", &[block, 0xAB, 1000, 0]);
    p.sync();
    p.must("cuMemFree_v2", &[block]);
    let again = p.alloc(1000);
    p.say("small: same address again", again == block);
    p.say("small: freed and allocated again, bytes not zero", not_zero(p.read_back(again, 1000)));
    let stream = p.stream(1);
    let block = alloc_async(p, 8 * MIB, stream);
    p.say("a fresh async block, bytes not zero", not_zero(p.read_back(block, 8 << 20)));
    p.must("cuMemsetD8Async", &[block, 0xAB, 8 * MIB, stream]);
    p.must("cuMemFreeAsync", &[block, stream]);
    let again = alloc_async(p, 8 * MIB, stream);
    p.must("cuStreamSynchronize", &[stream]);
    p.say("async: same address again", again == block);
    p.say("async: freed and allocated again, bytes not zero", not_zero(p.read_back(again, 8 << 20)));
}

pub(super) fn pointer_attributes(p: &Probe) {
    p.context();
    let mut place = 0u64;
    let plain = p.alloc(5000);
    let pooled = alloc_async(p, 5000, 0);
    let host = p.pinned(5000);
    let mut stack = 0u32;
    for (what, address) in [
        ("plain", plain),
        ("inside plain", plain + 100),
        ("async", pooled),
        ("pinned", host),
        ("ordinary", out(&mut stack)),
        ("null", 0),
    ] {
        for attribute in [2u64, 9, 11, 12, 13] {
            place = 0;
            p.step(
                &format!("{what}, attribute {attribute}"),
                "cuPointerGetAttribute",
                &[out(&mut place), attribute, address],
            );
            p.say("value", format!("{place:#x}"));
        }
        let mut size = 0u64;
        p.step(what, "cuMemGetAddressRange_v2", &[out(&mut place), out(&mut size), address]);
        p.say("offset, size", json!([address as i64 - place as i64, size]));
    }
    p.must("cuMemFree_v2", &[plain]);
    p.step("freed", "cuPointerGetAttribute", &[out(&mut place), 2, plain]);
}
