//! Launches that are right: coordinates, branches, calls, memory of all sorts, counts.

use cuda_standin::exec::{Counts, FaultCode, Launch, run, run_within};
use cuda_standin::memory::{BlockName, Memory};
use cuda_standin::program::Program;
use cuda_standin::report::{Kind, Reports};

use super::device::{Device, HEAD};

/// Runs a kernel that writes a word for each thread to its first parameter.
#[track_caller]
fn words(text: &str, grid: u32, block: u32) -> (Vec<u32>, Counts) {
    let mut device = Device::new();
    let module = device.load(text);
    let count = (grid * block) as usize;
    let out = device.alloc(count * 4);
    let counts = device.launch(&module, "k", (grid, block, 0), &[out]).unwrap();
    assert!(device.reports.is_empty(), "{:?}", device.reports.found());
    let bytes = device.download(out, count * 4);
    (bytes.chunks(4).map(|it| u32::from_le_bytes(it.try_into().unwrap())).collect(), counts)
}

/// A kernel with the number of its thread in `%r1` and where it writes `%r2` at the end.
fn kernel(before: &str, body: &str) -> String {
    format!(
        "{HEAD}{before}\n.visible .entry k(.param .u64 out)\n{{
        .reg .pred %p<8>; .reg .b32 %r<16>; .reg .b64 %rd<16>; .reg .f64 %fd<8>; .reg .b16 %rs<4>;
        mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ntid.x; mov.u32 %r5, %tid.x; mad.lo.u32 %r1, %r3, %r4, %r5;
        {body}
        ld.param.u64 %rd1, [out]; mul.wide.u32 %rd2, %r1, 4; add.u64 %rd1, %rd1, %rd2; st.global.u32 [%rd1], %r2;
        ret;\n}}\n"
    )
}

#[test]
fn threads_know_where_they_are() {
    let (found, _) = words(&kernel("", "mad.lo.u32 %r2, %r3, 1000, %r5;"), 3, 40);
    let expected: Vec<u32> = (0..3).flat_map(|block| (0..40).map(move |thread| block * 1000 + thread)).collect();
    assert_eq!(found, expected);
}

#[test]
fn three_dimensions() {
    let text = format!(
        "{HEAD}.visible .entry k(.param .u64 out)\n{{ .reg .b32 %r<9>; .reg .b64 %rd<4>;
        mov.u32 %r1, %tid.z; mov.u32 %r2, %tid.y; mov.u32 %r3, %tid.x; mov.u32 %r4, %ctaid.y;
        mad.lo.u32 %r5, %r1, 3, %r2; mad.lo.u32 %r5, %r5, 5, %r3; mad.lo.u32 %r6, %r4, 30, %r5;
        ld.param.u64 %rd1, [out]; mul.wide.u32 %rd2, %r6, 4; add.u64 %rd1, %rd1, %rd2;
        mad.lo.u32 %r7, %r1, 100, %r2; mad.lo.u32 %r7, %r7, 100, %r3; st.global.u32 [%rd1], %r7; ret;\n}}"
    );
    let program = Program::parse(&text).unwrap();
    let mut memory = Memory::default();
    memory.insert(4096, 240, BlockName::Allocation(1));
    let launch = Launch {
        program: &program,
        kernel: program.kernel("k").unwrap(),
        grid: [1, 2, 1],
        block: [5, 3, 2],
        dynamic_shared: 0,
        parameters: &4096u64.to_le_bytes(),
        variables: &[],
    };
    run(&launch, &mut memory, &mut Reports::default()).unwrap();
    let mut bytes = [0; 240];
    assert_eq!(memory.read(4096, &mut bytes), Ok(None));
    let last = u32::from_le_bytes(bytes[236..].try_into().unwrap());
    assert_eq!(last, 10_204, "z 1, y 2, x 4");
}

#[test]
fn loops_of_different_lengths() {
    // Collatz: every lane leaves the loop at another time.
    let body = "mov.u32 %r2, 0; add.u32 %r6, %r1, 1;
        next: setp.eq.u32 %p1, %r6, 1; @%p1 bra done; and.b32 %r7, %r6, 1; setp.eq.u32 %p2, %r7, 0; @%p2 bra even;
        mad.lo.u32 %r6, %r6, 3, 1; bra.uni step; even: shr.u32 %r6, %r6, 1; step: add.u32 %r2, %r2, 1; bra next; done:";
    let (found, counts) = words(&kernel("", body), 1, 100);
    let steps = |start: u32| {
        let (mut value, mut steps) = (start, 0);
        while value != 1 {
            value = if value % 2 == 0 { value / 2 } else { value * 3 + 1 };
            steps += 1;
        }
        steps
    };
    assert_eq!(found, (1..=100).map(steps).collect::<Vec<u32>>());
    assert!(counts.warp_instructions < counts.thread_instructions / 5, "lanes meet again: {counts:?}");
}

#[test]
fn calls_take_and_give_values() {
    let function = ".func (.param .b32 r) twice(.param .b32 a, .param .align 4 .b8 b[8])
        { .reg .b32 %r<4>; .reg .pred %p; ld.param.b32 %r1, [a]; ld.param.b32 %r2, [b+4];
        setp.gt.u32 %p, %r1, 10; @%p bra large; add.u32 %r3, %r1, %r2; st.param.b32 [r], %r3; ret;
        large: mul.lo.u32 %r3, %r1, 2; st.param.b32 [r], %r3; ret; }";
    let body = "{ .param .b32 x; st.param.b32 [x], %r1; .param .align 4 .b8 y[8]; st.param.b32 [y+4], 7;
        .param .b32 z; call.uni (z), twice, (x, y); ld.param.b32 %r2, [z]; }
        setp.eq.u32 %p1, %r1, 3; @!%p1 bra behind;
        { .param .b32 x; st.param.b32 [x], 50; .param .align 4 .b8 y[8]; .param .b32 z;
        call (z), twice, (x, y); ld.param.b32 %r2, [z]; }
        behind:";
    let (found, _) = words(&kernel(function, body), 1, 20);
    let expected: Vec<u32> = (0..20)
        .map(|it| {
            if it == 3 {
                100
            } else if it > 10 {
                it * 2
            } else {
                it + 7
            }
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn tables_pointers_and_constants() {
    let before = ".global .align 4 .u32 table[4] = {5, 6, 7, 8};\n.global .align 8 .u64 at = table+8;
        .const .align 4 .f32 fixed[2] = {0f3F800000, 0f40000000};";
    let body =
        "ld.global.u64 %rd3, [at]; ld.global.u32 %r2, [%rd3]; ld.global.u32 %r6, [table+12]; mov.u64 %rd4, table;
        cvta.global.u64 %rd4, %rd4; ld.u32 %r7, [%rd4+4]; ld.const.u32 %r8, [fixed+4];
        add.u32 %r2, %r2, %r6; add.u32 %r2, %r2, %r7; shr.u32 %r8, %r8, 24; add.u32 %r2, %r2, %r8;";
    assert_eq!(words(&kernel(before, body), 1, 1).0, [7 + 8 + 6 + 0x40]);
}

#[test]
fn atomics_add_up() {
    let before = ".global .align 4 .u32 sum = 0;";
    let body = "mov.u64 %rd3, sum; red.global.add.u32 [%rd3], %r1; atom.add.u32 %r2, [%rd3], 0; mov.u32 %r2, 0;";
    let mut device = Device::new();
    let module = device.load(&kernel(before, body));
    let out = device.alloc(4 * 300);
    let counts = device.launch(&module, "k", (3, 100, 0), &[out]).unwrap();
    assert_eq!((counts.atomics, counts.bytes_loaded, counts.bytes_stored), (600, 2400, 3600));
}

#[test]
fn a_signed_byte_fills_its_register() {
    let before = ".global .align 1 .b8 bytes[4] = {255, 127, 128, 1};";
    let body = "and.b32 %r6, %r1, 3; cvt.u64.u32 %rd3, %r6; mov.u64 %rd4, bytes; add.u64 %rd4, %rd4, %rd3;
        ld.global.s8 %r2, [%rd4];";
    let expected = [-1i32, 127, -128, 1].map(i32::cast_unsigned);
    assert_eq!(words(&kernel(before, body), 1, 4).0, expected);
}

#[test]
fn a_kernel_without_an_end_is_stopped() {
    let text = kernel("", "mov.u32 %r2, 0;\nagain: bra again;");
    let program = Program::parse(&text).unwrap();
    let launch = Launch {
        program: &program,
        kernel: program.kernel("k").unwrap(),
        grid: [1; 3],
        block: [1; 3],
        dynamic_shared: 0,
        parameters: &[0; 8],
        variables: &[],
    };
    let mut reports = Reports::default();
    let fault = run_within(100_000, &launch, &mut Memory::default(), &mut reports).unwrap_err();
    assert_eq!((fault.code, fault.report.kind), (FaultCode::LaunchFailed, Kind::NoEnd));
    assert!(fault.counts.warp_instructions > 100_000);
}

#[test]
fn a_function_that_calls_itself_too_often_fills_the_stack() {
    let function = ".func down(.param .b32 left) { .reg .b32 %r<3>; .reg .pred %p; ld.param.b32 %r1, [left];
        setp.eq.u32 %p, %r1, 0; @%p ret; sub.u32 %r1, %r1, 1;
        { .param .b32 a; st.param.b32 [a], %r1; call down, (a); } ret; }";
    let body = |depth: u32| {
        kernel(function, &format!("{{ .param .b32 a; st.param.b32 [a], {depth}; call down, (a); }} mov.u32 %r2, 5;"))
    };
    assert_eq!(words(&body(40), 1, 1).0, [5]);
    let mut device = Device::new();
    let module = device.load(&body(1000));
    let out = device.alloc(4);
    let fault = device.launch(&module, "k", (1, 1, 0), &[out]).unwrap_err();
    assert_eq!((fault.code, fault.report.kind), (FaultCode::IllegalAddress, Kind::StackOverflow));
}

#[test]
fn a_call_of_no_function() {
    let body = "mov.u64 %rd5, 64; how: .callprototype _ ();\ncall %rd5, (), how; mov.u32 %r2, 0;";
    let mut device = Device::new();
    let module = device.load(&kernel("", body));
    let out = device.alloc(4);
    let fault = device.launch(&module, "k", (1, 1, 0), &[out]).unwrap_err();
    assert_eq!((fault.code, fault.report.kind), (FaultCode::InvalidPc, Kind::WildCall));
}
