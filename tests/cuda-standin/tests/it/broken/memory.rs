//! Bounds, alignment, freed blocks, bytes that nothing wrote, constant memory; and ends that a kernel asks for.

use cuda_standin::exec::FaultCode::{Assert, IllegalAddress, LaunchFailed, Misaligned};
use cuda_standin::report::Kind;

use super::{Case, case, fires, judge, passes, run_prepared};

#[test]
fn a_load_past_the_end() {
    let body = "ld.global.u32 %r2, [%d4]; // here";
    let words = fires(&case(129, body), Kind::OutOfBounds, 128, Some(IllegalAddress));
    assert!(words.contains("0 bytes past the end of allocation") && words.contains("of 512 bytes"), "{words}");
    passes(&case(128, body));
}

#[test]
fn a_load_before_the_beginning() {
    let body = "add.u64 %d4, %d4, -4;\nld.global.u32 %r2, [%d4]; // here";
    fires(&case(1, body), Kind::OutOfBounds, 0, Some(IllegalAddress));
    passes(&case(1, "add.u64 %d4, %d4, 4;\nld.global.u32 %r2, [%d4+-4];"));
}

#[test]
fn a_store_past_the_end_in_the_second_block() {
    let body = "mov.u32 %r2, %ctaid.x; mad.lo.u32 %r2, %r2, 96, %r1; mul.wide.u32 %d6, %r2, 4; add.u64 %d6, %d1, %d6;
        st.global.u32 [%d6], %r1; // here";
    let broken = Case { grid: 2, ..case(96, body) };
    judge(super::run(&broken), Kind::OutOfBounds, (1, 32), Some(IllegalAddress));
    passes(&case(96, body));
}

#[test]
fn a_null_pointer() {
    fires(&case(1, "mov.u64 %d6, 0;\nld.u32 %r2, [%d6]; // here"), Kind::OutOfBounds, 0, Some(IllegalAddress));
}

#[test]
fn an_atomic_past_the_end() {
    let body = "atom.global.add.u32 %r2, [%d4+4], 1; // here";
    fires(&case(128, body), Kind::OutOfBounds, 127, Some(IllegalAddress));
    passes(&case(127, body));
}

#[test]
fn a_block_that_was_freed() {
    let broken = case(1, "ld.global.u32 %r2, [%d4]; // here");
    let found = run_prepared(&broken, |device, p, _| assert_eq!(device.memory.remove(p), Ok(512)));
    let words = judge(found, Kind::UseAfterFree, (0, 0), Some(IllegalAddress));
    assert!(words.contains("which was freed"), "{words}");
}

#[test]
fn an_address_that_is_no_multiple() {
    let body = "ld.global.u32 %r2, [%d4+2]; // here";
    fires(&case(1, body), Kind::Misaligned, 0, Some(Misaligned));
    passes(&case(1, "ld.global.u16 %h1, [%d4+2];"));
}

#[test]
fn a_vector_at_half_its_size() {
    fires(&case(1, "ld.global.v2.u32 {%r2, %r3}, [%d4+4]; // here"), Kind::Misaligned, 0, Some(Misaligned));
    passes(&case(1, "ld.global.v2.u32 {%r2, %r3}, [%d4+8];"));
    fires(&case(2, "st.global.v4.u32 [%d4], {%r1, %r1, %r1, %r1}; // here"), Kind::Misaligned, 1, Some(Misaligned));
}

#[test]
fn bytes_that_nothing_wrote() {
    fires(&case(3, "ld.global.u32 %r2, [%d5]; // here"), Kind::UninitialisedGlobal, 0, None);
    passes(&case(3, "st.global.u32 [%d5], %r1; ld.global.u32 %r2, [%d5];"));
}

#[test]
fn one_byte_that_nothing_wrote() {
    let body = "cvt.u16.u32 %h1, %r1; st.global.u16 [%d5], %h1; st.global.u8 [%d5+2], %h1;
        ld.global.u32 %r2, [%d5]; // here";
    fires(&case(1, body), Kind::UninitialisedGlobal, 0, None);
    passes(&case(
        1,
        "cvt.u16.u32 %h1, %r1; st.global.u16 [%d5], %h1; st.global.u16 [%d5+2], %h1; ld.global.u32 %r2, [%d5];",
    ));
}

#[test]
fn an_atomic_on_bytes_that_nothing_wrote() {
    fires(&case(2, "red.global.add.u32 [%d5], 1; // here"), Kind::UninitialisedGlobal, 0, None);
}

#[test]
fn shared_memory_that_the_block_did_not_write() {
    let body = ".shared .align 4 .b32 s[64]; mov.u32 %r2, s; mad.lo.u32 %r2, %r1, 4, %r2;";
    let broken = "ld.shared.u32 %r3, [%r2]; // here";
    let both: &'static str = Box::leak(format!("{body}\n{broken}").into_boxed_str());
    fires(&case(64, both), Kind::UninitialisedShared, 0, None);
    let right: &'static str =
        Box::leak(format!("{body} st.shared.u32 [%r2], %r1; ld.shared.u32 %r3, [%r2];").into_boxed_str());
    passes(&case(64, right));
}

#[test]
fn past_shared_memory() {
    let body = ".shared .align 4 .b32 s[32]; mov.u32 %r2, s; mad.lo.u32 %r2, %r1, 4, %r2;
        st.shared.u32 [%r2], %r1; // here";
    fires(&case(33, body), Kind::OutOfBounds, 32, Some(IllegalAddress));
    passes(&case(32, body));
}

#[test]
fn past_dynamic_shared_memory() {
    let body = "mov.u32 %r2, room; mad.lo.u32 %r2, %r1, 4, %r2;
        st.shared.u32 [%r2], %r1; // here";
    let broken = Case { dynamic_shared: 128, ..case(33, body) };
    fires(&broken, Kind::OutOfBounds, 32, Some(IllegalAddress));
    passes(&Case { dynamic_shared: 132, ..case(33, body) });
}

#[test]
fn shared_memory_by_a_generic_address() {
    let body = ".shared .align 4 .b32 s[2]; mov.u64 %d6, s; cvta.shared.u64 %d6, %d6; add.u64 %d6, %d6, %d3;
        st.u32 [%d6], %r1; // here";
    fires(&case(3, body), Kind::OutOfBounds, 2, Some(IllegalAddress));
    passes(&case(2, body));
}

#[test]
fn past_a_local_array() {
    let body = ".local .align 4 .b8 a[16]; .local .align 4 .b8 b[16]; mov.u64 %d6, a; add.u64 %d6, %d6, %d3;
        st.local.u32 [%d6], %r1; // here";
    fires(&case(5, body), Kind::LocalOverrun, 4, Some(IllegalAddress));
    passes(&case(4, body));
}

#[test]
fn a_store_to_constant_memory() {
    let body = "mov.u64 %d6, fixed;\nst.u32 [%d6], %r1; // here";
    fires(&case(1, body), Kind::ReadOnly, 0, Some(IllegalAddress));
    passes(&case(1, "ld.const.u32 %r2, [fixed+8]; st.global.u32 [%d4], %r2;"));
}

#[test]
fn an_assertion_with_its_text() {
    let body = "setp.lt.u32 %p1, %r1, 40; @%p1 bra fine;
        mov.u64 %d6, said; cvta.global.u64 %d6, %d6;
        { .param .b64 a; st.param.b64 [a+0], %d6; .param .b64 b; st.param.b64 [b+0], %d6;
        .param .b32 c; st.param.b32 [c+0], 12; .param .b64 d; st.param.b64 [d+0], %d6;
        .param .b64 e; st.param.b64 [e+0], 1;
        call.uni __assertfail, (a, b, c, d, e); // here
        }
        fine:";
    let words = fires(&case(64, body), Kind::Assertion, 40, Some(Assert));
    assert_eq!(words, "`i < n` does not hold, i < n:12 in i < n");
    passes(&case(40, body));
}

#[test]
fn a_kernel_that_stops_itself() {
    fires(&case(2, "setp.eq.u32 %p1, %r1, 1;\n@%p1 trap; // here"), Kind::Trap, 1, Some(LaunchFailed));
    passes(&case(1, "setp.eq.u32 %p1, %r1, 1; @%p1 trap;"));
}
