//! Instructions that a whole warp executes: shuffles, votes, matches, matrix loads and products.

use crate::inputs::{Random, to_half};
use crate::probe::{Probe, Shape};
use serde_json::json;
use std::path::Path;

/// Name and body: reads `a` and `b` (32 bits of the lane), `k` (the same in all lanes), `members`; writes `d` and `f`.
const LANES: &[(&str, &str)] = &[
    ("shfl.sync.idx.b32", "shfl.sync.idx.b32 d|p, a, b, k, members; selp.b32 f, 1, 0, p;"),
    ("shfl.sync.up.b32", "shfl.sync.up.b32 d|p, a, b, k, members; selp.b32 f, 1, 0, p;"),
    ("shfl.sync.down.b32", "shfl.sync.down.b32 d|p, a, b, k, members; selp.b32 f, 1, 0, p;"),
    ("shfl.sync.bfly.b32", "shfl.sync.bfly.b32 d|p, a, b, k, members; selp.b32 f, 1, 0, p;"),
    ("vote.sync.all.pred", "setp.ne.u32 p, a, 0; vote.sync.all.pred q, p, members; selp.b32 d, 1, 0, q;"),
    ("vote.sync.any.pred", "setp.ne.u32 p, a, 0; vote.sync.any.pred q, p, members; selp.b32 d, 1, 0, q;"),
    ("vote.sync.uni.pred", "setp.ne.u32 p, a, 0; vote.sync.uni.pred q, p, members; selp.b32 d, 1, 0, q;"),
    ("vote.sync.ballot.b32", "setp.ne.u32 p, a, 0; vote.sync.ballot.b32 d, p, members;"),
    ("match.any.sync.b32", "match.any.sync.b32 d, a, members;"),
    ("match.all.sync.b32", "match.all.sync.b32 d|p, a, members; selp.b32 f, 1, 0, p;"),
    ("activemask.b32", "activemask.b32 d;"),
];

/// Name, words a lane reads, words it writes, body: reads `a0…`, writes `d0…`; `at` is the start of the tile in
/// global memory, `tile` in shared memory, `row` the address of the lane's row there, `out` the results' start.
const MATRICES: &[(&str, usize, usize, &str)] = &[
    ("mma.m16n8k8.f16.f16", 5, 2, "mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {d0,d1}, {a0,a1}, {a2}, {a3,a4};"),
    (
        "mma.m16n8k8.f32.f32",
        7,
        4,
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {d0,d1,d2,d3}, {a0,a1}, {a2}, {a3,a4,a5,a6};",
    ),
    ("mma.m8n8k16.s8.s8", 4, 2, "mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {d0,d1}, {a0}, {a1}, {a2,a3};"),
    (
        "mma.m8n8k16.satfinite.s8.s8",
        4,
        2,
        "mma.sync.aligned.m8n8k16.row.col.satfinite.s32.s8.s8.s32 {d0,d1}, {a0}, {a1}, {a2,a3};",
    ),
    ("mma.m8n8k16.u8.s8", 4, 2, "mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {d0,d1}, {a0}, {a1}, {a2,a3};"),
    ("mma.m8n8k16.u8.u8", 4, 2, "mma.sync.aligned.m8n8k16.row.col.s32.u8.u8.s32 {d0,d1}, {a0}, {a1}, {a2,a3};"),
    ("mma.m8n8k32.s4.s4", 4, 2, "mma.sync.aligned.m8n8k32.row.col.s32.s4.s4.s32 {d0,d1}, {a0}, {a1}, {a2,a3};"),
    ("ldmatrix.x1", 16, 1, "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {d0}, [row];"),
    ("ldmatrix.x2", 16, 2, "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {d0,d1}, [row];"),
    ("ldmatrix.x4", 16, 4, "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {d0,d1,d2,d3}, [row];"),
    ("ldmatrix.x4.trans", 16, 4, "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {d0,d1,d2,d3}, [row];"),
    ("wmma.load.a.row.f16", 16, 8, "wmma.load.a.sync.aligned.row.m16n16k16.f16 {d0,d1,d2,d3,d4,d5,d6,d7}, [at], 16;"),
    ("wmma.load.a.col.f16", 16, 8, "wmma.load.a.sync.aligned.col.m16n16k16.f16 {d0,d1,d2,d3,d4,d5,d6,d7}, [at], 16;"),
    ("wmma.load.b.row.f16", 16, 8, "wmma.load.b.sync.aligned.row.m16n16k16.f16 {d0,d1,d2,d3,d4,d5,d6,d7}, [at], 16;"),
    ("wmma.load.b.col.f16", 16, 8, "wmma.load.b.sync.aligned.col.m16n16k16.f16 {d0,d1,d2,d3,d4,d5,d6,d7}, [at], 16;"),
    ("wmma.load.c.row.f16", 16, 4, "wmma.load.c.sync.aligned.row.m16n16k16.f16 {d0,d1,d2,d3}, [at], 16;"),
    ("wmma.load.c.row.f32", 16, 8, "wmma.load.c.sync.aligned.row.m16n16k16.f32 {d0,d1,d2,d3,d4,d5,d6,d7}, [at], 16;"),
    ("wmma.load.a.row.s8", 16, 2, "wmma.load.a.sync.aligned.row.m16n16k16.s8 {d0,d1}, [at], 16;"),
    ("wmma.load.b.col.s8", 16, 2, "wmma.load.b.sync.aligned.col.m16n16k16.s8 {d0,d1}, [at], 16;"),
    ("wmma.load.c.row.s32", 16, 8, "wmma.load.c.sync.aligned.row.m16n16k16.s32 {d0,d1,d2,d3,d4,d5,d6,d7}, [at], 16;"),
    // The tile holds a (512 bytes), b (512 bytes) and c (f32: 1024 bytes); the product is stored row by row.
    (
        "wmma.mma.row.col.f32.f32",
        16,
        8,
        "wmma.load.a.sync.aligned.row.m16n16k16.f16 {e0,e1,e2,e3,e4,e5,e6,e7}, [at], 16; \
         wmma.load.b.sync.aligned.col.m16n16k16.f16 {g0,g1,g2,g3,g4,g5,g6,g7}, [at+512], 16; \
         wmma.load.c.sync.aligned.row.m16n16k16.f32 {h0,h1,h2,h3,h4,h5,h6,h7}, [at+1024], 16; \
         wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {h0,h1,h2,h3,h4,h5,h6,h7}, {e0,e1,e2,e3,e4,e5,e6,e7}, {g0,g1,g2,g3,g4,g5,g6,g7}, {h0,h1,h2,h3,h4,h5,h6,h7}; \
         wmma.store.d.sync.aligned.row.m16n16k16.f32 [out], {h0,h1,h2,h3,h4,h5,h6,h7}, 16; bra.uni done;",
    ),
    (
        "wmma.mma.row.row.f16.f16",
        16,
        4,
        "wmma.load.a.sync.aligned.row.m16n16k16.f16 {e0,e1,e2,e3,e4,e5,e6,e7}, [at], 16; \
         wmma.load.b.sync.aligned.row.m16n16k16.f16 {g0,g1,g2,g3,g4,g5,g6,g7}, [at+512], 16; \
         wmma.load.c.sync.aligned.row.m16n16k16.f16 {h0,h1,h2,h3}, [at+1024], 16; \
         wmma.mma.sync.aligned.row.row.m16n16k16.f16.f16 {h0,h1,h2,h3}, {e0,e1,e2,e3,e4,e5,e6,e7}, {g0,g1,g2,g3,g4,g5,g6,g7}, {h0,h1,h2,h3}; \
         wmma.store.d.sync.aligned.row.m16n16k16.f16 [out], {h0,h1,h2,h3}, 16; bra.uni done;",
    ),
];

pub(crate) fn module() -> String {
    let mut text = String::from(".version 9.0\n.target sm_75\n.address_size 64\n");
    for (index, (name, body)) in LANES.iter().enumerate() {
        text += &format!(
            "\n// {name}: lanes outside `active` skip it; d and f begin as 0xdeadbeef.\n\
             .visible .entry lane_{index}(.param .u64 pa, .param .u64 pb, .param .u32 pk, .param .u32 pmembers, .param .u32 pactive, .param .u64 pd)\n{{\n\
             \x20   .reg .pred p, q, away; .reg .b32 a, b, k, members, d, f, lane, t; .reg .b64 at, w;\n\
             \x20   mov.u32 lane, %laneid;\n    ld.param.u32 k, [pk];\n    ld.param.u32 members, [pmembers];\n    ld.param.u32 t, [pactive];\n\
             \x20   ld.param.u64 at, [pa];\n    mul.wide.u32 w, lane, 4;\n    add.u64 at, at, w;\n    ld.global.b32 a, [at];\n\
             \x20   ld.param.u64 at, [pb];\n    add.u64 at, at, w;\n    ld.global.b32 b, [at];\n    mov.b32 d, 0xdeadbeef;\n    mov.b32 f, 0xdeadbeef;\n\
             \x20   shr.u32 t, t, lane;\n    and.b32 t, t, 1;\n    setp.eq.u32 away, t, 0;\n    @away bra join;\n    {body}\njoin:\n\
             \x20   ld.param.u64 at, [pd];\n    mul.wide.u32 w, lane, 8;\n    add.u64 at, at, w;\n    st.global.v2.b32 [at], {{d, f}};\n    ret;\n}}\n"
        );
    }
    for (index, (name, reads, writes, body)) in MATRICES.iter().enumerate() {
        text += &format!(
            "\n// {name}\n.visible .entry matrix_{index}(.param .u64 pa, .param .u64 pd)\n{{\n\
             \x20   .shared .align 128 .b8 memory[2048];\n\
             \x20   .reg .b32 a<16>, d<8>, e<8>, g<8>, h<8>, lane, t, row, tile; .reg .b64 at, out, mine, w;\n\
             \x20   mov.u32 lane, %laneid;\n    mov.u32 tile, memory;\n    shl.b32 t, lane, 4;\n    add.u32 row, tile, t;\n\
             \x20   ld.param.u64 at, [pa];\n    ld.param.u64 out, [pd];\n    mul.wide.u32 w, lane, 64;\n    add.u64 mine, at, w;\n    shl.b32 t, lane, 6;\n    add.u32 t, tile, t;\n"
        );
        for word in 0..16 {
            text += &format!(
                "    ld.global.b32 a{word}, [mine+{}];\n    st.shared.b32 [t+{}], a{word};\n",
                word * 4,
                word * 4
            );
        }
        let _ = reads;
        text += &format!(
            "    bar.warp.sync -1;\n    {body}\n    mul.wide.u32 w, lane, {};\n    add.u64 mine, out, w;\n",
            writes * 4
        );
        for word in 0..*writes {
            text += &format!("    st.global.b32 [mine+{}], d{word};\n", word * 4);
        }
        text += "done:\n    ret;\n}\n";
    }
    text
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(crate) fn record(p: &Probe, folder: &Path) {
    p.context();
    let module = p.module(&module());
    let (a, b, d) = (p.alloc(4096), p.alloc(4096), p.alloc(8192));
    let mut random = Random::new(75);
    let mut trials = Vec::new();
    for (index, (name, body)) in LANES.iter().enumerate() {
        let function = p.function(module, &format!("lane_{index}"));
        let shuffle = name.starts_with("shfl");
        for trial in 0..120u32 {
            let values: Vec<u32> = (0..32)
                .map(|lane| match (shuffle, trial % 4) {
                    (true, _) => 1000 + lane,
                    (false, 0) => u32::from(random.next() & 1 == 0),
                    (false, 1) => (random.next() % 3) as u32,
                    (false, 2) => 7,
                    (false, _) => u32::from(lane % 5 == 0) * 3,
                })
                .collect();
            let lanes: Vec<u32> = match trial % 6 {
                0 => vec![trial / 6; 32],
                1 => vec![1 << (trial / 6 % 6); 32],
                2 => (0..32).map(|lane| (lane * 7 + trial) % 40).collect(),
                3 => (0..32).map(|_| random.next() as u32 & 0x7F).collect(),
                4 => (0..32).map(|_| random.next() as u32 & 31).collect(),
                _ => vec![trial; 32],
            };
            // c of shfl: a clamp in bits 0 to 4, the mask of a segment in bits 8 to 12.
            let k = [0x1Fu32, 0x0, 0x1C1F, 0x181F, 0x101F, 0x1E1F, 0x1800, 0x0F, 0x1C07, 0x1F1F, 0x1C03, 0x100F]
                [(trial / 3) as usize % 12];
            let active = match trial / 12 {
                0..=4 => u32::MAX,
                5 => 0xFFFF,
                6 => 0x5555_5555,
                7 => 1,
                8 => 0xFFFF_FFFE,
                _ => random.next() as u32 | 1,
            };
            p.to_device(a, &bytes(&values));
            p.to_device(b, &bytes(&lanes));
            p.launch("", function, Shape::new(1, 32), &[a, b, u64::from(k), u64::from(active), u64::from(active), d]);
            let code = p.sync();
            let got = p.words(d, 64);
            trials.push(json!({"op": name, "a": values, "b": if shuffle { json!(lanes) } else { json!(null) }, "k": k, "members": active, "active": active,
                "error": code, "d": got.iter().step_by(2).collect::<Vec<_>>(), "f": got.iter().skip(1).step_by(2).collect::<Vec<_>>()}));
        }
        trials.push(json!({"op": name, "ptx": body}));
    }
    let lanes = trials.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let wrote = std::fs::write(folder.join("lanes.jsonl"), lanes);
    p.line(json!({"file": "lanes.jsonl", "trials": trials.len(), "written": wrote.is_ok()}));

    let tile = p.alloc(4096);
    let mut rows = Vec::new();
    for (index, (name, reads, writes, body)) in MATRICES.iter().enumerate() {
        let function = p.function(module, &format!("matrix_{index}"));
        for set in 0..6u32 {
            let words = operands(name, *reads, set, &mut random);
            p.to_device(tile, &bytes(&words));
            p.must("cuMemsetD8Async", &[d, 0xEE, 8192, 0]);
            p.launch("", function, Shape::new(1, 32), &[tile, d]);
            let code = p.sync();
            let got = p.words(d, 32 * writes);
            let hex = |words: &[u32]| words.iter().map(|word| format!("{word:08x}")).collect::<Vec<_>>().join(" ");
            rows.push(json!({"op": name, "ptx": body, "set": set, "error": code, "words_read_by_a_lane": 16, "words_written_by_a_lane": writes, "in": hex(&words), "out": hex(&got)}));
        }
    }
    let text = rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let wrote = std::fs::write(folder.join("matrices.jsonl"), text);
    p.line(json!({"file": "matrices.jsonl", "rows": rows.len(), "written": wrote.is_ok()}));
}

/// 16 words for each of 32 lanes: positions, small integers, random numbers, extreme ones.
fn operands(name: &str, _reads: usize, set: u32, random: &mut Random) -> Vec<u32> {
    let pair = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
    let moving = name.starts_with("ldmatrix") || name.contains("load");
    let f32_words =
        |word: usize| name.contains("f32.f32") && if name.starts_with("wmma") { word >= 256 } else { word % 16 >= 3 };
    let integers = name.contains("s8") || name.contains("u8") || name.contains("s4");
    (0..512usize)
        .map(|word| {
            if moving && set == 0 {
                return pair((word * 2) as u16, (word * 2 + 1) as u16);
            }
            if moving {
                return random.next() as u32;
            }
            if integers {
                return match (set, word % 16) {
                    (0, _) => 0x0101_0101,
                    (1, 0..=1) => (random.next() as u32) & 0x0F0F_0F0F,
                    (5, 2..=3) => {
                        if word % 2 == 0 {
                            0x7FFF_FFF0
                        } else {
                            0x8000_000F
                        }
                    }
                    _ => random.next() as u32,
                };
            }
            let mut number = || match set {
                0 => ((word * 5 + 3) % 7) as f32 - 3.0,
                1 => (random.next() % 9) as f32 - 4.0,
                2 | 3 => random.unit(),
                4 => random.unit() * 2f32.powi((random.next() % 24) as i32 - 12),
                _ => [0.0, -0.0, 65504.0, -65504.0, 1.0, f32::INFINITY, 5.96e-8, 2048.0][(random.next() % 8) as usize],
            };
            if f32_words(word) { number().to_bits() } else { pair(to_half(number()), to_half(number())) }
        })
        .collect()
}
