//! Texts that a driver refuses, each with its code, line and column.

use cuda_standin::exec::{Launch, run_within};
use cuda_standin::memory::{BlockName, Memory};
use cuda_standin::program::{LoadErrorKind, Program};
use cuda_standin::report::Reports;

use super::device::HEAD;
use super::opcodes::{CANDLE, text};

#[track_caller]
fn refused(text: &str, kind: LoadErrorKind, message: &str) {
    let error = Program::parse(text).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (kind, message));
}

fn kernel(body: &str) -> String {
    format!(
        "{HEAD}.visible .entry k(.param .u64 p)\n{{\n.reg .pred %p<3>; .reg .b32 %r<4>; .reg .b64 %rd<4>; .reg .f32 %f<4>;\n{body}\nret;\n}}\n"
    )
}

#[track_caller]
fn refused_kernel(body: &str, kind: LoadErrorKind, message: &str) {
    refused(&kernel(body), kind, message);
}

#[test]
fn what_is_no_ptx() {
    refused("", LoadErrorKind::NoImage, "line 1, column 1: no `.version`");
    refused("hello", LoadErrorKind::NoImage, "line 1, column 1: `hello` where a directive belongs");
}

#[test]
fn versions_and_targets() {
    let newer = ".version 9.1\n.target sm_75\n.address_size 64\n";
    let words = "line 1, column 1: `.version 9.1` is newer than 9.0, which this driver knows";
    refused(newer, LoadErrorKind::UnsupportedVersion, words);
    let above = ".version 9.0\n.target sm_80\n.address_size 64\n";
    let words = "line 1, column 1: `.target sm_80` is above sm_75, which this device is";
    refused(above, LoadErrorKind::InvalidPtx, words);
    assert!(Program::parse(".version 6.3\n.target sm_70\n.address_size 64\n").is_ok());
}

#[test]
fn everything_wrong_is_told_at_once() {
    refused_kernel(
        "add.s32 %r1, %f1, 1;\nadd.s32 %r9, 1, 2;\nbra nowhere;\nfrobnicate.b32 %r1;\nmov.f32 %f1, 1;",
        LoadErrorKind::InvalidPtx,
        "line 7, column 1: `%f1` is .f32, and the instruction takes .s32\n\
         line 8, column 1: `%r9` is not declared\n\
         line 9, column 1: no label `nowhere`\n\
         line 10, column 1: PTX has no instruction `frobnicate`\n\
         line 11, column 1: an integer where a .f32 belongs",
    );
}

#[test]
fn a_register_that_nothing_writes() {
    refused_kernel(
        "add.s32 %r1, %r2, 1;",
        LoadErrorKind::InvalidPtx,
        "line 7, column 1: `%r2` is read, and nothing has written it",
    );
    let on_some_way = "setp.eq.u32 %p1, 0, 1; @%p1 mov.u32 %r2, 1; add.s32 %r1, %r2, 1;";
    assert!(Program::parse(&kernel(on_some_way)).is_ok());
}

#[test]
fn wrong_operands() {
    refused_kernel(
        "add.s32 %r1, 1;",
        LoadErrorKind::InvalidPtx,
        "line 7, column 1: `add` has 2 operands, and 3 are right",
    );
    refused_kernel(
        "ld.param.u64 %rd1, [p+4];",
        LoadErrorKind::InvalidPtx,
        "line 7, column 1: 8 bytes at 4 are not all inside a parameter of 8 bytes",
    );
    refused_kernel("setp.eq.u32 %r1, 1, 2;", LoadErrorKind::InvalidPtx, "line 7, column 1: `%r1` is no predicate");
    refused_kernel("call missing;", LoadErrorKind::InvalidPtx, "line 7, column 1: no function `missing`");
}

#[test]
fn what_is_known_and_not_written_yet() {
    refused_kernel("mov.u32 %r1, %envreg3;", LoadErrorKind::Unsupported, "line 7, column 1: unsupported: `%envreg3`");
    let cvt = "cvt.rn.bf16.f32 %r1, %f1;";
    refused_kernel(cvt, LoadErrorKind::Unsupported, "line 7, column 1: unsupported: `cvt.rn.bf16.f32`");
}

/// Words of PTX where others belong.
const STRAY: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    ":",
    "|",
    "!",
    "-",
    "+",
    "@",
    "<",
    "0",
    "4294967296",
    "18446744073709551615",
    "1.5",
    "0f7F800000",
    ".b8",
    ".pred",
    ".v4",
    ".global",
    ".shared",
    ".local",
    ".align",
    ".reg",
    ".loc",
    ".func",
    "b32_1",
    "b64_0",
    "pred_0",
    "_",
    "%tid",
    "end",
    "variable",
    "p",
    "ret",
    "call",
    "bra",
    "ld.v4.f64",
    "mov",
    "bar.sync",
    "\"",
    "/*",
];

/// Whatever it does, it comes to an end.
fn run_anyhow(program: &Program) {
    let variables: Vec<u64> = (0..program.variables().len() as u64).map(|it| it << 12).collect();
    for kernel in program.kernels() {
        let launch = Launch {
            program,
            kernel,
            grid: [2, 1, 1],
            block: [40, 1, 1],
            dynamic_shared: 16,
            parameters: &[0xff; 64],
            variables: &variables,
        };
        let mut memory = Memory::default();
        memory.insert(0, 4096, BlockName::Allocation(1));
        drop(run_within(1000, &launch, &mut memory, &mut Reports::default()));
    }
}

#[test]
fn no_text_makes_it_panic() {
    let mut state = 1u64;
    let mut next = |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % most
    };
    let mut refused = 0;
    for line in CANDLE.lines() {
        let text = text(line);
        for _ in 0..20 {
            let mut words: Vec<&str> = text.split_inclusive([' ', ',', ';', '\n', '[', '+']).collect();
            for _ in 0..=next(3) {
                // Mostly near the instruction, which stands at the end.
                let reach = if next(2) == 0 { 12 } else { words.len() };
                let at = words.len() - 1 - next(reach);
                match next(3) {
                    0 => drop(words.remove(at)),
                    1 => words.insert(at, STRAY[next(STRAY.len())]),
                    _ => words[at] = STRAY[next(STRAY.len())],
                }
            }
            match Program::parse(&words.concat()) {
                Ok(program) => run_anyhow(&program),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 3000, "{refused} of 5880");
}

#[test]
fn a_kernel_tells_what_it_needs() {
    let text = format!(
        "{HEAD}.visible .entry k(.param .u8 a, .param .u64 b, .param .align 16 .b8 c[20])\n.reqntid 64, 2\n.maxntid 128\n{{
        .shared .align 8 .b8 s[12]; .local .align 4 .b8 l[40]; .reg .b32 %r<9>;
        mov.u32 %r1, s; mov.u32 %r2, l; ret;
        }}"
    );
    let program = Program::parse(&text).unwrap();
    let facts = program.facts(program.kernel("k").unwrap());
    let parameters: Vec<(u32, u32, u32)> = facts.parameters.iter().map(|it| (it.offset, it.size, it.align)).collect();
    assert_eq!(parameters, [(0, 1, 1), (8, 8, 8), (16, 20, 16)]);
    assert_eq!((facts.parameter_bytes, facts.static_shared, facts.local_bytes), (36, 12, 40));
    assert_eq!((facts.reqntid, facts.maxntid), (Some([64, 2, 1]), Some([128, 1, 1])));
}
