//! Every opcode that candle's modules contain is known. A kernel of ours that needs another brings its line.

use cuda_standin::program::Program;
use cuda_standin::ptx::Type;

use super::device::HEAD;

/// Printed by `cargo run -p cuda-standin --example opcodes -- FILE.ptx…`, for the modules that candle-kernels 0.11.1 makes
/// for sm_75. `cargo xtask test-cuda --only opcodes` holds it to what was built.
pub(crate) const CANDLE: &str = include_str!("../../opcodes/candle.txt");

/// What the kernels of this repository contain beyond these.
const OURS: &str = include_str!("../../opcodes/kernels.txt");

/// Registers of every type, all of them written.
fn registers() -> String {
    let types = [Type::B16, Type::U16, Type::B32, Type::U32, Type::B64, Type::F16, Type::F16x2, Type::F32, Type::F64];
    let mut text = ".reg .pred pred_<8>; setp.eq.u32 pred_0, 0, 0;".to_owned();
    (1..8).for_each(|index| text += &format!(" mov.pred pred_{index}, pred_0;"));
    for ty in types {
        let (name, bits) = (ty.name(), ty.bytes() * 8);
        text += &format!("\n.reg .{name} {name}_<8>;");
        let zero = match ty {
            Type::F32 => "0f00000000",
            Type::F64 => "0d0000000000000000",
            _ => "0",
        };
        let suffix = if matches!(ty, Type::F32 | Type::F64) { name.to_owned() } else { format!("b{bits}") };
        (0..8).for_each(|index| text += &format!(" mov.{suffix} {name}_{index}, {zero};"));
    }
    text
}

/// A kernel of this one instruction.
pub(crate) fn text(line: &str) -> String {
    let variable = if line.contains("shared") {
        ".shared"
    } else if line.contains("local") {
        ".local"
    } else {
        ""
    };
    let inside = if variable.is_empty() { String::new() } else { format!("{variable} .align 16 .b8 variable[64];") };
    let outside = if variable.is_empty() { ".global .align 16 .b8 variable[64];" } else { "" };
    // Inside of a call `.param` can be stored to.
    let (formal, own) = if line.starts_with("st.param") { ("q", ".param .align 16 .b8 p[64];") } else { ("p", "") };
    format!(
        "{HEAD}{outside}\n.visible .entry k(.param .align 16 .b8 {formal}[64])\n{{\n{}\n{inside}\n{own}\n{line}\nend: ret;\n}}\n",
        registers()
    )
}

fn load(line: &str) -> Result<Program, String> {
    Program::parse(&text(line)).map_err(|error| format!("{line}\n    {error}"))
}

#[test]
fn every_opcode_of_candle_and_of_our_kernels_is_known() {
    let lines = || CANDLE.lines().chain(OURS.lines());
    let wrong: Vec<String> = lines().filter_map(|line| load(line).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), lines().count(), wrong.join("\n"));
    assert_eq!(CANDLE.lines().count(), 294);
}

#[test]
fn an_unknown_opcode_is_told() {
    let error = load("wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {b32_0}, [b64_0];").unwrap_err();
    assert!(error.contains("unsupported: `wmma.load.a.sync.aligned.row.m16n16k16.global.f16`"), "{error}");
}
