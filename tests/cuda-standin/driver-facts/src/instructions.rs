//! One kernel for each instruction, run over every operand of its shape.
//!
//! `GROUP.json` says which bytes of `GROUP.bin` are the operands of a shape and which the results of an instruction. A
//! column is stored by bytes: the lowest byte of each row, then the next one of each row, and so on, which compresses better.

mod conversions;
mod floats;
mod integers;

use crate::inputs::{Kind, columns};
use crate::probe::{Probe, Shape};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use Kind::{B16, B32, B64};

pub(crate) struct Op {
    pub(crate) name: String,
    /// Reads `a`, `b`, `c`, writes `d`; may use the predicates `p`, `q` and the registers `t`, `u` (32) and `x`, `y` (64).
    pub(crate) body: String,
    pub(crate) kinds: Vec<Kind>,
    /// Bits of the result.
    pub(crate) result: usize,
    /// Memory that starts as `a` and is recorded afterwards: `[m]` in the body.
    pub(crate) memory: Option<Space>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    Global,
    Shared,
}

struct List(Vec<Op>);

impl List {
    fn add(&mut self, name: impl Into<String>, kinds: &[Kind], result: usize, body: impl Into<String>) {
        self.0.push(Op { name: name.into(), body: body.into(), kinds: kinds.to_vec(), result, memory: None });
    }

    /// An instruction that reads its operands in order and writes one result.
    fn plain(&mut self, name: impl Into<String>, kinds: &[Kind], result: usize) {
        let name = name.into();
        let operands = ["a", "b", "c"][..kinds.len()].join(", ");
        let body = format!("{name} d, {operands};");
        self.add(name, kinds, result, body);
    }

    /// An instruction that writes a predicate.
    fn predicate(&mut self, name: impl Into<String>, kinds: &[Kind]) {
        let name = name.into();
        let operands = ["a", "b", "c"][..kinds.len()].join(", ");
        let body = format!("{name} p, {operands}; selp.b32 d, 1, 0, p;");
        self.add(name, kinds, 32, body);
    }

    fn atomic(&mut self, space: Space, operation: &str, kind: Kind, operands: &str) {
        let text = if space == Space::Global { "global" } else { "shared" };
        let name = format!("atom.{text}.{operation}");
        let kinds = if operands == "b" { vec![kind; 2] } else { vec![kind; 3] };
        let body = format!("{name} d, [m], {operands};");
        self.0.push(Op { name, body, kinds, result: kind.bits(), memory: Some(space) });
    }
}

const ROUNDINGS: [&str; 4] = ["rn", "rz", "rm", "rp"];

const FLUSH: [&str; 2] = ["", ".ftz"];

const SATURATE: [&str; 2] = ["", ".sat"];

const INTEGERS: [(&str, Kind, usize); 8] = [
    ("u8", B16, 8),
    ("s8", B16, 8),
    ("u16", B16, 16),
    ("s16", B16, 16),
    ("u32", B32, 32),
    ("s32", B32, 32),
    ("u64", B64, 64),
    ("s64", B64, 64),
];

/// Every instruction, by group.
pub(crate) fn groups() -> Vec<(&'static str, Vec<Op>)> {
    let group = |fill: fn(&mut List)| {
        let mut list = List(Vec::new());
        fill(&mut list);
        list.0
    };
    vec![
        ("f32", group(floats::f32_ops)),
        ("f64", group(floats::f64_ops)),
        ("f16", group(floats::f16_ops)),
        ("cvt", group(conversions::conversions)),
        ("integer", group(integers::integer_ops)),
        ("bits", group(integers::bit_ops)),
        ("atom", group(integers::atomics)),
    ]
}

const HEAD: &str = ".version 9.0\n.target sm_75\n.address_size 64\n";

/// The kernel of one instruction: thread i reads row i of the operands and writes row i of the results.
fn kernel(index: usize, op: &Op) -> String {
    let mut text = format!(
        "// {}\n.visible .entry op_{index}(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 pd, .param .u64 pm, .param .u32 pn)\n{{\n\
         \x20   .shared .align 8 .b8 slots[1024];\n\
         \x20   .reg .pred stop, p, q; .reg .b32 i, n, g, t, u; .reg .b64 w, at, x, y;\n",
        op.name
    );
    let shared = op.memory == Some(Space::Shared);
    for (name, kind) in ["a", "b", "c"].iter().zip(&op.kinds) {
        let _ = writeln!(text, "    .reg .b{} {name};", kind.bits());
    }
    let _ = writeln!(
        text,
        "    .reg .b{} d; .reg .b{} e; .reg .b{} m;",
        op.result,
        op.kinds[0].bits(),
        if shared { 32 } else { 64 }
    );
    text += "    mov.u32 i, %ctaid.x;\n    mov.u32 n, %ntid.x;\n    mov.u32 g, %tid.x;\n    mad.lo.u32 i, i, n, g;\n    ld.param.u32 n, [pn];\n    setp.ge.u32 stop, i, n;\n    @stop ret;\n";
    for (name, kind) in ["a", "b", "c"].iter().zip(&op.kinds) {
        let _ = writeln!(
            text,
            "    ld.param.u64 at, [p{name}];\n    mul.wide.u32 w, i, {};\n    add.u64 at, at, w;\n    ld.global.b{} {name}, [at];",
            kind.width(),
            kind.bits()
        );
    }
    let (width, bits) = (op.kinds[0].width(), op.kinds[0].bits());
    match op.memory {
        Some(Space::Global) => {
            let _ = writeln!(
                text,
                "    ld.param.u64 at, [pm];\n    mul.wide.u32 w, i, {width};\n    add.u64 m, at, w;\n    st.global.b{bits} [m], a;"
            );
        }
        Some(Space::Shared) => {
            let _ = writeln!(
                text,
                "    mov.u32 m, slots;\n    shl.b32 t, g, 3;\n    add.u32 m, m, t;\n    st.shared.b{bits} [m], a;"
            );
        }
        None => {}
    }
    let _ = writeln!(text, "    {}", op.body);
    match op.memory {
        Some(Space::Shared) => {
            let _ = writeln!(
                text,
                "    ld.shared.b{bits} e, [m];\n    ld.param.u64 at, [pm];\n    mul.wide.u32 w, i, {width};\n    add.u64 at, at, w;\n    st.global.b{bits} [at], e;"
            );
        }
        Some(Space::Global) | None => {}
    }
    let _ = writeln!(
        text,
        "    ld.param.u64 at, [pd];\n    mul.wide.u32 w, i, {};\n    add.u64 at, at, w;\n    st.global.b{} [at], d;\n    ret;\n}}\n",
        op.result / 8,
        op.result
    );
    text
}

/// The modules of a group, each with the instructions it holds.
pub(crate) fn modules(ops: &[Op]) -> Vec<(String, &[Op])> {
    ops.chunks(64)
        .map(|chunk| {
            let text = chunk.iter().enumerate().map(|(index, op)| kernel(index, op)).collect::<Vec<_>>().join("\n");
            (format!("{HEAD}\n{text}"), chunk)
        })
        .collect()
}

fn pack(column: &[u64], width: usize) -> Vec<u8> {
    column.iter().flat_map(|value| value.to_le_bytes()[..width].to_vec()).collect()
}

/// The bytes of a group's table as they come together.
struct Table<'a> {
    p: &'a Probe,
    bytes: Vec<u8>,
    shapes: Map<String, Value>,
    /// For each shape: how many rows, and where its operands lie on the device.
    places: BTreeMap<Vec<Kind>, (u64, Vec<u64>)>,
    /// Where an instruction that has fewer operands may point.
    room: u64,
    result: u64,
    memory: u64,
}

/// Room for the widest result of the longest shape.
const RESULT: u64 = 2 << 20;

/// Runs every instruction and writes the tables of each group into `folder`.
pub(crate) fn record(p: &Probe, folder: &Path) {
    p.context();
    let (room, result, memory) = (p.alloc(8 << 20), p.alloc(RESULT), p.alloc(RESULT));
    for (group, ops) in groups() {
        let mut table =
            Table { p, bytes: Vec::new(), shapes: Map::new(), places: BTreeMap::new(), room, result, memory };
        let space = table.place_operands(&ops);
        let mut rows = Vec::new();
        for (text, chunk) in modules(&ops) {
            let module = p.module(&text);
            for (index, op) in chunk.iter().enumerate() {
                rows.push(table.run(op, p.function(module, &format!("op_{index}"))).to_string());
            }
            p.must("cuModuleUnload", &[module]);
        }
        p.must("cuMemFree_v2", &[space]);
        let shapes: Vec<String> = table.shapes.iter().map(|(name, shape)| format!("{}:{shape}", json!(name))).collect();
        let index = format!(
            "{{\"group\":{},\"shapes\":{{\n  {}\n}},\"instructions\":[\n  {}\n]}}\n",
            json!(group),
            shapes.join(",\n  "),
            rows.join(",\n  ")
        );
        let wrote = std::fs::write(folder.join(format!("{group}.bin")), &table.bytes)
            .and_then(|()| std::fs::write(folder.join(format!("{group}.json")), index));
        p.line(
            json!({"group": group, "instructions": ops.len(), "bytes": table.bytes.len(), "written": wrote.is_ok()}),
        );
    }
}

impl Table<'_> {
    /// Puts the operands of every shape on the device, once each; answers where they begin.
    fn place_operands(&mut self, ops: &[Op]) -> u64 {
        let mut used = 0u64;
        let mut operands = Vec::new();
        for op in ops {
            if self.places.contains_key(&op.kinds) {
                continue;
            }
            let columns = columns(&op.kinds);
            let (mut at, mut described) = (Vec::new(), Vec::new());
            for (kind, column) in op.kinds.iter().zip(&columns) {
                let packed = pack(column, kind.width());
                described.push(json!({"kind": kind.to_string(), "width": kind.width(), "offset": self.bytes.len()}));
                at.push(used);
                self.keep(&packed, kind.width());
                operands.push((used, packed));
                used += (column.len() as u64 * kind.width() as u64).next_multiple_of(256);
            }
            let count = columns[0].len() as u64;
            self.shapes.insert(shape_name(&op.kinds), json!({"count": count, "operands": described}));
            self.places.insert(op.kinds.clone(), (count, at));
        }
        let space = self.p.alloc(used.max(256));
        operands.iter().for_each(|(at, packed)| self.p.to_device(space + at, packed));
        for (_, at) in self.places.values_mut() {
            at.iter_mut().for_each(|offset| *offset += space);
        }
        space
    }

    /// Runs one instruction over its operands; answers its row of the index.
    fn run(&mut self, op: &Op, function: u64) -> Value {
        let Self { p, room, result, memory, .. } = *self;
        let (count, at) = &self.places[&op.kinds];
        let count = *count;
        let place = |index: usize| at.get(index).copied().unwrap_or(room);
        p.must("cuMemsetD8Async", &[result, 0xEE, RESULT, 0]);
        let params = [place(0), place(1), place(2), result, memory, count];
        p.launch("", function, Shape::new(count.div_ceil(128), 128), &params);
        let sync = p.sync();
        let width = op.result / 8;
        let mut row = json!({"name": op.name, "ptx": op.body, "shape": shape_name(&op.kinds), "width": width, "offset": self.bytes.len()});
        self.keep(&p.read_back(result, count as usize * width), width);
        if op.memory.is_some() {
            let width = op.kinds[0].width();
            row["memory_offset"] = self.bytes.len().into();
            self.keep(&p.read_back(memory, count as usize * width), width);
        }
        if sync != 0 {
            row["error"] = sync.into();
        }
        row
    }

    /// Adds a column, by bytes.
    fn keep(&mut self, column: &[u8], width: usize) {
        (0..width).for_each(|byte| self.bytes.extend(column.iter().skip(byte).step_by(width)));
    }
}

fn shape_name(kinds: &[Kind]) -> String {
    kinds.iter().map(Kind::to_string).collect::<Vec<_>>().join(" ")
}
