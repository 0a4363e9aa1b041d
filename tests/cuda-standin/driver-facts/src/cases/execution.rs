//! Launches that are refused, and what threads, warps and blocks may do.

use super::Case;
use super::modules::many_registers;
use crate::driver::out;
use crate::probe::{PROBE_PTX, Probe, Shape};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("execution/refused_launches", refused),
        Case::new("execution/launch_without_parameters", without_parameters),
        Case::new("execution/launch_with_a_buffer", with_buffer),
        Case::new("execution/shared_memory_sizes", shared_sizes),
        Case::new("execution/cooperative", cooperative),
        Case::new("execution/special", special),
        Case::new("execution/uninitialised_shared", uninitialised_shared).alone(),
        Case::new("execution/uninitialised_local", uninitialised_local).alone(),
        Case::new("execution/printf", printf),
        Case::new("execution/printf_overflow", printf_overflow),
        Case::new("execution/printf_then_assert", printf_then_assert),
        Case::new("execution/stack_depth", stack_depth),
        Case::new("execution/order_of_blocks", order_of_blocks).alone(),
    ];
    for (first, threads) in [(32u64, 64u64), (16, 64), (48, 64), (1, 64), (0, 64), (63, 64), (33, 96)] {
        cases.push(Case::new(format!("barrier/after_exit_of_threads_from_{first}_of_{threads}"), move |p: &Probe| {
            barrier(p, "barrier_after_exit", threads, &[first]);
        }));
        cases.push(Case::new(format!("barrier/in_two_places_split_at_{first}_of_{threads}"), move |p: &Probe| {
            barrier(p, "barrier_in_two_places", threads, &[first]);
        }));
    }
    for (first, threads) in [(32u64, 64u64), (16, 32), (16, 64), (48, 64)] {
        cases.push(Case::new(format!("barrier/skipped_by_threads_from_{first}_of_{threads}"), move |p: &Probe| {
            barrier(p, "barrier_skipped", threads, &[first, 500_000_000]);
        }));
    }
    for (first, threads) in [(64u64, 128u64), (32, 128), (96, 128), (128, 128), (50, 128)] {
        cases.push(Case::new(format!("barrier/count_of_64_entered_by_{first}_of_{threads}"), move |p: &Probe| {
            barrier(p, "barrier_count", threads, &[first]);
        }));
    }
    for (lanes, mask) in
        [(32u64, 0xFFFF_FFFFu64), (16, 0xFFFF), (16, 0xFFFF_FFFF), (16, 0xFF), (32, 0x5555_5555), (1, 0)]
    {
        cases.push(Case::new(format!("barrier/warp_{lanes}_lanes_mask_{mask:08x}"), move |p: &Probe| {
            barrier(p, "warp_barrier", 32, &[lanes, mask]);
        }));
    }
    cases
}

fn refused(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let nothing = p.function(module, "nothing");
    let one = Shape::new(1, 1);
    for grid in [
        [0, 1, 1],
        [1, 0, 1],
        [1, 1, 0],
        [1, 65535, 1],
        [1, 65536, 1],
        [1, 1, 65535],
        [1, 1, 65536],
        [2_147_483_647, 1, 1],
        [2_147_483_648, 1, 1],
    ] {
        if grid[0] != 2_147_483_647 {
            p.launch(&format!("grid {grid:?}"), nothing, Shape { grid, ..one }, &[]);
        }
    }
    for block in [
        [0, 1, 1],
        [1, 0, 1],
        [1, 1, 0],
        [1024, 1, 1],
        [1025, 1, 1],
        [1, 1024, 1],
        [1, 1025, 1],
        [1, 1, 64],
        [1, 1, 65],
        [32, 32, 1],
        [32, 33, 1],
    ] {
        p.launch(&format!("block {block:?}"), nothing, Shape { block, ..one }, &[]);
    }
    for shared in [49152u64, 49153, 50176, 65536, 65537, 232_448, 232_449, 1 << 30] {
        p.launch(&format!("shared {shared}"), nothing, one.shared(shared), &[]);
    }
    p.must("cuFuncSetAttribute", &[nothing, 8, 65536]);
    for shared in [50176u64, 65536, 65537] {
        p.launch(&format!("shared {shared} after 65536 were allowed"), nothing, one.shared(shared), &[]);
    }
    let fixed = p.function(module, "static_shared");
    let place = p.alloc(4);
    for shared in [8192u64, 8193, 16384] {
        p.launch(&format!("shared {shared} beside 40 KiB of static"), fixed, one.shared(shared), &[place]);
    }
    let at_most = p.function(module, "at_most_64");
    for block in [63u64, 64, 65, 1025] {
        p.launch(&format!("maxntid 64, block {block}"), at_most, Shape::new(1, block), &[]);
    }
    let exactly = p.function(module, "exactly_64");
    for block in [32u64, 63, 64, 65, 128] {
        p.launch(&format!("reqntid 64, block {block}"), exactly, Shape::new(1, block), &[]);
    }
    let many = p.module(&many_registers(200));
    let many = p.function(many, "many");
    let room = p.alloc(4096);
    let mut registers = 0i32;
    p.must("cuFuncGetAttribute", &[out(&mut registers), 4, many]);
    p.say("registers", registers);
    for block in [32u64, 256, 257, 288, 320, 512, 1024] {
        p.launch(&format!("many registers, block {block}"), many, Shape::new(1, block), &[room]);
    }
    p.launch("null function", 0, one, &[]);
    p.step("", "cuCtxSynchronize", &[]);
    p.launch("a good one after all", nothing, one, &[]);
    p.step("", "cuCtxSynchronize", &[]);
}

fn without_parameters(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let nothing = p.function(module, "nothing");
    let fill = p.function(module, "fill");
    p.step("no parameters wanted, none given", "cuLaunchKernel", &[nothing, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
    p.step("three parameters wanted, null given", "cuLaunchKernel", &[fill, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
    p.step("", "cuCtxSynchronize", &[]);
}

fn with_buffer(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let store = p.function(module, "store_one");
    let place = p.alloc(4);
    for size in [16u64, 12, 8, 24] {
        p.to_device(place, &[0; 4]);
        let mut buffer = [place, 55, 0];
        let mut length = size;
        let mut extra = [1u64, buffer.as_mut_ptr() as u64, 2, out(&mut length), 0];
        p.step(
            &format!("a buffer of {size} for 12 bytes"),
            "cuLaunchKernel",
            &[store, 1, 1, 1, 1, 1, 1, 0, 0, 0, extra.as_mut_ptr() as u64],
        );
        p.step("", "cuCtxSynchronize", &[]);
        p.say("stored", p.words(place, 1)[0]);
        let mut pointers = [out(&mut buffer[0]), out(&mut buffer[1])];
        p.step(
            "both forms",
            "cuLaunchKernel",
            &[store, 1, 1, 1, 1, 1, 1, 0, 0, pointers.as_mut_ptr() as u64, extra.as_mut_ptr() as u64],
        );
    }
}

fn shared_sizes(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let read = p.function(module, "special");
    let place = p.alloc(128 * 64);
    p.must("cuFuncSetAttribute", &[read, 8, 65536]);
    for shared in [0u64, 1, 4, 100, 128, 129, 256, 1000, 1024, 40000, 49152, 65536 - 16 - 1024] {
        p.launch(&format!("shared {shared}"), read, Shape::new(1, 32).shared(shared), &[place]);
        p.sync();
        let words = p.words(place, 32);
        p.say(
            "dynamic_smem_size, total_smem_size, static and dynamic address",
            words[6..8].iter().chain(&words[14..16]).copied().collect::<Vec<u32>>(),
        );
    }
}

fn cooperative(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let nothing = p.function(module, "nothing");
    for grid in [1u64, 100, 100_000] {
        p.step(
            &format!("grid {grid} of 1024"),
            "cuLaunchCooperativeKernel",
            &[nothing, grid, 1, 1, 1024, 1, 1, 0, 0, 0],
        );
    }
    p.step("", "cuCtxSynchronize", &[]);
}

/// Special registers and addresses of threads, of the shape that `special` stores.
fn special(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let special = p.function(module, "special");
    let place = p.alloc(128 * 4096);
    for (grid, block) in [(1u64, 40u64), (2, 33)] {
        p.must("cuMemsetD8Async", &[place, 0, 128 * 4096, 0]);
        p.launch("", special, Shape::new(grid, block).shared(64), &[place]);
        p.sync();
        let words = p.words(place, (grid * block * 32) as usize);
        for (thread, row) in
            words.chunks_exact(32).enumerate().filter(|(thread, _)| [0, 1, 31, 32, 39, 65].contains(thread))
        {
            let wide = |index: usize| format!("{:#x}", u64::from(row[index]) | u64::from(row[index + 1]) << 32);
            p.line(json!({"grid": grid, "block": block, "thread": thread, "tid": row[0], "laneid": row[1], "warpid": row[2], "nwarpid": row[3],
                "nsmid": row[4], "WARP_SZ": row[5], "dynamic_smem_size": row[6], "total_smem_size": row[7],
                "lanemask_eq_le_lt_ge_gt": [row[8], row[9], row[10], row[11], row[12]], "activemask": row[13],
                "shared_static_address": row[14], "shared_dynamic_address": row[15], "generic_of_shared": wide(16), "generic_of_local": wide(18),
                "local_address": wide(20), "generic_of_const": wide(22),
                "is_shared": row[24], "is_local": row[25], "is_global": row[26], "shared_is_global": row[27], "const_is_const": row[28], "const_is_global": row[29]}));
        }
    }
}

fn histogram(words: &[u32]) -> serde_json::Value {
    let mut counts = std::collections::BTreeMap::new();
    words.iter().for_each(|word| *counts.entry(*word).or_insert(0u64) += 1);
    let mut counts: Vec<(u32, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(6);
    json!(counts)
}

fn uninitialised_shared(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let (fill, read) = (p.function(module, "fill_shared"), p.function(module, "read_shared"));
    let place = p.alloc(40960);
    let looks = |what: &str| {
        p.launch("", read, Shape::new(1, 1024).shared(40960), &[place, 10240]);
        p.sync();
        p.say(what, histogram(&p.words(place, 10240)));
    };
    looks("before anything: [value, words] by frequency");
    p.launch("", fill, Shape::new(2000, 1024).shared(40960), &[0xABCD_1234, 10240]);
    p.sync();
    looks("after every multiprocessor was filled with 0xabcd1234 = 2882343476");
    looks("again");
}

fn uninitialised_local(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let read = p.function(module, "read_local");
    let place = p.alloc(4096);
    p.launch("", read, Shape::new(1, 1024), &[place]);
    p.sync();
    p.say("[value, words] by frequency", histogram(&p.words(place, 1024)));
}

fn printf(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let prints = p.function(module, "prints");
    p.launch("", prints, Shape::new(1, 40), &[]);
    p.say("launched", true);
    crate::probe::pause(200);
    p.say("waited 200 ms: is the text above this line?", true);
    p.sync();
    p.say("synchronised", true);
}

fn printf_overflow(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let prints = p.function(module, "prints");
    p.step("", "cuCtxSetLimit", &[1, 4096]);
    let mut size = 0u64;
    p.must("cuCtxGetLimit", &[out(&mut size), 1]);
    p.say("fifo bytes", size);
    p.launch("100 000 lines", prints, Shape::new(100, 1000), &[]);
    p.step("", "cuCtxSynchronize", &[]);
}

fn printf_then_assert(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    p.launch("", p.function(module, "prints"), Shape::new(1, 2), &[]);
    p.launch("", p.function(module, "assert_fails"), Shape::new(1, 3), &[]);
    p.step("", "cuCtxSynchronize", &[]);
}

fn stack_depth(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let stack = p.function(module, "stack");
    let place = p.alloc(4);
    p.must("cuCtxSetLimit", &[0, 16384]);
    for depth in [1u64, 2, 10, 40] {
        p.launch(&format!("depth {depth} with 16 KiB"), stack, Shape::new(1, 1), &[depth, place]);
        p.step("", "cuCtxSynchronize", &[]);
    }
}

fn order_of_blocks(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let count = p.function(module, "count");
    let place = p.alloc(4);
    p.to_device(place, &[0; 4]);
    p.launch("", count, Shape { grid: [7, 5, 3], block: [3, 5, 7], shared: 0, stream: 0 }, &[place]);
    p.sync();
    p.say("7·5·3 blocks of 3·5·7", p.words(place, 1)[0]);
}

/// Runs a kernel that may never end; the parent kills it then.
fn barrier(p: &Probe, kernel: &str, threads: u64, rest: &[u64]) {
    p.context();
    let module = p.module(PROBE_PTX);
    let function = p.function(module, kernel);
    let place = p.alloc(4096);
    p.must("cuMemsetD8Async", &[place, 0, 4096, 0]);
    p.sync();
    let params: Vec<u64> = std::iter::once(place).chain(rest.iter().copied()).collect();
    p.launch(kernel, function, Shape::new(1, threads), &params);
    p.step("", "cuCtxSynchronize", &[]);
    let marks: String =
        p.words(place, threads as usize).iter().map(|word| char::from_digit(*word % 10, 10).unwrap_or('?')).collect();
    p.say("mark of each thread", marks);
}
