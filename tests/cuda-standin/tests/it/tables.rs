//! Every recorded instruction on all its recorded operands, against what the card answered.

mod differences;

use std::path::Path;

use serde_json::Value;

use super::device::{Device, HEAD};
use differences::{Rule, rule};

/// A recorded group: its index and its bytes.
struct Group {
    index: Value,
    bytes: Vec<u8>,
}

fn read(group: &str) -> Group {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded/instructions");
    let index = std::fs::read(folder.join(format!("{group}.json"))).unwrap();
    let packed = std::fs::File::open(folder.join(format!("{group}.bin.zst"))).unwrap();
    Group { index: serde_json::from_slice(&index).unwrap(), bytes: zstd::decode_all(packed).unwrap() }
}

impl Group {
    /// A column as plain little-endian values: it is kept byte for byte.
    fn column(&self, offset: &Value, width: usize, count: usize) -> Vec<u8> {
        let begin = usize::try_from(offset.as_u64().unwrap()).unwrap();
        let mut bytes = vec![0; width * count];
        for byte in 0..width {
            for (row, value) in self.bytes[begin + byte * count..][..count].iter().enumerate() {
                bytes[row * width + byte] = *value;
            }
        }
        bytes
    }
}

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn value(bytes: &[u8], width: usize, row: usize) -> u64 {
    bytes[row * width..][..width].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The kernel of one instruction: thread i takes row i. `m` is where an atomic works.
fn kernel(name: &str, body: &str, widths: &[usize], result: usize) -> String {
    let bits = widths[0] * 8;
    let shared = name.starts_with("atom.shared");
    let global = name.starts_with("atom.global");
    let mut text = format!(
        "{HEAD}.visible .entry op(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 pd, .param .u64 pm, \
         .param .u64 pn)\n{{\n.shared .align 8 .b8 slots[1024];\n.reg .pred stop, p, q; .reg .b32 i, n, g, t, u; \
         .reg .b64 w, at, x, y, many;\n.reg .b{} d; .reg .b{bits} e; .reg .b{} m;\n",
        result * 8,
        if shared { 32 } else { 64 }
    );
    for (operand, width) in ["a", "b", "c"].iter().zip(widths) {
        text += &format!(".reg .b{} {operand};\n", width * 8);
    }
    text += "mov.u32 i, %ctaid.x; mov.u32 n, %ntid.x; mov.u32 g, %tid.x; mad.lo.u32 i, i, n, g;\n\
             ld.param.u64 many, [pn]; cvt.u64.u32 x, i; setp.ge.u64 stop, x, many; @stop ret;\n";
    for (operand, width) in ["a", "b", "c"].iter().zip(widths) {
        text += &format!(
            "ld.param.u64 at, [p{operand}]; mul.wide.u32 w, i, {width}; add.u64 at, at, w; \
             ld.global.b{} {operand}, [at];\n",
            width * 8
        );
    }
    if global {
        text += &format!(
            "ld.param.u64 at, [pm]; mul.wide.u32 w, i, {}; add.u64 m, at, w; st.global.b{bits} [m], a;\n",
            widths[0]
        );
    }
    if shared {
        text += &format!("mov.u32 m, slots; shl.b32 t, g, 3; add.u32 m, m, t; st.shared.b{bits} [m], a;\n");
    }
    text += body;
    if shared {
        text += &format!(
            "\nld.shared.b{bits} e, [m]; ld.param.u64 at, [pm]; mul.wide.u32 w, i, {}; add.u64 at, at, w; \
             st.global.b{bits} [at], e;",
            widths[0]
        );
    }
    text += &format!(
        "\nld.param.u64 at, [pd]; mul.wide.u32 w, i, {result}; add.u64 at, at, w; st.global.b{} [at], d;\nret;\n}}\n",
        result * 8
    );
    text
}

/// Runs a group; answers what differs, a line for each instruction.
fn differing(name: &str) -> Vec<String> {
    let group = read(name);
    let mut found = Vec::new();
    for it in group.index["instructions"].as_array().unwrap() {
        let shape = &group.index["shapes"][it["shape"].as_str().unwrap()];
        let count = size(&shape["count"]);
        let operands = shape["operands"].as_array().unwrap();
        let widths: Vec<usize> = operands.iter().map(|it| size(&it["width"])).collect();
        let columns: Vec<Vec<u8>> =
            operands.iter().zip(&widths).map(|(it, width)| group.column(&it["offset"], *width, count)).collect();
        let (name, width) = (it["name"].as_str().unwrap(), size(&it["width"]));
        let rule = rule(name);
        let body = if let Rule::Instead(body) = rule { body } else { it["ptx"].as_str().unwrap() };
        let mut device = Device::new();
        let module = device.load(&kernel(name, body, &widths, width));
        let mut parameters: Vec<u64> = columns.iter().map(|it| device.upload(it)).collect();
        parameters.resize(3, 0);
        let (result, memory) = (device.alloc(count * width), device.alloc(count * widths[0]));
        parameters.extend([result, memory, count as u64]);
        let blocks = u32::try_from(count.div_ceil(128)).unwrap();
        let ended = device.launch(&module, "op", (blocks, 128, 0), &parameters);
        assert!(ended.is_ok(), "{name}: {ended:?}");
        assert!(device.reports.is_empty(), "{name}: {:?}", device.reports.found());
        let results = device.download(result, count * width);
        let expected = group.column(&it["offset"], width, count);
        let operand = |row: usize| -> Vec<u64> {
            columns.iter().zip(&widths).map(|(column, width)| value(column, *width, row)).collect()
        };
        let mut judge = |what: &str, results: &[u8], expected: &[u8], width: usize| {
            let wrong: Vec<usize> = (0..count)
                .filter(|row| {
                    let (found, expected) = (value(results, width, *row), value(expected, width, *row));
                    found != expected && !rule.allows(&operand(*row), found, expected, width)
                })
                .collect();
            if let Some(row) = wrong.first() {
                let (a, b) = (value(results, width, *row), value(expected, width, *row));
                let operands: Vec<String> = operand(*row).iter().map(|it| format!("{it:#x}")).collect();
                found.push(format!(
                    "{name}{what}: {} of {count} rows, first of {}: {a:#x} where the card has {b:#x}",
                    wrong.len(),
                    operands.join(", ")
                ));
            }
        };
        judge("", &results, &expected, width);
        if let Some(offset) = it.get("memory_offset") {
            let expected = group.column(offset, widths[0], count);
            judge(" in memory", &device.download(memory, count * widths[0]), &expected, widths[0]);
        }
    }
    found
}

#[track_caller]
fn check(group: &str) {
    let found = differing(group);
    assert!(found.is_empty(), "{} instructions differ:\n{}", found.len(), found.join("\n"));
}

#[test]
fn integers() {
    check("integer");
}

#[test]
fn bits() {
    check("bits");
}

#[test]
fn singles() {
    check("f32");
}

#[test]
fn doubles() {
    check("f64");
}

#[test]
fn halves() {
    check("f16");
}

#[test]
fn conversions() {
    check("cvt");
}

#[test]
fn atomics() {
    check("atom");
}
