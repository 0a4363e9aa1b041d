//! The approximate functions, every float of an interval or a regular sample of all floats.
//!
//! A result is kept in `FUNCTION.near` as its distance in units of the last place from the exactly rounded one, a signed
//! byte. −128 says that the result stands in `FUNCTION.far`: row (u32), bits (u32). Where the exact result is no number,
//! 0 stands for 0x7fffffff. `approximate.json` has the worst errors.

use crate::probe::{Probe, Shape};
use serde_json::json;
use std::path::Path;

struct Function {
    name: &'static str,
    instruction: &'static str,
    /// Bits of the first operand, distance to the next, how many.
    start: u32,
    step: u32,
    count: u32,
    exact: fn(f64) -> f64,
}

const BINADE: u32 = 1 << 23;

const FUNCTIONS: &[Function] = &[
    Function {
        name: "rcp",
        instruction: "rcp.approx.ftz.f32",
        start: 0x3F80_0000,
        step: 1,
        count: BINADE,
        exact: |x| 1.0 / x,
    },
    Function {
        name: "ex2",
        instruction: "ex2.approx.ftz.f32",
        start: 0x3F80_0000,
        step: 1,
        count: BINADE,
        exact: f64::exp2,
    },
    Function {
        name: "lg2",
        instruction: "lg2.approx.ftz.f32",
        start: 0x3F80_0000,
        step: 1,
        count: BINADE,
        exact: f64::log2,
    },
    Function {
        name: "rsqrt",
        instruction: "rsqrt.approx.ftz.f32",
        start: 0x3F80_0000,
        step: 1,
        count: 2 * BINADE,
        exact: |x| 1.0 / x.sqrt(),
    },
    Function {
        name: "sqrt",
        instruction: "sqrt.approx.ftz.f32",
        start: 0x3F80_0000,
        step: 1,
        count: 2 * BINADE,
        exact: f64::sqrt,
    },
    Function {
        name: "sin",
        instruction: "sin.approx.ftz.f32",
        start: 0x3F00_0000,
        step: 4,
        count: BINADE / 2,
        exact: f64::sin,
    },
    Function {
        name: "cos",
        instruction: "cos.approx.ftz.f32",
        start: 0x3F00_0000,
        step: 4,
        count: BINADE / 2,
        exact: f64::cos,
    },
    Function {
        name: "tanh",
        instruction: "tanh.approx.f32",
        start: 0x3E80_0000,
        step: 8,
        count: BINADE / 2,
        exact: f64::tanh,
    },
    Function {
        name: "rcp_all",
        instruction: "rcp.approx.f32",
        start: 0,
        step: 1021,
        count: 4_206_000,
        exact: |x| 1.0 / x,
    },
    Function {
        name: "ex2_all",
        instruction: "ex2.approx.f32",
        start: 0,
        step: 1021,
        count: 4_206_000,
        exact: f64::exp2,
    },
    Function {
        name: "lg2_all",
        instruction: "lg2.approx.f32",
        start: 0,
        step: 1021,
        count: 4_206_000,
        exact: f64::log2,
    },
    Function {
        name: "rsqrt_all",
        instruction: "rsqrt.approx.f32",
        start: 0,
        step: 1021,
        count: 4_206_000,
        exact: |x| 1.0 / x.sqrt(),
    },
    Function {
        name: "sqrt_all",
        instruction: "sqrt.approx.f32",
        start: 0,
        step: 1021,
        count: 4_206_000,
        exact: f64::sqrt,
    },
    Function {
        name: "tanh_all",
        instruction: "tanh.approx.f32",
        start: 0,
        step: 1021,
        count: 4_206_000,
        exact: f64::tanh,
    },
];

fn kernel(index: usize, instruction: &str) -> String {
    format!(
        ".visible .entry f_{index}(.param .u64 pd, .param .u32 pstart, .param .u32 pstep, .param .u32 pn)\n{{\n\
         \x20   .reg .pred stop; .reg .b32 i, n, g, a, d; .reg .b64 w, at;\n\
         \x20   mov.u32 i, %ctaid.x;\n    mov.u32 n, %ntid.x;\n    mov.u32 g, %tid.x;\n    mad.lo.u32 i, i, n, g;\n    ld.param.u32 n, [pn];\n\
         \x20   setp.ge.u32 stop, i, n;\n    @stop ret;\n    ld.param.u32 a, [pstart];\n    ld.param.u32 n, [pstep];\n    mad.lo.u32 a, i, n, a;\n\
         \x20   {instruction} d, a;\n    ld.param.u64 at, [pd];\n    mul.wide.u32 w, i, 4;\n    add.u64 at, at, w;\n    st.global.b32 [at], d;\n    ret;\n}}\n"
    )
}

pub(crate) fn module() -> String {
    let kernels: Vec<String> = FUNCTIONS.iter().enumerate().map(|(index, f)| kernel(index, f.instruction)).collect();
    format!(".version 9.0\n.target sm_75\n.address_size 64\n\n{}", kernels.join("\n"))
}

pub(crate) fn record(p: &Probe, folder: &Path) {
    p.context();
    let module = p.module(&module());
    let place = p.alloc(8 * u64::from(BINADE));
    let mut index = Vec::new();
    for (number, f) in FUNCTIONS.iter().enumerate() {
        let Some(rows) = run(p, f, p.function(module, &format!("f_{number}")), place) else { break };
        let worst = judge(f, &rows);
        let wrote = std::fs::write(folder.join(format!("{}.near", f.name)), &worst.near)
            .and_then(|()| std::fs::write(folder.join(format!("{}.far", f.name)), &worst.far));
        let row = json!({"name": f.name, "instruction": f.instruction, "start": format!("{:#010x}", f.start), "step": f.step,
            "count": f.count, "exactly_rounded": worst.exactly_rounded, "worst_absolute": worst.absolute,
            "worst_relative": worst.relative, "written": wrote.is_ok()});
        p.line(row.clone());
        index.push(row);
    }
    let text = index.iter().map(ToString::to_string).collect::<Vec<_>>().join(",\n");
    let _ = std::fs::write(folder.join("approximate.json"), format!("[\n{text}\n]\n"));
}

/// Operand and result of every row; `None` when the device failed.
fn run(p: &Probe, f: &Function, function: u64, place: u64) -> Option<Vec<(u32, u32)>> {
    let params = [place, u64::from(f.start), u64::from(f.step), u64::from(f.count)];
    p.launch("", function, Shape::new(u64::from(f.count.div_ceil(256)), 256), &params);
    if p.sync() != 0 {
        return None;
    }
    let operand = |row: usize| f.start.wrapping_add((row as u32).wrapping_mul(f.step));
    Some(p.words(place, f.count as usize).into_iter().enumerate().map(|(row, got)| (operand(row), got)).collect())
}

/// What is said of a function, and its rows as they are kept.
#[derive(Default)]
struct Judged {
    near: Vec<u8>,
    far: Vec<u8>,
    exactly_rounded: u64,
    absolute: f64,
    /// Where both the operand and the exact result are normal numbers.
    relative: f64,
}

fn judge(f: &Function, rows: &[(u32, u32)]) -> Judged {
    let mut judged = Judged::default();
    for (row, (operand, got)) in rows.iter().enumerate() {
        let operand = f32::from_bits(*operand);
        let exact = (f.exact)(f64::from(operand));
        match distance((exact as f32).to_bits(), *got) {
            Some(d @ -127..=127) => {
                judged.exactly_rounded += u64::from(d == 0);
                judged.near.push(d as i8 as u8);
            }
            _ => {
                judged.near.push(0x80);
                judged.far.extend((row as u32).to_le_bytes());
                judged.far.extend(got.to_le_bytes());
            }
        }
        let error = (f64::from(f32::from_bits(*got)) - exact).abs();
        if error.is_finite() && (exact as f32).is_finite() {
            judged.absolute = judged.absolute.max(error);
            if operand.is_normal() && (exact as f32).is_normal() {
                judged.relative = judged.relative.max(error / exact.abs());
            }
        }
    }
    judged
}

/// How many floats lie between a result and the exactly rounded one; `None` where one of them is no number, or they
/// differ in sign.
fn distance(exact: u32, got: u32) -> Option<i64> {
    let nan = |bits: u32| bits & 0x7FFF_FFFF > 0x7F80_0000;
    if nan(exact) && got == 0x7FFF_FFFF {
        return Some(0);
    }
    if nan(exact) || nan(got) || exact >> 31 != got >> 31 {
        return (exact == got).then_some(0);
    }
    Some(rank(got) - rank(exact))
}

/// A float's place in the order of all floats.
fn rank(bits: u32) -> i64 {
    let magnitude = i64::from(bits & 0x7FFF_FFFF);
    if bits >> 31 == 0 { magnitude } else { -magnitude }
}
