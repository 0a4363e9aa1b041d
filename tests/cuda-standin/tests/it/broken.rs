//! Kernels that are broken on purpose, each with a twin that is right: the check names kernel, block, thread and line of
//! the one, and says nothing of the other.

mod barriers;
mod memory;
mod races;
mod warps;

use cuda_standin::exec::{Counts, Fault, FaultCode};
use cuda_standin::report::{Kind, Place};

use super::device::{Device, HEAD};

/// A body of a kernel `k` and how it is launched. Its parameters are `p`, 512 written bytes, and `u`, 512 others.
struct Case {
    body: &'static str,
    grid: u32,
    block: u32,
    dynamic_shared: u32,
}

/// A case of one block.
fn case(block: u32, body: &'static str) -> Case {
    Case { body, grid: 1, block, dynamic_shared: 0 }
}

/// The guilty instruction ends in this; what is found there has line 7 of the source.
const MARK: &str = "// here";

/// Thread number, and `p` and `u` with a word for each thread.
const START: &str = "
.reg .pred %p<8>; .reg .b32 %r<16>; .reg .b64 %d<16>; .reg .b16 %h<4>;
mov.u32 %r1, %tid.x; ld.param.u64 %d1, [p]; ld.param.u64 %d2, [u];
mul.wide.u32 %d3, %r1, 4; add.u64 %d4, %d1, %d3; add.u64 %d5, %d2, %d3;
";

fn text(case: &Case) -> String {
    let marked = |line: &str| {
        if line.contains(MARK) { format!(".loc 1 7 3\n{line}\n.loc 1 8 1") } else { line.to_owned() }
    };
    let body: Vec<String> = case.body.lines().map(marked).collect();
    format!(
        "{HEAD}.file 1 \"k.cu\"\n.const .align 4 .u32 fixed[4] = {{1, 2, 3, 4}};\n.extern .shared .align 16 .b8 room[];\n\
         .extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, .param .b64 s);\n\
         .global .align 1 .b8 said[6] = {{105, 32, 60, 32, 110, 0}};\n\
         .visible .entry k(.param .u64 p, .param .u64 u)\n{{\n{START}{}\nret;\n}}\n",
        body.join("\n")
    )
}

/// Findings, how the launch ended, and the text that ran.
type Outcome = (Vec<Found>, Result<Counts, Fault>, String);
type Found = (Kind, Option<Place>, String);

/// Runs a case; answers what was found and how it ended.
fn run(case: &Case) -> Outcome {
    run_prepared(case, |_, _, _| {})
}

fn run_prepared(case: &Case, prepare: impl FnOnce(&mut Device, u64, u64)) -> Outcome {
    let mut device = Device::new();
    let text = text(case);
    let module = device.load(&text);
    let p = device.upload(&[1; 512]);
    let u = device.alloc(512);
    prepare(&mut device, p, u);
    let ended = device.launch(&module, "k", (case.grid, case.block, case.dynamic_shared), &[p, u]);
    let found = device.reports.found().iter().map(|(it, _)| (it.kind, it.place.clone(), it.words.clone())).collect();
    (found, ended, text)
}

/// The case is found out: kind, thread and line; nothing else is.
#[track_caller]
fn fires(case: &Case, kind: Kind, thread: u32, ends: Option<FaultCode>) -> String {
    judge(run(case), kind, (0, thread), ends)
}

#[track_caller]
fn judge((found, ended, text): Outcome, kind: Kind, (block, thread): (u32, u32), ends: Option<FaultCode>) -> String {
    assert_eq!(ended.as_ref().err().map(|fault| fault.code), ends, "{found:?}");
    let [(found, Some(place), words)] = &found[..] else { panic!("one report, not {found:?}") };
    let line = text.lines().position(|line| line.contains(MARK)).unwrap() + 1;
    let expected = Place {
        kernel: "k".to_owned(),
        block: [block, 0, 0],
        thread: [thread, 0, 0],
        source: Some(("k.cu".to_owned(), 7)),
        ptx_line: u32::try_from(line).unwrap(),
    };
    assert_eq!((*found, place), (kind, &expected), "{words}");
    words.clone()
}

/// Nothing is found.
#[track_caller]
fn passes(case: &Case) -> Counts {
    let (found, ended, _) = run(case);
    assert!(found.is_empty(), "{found:?}");
    ended.unwrap()
}
