//! What the driver accepts as a module, what it says when it does not, and what it caches.

use super::Case;
use crate::driver::{out, text_at};
use crate::probe::{PROBE_PTX, Probe, Shape};
use serde_json::json;
use std::path::{Path, PathBuf};

const ANSWER: &str = include_str!("../../ptx/answer.ptx");
const SM_75: &[u8] = include_bytes!("../../blobs/answer.sm_75.cubin");
const SM_90: &[u8] = include_bytes!("../../blobs/answer.sm_90.cubin");
const BOTH: &[u8] = include_bytes!("../../blobs/answer.both.fatbin");
const BOTH_PLAIN: &[u8] = include_bytes!("../../blobs/answer.both.plain.fatbin");
const MACHINE_CODE: &[u8] = include_bytes!("../../blobs/answer.machine_code.fatbin");
const PTX_ONLY: &[u8] = include_bytes!("../../blobs/answer.ptx.fatbin");

pub(crate) fn cases() -> Vec<Case> {
    let cache = |name: &str| std::env::temp_dir().join(format!("driver-facts-cache-{name}-{}", std::process::id()));
    let shared_cache = cache("shared").to_string_lossy().into_owned();
    vec![
        Case::new("modules/images", images),
        Case::new("modules/images_eager", images).with("CUDA_MODULE_LOADING", "EAGER"),
        Case::new("modules/images_force_ptx_jit", images).with("CUDA_FORCE_PTX_JIT", "1"),
        Case::new("modules/bad_ptx", bad_ptx),
        Case::new("modules/names", names),
        Case::new("modules/functions", functions),
        Case::new("modules/unload", unload),
        Case::new("modules/cache", cache_files).with("CUDA_CACHE_PATH", shared_cache).with("CUDA_CACHE_DISABLE", "0"),
        Case::new("modules/cache_disabled", cache_files)
            .with("CUDA_CACHE_PATH", cache("disabled").to_string_lossy().into_owned())
            .with("CUDA_CACHE_DISABLE", "1"),
        Case::new("modules/cache_nowhere", cache_files)
            .with("CUDA_CACHE_PATH", "/proc/nowhere")
            .with("CUDA_CACHE_DISABLE", "0"),
        Case::new("modules/occupancy", occupancy),
    ]
}

/// Loads `image`, runs `answer` from it, and records how far that went.
fn try_image(p: &Probe, what: &str, image: &[u8]) {
    let mut bytes = image.to_vec();
    bytes.push(0);
    let mut module = 0u64;
    if p.step(what, "cuModuleLoadData", &[out(&mut module), bytes.as_ptr() as u64]) != 0 {
        return;
    }
    let mut function = 0u64;
    if p.step(what, "cuModuleGetFunction", &[out(&mut function), module, c"answer".as_ptr() as u64]) != 0 {
        return;
    }
    let place = p.alloc(4);
    p.to_device(place, &[0; 4]);
    p.launch(what, function, Shape::new(1, 1), &[place]);
    p.step(what, "cuCtxSynchronize", &[]);
    p.say("answer", p.words(place, 1)[0]);
    let mut versions = [0i32; 2];
    for (version, attribute) in versions.iter_mut().zip([5u64, 6]) {
        p.must("cuFuncGetAttribute", &[out(version), attribute, function]);
    }
    p.say("ptx and binary version", versions.to_vec());
}

fn images(p: &Probe) {
    p.context();
    try_image(p, "PTX text", ANSWER.as_bytes());
    try_image(p, "fatbin: sm_75 machine code and PTX", BOTH);
    try_image(p, "fatbin: sm_75 machine code and PTX, not compressed", BOTH_PLAIN);
    try_image(p, "fatbin: PTX", PTX_ONLY);
    try_image(p, "cubin sm_90", SM_90);
    try_image(p, "cubin sm_75", SM_75);
    try_image(p, "fatbin: sm_75 machine code", MACHINE_CODE);
    try_image(p, "empty", b"");
    try_image(p, "words", b"this is no module");
    // A cubin cut short is not asked for: the driver reads past its end, and crashes or does not come back.
    let mut module = 0u64;
    p.step("null", "cuModuleLoadData", &[out(&mut module), 0]);
    p.step("no such file", "cuModuleLoad", &[out(&mut module), c"/nowhere/module.ptx".as_ptr() as u64]);
    p.step("null", "cuModuleUnload", &[0]);
}

/// Loads PTX with both JIT logs on.
fn try_text(p: &Probe, what: &str, text: &str) {
    let text = std::ffi::CString::new(text).expect("no NUL in PTX");
    let (mut info, mut error) = (vec![0u8; 4096], vec![0u8; 4096]);
    let options: [i32; 5] = [3, 4, 5, 6, 12];
    let mut values: [u64; 5] = [info.as_mut_ptr() as u64, 4096, error.as_mut_ptr() as u64, 4096, 1];
    let mut module = 0u64;
    p.step(
        what,
        "cuModuleLoadDataEx",
        &[out(&mut module), text.as_ptr() as u64, 5, options.as_ptr() as u64, values.as_mut_ptr() as u64],
    );
    p.line(json!({"what": what, "info": text_at(info.as_ptr() as u64), "error": text_at(error.as_ptr() as u64),
        "log_sizes": [values[1], values[3]]}));
    if module != 0 {
        let mut function = 0u64;
        p.step(what, "cuModuleGetFunction", &[out(&mut function), module, c"k".as_ptr() as u64]);
    }
}

fn bad_ptx(p: &Probe) {
    p.context();
    let head = ".version 9.0\n.target sm_75\n.address_size 64\n";
    let kernel = |body: &str| format!("{head}.visible .entry k(.param .u64 p)\n{{\n{body}\n}}\n");
    try_text(p, "good", &kernel("ret;"));
    try_text(p, "no such instruction", &kernel(".reg .b32 %r<3>;\nfrobnicate.u32 %r1, %r2;\nret;"));
    try_text(p, "no such register", &kernel("mov.u32 %r1, 0;\nret;"));
    try_text(p, "wrong operand type", &kernel(".reg .b32 %r<3>; .reg .f64 %f<2>;\nadd.f64 %f1, %r1, %r2;\nret;"));
    try_text(p, "missing semicolon", &kernel("ret"));
    try_text(p, "unfinished", &format!("{head}.visible .entry k(.param .u64 p)\n{{\nret;\n"));
    try_text(p, "no such label", &kernel("bra nowhere;\nret;"));
    for version in ["1.0", "3.0", "6.2", "6.3", "7.5", "8.0", "8.8", "9.0", "9.1", "9.9", "10.0", "99.0"] {
        try_text(p, &format!(".version {version}"), &kernel("ret;").replace("9.0", version));
    }
    for target in [
        "sm_20",
        "sm_30",
        "sm_50",
        "sm_70",
        "sm_75",
        "sm_80",
        "sm_90",
        "sm_90a",
        "sm_100",
        "sm_120",
        "sm_999",
        "sm_75, debug",
        "nonsense",
    ] {
        try_text(p, &format!(".target {target}"), &kernel("ret;").replace("sm_75", target));
    }
    try_text(p, "no .version", &kernel("ret;").replace(".version 9.0\n", ""));
    try_text(
        p,
        "an instruction that sm_75 lacks",
        &kernel(".reg .b32 %r<3>; .reg .b64 %d<2>;\nredux.sync.add.s32 %r1, %r2, -1;\nret;"),
    );
    try_text(p, "bf16 arithmetic on sm_75", &kernel(".reg .b16 %h<4>;\nfma.rn.bf16 %h1, %h2, %h3, %h1;\nret;"));
    try_text(
        p,
        "49 KiB of static shared memory",
        &kernel(
            ".shared .align 4 .b8 big[50176];\n.reg .b32 %r<2>;\nmov.u32 %r1, big;\nst.shared.u32 [%r1], %r1;\nret;",
        ),
    );
    try_text(
        p,
        "an extern function",
        &format!("{head}.extern .func missing();\n.visible .entry k(.param .u64 p)\n{{\ncall missing, ();\nret;\n}}\n"),
    );
    try_text(
        p,
        "an extern variable",
        &format!(
            "{head}.extern .global .u32 missing;\n.visible .entry k(.param .u64 p)\n{{\n.reg .b32 %r<2>;\nld.global.u32 %r1, [missing];\nst.global.u32 [missing+4], %r1;\nret;\n}}\n"
        ),
    );
    try_text(p, "two kernels of one name", &format!("{}{}", kernel("ret;"), kernel("ret;").replace(head, "")));
    try_text(
        p,
        "4 GiB of registers wanted: maxnreg 16",
        &kernel("ret;").replace("(.param .u64 p)", "(.param .u64 p) .maxnreg 16"),
    );
    try_text(p, "no kernel at all", head);
    try_text(p, "non-ASCII in a comment", &kernel("// \u{e4}\u{2192}\nret;"));
}

fn names(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let mut function = 0u64;
    p.step("no such kernel", "cuModuleGetFunction", &[out(&mut function), module, c"missing".as_ptr() as u64]);
    p.step("empty name", "cuModuleGetFunction", &[out(&mut function), module, c"".as_ptr() as u64]);
    p.step("null name", "cuModuleGetFunction", &[out(&mut function), module, 0]);
    p.step(
        "a function that is no kernel",
        "cuModuleGetFunction",
        &[out(&mut function), module, c"recurse".as_ptr() as u64],
    );
    p.step("a variable", "cuModuleGetFunction", &[out(&mut function), module, c"counter".as_ptr() as u64]);
    p.step("null module", "cuModuleGetFunction", &[out(&mut function), 0, c"nothing".as_ptr() as u64]);
    p.step("null place", "cuModuleGetFunction", &[0, module, c"nothing".as_ptr() as u64]);
    let (mut again, mut address, mut size) = (0u64, 0u64, 0u64);
    p.step("", "cuModuleGetFunction", &[out(&mut function), module, c"nothing".as_ptr() as u64]);
    p.step("", "cuModuleGetFunction", &[out(&mut again), module, c"nothing".as_ptr() as u64]);
    p.say("the same handle twice", function == again);
    for name in [c"counter", c"table", c"fixed", c"message", c"missing", c"nothing"] {
        p.step(
            &name.to_string_lossy(),
            "cuModuleGetGlobal_v2",
            &[out(&mut address), out(&mut size), module, name.as_ptr() as u64],
        );
        p.say("size", size);
    }
    p.must("cuModuleGetGlobal_v2", &[out(&mut address), out(&mut size), module, c"counter".as_ptr() as u64]);
    p.say("counter at first", p.words(address, 1)[0]);
    p.step("a module's variable", "cuMemFree_v2", &[address]);
    p.step("size only", "cuModuleGetGlobal_v2", &[0, out(&mut size), module, c"table".as_ptr() as u64]);
    let other = p.module(PROBE_PTX);
    p.say("one image twice: the same module", other == module);
    let mut count = 0i32;
    p.step("", "cuModuleGetFunctionCount", &[out(&mut count), module]);
    p.say("functions", count);
}

fn functions(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let many = p.module(&many_registers(200));
    for (module, name) in [
        (module, "nothing"),
        (module, "fill"),
        (module, "static_shared"),
        (module, "read_shared"),
        (module, "read_local"),
        (module, "stack"),
        (module, "prints"),
        (module, "assert_fails"),
        (module, "at_most_64"),
        (module, "exactly_64"),
        (many, "many"),
    ] {
        let function = p.function(module, name);
        let mut loaded = -1i32;
        p.cu.call("cuFuncIsLoaded", &[out(&mut loaded), function]);
        let mut values = Vec::new();
        for attribute in 0..=16u64 {
            let mut value = 0i32;
            match p.cu.call("cuFuncGetAttribute", &[out(&mut value), attribute, function]) {
                0 => values.push(json!(value)),
                code => values.push(json!({"error": code})),
            }
        }
        p.line(json!({"function": name, "loaded_before": loaded, "attributes": values}));
        for index in 0..4u64 {
            let (mut offset, mut size) = (0u64, 0u64);
            if p.step(
                &format!("{name} parameter {index}"),
                "cuFuncGetParamInfo",
                &[function, index, out(&mut offset), out(&mut size)],
            ) != 0
            {
                break;
            }
            p.say("offset, size", json!([offset, size]));
        }
    }
    let function = p.function(module, "read_shared");
    for bytes in [0i64, 49152, 49153, 65536, 101_376, 166_912, 232_448, 232_449, 300_000, -1] {
        p.step(&format!("dynamic shared memory {bytes}"), "cuFuncSetAttribute", &[function, 8, bytes as u32 as u64]);
    }
    let fixed = p.function(module, "static_shared");
    for bytes in [8192u64, 24576, 191_488, 191_489, 232_448] {
        p.step(
            &format!("dynamic shared memory {bytes} beside 40 KiB of static"),
            "cuFuncSetAttribute",
            &[fixed, 8, bytes],
        );
    }
    for (attribute, value) in [(0u64, 64u64), (4, 16), (9, 50), (9, 101), (9, u32::MAX as u64), (99, 0)] {
        p.step(
            &format!("attribute {attribute} = {}", value as i32),
            "cuFuncSetAttribute",
            &[function, attribute, value],
        );
    }
    for config in [0u64, 1, 2, 3, 4] {
        p.step(&format!("cache config {config}"), "cuFuncSetCacheConfig", &[function, config]);
    }
    let mut word = 0i32;
    p.step("null function", "cuFuncGetAttribute", &[out(&mut word), 4, 0]);
}

/// A kernel that keeps `count` values alive at once.
pub(crate) fn many_registers(count: usize) -> String {
    let mut text = String::from(
        ".version 9.0\n.target sm_75\n.address_size 64\n.visible .entry many(.param .u64 p)\n{\n.reg .b64 %d<2>; .reg .b32 %r<",
    );
    text += &format!("{}>;\nld.param.u64 %d1, [p];\n", count + 1);
    for index in 0..count {
        text += &format!("ld.volatile.global.u32 %r{index}, [%d1+{}];\n", index * 4);
    }
    for index in 0..count {
        text += &format!("st.volatile.global.u32 [%d1+{}], %r{};\n", index * 4, count - 1 - index);
    }
    text + "ret;\n}\n"
}

fn unload(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let function = p.function(module, "nothing");
    p.launch("", function, Shape::new(1, 1), &[]);
    p.step("with a launch in flight", "cuModuleUnload", &[module]);
    p.step("", "cuCtxSynchronize", &[]);
    p.step("twice", "cuModuleUnload", &[module]);
}

fn files(under: &Path, found: &mut Vec<(String, u64)>) {
    for entry in std::fs::read_dir(under).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push((
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
                entry.metadata().map_or(0, |m| m.len()),
            )),
        }
    }
}

fn cache_files(p: &Probe) {
    let folder = PathBuf::from(std::env::var_os("CUDA_CACHE_PATH").unwrap_or_default());
    let list = |what: &str| {
        let mut found = Vec::new();
        files(&folder, &mut found);
        found.sort();
        p.line(json!({"what": what, "folder_exists": folder.exists(), "files": found.len(),
            "names": found.iter().take(4).collect::<Vec<_>>(), "bytes": found.iter().map(|f| f.1).sum::<u64>()}));
    };
    p.context();
    list("at first");
    for round in 1..=2 {
        let module = p.module(PROBE_PTX);
        let function = p.function(module, "nothing");
        p.launch("", function, Shape::new(1, 1), &[]);
        p.sync();
        list(&format!("after load {round}"));
        p.must("cuModuleUnload", &[module]);
    }
    p.module(&PROBE_PTX.replace("ret;\n", "ret; \n"));
    list("after a load of the same kernels with other white space");
    p.module(&many_registers(100));
    list("after a load of another module");
    if folder.starts_with(std::env::temp_dir()) {
        let _ = std::fs::remove_dir_all(&folder);
    }
}

fn occupancy(p: &Probe) {
    p.context();
    let module = p.module(PROBE_PTX);
    let many = p.module(&many_registers(200));
    for (module, name) in [(module, "nothing"), (module, "read_shared"), (module, "static_shared"), (many, "many")] {
        let function = p.function(module, name);
        let mut table = Vec::new();
        for block in [0u64, 1, 32, 33, 64, 128, 256, 512, 1024, 1025] {
            for shared in [0u64, 1024, 16384, 49152, 65536] {
                let mut blocks = -1i32;
                let code = p
                    .cu
                    .call("cuOccupancyMaxActiveBlocksPerMultiprocessor", &[out(&mut blocks), function, block, shared]);
                table.push(json!([block, shared, code, blocks]));
            }
        }
        p.line(json!({"function": name, "block_shared_result_blocks": table}));
        let (mut grid, mut block) = (0i32, 0i32);
        p.step(name, "cuOccupancyMaxPotentialBlockSize", &[out(&mut grid), out(&mut block), function, 0, 0, 0]);
        p.say("grid, block", json!([grid, block]));
    }
}
